//! Block headers: the bytes whose keccak-256 is the block hash, and what of them proofs rest on.

use serde::Deserialize;
use sha3::{Digest, Keccak256};

use super::rlp::{Item, RlpError, list, put_bytes};
use crate::hexadecimal::{parse_data, parse_word};
use crate::reader::Block;

/// Longest header that is read. Today's take some 650 bytes.
pub const MAX_HEADER_BYTES: usize = 2048;

/// Most fields; the newest fork of mainnet has 21.
const MAX_FIELDS: usize = 32;

/// A header, known to be the preimage of a block hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its block.
    pub block: Block,
    /// Hash of the block before.
    pub parent_hash: [u8; 32],
    /// Root of the accounts' trie after the block.
    pub state_root: [u8; 32],
}

/// Why bytes are no header of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are another block's, or nobody's.
    #[error("the header has another hash than the block that is trusted")]
    Hash,
    /// They have the hash, and aren't a header's encoding.
    #[error("the header is {0}")]
    Rlp(#[from] RlpError),
    /// Too long, or with too many fields.
    #[error("the header is longer than a header can be")]
    TooLong,
    /// A member of the JSON form isn't hex of its length.
    #[error("member {0} of the header is malformed")]
    Member(&'static str),
}

impl Header {
    /// Reads the encoding of the header whose hash is `trusted`.
    pub fn decode(encoded: &[u8], trusted: &[u8; 32]) -> Result<Self, HeaderError> {
        if encoded.len() > MAX_HEADER_BYTES {
            return Err(HeaderError::TooLong);
        }
        if <[u8; 32]>::from(Keccak256::digest(encoded)) != *trusted {
            return Err(HeaderError::Hash);
        }
        let mut fields = Item::exact(encoded)?.list()?;
        let parent_hash = fields.take()?.array()?;
        fields.take()?.array::<32>()?; // ommers
        fields.take()?.array::<20>()?; // beneficiary
        let state_root = fields.take()?.array()?;
        fields.take()?.array::<32>()?; // transactions
        fields.take()?.array::<32>()?; // receipts
        fields.take()?.array::<256>()?; // bloom
        fields.take()?.word()?; // difficulty
        let number = fields.take()?.number()?;
        fields.take()?.number()?; // gas limit
        fields.take()?.number()?; // gas used
        let timestamp = fields.take()?.number()?;
        // Later forks appended fields, and will again. None changes what those before mean.
        let mut count = 12;
        while !fields.is_empty() {
            fields.take()?.bytes()?;
            count += 1;
        }
        if count > MAX_FIELDS {
            return Err(HeaderError::TooLong);
        }
        let block = Block {
            number,
            hash: *trusted,
            timestamp,
        };
        Ok(Self {
            block,
            parent_hash,
            state_root,
        })
    }
}

/// A header as `eth_getBlockByNumber` and its like write it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeaderJson {
    parent_hash: String,
    #[serde(rename = "sha3Uncles")]
    ommers: String,
    miner: String,
    state_root: String,
    transactions_root: String,
    receipts_root: String,
    logs_bloom: String,
    #[serde(default)]
    difficulty: Option<String>,
    number: String,
    gas_limit: String,
    gas_used: String,
    timestamp: String,
    extra_data: String,
    mix_hash: String,
    nonce: String,
    base_fee_per_gas: Option<String>,
    withdrawals_root: Option<String>,
    blob_gas_used: Option<String>,
    excess_blob_gas: Option<String>,
    parent_beacon_block_root: Option<String>,
    requests_hash: Option<String>,
}

impl HeaderJson {
    /// The encoding. Whether it is the right one, its hash says: a chain whose headers have other fields has none here.
    pub(super) fn encode(&self) -> Result<Vec<u8>, HeaderError> {
        let mut payload = Vec::with_capacity(700);
        data::<32>(&mut payload, &self.parent_hash, "parentHash")?;
        data::<32>(&mut payload, &self.ommers, "sha3Uncles")?;
        data::<20>(&mut payload, &self.miner, "miner")?;
        data::<32>(&mut payload, &self.state_root, "stateRoot")?;
        data::<32>(&mut payload, &self.transactions_root, "transactionsRoot")?;
        data::<32>(&mut payload, &self.receipts_root, "receiptsRoot")?;
        data::<256>(&mut payload, &self.logs_bloom, "logsBloom")?;
        quantity(
            &mut payload,
            self.difficulty.as_deref().unwrap_or("0x0"),
            "difficulty",
        )?;
        quantity(&mut payload, &self.number, "number")?;
        quantity(&mut payload, &self.gas_limit, "gasLimit")?;
        quantity(&mut payload, &self.gas_used, "gasUsed")?;
        quantity(&mut payload, &self.timestamp, "timestamp")?;
        if self.extra_data.len() > 2 + 2 * MAX_HEADER_BYTES {
            return Err(HeaderError::TooLong);
        }
        let extra = parse_data(&self.extra_data).map_err(|_| HeaderError::Member("extraData"))?;
        put_bytes(&mut payload, &extra);
        data::<32>(&mut payload, &self.mix_hash, "mixHash")?;
        data::<8>(&mut payload, &self.nonce, "nonce")?;
        if let Some(fee) = &self.base_fee_per_gas {
            quantity(&mut payload, fee, "baseFeePerGas")?;
        }
        if let Some(root) = &self.withdrawals_root {
            data::<32>(&mut payload, root, "withdrawalsRoot")?;
        }
        if let Some(gas) = &self.blob_gas_used {
            quantity(&mut payload, gas, "blobGasUsed")?;
        }
        if let Some(gas) = &self.excess_blob_gas {
            quantity(&mut payload, gas, "excessBlobGas")?;
        }
        if let Some(root) = &self.parent_beacon_block_root {
            data::<32>(&mut payload, root, "parentBeaconBlockRoot")?;
        }
        if let Some(hash) = &self.requests_hash {
            data::<32>(&mut payload, hash, "requestsHash")?;
        }
        Ok(list(&payload))
    }
}

