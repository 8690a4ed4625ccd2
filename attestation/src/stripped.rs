//! Quotes with the certificate material cut out, as headers and certificates carry them: a TDX quote shrinks from 5 kB
//! to 1.3 kB, a Nitro document from 4.7 kB to under 1 kB. The lengths stay, so what was cut can be put back byte for byte
//! from any full quote of the same node, such as the one in the evidence bundle.

use thiserror::Error;

use crate::hash::is_zero;
use crate::tee::Tee;

/// Longest quote that is read, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

/// Why a quote can't be stripped or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StripError {
    /// Longer than [`MAX_LEN`].
    #[error("quote of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// Not laid out as a quote of this platform.
    #[error("not laid out as a {0} quote")]
    Layout(Tee),
    /// The full quote that the material comes from is another node's, or the length isn't that of the restored one.
    #[error("certificate material of another quote")]
    OtherMaterial,
}

/// Cuts the certificate material out of a full quote.
///
/// # Errors
/// [`StripError::TooLong`], [`StripError::Layout`].
pub fn strip(tee: Tee, full: &[u8]) -> Result<Vec<u8>, StripError> {
    Ok(split(tee, full)?.stripped)
}

/// Puts the material of `reference`, a full quote of the same node, back into `stripped`; `full_len` is the length that
/// the sender names.
///
/// # Errors
/// All of [`StripError`].
pub fn restore(tee: Tee, stripped: &[u8], reference: &[u8], full_len: usize) -> Result<Vec<u8>, StripError> {
    if full_len > MAX_LEN {
        return Err(StripError::TooLong(full_len));
    }
    let mut full = restore_unpadded(tee, stripped, reference)?;
    // Some hosts hand out quotes in a zero-filled buffer of fixed size.
    if full.len() > full_len {
        return Err(StripError::OtherMaterial);
    }
    full.resize(full_len, 0);
    Ok(full)
}

/// The same where the sender names no length, as in a certificate: zeros behind the quote don't come back.
///
/// # Errors
/// All of [`StripError`].
pub fn restore_unpadded(tee: Tee, stripped: &[u8], reference: &[u8]) -> Result<Vec<u8>, StripError> {
    if stripped.len() > MAX_LEN {
        return Err(StripError::TooLong(stripped.len()));
    }
    let material = split(tee, reference)?.material;
    Ok(match tee {
        Tee::Tdx => {
            let certificates = tdx_certificates(stripped).ok_or(StripError::Layout(tee))?;
            let [material] = material.as_slice() else {
                return Err(StripError::OtherMaterial);
            };
            if certificates.at != stripped.len() || certificates.len != material.len() {
                return Err(StripError::OtherMaterial);
            }
            [stripped, material].concat()
        }
        Tee::Nitro => {
            let mut walk = Walk {
                input: stripped,
                at: 0,
                output: Vec::new(),
                material,
                restore: true,
            };
            walk.document().ok_or(StripError::OtherMaterial)?;
            walk.output
        }
        Tee::SevSnp | Tee::Simulated => stripped.to_vec(),
    })
}

struct Split {
    stripped: Vec<u8>,
    /// What was cut, in order.
    material: Vec<Vec<u8>>,
}

fn split(tee: Tee, full: &[u8]) -> Result<Split, StripError> {
    if full.len() > MAX_LEN {
        return Err(StripError::TooLong(full.len()));
    }
    let parts = match tee {
        Tee::Tdx => split_tdx(full),
        Tee::Nitro => {
            let mut walk = Walk {
                input: full,
                at: 0,
                output: Vec::new(),
                material: Vec::new(),
                restore: false,
            };
            walk.document().map(|()| Split {
                stripped: walk.output,
                material: walk.material,
            })
        }
        Tee::SevSnp | Tee::Simulated => Some(Split {
            stripped: full.to_vec(),
            material: Vec::new(),
        }),
    };
    parts.ok_or(StripError::Layout(tee))
}

fn split_tdx(full: &[u8]) -> Option<Split> {
    let Certificates { at, len } = tdx_certificates(full)?;
    let end = at.checked_add(len)?;
    let material = full.get(at..end)?.to_vec();
    is_zero(&full[end..]).then(|| Split {
        stripped: full[..at].to_vec(),
        material: vec![material],
    })
}

struct Certificates {
    at: usize,
    len: usize,
}

