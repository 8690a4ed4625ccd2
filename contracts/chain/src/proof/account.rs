//! An account and its storage words, proved against a state root (EIP-1186).

use serde::Deserialize;

use super::rlp::{Item, RlpError};
use super::trie::{MAX_NODE_BYTES, MAX_PROOF_NODES, TrieError, prove};
use super::word_of_quantity;
use crate::hexadecimal::{parse_data, parse_word};

/// Most storage slots of one proof.
pub const MAX_SLOTS: usize = 16;

/// keccak-256 of nothing: the code hash of an account without code.
const EMPTY_CODE: [u8; 32] = [
    0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0, 0xe5,
    0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
];

/// An answer to `eth_getProof`: nodes, and what the endpoint says that they prove. Nothing of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    account: Vec<Vec<u8>>,
    storage_root: [u8; 32],
    slots: Vec<SlotProof>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SlotProof {
    slot: [u8; 32],
    value: [u8; 32],
    nodes: Vec<Vec<u8>>,
}

/// Why an answer to `eth_getProof` proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The answer isn't of the form that the method has.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The account's nodes don't lead from the state root to the account.
    #[error("proof of the account: {0}")]
    Account(TrieError),
    /// The account's entry isn't one.
    #[error("the account's entry is {0}")]
    Entry(#[from] RlpError),
    /// A slot's nodes don't lead from the account's storage root to the slot.
    #[error("proof of a storage slot: {0}")]
    Storage(TrieError),
    /// The proof is one of other slots than those asked for.
    #[error("the proof is not one of the slots that were asked for")]
    OtherSlots,
    /// The endpoint says something else than what its own proof proves.
    #[error("the answer states another value than its proof proves")]
    Contradiction,
    /// The account has no code, which is proved.
    #[error("no contract at this address")]
    NoContract,
}

impl AccountProof {
    /// Reads the `result` of `eth_getProof`.
    pub fn from_json(json: &[u8]) -> Result<Self, ProofError> {
        let json: ProofJson =
            serde_json::from_slice(json).map_err(|_| ProofError::Malformed("not an eth_getProof result"))?;
        json.decode()
    }

