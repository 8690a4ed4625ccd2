//! How a secret's value travels: sealed to the node's HPKE key (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, AES-256-GCM), which the claims' key list has.

use serde::{Deserialize, Serialize};

/// Longest sealed value, in bytes: of a value of [`MAX_VALUE`](super::MAX_VALUE) bytes, and AES-GCM's tag.
pub const MAX_SEALED: usize = super::MAX_VALUE + 16;

/// `PUT /api/v1/workers/{id}/secrets/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedSecret {
    /// The sender's ephemeral key, 32 bytes: `0x` and 64 digits.
    pub encapsulated: String,
    /// Sealed with [`secret_info`] and [`secret_aad`]: base64 with padding.
    pub ciphertext: String,
}

/// HPKE's `info` for secrets of workers.
pub const fn secret_info() -> &'static [u8] {
    b"jeju-worker-secret-v1"
}

/// HPKE's `aad`: whose secret of which worker it is, so that a value can't be put in another's place. The owner's 20 bytes,
/// then worker id and name, each behind its length as two bytes, big-endian.
pub fn secret_aad(owner: &[u8; 20], worker: &str, name: &str) -> Vec<u8> {
    let mut aad = owner.to_vec();
    for text in [worker, name] {
        aad.extend((text.len() as u16).to_be_bytes());
        aad.extend(text.as_bytes());
    }
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_have_one_aad() {
        let aad = secret_aad(&[1; 20], "a", "B");
        assert_eq!(aad, [&[1; 20][..], &[0, 1, b'a', 0, 1, b'B']].concat());
        for other in [
            secret_aad(&[2; 20], "a", "B"),
            secret_aad(&[1; 20], "aB", ""),
            secret_aad(&[1; 20], "", "aB"),
        ] {
            assert_ne!(aad, other);
        }
    }
}
