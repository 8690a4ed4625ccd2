//! What `WorkerRegistry` says about workers, at one concrete block.

use std::sync::Arc;

use crate::abi::{AbiError, Words, number_argument};
use crate::call::{call_once, call_params};
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::RpcError;
use crate::text::ChainText;

/// Selector of `getWorker(bytes32)`.
pub const GET_WORKER_SELECTOR: [u8; 4] = [0xab, 0xa9, 0x3a, 0x10];
/// Selector of `codeURI(bytes32,uint32)`.
pub const CODE_URI_SELECTOR: [u8; 4] = [0x76, 0x69, 0x10, 0xc1];

/// Longest name and longest URI, in bytes: `MAX_TEXT` of the contract.
pub const MAX_WORKER_TEXT: usize = 256;

/// Fields of `getWorker`.
const FIELDS: usize = 7;
/// Longest answers, in bytes: fields or an offset, and a text behind its length.
const MAX_RECORD: usize = (FIELDS + 1) * 32 + MAX_WORKER_TEXT;
const MAX_URI: usize = 2 * 32 + MAX_WORKER_TEXT;

/// A worker as it stands at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Its id.
    pub id: [u8; 32],
    /// Who deployed it.
    pub owner: [u8; 20],
    /// Name. The owner's text, at most [`MAX_WORKER_TEXT`].
    pub name: ChainText,
    /// Keccak-256 of the current version's code.
    pub code_hash: [u8; 32],
    /// Whether it runs.
    pub status: WorkerStatus,
    /// Number of the current version, from 1.
    pub version: u32,
    /// Where that version's code lies; empty if the owner didn't say. The owner's text, at most [`MAX_WORKER_TEXT`].
    pub code_uri: ChainText,
}

/// Whether a worker runs, by the contract's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WorkerStatus {
    /// It does.
    Active = 0,
    /// Its owner lets it rest.
    Paused = 1,
    /// Never again.
    Terminated = 2,
}

impl ChainReader {
    /// A worker and its current version as they stood at `block`; `None` if there was none of this id.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `WorkerRegistry` could have given, or where it isn't at `contract`.
    pub async fn worker_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        worker: &[u8; 32],
    ) -> Result<Option<WorkerRecord>, ReadError> {
        let get = call_params(block, contract, &[&GET_WORKER_SELECTOR[..], worker].concat());
        let asked = Arc::new((*block, *contract, *worker, get));
        self.agree(|node| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                let (block, contract, worker, get) = &*asked;
                let malformed = |_| RpcError::Malformed("worker record");
                let answer = call_once(node, get.clone(), MAX_RECORD).await?;
                let answer = answer.ok_or(RpcError::NoContract)?;
                let Some(mut record) = WorkerRecord::from_answer(worker, &answer).map_err(malformed)? else {
                    return Ok(None);
                };
                let version = number_argument(record.version.into());
                let data = [&CODE_URI_SELECTOR[..], worker, &version].concat();
                let uri = call_once(node, call_params(block, contract, &data), MAX_URI).await?;
                record.code_uri = uri_from_answer(&uri.ok_or(RpcError::NoContract)?).map_err(malformed)?;
                Ok(Some(record))
            })
        })
        .await
    }
}

impl WorkerRecord {
    /// Decodes an answer of `getWorker` for `id`, without the URI; `None` if there is no such worker.
    ///
    /// # Errors
    /// Where the contract can't have answered these bytes.
    pub fn from_answer(id: &[u8; 32], answer: &[u8]) -> Result<Option<Self>, AbiError> {
        let mut words = Words::new(answer);
        let owner = words.address()?;
        words.offset(FIELDS * 32)?;
        let code_hash = words.word()?;
        let status = match words.u8()? {
            0 => WorkerStatus::Active,
            1 => WorkerStatus::Paused,
            2 => WorkerStatus::Terminated,
            _ => return Err(AbiError::Range),
        };
        let (version, _invocations, _price) = (words.u32()?, words.u64()?, words.word()?);
        let name = ChainText::from(words.bytes(MAX_WORKER_TEXT)?);
        words.end()?;
        let exists = owner != [0; 20];
        if [version != 0, code_hash != [0; 32], !name.is_empty()] != [exists; 3] {
            return Err(AbiError::Inconsistent);
        }
        Ok(exists.then(|| Self {
            id: *id,
            owner,
            name,
            code_hash,
            status,
            version,
            code_uri: ChainText::default(),
        }))
    }
}

