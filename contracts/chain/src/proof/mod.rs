//! State that is proved: a header whose hash is trusted, and `eth_getProof` against its state root. One honest endpoint is
//! enough then, and no number of others can bring in anything; the trust lies in the block's hash.

mod account;
mod header;
mod rlp;
mod trie;

use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use self::account::ProofJson;
use self::header::HeaderJson;
use crate::measurement::{MeasurementReading, MeasurementRecord, Policy};
use crate::reader::{ChainReader, Head};
use crate::rpc::{RpcClient, RpcError};

pub use account::{AccountProof, MAX_SLOTS, ProofError};
pub use header::{Header, HeaderError, MAX_HEADER_BYTES};
pub use rlp::RlpError;
pub use trie::{EMPTY_ROOT, MAX_NODE_BYTES, MAX_PROOF_NODES, TrieError, prove};

/// Storage slot of the registry's mapping from measurement ids to records.
pub const RECORDS_SLOT: u64 = 2;

/// Storage slot of the registry's policy.
pub const POLICY_SLOT: u64 = 3;

/// Why no endpoint proved what was asked for. Of several endpoints, what the last one did wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProvedError {
    /// It gave no answer.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It doesn't know the block.
    #[error("block not found")]
    BlockNotFound,
    /// Its header isn't the trusted block's.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its proof proves nothing.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Header and proof hold, and the contract keeps words that no registry of ours can hold.
    #[error("measurement record: {0}")]
    Record(#[from] crate::measurement::RecordError),
}

impl ProvedError {
    /// A stable code for output and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rpc(error) => error.code(),
            Self::BlockNotFound => "chain-block-not-found",
            Self::Header(_) => "chain-header-invalid",
            Self::Proof(ProofError::NoContract) => "rpc-no-contract",
            Self::Proof(_) => "chain-proof-invalid",
            Self::Record(_) => "chain-record-invalid",
        }
    }
}

impl ChainReader {
    /// What the registry says about a measurement id at a block whose hash the caller trusts, proved by any one endpoint.
    ///
    /// # Errors
    /// Where none of the endpoints proves it.
    pub async fn proved_measurement(
        &self,
        head: Head,
        registry: &[u8; 20],
        id: &[u8; 32],
    ) -> Result<MeasurementReading, ProvedError> {
        let slots = measurement_slots(id);
        let (header, words) = self.proved_words(&head.block.hash, registry, &slots).await?;
        // The number and the time that count are the header's.
        let head = Head {
            block: header.block,
            ..head
        };
        Ok(measurement(head, &words)?)
    }

