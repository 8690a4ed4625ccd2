//! The evidence bundle: everything that a verifier needs beside its policy, in one immutable JSON document that is
//! addressed by the SHA-256 of its bytes (a CMW collection, draft-ietf-rats-msg-wrap).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::hash::sha256;
use crate::tee::Tee;

/// Type of the collection.
pub const COLLECTION_TYPE: &str = "tag:jeju,2026:bundle/1";
/// Media type of the document.
pub const MEDIA_TYPE: &str = "application/cmw+json";
/// Longest bundle that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

const CLAIMS: &str = "application/vnd.jeju.claims+cbor";
const KEYS: &str = "application/vnd.jeju.keys+cbor";
const LAUNCH: &str = "application/toml";
const ENDORSEMENTS: &str = "application/vnd.jeju.endorsements";
/// CMW indicator bits: 4 is evidence, 2 endorsements.
const EVIDENCE_KIND: u64 = 4;
const ENDORSEMENT_KIND: u64 = 2;

/// Why bytes aren't a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// Longer than [`MAX_LEN`].
    #[error("evidence bundle of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// Not a JSON object of the collection type.
    #[error("not an evidence bundle of type {COLLECTION_TYPE}")]
    NotABundle,
    /// A member that is missing, of another form, or not known.
    #[error("evidence bundle: member {0:?} is missing, unknown or malformed")]
    Member(String),
}

/// All evidence of one quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Platform.
    pub tee: Tee,
    /// The full quote.
    pub cpu: Vec<u8>,
    /// Exact bytes of the claims-buffer.
    pub claims: Vec<u8>,
    /// Key list that the claims name.
    pub keys: Vec<u8>,
    /// Launch document that the claims name.
    pub launch: Vec<u8>,
    /// Endorsements that came with the quote (a chip's certificate chain); empty where there are none.
    pub endorsements: Vec<u8>,
}

impl Bundle {
    /// The document's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let record = |media_type: &str, bytes: &[u8], kind: u64| {
            json!([media_type, URL_SAFE_NO_PAD.encode(bytes), kind])
        };
        let mut members = Map::new();
        members.insert("__cmwc_t".into(), COLLECTION_TYPE.into());
        members.insert("claims".into(), record(CLAIMS, &self.claims, EVIDENCE_KIND));
        members.insert(
            "cpu".into(),
            record(self.tee.media_type(), &self.cpu, EVIDENCE_KIND),
        );
        members.insert("keys".into(), record(KEYS, &self.keys, EVIDENCE_KIND));
        members.insert("launch".into(), record(LAUNCH, &self.launch, EVIDENCE_KIND));
        if !self.endorsements.is_empty() {
            members.insert(
                "cpu-endorsements".into(),
                record(ENDORSEMENTS, &self.endorsements, ENDORSEMENT_KIND),
            );
        }
        Value::Object(members).to_string().into_bytes()
    }

    /// Reads a bundle; a member that this software doesn't know is refused, since it can't be appraised.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_LEN {
            return Err(BundleError::TooLong(bytes.len()));
        }
        let Ok(Value::Object(mut members)) = serde_json::from_slice(bytes) else {
            return Err(BundleError::NotABundle);
        };
        if members.remove("__cmwc_t").as_ref().and_then(Value::as_str) != Some(COLLECTION_TYPE) {
            return Err(BundleError::NotABundle);
        }
        let claims = take(&mut members, "claims", CLAIMS, EVIDENCE_KIND)?;
        let keys = take(&mut members, "keys", KEYS, EVIDENCE_KIND)?;
        let launch = take(&mut members, "launch", LAUNCH, EVIDENCE_KIND)?;
        let endorsements = match members.contains_key("cpu-endorsements") {
            true => take(&mut members, "cpu-endorsements", ENDORSEMENTS, ENDORSEMENT_KIND)?,
            false => Vec::new(),
        };
        let tee = members
            .get("cpu")
            .and_then(|record| record.get(0)?.as_str())
            .and_then(Tee::from_media_type)
            .ok_or_else(|| BundleError::Member("cpu".to_owned()))?;
        let cpu = take(&mut members, "cpu", tee.media_type(), EVIDENCE_KIND)?;
        match members.keys().next() {
            Some(unknown) => Err(BundleError::Member(unknown.chars().take(64).collect())),
            None => Ok(Self {
                tee,
                cpu,
                claims,
                keys,
                launch,
                endorsements,
            }),
        }
    }

    /// SHA-256 of the document's bytes: its address.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        sha256(bytes)
    }
}

fn take(
    members: &mut Map<String, Value>,
    name: &str,
    media_type: &str,
    kind: u64,
) -> Result<Vec<u8>, BundleError> {
    let malformed = || BundleError::Member(name.to_owned());
    let Some(Value::Array(record)) = members.remove(name) else {
        return Err(malformed());
    };
    match record.as_slice() {
        [Value::String(found), Value::String(bytes), found_kind]
            if found == media_type && found_kind.as_u64() == Some(kind) =>
        {
            URL_SAFE_NO_PAD.decode(bytes).map_err(|_| malformed())
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        Bundle {
            tee: Tee::Simulated,
            cpu: vec![1; 282],
            claims: vec![2; 600],
            keys: vec![3; 40],
            launch: b"version = 1".to_vec(),
            endorsements: Vec::new(),
        }
    }

    #[test]
    fn round_trip() {
        let plain = bundle();
        assert_eq!(Bundle::parse(&plain.encode()), Ok(plain.clone()));
        let endorsed = Bundle {
            tee: Tee::SevSnp,
            endorsements: vec![4; 10],
            ..plain
        };
        assert_eq!(Bundle::parse(&endorsed.encode()), Ok(endorsed));
    }

    #[test]
    fn refusals() {
        let text = String::from_utf8(bundle().encode()).unwrap();
        let with = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Bundle::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        assert_eq!(with("bundle/1", "bundle/2"), BundleError::NotABundle);
        assert_eq!(Bundle::parse(b"[]"), Err(BundleError::NotABundle));
        assert_eq!(
            Bundle::parse(&vec![b' '; MAX_LEN + 1]),
            Err(BundleError::TooLong(MAX_LEN + 1))
        );
        assert_eq!(
            with("\"claims\"", "\"claimz\""),
            BundleError::Member("claims".into())
        );
        assert_eq!(with("{", "{\"more\":1,"), BundleError::Member("more".into()));
        assert_eq!(
            with("simulated-report", "simulated"),
            BundleError::Member("cpu".into())
        );
        assert_eq!(with("\"AQEB", "\"A=EB"), BundleError::Member("cpu".into()));
        assert_eq!(
            with("claims+cbor", "claims"),
            BundleError::Member("claims".into())
        );
    }
}