fn uri_from_answer(answer: &[u8]) -> Result<ChainText, AbiError> {
    let mut words = Words::new(answer);
    words.offset(32)?;
    let uri = ChainText::from(words.bytes(MAX_WORKER_TEXT)?);
    words.end()?;
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 32] = [7; 32];

    /// An answer of `getWorker`, by hand.
    fn answer(owner: u8, offset: u64, hash: u8, status: u64, version: u64, name: &str) -> Vec<u8> {
        let mut address = [0; 32];
        address[12..].fill(owner);
        let mut text = name.as_bytes().to_vec();
        text.resize(text.len().next_multiple_of(32), 0);
        let words = [
            address,
            number_argument(offset),
            [hash; 32],
            number_argument(status),
            number_argument(version),
            number_argument(5),
            number_argument(6),
            number_argument(name.len() as u64),
        ];
        [words.concat(), text].concat()
    }

    #[test]
    fn a_worker_is_read_as_the_contract_writes_it() {
        let record = WorkerRecord::from_answer(&ID, &answer(1, 224, 2, 1, 3, "hello"))
            .unwrap()
            .unwrap();
        assert_eq!(
            (record.owner, record.code_hash, record.version),
            ([1; 20], [2; 32], 3)
        );
        assert_eq!(
            (record.name.as_str(), record.status),
            (Some("hello"), WorkerStatus::Paused)
        );
        assert_eq!(
            WorkerRecord::from_answer(&ID, &answer(0, 224, 0, 0, 0, "")),
            Ok(None)
        );
    }

    #[test]
    fn what_the_contract_never_answers_is_refused() {
        let refused = |answer: Vec<u8>| WorkerRecord::from_answer(&ID, &answer).unwrap_err();
        assert_eq!(refused(answer(1, 256, 2, 0, 1, "a")), AbiError::Offset);
        assert_eq!(refused(answer(1, 224, 2, 3, 1, "a")), AbiError::Range);
        assert_eq!(refused(answer(1, 224, 2, 0, 1 << 32, "a")), AbiError::Range);
        assert_eq!(
            refused(answer(1, 224, 2, 0, 1, &"a".repeat(257))),
            AbiError::TooLong
        );
        for contradiction in [
            answer(1, 224, 0, 0, 1, "a"),
            answer(1, 224, 2, 0, 0, "a"),
            answer(1, 224, 2, 0, 1, ""),
            answer(0, 224, 2, 0, 1, "a"),
        ] {
            assert_eq!(refused(contradiction), AbiError::Inconsistent);
        }
        let good = answer(1, 224, 2, 0, 1, "a");
        assert_eq!(refused(good[..good.len() - 1].to_vec()), AbiError::Length);
        assert_eq!(refused([&good[..], &[0; 32]].concat()), AbiError::Length);
        let mut padded = good.clone();
        padded[good.len() - 1] = 1;
        assert_eq!(refused(padded), AbiError::Padding);
        assert_eq!(refused(vec![]), AbiError::Length);
    }

    #[test]
    fn a_uri_is_one_text() {
        let text = |offset: u64, length: u64, body: &[u8]| {
            let mut body = body.to_vec();
            body.resize(body.len().next_multiple_of(32), 0);
            [&number_argument(offset)[..], &number_argument(length), &body].concat()
        };
        let uri = uri_from_answer(&text(32, 17, b"https://a.example")).unwrap();
        assert_eq!(uri.as_str(), Some("https://a.example"));
        assert!(uri_from_answer(&text(32, 0, b"")).unwrap().is_empty());
        assert_eq!(uri_from_answer(&text(64, 0, b"")), Err(AbiError::Offset));
        assert_eq!(
            uri_from_answer(&text(32, 257, &[b'a'; 257])),
            Err(AbiError::TooLong)
        );
        assert_eq!(uri_from_answer(&text(32, 0, &[0; 32])), Err(AbiError::Length));
    }
}
