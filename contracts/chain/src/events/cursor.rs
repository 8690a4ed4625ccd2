//! Where a reader of events stopped.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::log::Filter;
use crate::hexadecimal::parse_word;

/// Version of the stored form.
pub const CURSOR_VERSION: u32 = 1;

/// The last block that was read. Good for one chain and one filter only; another reader refuses it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    chain_id: u64,
    filter: [u8; 32],
    number: u64,
    hash: [u8; 32],
}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It isn't JSON of the stored form.
    #[error("not a stored cursor")]
    Malformed,
    /// It was stored by another version.
    #[error("cursor of version {0}, where {CURSOR_VERSION} is read")]
    Version(u32),
}

impl CursorError {
    /// A stable code for output and metrics.
    pub const fn code(self) -> &'static str {
        "chain-cursor-invalid"
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stored {
    version: u32,
    chain_id: u64,
    filter: String,
    number: u64,
    hash: String,
}

impl Cursor {
    pub(super) fn new(chain_id: u64, filter: &Filter, number: u64, hash: [u8; 32]) -> Self {
        Self {
            chain_id,
            filter: filter.digest(),
            number,
            hash,
        }
    }

    pub(super) fn fits(&self, chain_id: u64, filter: &Filter) -> bool {
        self.chain_id == chain_id && self.filter == filter.digest()
    }

    /// Number of the last block that was read.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its hash.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The stored form, a line of JSON.
    pub fn to_json(&self) -> String {
        let stored = Stored {
            version: CURSOR_VERSION,
            chain_id: self.chain_id,
            filter: hex_of(&self.filter),
            number: self.number,
            hash: hex_of(&self.hash),
        };
        serde_json::to_string(&stored).expect("numbers and strings are JSON")
    }

    /// Reads the stored form.
    pub fn from_json(text: &str) -> Result<Self, CursorError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = serde_json::from_str(text).map_err(|_| CursorError::Malformed)?;
        if versioned.version != CURSOR_VERSION {
            return Err(CursorError::Version(versioned.version));
        }
        let stored: Stored = serde_json::from_str(text).map_err(|_| CursorError::Malformed)?;
        Ok(Self {
            chain_id: stored.chain_id,
            filter: parse_word(&stored.filter).map_err(|_| CursorError::Malformed)?,
            number: stored.number,
            hash: parse_word(&stored.hash).map_err(|_| CursorError::Malformed)?,
        })
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_stored() {
        let filter = Filter::new(vec![[1; 20]], vec![]).unwrap();
        let cursor = Cursor::new(31337, &filter, 7, [9; 32]);
        let text = cursor.to_json();
        let back = Cursor::from_json(&text).unwrap();
        assert_eq!(back, cursor);
        assert!(back.fits(31337, &filter) && !back.fits(1, &filter));
        let other = Filter::new(vec![[2; 20]], vec![]).unwrap();
        assert!(!back.fits(31337, &other));

        for wrong in [
            "",
            "{}",
            "[]",
            &text.replace("0x", ""),
            &text.replace("09", "9"),
            &text.replace("}", ",\"more\":1}"),
            &text.replace(":7", ":-7"),
        ] {
            let error = Cursor::from_json(wrong).unwrap_err();
            assert_eq!(
                (error, error.code()),
                (CursorError::Malformed, "chain-cursor-invalid"),
                "{wrong}"
            );
        }
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert_eq!(Cursor::from_json(&newer), Err(CursorError::Version(2)));
    }
}
