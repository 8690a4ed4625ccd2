//! What the TDX and SGX tests share: where the genuine evidence lies, and how it is paired.

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::roots::{TestRoots, TrustAnchors};
use jeju_synthetic::intel::{Evidence, Keys};

use crate::vectors;

/// Synthetic silicon, and keys of somebody else.
pub struct Bench {
    pub keys: Keys,
    pub other: Keys,
    pub anchors: TrustAnchors,
}

/// Synthetic evidence on its way to the verifier, under rules.
pub struct Attempt<'b, R> {
    pub bench: &'b Bench,
    pub evidence: Evidence,
    /// The keys that certificates name.
    pub keys: Keys,
    /// The keys that sign.
    pub signing: Keys,
    /// Changes the quote's bytes after they were signed.
    pub quote: fn(&mut Vec<u8>),
    /// Changes the endorsements after they were signed: lists of root and authority, signer, TCB info, QE identity.
    pub files: fn(&mut Vec<Vec<u8>>),
    /// Endorsements that come before these.
    pub extra: Vec<Vec<u8>>,
    pub rules: R,
}

impl Bench {
    pub fn new() -> Self {
        let (keys, other) = (Keys::generate(), Keys::generate());
        let roots = TestRoots {
            intel: Some(keys.root_certificate.to_vec()),
            ..TestRoots::default()
        };
        let anchors = TrustAnchors::for_development(&roots).expect("a root");
        Self { keys, other, anchors }
    }

    /// Evidence that is right.
    pub fn attempt<R>(&self, make: fn(&Keys) -> Evidence, rules: R) -> Attempt<'_, R> {
        Attempt {
            bench: self,
            evidence: make(&self.keys),
            keys: self.keys.clone(),
            signing: self.keys.clone(),
            quote: |_| {},
            files: |_| {},
            extra: Vec::new(),
            rules,
        }
    }
}

impl<R> Attempt<'_, R> {
    pub fn quote_bytes(&self) -> Vec<u8> {
        let mut quote = self.evidence.quote(&self.keys, &self.signing);
        (self.quote)(&mut quote);
        quote
    }

    pub fn bag(&self) -> Endorsements {
        let mut files = self.evidence.collateral.files(&self.signing).to_vec();
        (self.files)(&mut files);
        let mut bag = Endorsements::default();
        for file in self.extra.iter().chain(&files) {
            bag.add(file).expect("an endorsement");
        }
        bag
    }
}

/// Genuine evidence with everything that a verdict on it depends on. There is no policy: [`Rules::strict`] holds.
///
/// [`Rules::strict`]: jeju_attestation::tdx::Rules::strict
pub struct GenuineCase {
    /// What it is.
    pub name: &'static str,
    /// The file as it is, or unwrapped where its wrapping isn't one that is read.
    pub evidence: Vec<u8>,
    /// Files as they are, likewise.
    pub endorsements: Vec<Vec<u8>>,
    /// Seconds since 1970.
    pub at: u64,
    /// What the evidence must be bound to.
    pub report_data: Option<Vec<u8>>,
    /// The verdict: accepted, or the code of the reason.
    pub expected: Result<(), &'static str>,
}

/// Collateral, and a time at which it holds.
pub struct Set {
    pub files: &'static [&'static str],
    pub at: u64,
}

/// A case as a table names it: what it is, file, collateral, verdict.
pub type Row = (&'static str, &'static str, &'static Set, Result<(), &'static str>);

/// Reads the files of a table; nothing where there are no vectors at all.
pub fn read(rows: &[Row]) -> Vec<GenuineCase> {
    let file = |name: &str| Some(unwrap(vectors::read(name, rows.len())?));
    let cases = rows.iter().map(|(name, evidence, set, expected)| {
        Some(GenuineCase {
            name,
            evidence: file(evidence)?,
            endorsements: set.files.iter().map(|name| file(name)).collect::<Option<_>>()?,
            at: set.at,
            report_data: None,
            expected: *expected,
        })
    });
    cases.collect::<Option<_>>().unwrap_or_default()
}

impl GenuineCase {
    /// The endorsements in one bag.
    pub fn bag(&self) -> Endorsements {
        let mut bag = Endorsements::default();
        for file in &self.endorsements {
            bag.add(file)
                .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        }
        bag
    }
}

/// Wrappings that the verifier doesn't read: hexadecimal text, and the YAML of flashbots.
pub fn unwrap(file: Vec<u8>) -> Vec<u8> {
    let Ok(text) = core::str::from_utf8(&file) else {
        return file;
    };
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if let Ok(bytes) = hex::decode(digits) {
        return bytes;
    }
    if text.starts_with("pck_crl_issuer_chain:") {
        return collateral_json(text).into_bytes();
    }
    if let Some((_, rest)) = text.split_once("tdx_quote_base64: ") {
        use base64::Engine;
        let quote = rest.lines().nth(1).expect("a block has a line").trim();
        return base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(quote.trim_end_matches('='))
            .expect("the quote is base64");
    }
    file
}

/// Top-level scalars of YAML (plain blocks and double-quoted text) as JSON of the same fields.
fn collateral_json(yaml: &str) -> String {
    let mut fields = serde_json::Map::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        let value = if value.starts_with('"') {
            serde_json::from_str(value).expect("quoted as JSON is")
        } else {
            let mut block = Vec::new();
            while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with(' ')) {
                block.push(line.trim());
            }
            block.join("\n").trim().to_owned()
        };
        fields.insert(name.to_owned(), value.into());
    }
    serde_json::Value::Object(fields).to_string()
}
