//! dstack's log: a JSON array of `{imr, event_type, digest, event, event_payload}`, hex throughout.

use serde::Deserialize;

use super::LogError;
use super::binding::{Binding, binding_of};
use super::event_type::types;
use super::parse::{Digest, Event, EventLog, Kind, MAX_EVENTS};
use super::replay::Algorithm;
use crate::reasons::shown;

/// Type of what dstack's guest extends at run time.
pub const RUNTIME_EVENT: u32 = 0x0800_0001;

const SHA384_LEN: usize = 48;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    imr: u32,
    event_type: u32,
    digest: String,
    event: String,
    event_payload: String,
}

pub(super) fn parse(json: &[u8]) -> Result<EventLog, LogError> {
    let entries: Vec<Entry> = serde_json::from_slice(json).map_err(|error| LogError::Json(shown(error)))?;
    if entries.len() > MAX_EVENTS {
        return Err(LogError::TooMany);
    }
    let events = entries.into_iter().enumerate();
    Ok(EventLog {
        kind: Kind::Dstack,
        banks: vec![Algorithm::Sha384],
        events: events
            .map(|(number, entry)| event(number, entry))
            .collect::<Result<_, _>>()?,
        startup_locality: 0,
    })
}

fn event(number: usize, entry: Entry) -> Result<Event, LogError> {
    let malformed = |field| LogError::JsonField { number, field };
    if entry.imr > 3 {
        return Err(malformed("imr"));
    }
    // The form has no events that aren't extended.
    if entry.event_type == types::EV_NO_ACTION {
        return Err(malformed("event_type"));
    }
    let data = hex::decode(&entry.event_payload).map_err(|_| malformed("event_payload"))?;
    let value = match entry.digest.as_str() {
        // A shortened log leaves out what can be computed.
        "" if entry.event_type == RUNTIME_EVENT => runtime_digest(&entry.event, &data).to_vec(),
        digest => hex::decode(digest).map_err(|_| malformed("digest"))?,
    };
    if value.len() != SHA384_LEN {
        return Err(malformed("digest"));
    }
    let mut event = Event {
        register: entry.imr,
        event_type: entry.event_type,
        digests: vec![Digest {
            algorithm: Algorithm::Sha384,
            value,
        }],
        data,
        name: Some(entry.event),
        binding: Binding::NotExtended,
    };
    event.binding = binding_of(&event, Kind::Dstack, number)?;
    Ok(event)
}

/// SHA-384 over the type (32 bits, little-endian), the name and the payload, with colons between them.
pub fn runtime_digest(name: &str, payload: &[u8]) -> [u8; SHA384_LEN] {
    let digest =
        Algorithm::Sha384.hash(&[&RUNTIME_EVENT.to_le_bytes(), b":", name.as_bytes(), b":", payload]);
    let mut bytes = [0; SHA384_LEN];
    bytes.copy_from_slice(&digest);
    bytes
}