    /// The words at storage slots of a contract after the block whose hash the caller trusts, with its header.
    ///
    /// # Errors
    /// Where none of the endpoints proves them.
    pub async fn proved_words(
        &self,
        block: &[u8; 32],
        contract: &[u8; 20],
        slots: &[[u8; 32]],
    ) -> Result<(Header, Vec<[u8; 32]>), ProvedError> {
        let mut failure = ProvedError::BlockNotFound;
        // One after another: most of the time the first one will do.
        for node in self.nodes() {
            match proved_by(node, block, contract, slots).await {
                Ok(proved) => return Ok(proved),
                // That there's no contract is proved, so nobody can prove anything else.
                Err(error @ ProvedError::Proof(ProofError::NoContract)) => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn proved_by(
    node: &RpcClient,
    block: &[u8; 32],
    contract: &[u8; 20],
    slots: &[[u8; 32]],
) -> Result<(Header, Vec<[u8; 32]>), ProvedError> {
    let hash = hex_of(block);
    let header: Option<HeaderJson> = node.call("eth_getBlockByHash", json!([hash, false])).await?;
    let header = header.ok_or(ProvedError::BlockNotFound)?.encode()?;
    let header = Header::decode(&header, block)?;
    let keys: Vec<Value> = slots.iter().map(|slot| hex_of(slot).into()).collect();
    // Whatever state the endpoint proves: it is the header's, or the proof fails.
    let params = json!([hex_of(contract), keys, { "blockHash": hash }]);
    let proof: ProofJson = node.call("eth_getProof", params).await?;
    let words = proof.decode()?.verify(&header.state_root, contract, slots)?;
    Ok((header, words))
}

/// The four slots that a [`MeasurementReading`] is made of: the record's three words and the policy.
pub fn measurement_slots(id: &[u8; 32]) -> [[u8; 32]; 4] {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(id);
    preimage[32..].copy_from_slice(&slot(RECORDS_SLOT));
    let record: [u8; 32] = Keccak256::digest(preimage).into();
    let next = plus_one(record);
    [record, next, plus_one(next), slot(POLICY_SLOT)]
}

/// Reads the words of [`measurement_slots`].
fn measurement(
    head: Head,
    words: &[[u8; 32]],
) -> Result<MeasurementReading, crate::measurement::RecordError> {
    let &[packed, release, term, policy] = words else {
        return Err(crate::measurement::RecordError::Inconsistent);
    };
    Ok(MeasurementReading {
        head,
        record: MeasurementRecord::from_words(&packed, &release, &term)?,
        policy: Policy::from_word(&policy),
    })
}

fn slot(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

fn plus_one(mut word: [u8; 32]) -> [u8; 32] {
    for byte in word.iter_mut().rev() {
        let (sum, carries) = byte.overflowing_add(1);
        *byte = sum;
        if !carries {
            break;
        }
    }
    word
}

/// A quantity such as `0x1a` of at most 256 bits, as a big-endian word.
fn word_of_quantity(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x")?;
    let minimal = digits == "0" || !digits.starts_with('0');
    if digits.is_empty() || digits.len() > 64 || !minimal {
        return None;
    }
    let mut word = [0; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut word).ok()?;
    Some(word)
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_and_carry() {
        let [first, second, third, policy] = measurement_slots(&[0x11; 32]);
        assert_eq!(second, plus_one(first));
        assert_eq!(third, plus_one(second));
        assert_eq!(policy, slot(3));
        assert_eq!(plus_one([0xff; 32]), [0; 32]);
        let mut word = [0; 32];
        word[31] = 0xff;
        assert_eq!(plus_one(word)[30..], [1, 0]);
    }

    #[test]
    fn quantities_of_256_bits() {
        assert_eq!(word_of_quantity("0x0"), Some([0; 32]));
        assert_eq!(word_of_quantity("0x1a2"), Some(slot(0x1a2)));
        assert_eq!(
            word_of_quantity(&format!("0x{}", "ff".repeat(32))),
            Some([0xff; 32])
        );
        for text in [
            "",
            "0x",
            "1",
            "0x01",
            "0x+1",
            "0xg",
            &format!("0x1{}", "00".repeat(32)),
        ] {
            assert_eq!(word_of_quantity(text), None, "{text}");
        }
        // Multi-byte characters are no digits, however they are counted.
        assert_eq!(word_of_quantity("0xé"), None);
    }
    /// Random changes of what is well formed, with hashes made right again, so that all of the reading is reached.
    #[test]
    fn bytes_of_any_kind_are_refused_without_a_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut branch = Vec::new();
        for n in 0..16 {
            match n % 3 {
                0 => rlp::put_bytes(&mut branch, &[n; 32]),
                1 => branch.push(0x80),
                // A leaf that lies in the branch.
                _ => branch.extend_from_slice(&[0xc4, 0x82, 0x20, n, 0x05]),
            }
        }
        branch.push(0x80);
        let mut header = Vec::new();
        for length in [32, 32, 20, 32, 32, 32, 256, 0, 4, 4, 0, 4, 32, 32, 8] {
            rlp::put_bytes(&mut header, &vec![0x11; length]);
        }
        let json = br#"{"accountProof":["0xc2","0x80"],"storageHash":"0x11","storageProof":[{"key":"0x1","value":"0x0","proof":["0x80"]}]}"#;
        let seeds = [rlp::list(&branch), rlp::list(&header), json.to_vec()];
        let (mut nodes, mut headers) = (0, 0);
        for round in 0..60_000 {
            let mut bytes = seeds[round % 3].clone();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes.insert(at, random(256) as u8),
                    _ => bytes[at] ^= 0x80,
                }
            }
            let hash: [u8; 32] = Keccak256::digest(&bytes).into();
            headers += usize::from(Header::decode(&bytes, &hash).is_ok());
            nodes += usize::from(prove(&hash, &[random(256) as u8], std::slice::from_ref(&bytes)).is_ok());
            let _ = AccountProof::from_json(&bytes);
        }
        // Some were left as they were, or changed where anything may stand.
        assert!(nodes > 100 && headers > 100, "{nodes} {headers}");
    }
}
