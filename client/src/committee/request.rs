//! What a provider asks the committee for: that it verifies a node's evidence.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::CommitteeError;
use super::exchange::write_new;
use crate::files;

/// Longest file, in bytes: of the longest bundle in base64, and a little.
const MAX_LEN: usize = 2 * 1024 * 1024;

/// Evidence of an epoch, and until when the key in it is to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// The node's evidence bundle, exact bytes.
    pub evidence: Vec<u8>,
    /// Unix seconds.
    pub expiry: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    expiry: u64,
    evidence: String,
}

impl KeyRequest {
    /// Writes a file that isn't there yet.
    ///
    /// # Errors
    /// [`CommitteeError::Exists`], [`CommitteeError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CommitteeError> {
        let stored = Stored {
            version: 1,
            expiry: self.expiry,
            evidence: STANDARD.encode(&self.evidence),
        };
        let text = serde_json::to_vec(&stored).map_err(|_| CommitteeError::Crypto("a request is JSON"))?;
        write_new(path, &text)
    }

    /// Reads a file. What it says is proved nowhere yet.
    ///
    /// # Errors
    /// [`CommitteeError::Malformed`], [`CommitteeError::File`].
    pub fn read(path: &Path) -> Result<Self, CommitteeError> {
        let malformed = |what| CommitteeError::Malformed {
            path: path.to_owned(),
            what,
        };
        let text = files::read(path, MAX_LEN).map_err(|_| malformed("it can't be read"))?;
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|_| malformed("not a request for a key"))?;
        if stored.version != 1 {
            return Err(malformed("a request of another version"));
        }
        Ok(Self {
            evidence: STANDARD
                .decode(&stored.evidence)
                .map_err(|_| malformed("evidence is not base64"))?,
            expiry: stored.expiry,
        })
    }
}