fn data<const N: usize>(out: &mut Vec<u8>, text: &str, member: &'static str) -> Result<(), HeaderError> {
    let bytes = parse_word::<N>(text).map_err(|_| HeaderError::Member(member))?;
    put_bytes(out, &bytes);
    Ok(())
}

/// A quantity of at most 256 bits.
fn quantity(out: &mut Vec<u8>, text: &str, member: &'static str) -> Result<(), HeaderError> {
    let word = super::word_of_quantity(text).ok_or(HeaderError::Member(member))?;
    let zeros = word.iter().take_while(|byte| **byte == 0).count();
    put_bytes(out, &word[zeros..]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mainnet's block 0 (go-ethereum's tests and every explorer have its hash), as nodes answer it.
    fn genesis() -> serde_json::Value {
        serde_json::json!({
            "parentHash": format!("0x{}", "00".repeat(32)),
            "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
            "miner": format!("0x{}", "00".repeat(20)),
            "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
            "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
            "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
            "logsBloom": format!("0x{}", "00".repeat(256)),
            "difficulty": "0x400000000",
            "number": "0x0",
            "gasLimit": "0x1388",
            "gasUsed": "0x0",
            "timestamp": "0x0",
            "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
            "mixHash": format!("0x{}", "00".repeat(32)),
            "nonce": "0x0000000000000042",
            "totalDifficulty": "0x400000000",
        })
    }

    const GENESIS_HASH: &str = "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";

    fn encoded(json: serde_json::Value) -> Result<Vec<u8>, HeaderError> {
        serde_json::from_value::<HeaderJson>(json).unwrap().encode()
    }

    #[test]
    fn mainnets_genesis_has_its_hash() {
        let trusted = parse_word(GENESIS_HASH).unwrap();
        let bytes = encoded(genesis()).unwrap();
        let header = Header::decode(&bytes, &trusted).unwrap();
        assert_eq!((header.block.number, header.block.hash), (0, trusted));
        assert_eq!(header.state_root[..2], [0xd7, 0xf8]);

        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert_eq!(Header::decode(&wrong, &trusted), Err(HeaderError::Hash));
        }
        assert_eq!(
            Header::decode(&bytes[..bytes.len() - 1], &trusted),
            Err(HeaderError::Hash)
        );
        assert_eq!(
            Header::decode(&[0; MAX_HEADER_BYTES + 1], &trusted),
            Err(HeaderError::TooLong)
        );
    }

    #[test]
    fn what_has_the_hash_is_read_strictly_all_the_same() {
        let hashed = |bytes: &[u8]| Header::decode(bytes, &Keccak256::digest(bytes).into());
        let bytes = encoded(genesis()).unwrap();
        assert!(hashed(&bytes).is_ok());
        assert!(matches!(
            hashed(&[bytes.as_slice(), &[0x80]].concat()),
            Err(HeaderError::Rlp(_))
        ));
        assert!(matches!(hashed(&[]), Err(HeaderError::Rlp(_))));
        assert!(matches!(hashed(&list(&[0x80; 15])), Err(HeaderError::Rlp(_))));
        let payload = &bytes[3..];
        assert!(hashed(&list(payload)).is_ok());
        let more = |count| list(&[payload, &vec![0x80; count]].concat());
        assert!(hashed(&more(17)).is_ok());
        assert_eq!(hashed(&more(18)), Err(HeaderError::TooLong));
    }

    #[test]
    fn members_that_are_no_hex_are_named() {
        for (member, value) in [
            ("parentHash", "0x00"),
            ("miner", "0x"),
            ("number", "0x00"),
            ("number", "7"),
            ("gasLimit", "0x+1"),
            ("extraData", "0x0"),
            ("nonce", "0x42"),
        ] {
            let mut json = genesis();
            json[member] = value.into();
            assert_eq!(encoded(json), Err(HeaderError::Member(member)));
        }
        let mut json = genesis();
        json["extraData"] = format!("0x{}", "00".repeat(MAX_HEADER_BYTES + 1)).into();
        assert_eq!(encoded(json), Err(HeaderError::TooLong));
    }
}
