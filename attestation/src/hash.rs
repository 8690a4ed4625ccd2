//! Domain-separated hashing: every hash over more than one input goes through [`tagged_sha256`].

use sha2::{Digest, Sha256};

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 over `tag`, a NUL byte, then each input preceded by its length as a big-endian `u16`.
///
/// # Panics
/// If an input is longer than 65,535 bytes: all callers pass digests and short names.
pub fn tagged_sha256(tag: &str, inputs: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(tag.as_bytes());
    hash.update([0]);
    for input in inputs {
        let len = u16::try_from(input.len()).expect("inputs of a tagged hash are short");
        hash.update(len.to_be_bytes());
        hash.update(input);
    }
    hash.finalize().into()
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_cannot_run_into_each_other() {
        assert_ne!(
            tagged_sha256("t", &[b"ab", b"c"]),
            tagged_sha256("t", &[b"a", b"bc"])
        );
        assert_ne!(tagged_sha256("t", &[b"ab"]), tagged_sha256("t", &[b"ab", b""]));
        // printf 't\0\0\1a' | sha256sum
        assert_eq!(
            hex::encode(tagged_sha256("t", &[b"a"])),
            hex::encode(sha256(b"t\0\0\x01a"))
        );
    }
}
