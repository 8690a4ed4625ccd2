//! `isValidSignature(bytes32,bytes)` of ERC-1271.

/// First four bytes of the function's hash; also what a contract says for yes.
const MAGIC: [u8; 4] = [0x16, 0x26, 0xBA, 0x7E];

/// The call's data.
pub(in crate::front) fn call(digest: &[u8; 32], signature: &[u8]) -> Vec<u8> {
    let word = |value: usize| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&(value as u64).to_be_bytes());
        word
    };
    let mut data = Vec::with_capacity(4 + 3 * 32 + signature.len().next_multiple_of(32));
    data.extend_from_slice(&MAGIC);
    data.extend_from_slice(digest);
    data.extend_from_slice(&word(64));
    data.extend_from_slice(&word(signature.len()));
    data.extend_from_slice(signature);
    data.resize(4 + 3 * 32 + signature.len().next_multiple_of(32), 0);
    data
}

/// Whether a contract's answer is `bytes4` of [`MAGIC`], padded as the ABI says.
pub(in crate::front) fn is_yes(answer: &[u8]) -> bool {
    answer.len() == 32 && answer[..4] == MAGIC && answer[4..].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use sha3::{Digest, Keccak256};

    use super::*;

    #[test]
    fn the_selector_is_the_functions() {
        let hash = Keccak256::digest(b"isValidSignature(bytes32,bytes)");
        assert_eq!(MAGIC[..], hash[..4]);
    }

    #[test]
    fn calls_are_abi_encoded() {
        let data = call(&[0xAB; 32], &[1, 2, 3]);
        let expected = format!(
            "1626ba7e{}{:064x}{:064x}010203{}",
            "ab".repeat(32),
            64,
            3,
            "00".repeat(29)
        );
        assert_eq!(hex::encode(&data), expected);
        assert_eq!(call(&[0; 32], &[]).len(), 100);
        assert_eq!(call(&[0; 32], &[9; 64]).len(), 164);
    }

    #[test]
    fn only_the_magic_value_is_a_yes() {
        let mut yes = [0; 32];
        yes[..4].copy_from_slice(&MAGIC);
        assert!(is_yes(&yes));
        let mut unclean = yes;
        unclean[31] = 1;
        for answer in [
            &[][..],
            &MAGIC,
            &[0; 32],
            &[0xFF; 32],
            &unclean,
            &[&yes[..], &[0]].concat(),
        ] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