/// Where the PCK chain begins in a TDX quote of version 4 or 5, and its length (Intel TDX DCAP Quoting Library API,
/// appendix A.3): header, body, then signature data with the QE's certification data inside. Little-endian.
fn tdx_certificates(quote: &[u8]) -> Option<Certificates> {
    const HEADER: usize = 48;
    const BODY_V4: usize = 584;
    const SIGNATURE_AND_KEY: usize = 128;
    const QE_REPORT_AND_SIGNATURE: usize = 448;
    const QE_CERTIFICATION: u16 = 6;
    const PCK_CHAIN: u16 = 5;
    let u16_at = |at: usize| {
        Some(u16::from_le_bytes(
            quote.get(at..at.checked_add(2)?)?.try_into().ok()?,
        ))
    };
    let u32_at =
        |at: usize| Some(u32::from_le_bytes(quote.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
    let signature_length = match u16_at(0)? {
        4 => HEADER + BODY_V4,
        5 => (HEADER + 6).checked_add(u32_at(HEADER + 2)?)?,
        _ => return None,
    };
    let certification = signature_length.checked_add(4 + SIGNATURE_AND_KEY)?;
    if u16_at(certification)? != QE_CERTIFICATION {
        return None;
    }
    let authentication = certification.checked_add(6 + QE_REPORT_AND_SIGNATURE)?;
    let chain = authentication.checked_add(2 + usize::from(u16_at(authentication)?))?;
    (u16_at(chain)? == PCK_CHAIN).then_some(Certificates {
        at: chain + 6,
        len: u32_at(chain + 2)?,
    })
}

/// Copies a Nitro attestation document (COSE_Sign1 over a CBOR map), without the contents of `certificate` and
/// `cabundle`, or with them put back.
struct Walk<'a> {
    input: &'a [u8],
    at: usize,
    output: Vec<u8>,
    /// Cut so far; or, to restore, what is still to be put back.
    material: Vec<Vec<u8>>,
    restore: bool,
}

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const INDEFINITE_MAP: u8 = 0xBF;
const BREAK: u8 = 0xFF;
const MOST_PAIRS: u64 = 64;
const DEEPEST: u32 = 8;

impl Walk<'_> {
    fn document(&mut self) -> Option<()> {
        if self.head()? != (ARRAY, 4) {
            return None;
        }
        self.item(DEEPEST)?;
        self.item(DEEPEST)?;
        let (BYTES, _) = self.head()? else { return None };
        // Newer Nitro hypervisors write the payload's map with indefinite length.
        let indefinite = self.next_is(INDEFINITE_MAP);
        let pairs = match indefinite {
            true => MOST_PAIRS,
            false => match self.head()? {
                (MAP, pairs @ ..=MOST_PAIRS) => pairs,
                _ => return None,
            },
        };
        for _ in 0..pairs {
            if indefinite && self.input.get(self.at) == Some(&BREAK) {
                break;
            }
            match self.key()? {
                b"certificate" => self.cut()?,
                b"cabundle" => {
                    let (major, certificates) = self.head()?;
                    if major != ARRAY || certificates > 64 {
                        return None;
                    }
                    for _ in 0..certificates {
                        self.cut()?;
                    }
                }
                _ => self.item(DEEPEST)?,
            }
        }
        if indefinite && !self.next_is(BREAK) {
            return None;
        }
        self.item(DEEPEST)?;
        let all_back = !self.restore || self.material.is_empty();
        (self.at == self.input.len() && all_back).then_some(())
    }

    /// Copies the next byte if it is this one.
    fn next_is(&mut self, byte: u8) -> bool {
        self.input.get(self.at) == Some(&byte) && self.copy(1).is_some()
    }

    /// A byte string whose head stays and whose content goes, or comes back.
    fn cut(&mut self) -> Option<()> {
        let (BYTES, len) = self.head()? else { return None };
        let len = usize::try_from(len).ok()?;
        if self.restore {
            if self.material.first()?.len() != len {
                return None;
            }
            self.output.extend(self.material.remove(0));
            return Some(());
        }
        let content = self.input.get(self.at..self.at.checked_add(len)?)?;
        self.material.push(content.to_vec());
        self.at += len;
        Some(())
    }

    fn key(&mut self) -> Option<&[u8]> {
        let (TEXT, len) = self.head()? else { return None };
        let from = self.at;
        self.copy(len)?;
        Some(&self.input[from..self.at])
    }

    fn item(&mut self, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.head()? {
            (BYTES | TEXT, len) => self.copy(len),
            (ARRAY, len) => (0..len).try_for_each(|_| self.item(depth)),
            (MAP, len) => (0..len.checked_mul(2)?).try_for_each(|_| self.item(depth)),
            (TAG, _) => self.item(depth),
            // Integers and simple values are their head.
            _ => Some(()),
        }
    }

    /// Copies an item's head; returns its major type and argument. Indefinite lengths are refused.
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = *self.input.get(self.at)?;
        let len = match first & 0x1F {
            0..=23 => 0,
            info @ 24..=27 => 1 << (info - 24),
            _ => return None,
        };
        let argument = self.input.get(self.at + 1..self.at + 1 + len)?;
        let value = match len {
            0 => u64::from(first & 0x1F),
            _ => argument
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        self.copy(1 + len as u64)?;
        debug_assert!(first >> 5 <= SIMPLE);
        Some((first >> 5, value))
    }

    fn copy(&mut self, len: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(len).ok()?)?;
        self.output.extend_from_slice(self.input.get(self.at..end)?);
        self.at = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Genuine quotes of others; they stay outside the repository.
    fn vectors(names: &[&str]) -> Vec<Vec<u8>> {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors").to_owned();
        let folder = std::env::var("JEJU_VECTORS").unwrap_or(default);
        let read = |name: &&str| std::fs::read(format!("{folder}/{name}")).ok();
        let found: Vec<_> = names.iter().filter_map(read).collect();
        if found.len() != names.len() {
            assert!(
                std::env::var_os("CI").is_none(),
                "{} genuine quotes are missing in {folder}",
                names.len()
            );
            println!(
                "{} of {} genuine quotes were not run",
                names.len() - found.len(),
                names.len()
            );
        }
        found
    }

    #[test]
    fn genuine_quotes_come_back_byte_for_byte() {
        let tdx = vectors(&[
            "tdx/flashbots-gcp/gcp-tdx-1782809233226668671",
            "tdx/google-v5/quote_v5_sample.dat",
            "tdx/trustee/tdx_quote_5.dat",
        ]);
        for (tee, quotes, longest) in [(Tee::Tdx, tdx, 1400), (Tee::Nitro, nitro_documents(), 1600)] {
            for full in quotes {
                let stripped = strip(tee, &full).unwrap();
                assert!(stripped.len() <= longest, "{} bytes", stripped.len());
                assert_eq!(restore(tee, &stripped, &full, full.len()).unwrap(), full);
                assert!(restore(tee, &stripped, &full, 10).is_err());
                for len in 0..stripped.len() {
                    assert!(
                        restore(tee, &stripped[..len], &full, full.len()).is_err(),
                        "{tee} cut at {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn material_of_another_node_is_refused() {
        if let [one, other, ..] = nitro_documents().as_slice() {
            let stripped = strip(Tee::Nitro, one).unwrap();
            assert_eq!(
                restore(Tee::Nitro, &stripped, other, one.len()),
                Err(StripError::OtherMaterial)
            );
        }
    }

    /// The last one's payload is a map of indefinite length; in its owner's file it is wrapped.
    fn nitro_documents() -> Vec<Vec<u8>> {
        let mut documents = vectors(&[
            "nitro/evervault/valid-attestation-doc-bytes",
            "nitro/evervault/debug-mode-attestation-doc-bytes",
        ]);
        documents.extend(
            vectors(&["nitro/dstack/nitro_attestation.bin"])
                .iter()
                .map(|file| file[4..4 + 4526].to_vec()),
        );
        documents
    }

    #[test]
    fn other_layouts_are_refused() {
        assert_eq!(strip(Tee::Tdx, &[4, 0]), Err(StripError::Layout(Tee::Tdx)));
        assert_eq!(strip(Tee::Tdx, &[3; 5000]), Err(StripError::Layout(Tee::Tdx)));
        assert_eq!(
            strip(Tee::Nitro, &[0x84; 5000]),
            Err(StripError::Layout(Tee::Nitro))
        );
        assert_eq!(
            strip(Tee::Nitro, &[0x9F; 50]),
            Err(StripError::Layout(Tee::Nitro))
        );
        assert_eq!(
            strip(Tee::Simulated, &[1; MAX_LEN + 1]),
            Err(StripError::TooLong(MAX_LEN + 1))
        );
        assert_eq!(strip(Tee::Simulated, &[1; 282]).unwrap(), [1; 282]);
        assert_eq!(
            restore(Tee::Simulated, &[1; 282], &[1; 282], 282).unwrap(),
            [1; 282]
        );
    }
}