    /// The words at `slots` of the contract at `address`, in the order asked for, in the state with that root.
    pub fn verify(
        &self,
        state_root: &[u8; 32],
        address: &[u8; 20],
        slots: &[[u8; 32]],
    ) -> Result<Vec<[u8; 32]>, ProofError> {
        let entry = prove(state_root, address, &self.account)
            .map_err(ProofError::Account)?
            .ok_or(ProofError::NoContract)?;
        let mut fields = Item::exact(&entry)?.list()?;
        fields.take()?.number()?; // nonce
        fields.take()?.word()?; // balance
        let storage_root = fields.take()?.array::<32>()?;
        let code_hash = fields.take()?.array::<32>()?;
        if !fields.is_empty() {
            return Err(RlpError.into());
        }
        if code_hash == EMPTY_CODE {
            return Err(ProofError::NoContract);
        }
        if storage_root != self.storage_root {
            return Err(ProofError::Contradiction);
        }
        if self.slots.len() != slots.len() {
            return Err(ProofError::OtherSlots);
        }
        let mut words = Vec::with_capacity(slots.len());
        for (proof, slot) in self.slots.iter().zip(slots) {
            if proof.slot != *slot {
                return Err(ProofError::OtherSlots);
            }
            let word = match prove(&storage_root, slot, &proof.nodes).map_err(ProofError::Storage)? {
                None => [0; 32],
                Some(entry) => match Item::exact(&entry)?.word()? {
                    // What is zero isn't kept.
                    word if word == [0; 32] => return Err(RlpError.into()),
                    word => word,
                },
            };
            if word != proof.value {
                return Err(ProofError::Contradiction);
            }
            words.push(word);
        }
        Ok(words)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofJson {
    account_proof: Vec<String>,
    storage_hash: String,
    storage_proof: Vec<SlotJson>,
}

#[derive(Deserialize)]
struct SlotJson {
    key: String,
    value: String,
    proof: Vec<String>,
}

impl ProofJson {
    pub(super) fn decode(&self) -> Result<AccountProof, ProofError> {
        if self.storage_proof.len() > MAX_SLOTS {
            return Err(ProofError::Malformed("too many slots"));
        }
        let slots = self.storage_proof.iter().map(|slot| {
            Ok(SlotProof {
                slot: word(&slot.key)?,
                value: word(&slot.value)?,
                nodes: nodes(&slot.proof)?,
            })
        });
        Ok(AccountProof {
            account: nodes(&self.account_proof)?,
            storage_root: parse_word(&self.storage_hash).map_err(|_| ProofError::Malformed("storageHash"))?,
            slots: slots.collect::<Result<_, ProofError>>()?,
        })
    }
}

/// Keys and values come as quantities from some nodes and as 32 bytes from others.
fn word(text: &str) -> Result<[u8; 32], ProofError> {
    word_of_quantity(text)
        .or_else(|| parse_word(text).ok())
        .ok_or(ProofError::Malformed("key or value"))
}

fn nodes(texts: &[String]) -> Result<Vec<Vec<u8>>, ProofError> {
    if texts.len() > MAX_PROOF_NODES || texts.iter().any(|text| text.len() > 2 + 2 * MAX_NODE_BYTES) {
        return Err(ProofError::Malformed("proof is too long"));
    }
    texts
        .iter()
        .map(|text| parse_data(text).map_err(|_| ProofError::Malformed("node")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_codes_hash() {
        use sha3::{Digest, Keccak256};
        assert_eq!(<[u8; 32]>::from(Keccak256::digest([])), EMPTY_CODE);
    }

    #[test]
    fn malformed_answers_are_refused() {
        let root = format!("0x{}", "11".repeat(32));
        let proof = |account: &str, key: &str, value: &str| {
            format!(
                r#"{{"accountProof":[{account}],"storageHash":"{root}","storageProof":[{{"key":"{key}","value":"{value}","proof":[]}}]}}"#
            )
        };
        let read = |json: &str| AccountProof::from_json(json.as_bytes());
        assert!(read(&proof("\"0xc0\"", "0x2", "0x0")).is_ok());
        assert!(read(&proof("", &root, &root)).is_ok());
        let long = format!("\"0x{}\"", "00".repeat(MAX_NODE_BYTES + 1));
        let many = vec!["\"0x80\""; MAX_PROOF_NODES + 1].join(",");
        for (json, reason) in [
            ("", "not an eth_getProof result"),
            ("{}", "not an eth_getProof result"),
            ("null", "not an eth_getProof result"),
            (&proof("1", "0x2", "0x0"), "not an eth_getProof result"),
            (&proof("\"0x0\"", "0x2", "0x0"), "node"),
            (&proof("\"c0\"", "0x2", "0x0"), "node"),
            (&proof(&long, "0x2", "0x0"), "proof is too long"),
            (&proof(&many, "0x2", "0x0"), "proof is too long"),
            (&proof("", "2", "0x0"), "key or value"),
            (&proof("", "0x2", "0x"), "key or value"),
            (&proof("", "0x2", &format!("{root}00")), "key or value"),
            (&proof("", "0x2", "0x0").replace(&root, "0x11"), "storageHash"),
        ] {
            assert_eq!(read(json), Err(ProofError::Malformed(reason)), "{json}");
        }
        let slots = vec![r#"{"key":"0x1","value":"0x0","proof":[]}"#; MAX_SLOTS + 1].join(",");
        let json = format!(r#"{{"accountProof":[],"storageHash":"{root}","storageProof":[{slots}]}}"#);
        assert_eq!(read(&json), Err(ProofError::Malformed("too many slots")));
    }
}
