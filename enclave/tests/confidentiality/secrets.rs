//! What is looked for: texts that occur nowhere else, in each form that a program could give them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::hash::sha256;

/// All canaries start with this, which is what is looked for in base64: one pass finds all of them.
const HEAD: &str = "qvjwqvjwqvjw";
/// Each piece of the rest starts with these letters, for the same reason.
const MARK: &str = "qzjx";
/// Letters of a piece, its mark among them.
const PIECE: usize = 12;
/// Of a piece, as many must be there to count as found: four are a coincidence, eight aren't.
const ENOUGH: usize = 8;

/// A text of letters that occurs nowhere else. Every twelve of them tell it from all others, so that a part of it is found
/// as well.
pub fn canary(name: &str) -> String {
    let letters = sha256(name.as_bytes()).map(|byte| char::from(b'a' + byte % 26));
    let pieces = letters.chunks(PIECE - MARK.len());
    let pieces = pieces.map(|letters| format!("{MARK}{}", letters.iter().collect::<String>()));
    [HEAD.to_owned()].into_iter().chain(pieces).collect()
}

/// Something to look for.
struct Needle {
    what: String,
    /// How its bytes are written.
    form: &'static str,
    bytes: Vec<u8>,
}

/// Everything that must not be found.
#[derive(Default)]
pub struct Secrets {
    canaries: Vec<String>,
    needles: Vec<Needle>,
}

impl Secrets {
    /// A canary of this name, which from now on is looked for.
    pub fn canary(&mut self, name: &str) -> String {
        let text = canary(name);
        self.canaries.push(text.clone());
        text
    }

    /// A text that isn't a canary: an answer, or an answer's id. Looked for in pieces of 24 bytes, which no vocabulary
    /// holds; a shorter one as a whole.
    pub fn text(&mut self, what: &str, text: &str) {
        let bytes = text.as_bytes();
        let pieces = match bytes.len() {
            0..24 => vec![bytes],
            len => [0, (len - 24) / 2, len - 24]
                .map(|start| &bytes[start..start + 24])
                .to_vec(),
        };
        for piece in pieces {
            self.needle(what, "text", piece.to_vec());
        }
    }

    /// Tokens, as the engine holds them. Looked for in runs of four, but for the outer ones: a template's are no secret.
    pub fn tokens(&mut self, what: &str, ids: &[u32]) {
        assert!(ids.len() >= 8, "{what}: too few tokens to be told from others");
        for start in [2, (ids.len() - 4) / 2] {
            let run = ids[start..start + 4].iter().flat_map(|id| id.to_le_bytes());
            self.needle(what, "tokens", run.collect());
        }
    }

    /// Numbers, as the engine holds them. Looked for in runs of three.
    pub fn numbers(&mut self, what: &str, numbers: &[f32]) {
        for start in [0, numbers.len() / 2] {
            let run = numbers[start..start + 3]
                .iter()
                .flat_map(|number| number.to_le_bytes());
            self.needle(what, "numbers", run.collect());
        }
    }

    fn needle(&mut self, what: &str, form: &'static str, bytes: Vec<u8>) {
        if !self.needles.iter().any(|needle| needle.bytes == bytes) {
            let what = what.to_owned();
            self.needles.push(Needle { what, form, bytes });
        }
    }

    /// What of it is in these bytes, and where.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for form in FORMS {
            for at in positions(bytes, &(form.encode)(MARK)) {
                found.extend(
                    self.piece_at(bytes, at, form)
                        .map(|what| format!("{what} at {at:#x}")),
                );
            }
        }
        for alignment in 0..3 {
            // Without the letters that share a group with what is before or after them.
            let encoded = STANDARD.encode(format!("{}{HEAD}", &"   "[..alignment]));
            let at = positions(bytes, &encoded.as_bytes()[4..16]);
            found.extend(at.into_iter().map(|at| format!("a canary as base64 at {at:#x}")));
        }
        for needle in &self.needles {
            let at = positions(bytes, &needle.bytes);
            found.extend(at.into_iter().map(|at| {
                let around = &bytes[at.saturating_sub(32)..bytes.len().min(at + needle.bytes.len() + 32)];
                let around = around.escape_ascii();
                format!("{} as {} at {at:#x}, in \"{around}\"", needle.what, needle.form)
            }));
        }
        found
    }

    /// The canary of which a piece is at a mark, and how it is written.
    fn piece_at(&self, bytes: &[u8], at: usize, form: &Form) -> Option<String> {
        let canary = self.canaries.iter().find(|canary| {
            (0..canary.len() / PIECE).any(|index| {
                let piece = (form.encode)(&canary[index * PIECE..][..ENOUGH]);
                bytes[at..].starts_with(&piece)
            })
        })?;
        Some(format!("{canary} as {}", form.name))
    }
}

/// A way to write letters.
struct Form {
    name: &'static str,
    encode: fn(&str) -> Vec<u8>,
}

const FORMS: &[Form] = &[
    Form {
        name: "text",
        encode: |text| text.as_bytes().to_vec(),
    },
    Form {
        name: "UTF-16",
        encode: |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    },
    Form {
        name: "hex",
        encode: |text| hex::encode(text).into_bytes(),
    },
];

/// Where a needle is.
fn positions(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut start = 0;
    // A memory that is full of it is told by the first ones.
    while found.len() < 100
        && let Some(at) = position(&bytes[start..], needle)
    {
        found.push(start + at);
        start += at + 1;
    }
    found
}

/// The C library's search: that of the standard library goes byte by byte, and there are gigabytes to search.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    // SAFETY: both pointers are those of slices, with the slices' lengths.
    let at = unsafe {
        libc::memmem(
            bytes.as_ptr().cast(),
            bytes.len(),
            needle.as_ptr().cast(),
            needle.len(),
        )
    };
    (!at.is_null()).then(|| at as usize - bytes.as_ptr() as usize)
}

#[test]
fn canaries_are_found_however_they_are_written() {
    let mut secrets = Secrets::default();
    let canary = secrets.canary("found");
    secrets.text("an answer", "The capital of France is Paris, of course.");
    secrets.tokens("ids", &[1, 2, 3, 70_000, 5, 6, 7, 8]);
    let utf16: Vec<u8> = canary.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for hidden in [
        canary.clone().into_bytes(),
        canary[12..24].to_owned().into_bytes(),
        canary[48..].to_owned().into_bytes(),
        utf16,
        hex::encode(&canary).into_bytes(),
        STANDARD.encode(&canary).into_bytes(),
        STANDARD.encode(format!("x{canary}")).into_bytes(),
        STANDARD.encode(format!("xy{canary}")).into_bytes(),
        b"...of France is Paris, of course.".to_vec(),
        [3u32, 70_000, 5, 6]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect(),
    ] {
        let mut bytes = vec![b'.'; 1000];
        bytes.extend(&hidden);
        bytes.extend(vec![b'.'; 1000]);
        assert!(!secrets.found_in(&bytes).is_empty(), "{}", hidden.escape_ascii());
    }
    assert!(
        secrets
            .found_in(super::secrets::canary("another").as_bytes())
            .is_empty()
    );
}
