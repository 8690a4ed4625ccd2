//! JSON in which others hand logs over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::parse::{Kind, MAX_LEN};
use crate::endorsements::Endorsements;

/// A log as a form carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What [`super::EventLog::parse`] takes for this kind.
    pub evidence: Vec<u8>,
    /// Kind of the log.
    pub kind: Kind,
    /// None: a log is judged by a quote.
    pub endorsements: Endorsements,
    /// None.
    pub nonce: Option<Vec<u8>>,
}

/// Reads `event_log` of dstack's quotes (an array, or the text of one), or `cc_eventlog` of Confidential Containers' TDX
/// evidence (base64 of the CCEL table's area). `None`: neither.
pub fn read(json: &Value) -> Option<Form> {
    let (evidence, kind) = match (json.get("event_log"), json.get("cc_eventlog")) {
        (Some(Value::String(text)), _) if text.trim_start().starts_with('[') => {
            (text.clone().into_bytes(), Kind::Dstack)
        }
        (Some(events @ Value::Array(_)), _) => (events.to_string().into_bytes(), Kind::Dstack),
        (_, Some(Value::String(text))) if text.len() <= MAX_LEN.div_ceil(3) * 4 => {
            (STANDARD.decode(text).ok()?, Kind::Ccel)
        }
        _ => return None,
    };
    Some(Form {
        evidence,
        kind,
        endorsements: Endorsements::default(),
        nonce: None,
    })
}
