//! The evidence bundle: everything that a verifier needs beside its policy, in one immutable JSON document that is
//! addressed by the SHA-256 of its bytes (a CMW collection, draft-ietf-rats-msg-wrap).

use core::fmt;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::hash::sha256;
use crate::tee::Tee;

/// Type of the collection.
pub const COLLECTION_TYPE: &str = "tag:jeju,2026:bundle/1";
/// Media type of the document.
pub const MEDIA_TYPE: &str = "application/cmw+json";
/// Longest bundle that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

/// Most members: more than there are kinds of.
const MAX_MEMBERS: usize = 16;
const TYPE: &str = "__cmwc_t";
const CLAIMS: &str = "application/vnd.jeju.claims+cbor";
const KEYS: &str = "application/vnd.jeju.keys+cbor";
const LAUNCH: &str = "application/toml";
const ENDORSEMENTS: &str = "application/vnd.jeju.endorsements";
const GPU: &str = "application/vnd.jeju.gpu-evidence+json";
const LOG: &str = "application/vnd.jeju.event-log";
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
    /// A member that is there twice: two readers could take different ones.
    #[error("evidence bundle: member {0:?} is there twice")]
    Twice(String),
    /// More members than there are kinds of.
    #[error("evidence bundle has more than {MAX_MEMBERS} members")]
    TooMany,
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
    /// Evidence of each GPU, of which the claims name digest and count; empty where there are none.
    pub gpu: Vec<u8>,
    /// Event log of the measured boot, of which the claims name the digest; empty where there is none.
    pub log: Vec<u8>,
}

/// A member of the document: its type is text, all else are records.
enum Member {
    Type(String),
    Record(Record),
}

/// Media type, base64url of the bytes, CMW indicator bits.
#[derive(Serialize, Deserialize)]
struct Record(String, String, u64);

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Member::Type(name) => serializer.serialize_str(name),
            Member::Record(record) => record.serialize(serializer),
        }
    }
}

/// By hand, because serde's own ways to tell forms apart hold any value in memory first, which a hostile document can
/// make many times as large as itself.
impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type or a record")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Member, E> {
                Ok(Member::Type(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Member, A::Error> {
                Record::deserialize(de::value::SeqAccessDeserializer::new(items)).map(Member::Record)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// The members by name. No more are kept than a bundle can have: a million tiny ones would take many times their text.
struct Members {
    kept: BTreeMap<String, Member>,
    refused: Option<BundleError>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a collection")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members, A::Error> {
                let mut kept: BTreeMap<String, Member> = BTreeMap::new();
                let mut refused = None;
                while refused.is_none()
                    && let Some(name) = entries.next_key::<String>()?
                {
                    if kept.contains_key(&name) {
                        refused = Some(BundleError::Twice(shown(&name)));
                        entries.next_value::<IgnoredAny>()?;
                    } else if kept.len() == MAX_MEMBERS {
                        refused = Some(BundleError::TooMany);
                        entries.next_value::<IgnoredAny>()?;
                    } else {
                        kept.insert(name, entries.next_value()?);
                    }
                }
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Members { kept, refused })
            }
        }
        deserializer.deserialize_map(Form)
    }
}

/// The sender's text, as far as it is shown.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

