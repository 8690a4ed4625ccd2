//! What a quote vouches for of answers that were given before it: leaves of the tree whose root is `receipts` of the claims
//! (`docs/wire-formats.md`, "Quoted receipts").

use crate::hash::tagged_sha256;
use crate::merkle;

const TAG: &str = "jeju-receipt-leaf-v1";

/// One answer as the tree has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// Id of the answer in the API.
    pub id: &'a str,
    /// Random, made by the enclave for this answer only.
    pub request_id: &'a [u8; 32],
    /// SHA-256 of the request's body.
    pub request_digest: &'a [u8; 32],
    /// SHA-256 of the answer's body; of a stream, what its signed end covers.
    pub response_digest: &'a [u8; 32],
    /// Tokens of the request.
    pub input_units: u64,
    /// Tokens of the answer.
    pub output_units: u64,
    /// Epoch whose key signed the answer.
    pub epoch: u64,
}

impl Leaf<'_> {
    /// Hash of the leaf.
    ///
    /// # Panics
    /// If the id is longer than 65,535 bytes: callers bound it.
    pub fn hash(&self) -> [u8; 32] {
        let content = tagged_sha256(
            TAG,
            &[
                self.id.as_bytes(),
                self.request_id,
                self.request_digest,
                self.response_digest,
                &self.input_units.to_be_bytes(),
                &self.output_units.to_be_bytes(),
                &self.epoch.to_be_bytes(),
            ],
        );
        merkle::leaf(&content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Leaf<'static> {
        Leaf {
            id: "chatcmpl-1",
            request_id: &[1; 32],
            request_digest: &[2; 32],
            response_digest: &[3; 32],
            input_units: 4,
            output_units: 5,
            epoch: 6,
        }
    }

    /// Made with Python's hashlib and struct.
    #[test]
    fn golden_leaf() {
        assert_eq!(
            hex::encode(sample().hash()),
            "04aab1fea9fe1a3de790d81999f06aaf7c42870b0dcc15e33eed4845b05fb88c"
        );
    }

    #[test]
    fn every_field_is_in_the_leaf() {
        let all = [
            sample(),
            Leaf {
                id: "chatcmpl-2",
                ..sample()
            },
            Leaf {
                request_id: &[9; 32],
                ..sample()
            },
            Leaf {
                request_digest: &[9; 32],
                ..sample()
            },
            Leaf {
                response_digest: &[9; 32],
                ..sample()
            },
            Leaf {
                input_units: 9,
                ..sample()
            },
            Leaf {
                output_units: 9,
                ..sample()
            },
            Leaf { epoch: 9, ..sample() },
        ];
        let hashes: std::collections::BTreeSet<_> = all.iter().map(Leaf::hash).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
