//! Hashing of typed data (EIP-712) whose members are words and texts.

use sha3::{Digest, Keccak256};

use crate::account::Account;

/// Type of every domain here, as EIP-712 encodes it.
pub const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

/// Who may take a signature for its own: the same message is another one elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain<'a> {
    /// `name`.
    pub name: &'a str,
    /// `version`.
    pub version: &'a str,
    /// `chainId` (EIP-155).
    pub chain_id: u64,
    /// `verifyingContract`.
    pub contract: Account,
}

impl Domain<'_> {
    /// `hashStruct(eip712Domain)`.
    pub fn separator(&self) -> [u8; 32] {
        hash_struct(
            DOMAIN_TYPE,
            &[
                text(self.name),
                text(self.version),
                number(self.chain_id),
                address(&self.contract),
            ],
        )
    }

    /// What is signed of a message: `keccak256("\x19\x01" ‖ domainSeparator ‖ hashStruct(message))`.
    pub fn digest(&self, message: &[u8; 32]) -> [u8; 32] {
        keccak(&[b"\x19\x01", &self.separator(), message])
    }
}

/// `hashStruct` of a message: its type as EIP-712 encodes it, and its members, each encoded as one word.
pub fn hash_struct(encoded_type: &str, members: &[[u8; 32]]) -> [u8; 32] {
    keccak(&[&keccak(&[encoded_type.as_bytes()]), members.as_flattened()])
}

/// A `string` or `bytes` member.
pub fn text(value: impl AsRef<[u8]>) -> [u8; 32] {
    keccak(&[value.as_ref()])
}

/// An unsigned number of up to 64 bits.
pub fn number(value: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

/// An amount of up to 128 bits.
pub fn amount(value: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}

/// An `address` member.
pub fn address(value: &Account) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&value.0);
    word
}

/// Keccak-256 of parts behind one another.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of EIP-712 itself; `0xCcCC…` is its contract.
    #[test]
    fn the_standards_example() {
        let domain = Domain {
            name: "Ether Mail",
            version: "1",
            chain_id: 1,
            contract: Account([0xcc; 20]),
        };
        assert_eq!(
            hex::encode(domain.separator()),
            "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
        );
        let person = "Person(string name,address wallet)";
        let of =
            |name: &str, wallet: &str| hash_struct(person, &[text(name), address(&wallet.parse().unwrap())]);
        let mail = hash_struct(
            &format!("Mail(Person from,Person to,string contents){person}"),
            &[
                of("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
                of("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"),
                text("Hello, Bob!"),
            ],
        );
        assert_eq!(
            hex::encode(domain.digest(&mail)),
            "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
        );
    }
}