impl Bundle {
    /// The document's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = |bytes: &Vec<u8>| (!bytes.is_empty()).then(|| bytes.clone());
        let members = [
            ("claims", CLAIMS, Some(self.claims.clone()), EVIDENCE_KIND),
            (
                "cpu",
                self.tee.media_type(),
                Some(self.cpu.clone()),
                EVIDENCE_KIND,
            ),
            (
                "cpu-endorsements",
                ENDORSEMENTS,
                optional(&self.endorsements),
                ENDORSEMENT_KIND,
            ),
            ("gpu", GPU, optional(&self.gpu), EVIDENCE_KIND),
            ("keys", KEYS, Some(self.keys.clone()), EVIDENCE_KIND),
            ("launch", LAUNCH, Some(self.launch.clone()), EVIDENCE_KIND),
            ("log", LOG, optional(&self.log), EVIDENCE_KIND),
        ];
        let record = |media_type: &str, bytes: Vec<u8>, kind| {
            Member::Record(Record(media_type.to_owned(), URL_SAFE_NO_PAD.encode(bytes), kind))
        };
        let mut document = BTreeMap::from([(TYPE, Member::Type(COLLECTION_TYPE.to_owned()))]);
        for (name, media_type, bytes, kind) in members {
            if let Some(bytes) = bytes {
                document.insert(name, record(media_type, bytes, kind));
            }
        }
        serde_json::to_vec(&document).expect("strings and numbers are JSON")
    }

    /// Reads a bundle; a member that this software doesn't know is refused, since it can't be appraised.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_LEN {
            return Err(BundleError::TooLong(bytes.len()));
        }
        let Members { kept, refused } = serde_json::from_slice(bytes).map_err(|_| BundleError::NotABundle)?;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let mut members = kept;
        match members.remove(TYPE) {
            Some(Member::Type(found)) if found == COLLECTION_TYPE => {}
            _ => return Err(BundleError::NotABundle),
        }
        let members = &mut members;
        let claims = take(members, "claims", CLAIMS, EVIDENCE_KIND)?;
        let keys = take(members, "keys", KEYS, EVIDENCE_KIND)?;
        let launch = take(members, "launch", LAUNCH, EVIDENCE_KIND)?;
        let mut optional = |name, media_type, kind| match members.contains_key(name) {
            true => take(members, name, media_type, kind),
            false => Ok(Vec::new()),
        };
        let endorsements = optional("cpu-endorsements", ENDORSEMENTS, ENDORSEMENT_KIND)?;
        let gpu = optional("gpu", GPU, EVIDENCE_KIND)?;
        let log = optional("log", LOG, EVIDENCE_KIND)?;
        let tee = members
            .get("cpu")
            .and_then(|member| match member {
                Member::Record(record) => Tee::from_media_type(&record.0),
                Member::Type(_) => None,
            })
            .ok_or_else(|| BundleError::Member("cpu".to_owned()))?;
        let cpu = take(members, "cpu", tee.media_type(), EVIDENCE_KIND)?;
        match members.keys().next() {
            Some(unknown) => Err(BundleError::Member(shown(unknown))),
            None => Ok(Self {
                tee,
                cpu,
                claims,
                keys,
                launch,
                endorsements,
                gpu,
                log,
            }),
        }
    }

    /// SHA-256 of the document's bytes: its address.
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        sha256(bytes)
    }
}

/// Every member of a bundle, for people; nothing is verified.
pub(crate) fn fields(bundle: &Bundle) -> Vec<(&'static str, String)> {
    let text = |bytes: &[u8]| match core::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => hex::encode(bytes),
    };
    vec![
        ("tee", bundle.tee.to_string()),
        ("cpu", hex::encode(&bundle.cpu)),
        ("claims", hex::encode(&bundle.claims)),
        ("keys", hex::encode(&bundle.keys)),
        ("launch", text(&bundle.launch)),
        ("cpu-endorsements", hex::encode(&bundle.endorsements)),
        ("gpu", text(&bundle.gpu)),
        ("log", hex::encode(&bundle.log)),
    ]
}

fn take(
    members: &mut BTreeMap<String, Member>,
    name: &str,
    media_type: &str,
    kind: u64,
) -> Result<Vec<u8>, BundleError> {
    let malformed = || BundleError::Member(name.to_owned());
    let Some(Member::Record(Record(found, bytes, found_kind))) = members.remove(name) else {
        return Err(malformed());
    };
    if found != media_type || found_kind != kind {
        return Err(malformed());
    }
    URL_SAFE_NO_PAD.decode(bytes.as_bytes()).map_err(|_| malformed())
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
            gpu: Vec::new(),
            log: Vec::new(),
        }
    }

    #[test]
    fn round_trip() {
        let plain = bundle();
        assert_eq!(Bundle::parse(&plain.encode()), Ok(plain.clone()));
        let endorsed = Bundle {
            tee: Tee::SevSnp,
            endorsements: vec![4; 10],
            gpu: vec![5; 10],
            log: vec![6; 10],
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
        assert_eq!(with("{", "{\"more\":1,"), BundleError::NotABundle);
        assert_eq!(
            with("{", "{\"more\":[\"a\",\"b\",4],"),
            BundleError::Member("more".into())
        );
        assert_eq!(
            with("{", "{\"claims\":[\"a\",\"b\",4],"),
            BundleError::Twice("claims".into())
        );
        let many: String = (0..MAX_MEMBERS)
            .map(|number| format!("\"{number}\":\"\","))
            .collect();
        assert_eq!(with("{", &format!("{{{many}")), BundleError::TooMany);
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
