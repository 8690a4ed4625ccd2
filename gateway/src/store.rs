//! What a gateway knows of the chain, kept in one file: a gateway that starts again answers at once, and reads on from the block
//! at which it stopped.
//!
//! The file is replaced as a whole. One that is damaged, or of another chain, is as good as none: everything is on chain.

mod document;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jeju_chain::{Block, Cursor};
use jeju_wallet_auth::eip712::keccak;
use thiserror::Error;

use crate::index::Provider;

/// First word of the file.
const MAGIC: &str = "jeju-gateway-index/1";
/// Longest file that is read, in bytes: 100,000 providers with a dozen models each.
const MAX_LEN: u64 = 512 << 20;

/// Why there is no store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder can't be used.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another gateway has it.
    #[error("{0} is another gateway's")]
    InUse(PathBuf),
}

/// A folder with one state of the index.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Held for its lock.
    _lock: File,
}

/// What is kept: providers, and where to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Chain id.
    pub chain_id: u64,
    /// `ComputeRegistry`.
    pub registry: [u8; 20],
    /// The block as of which the providers are these.
    pub block: Block,
    /// Where to read on.
    pub cursor: Cursor,
    /// All providers, active or not.
    pub providers: Vec<Arc<Provider>>,
}

impl Store {
    /// In `folder`, which is made where it isn't there, and is this process's until the store is dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Io(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// What was kept last; `None` where nothing was, where it is damaged, or where it is of another chain or registry.
    pub fn load(&self, chain_id: u64, registry: &[u8; 20]) -> Option<Kept> {
        let mut bytes = Vec::new();
        let file = File::open(self.path()).ok()?;
        file.take(MAX_LEN + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > MAX_LEN {
            return None;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        if head != header(body).as_bytes() {
            return None;
        }
        let kept = document::parse(body)?;
        (kept.chain_id == chain_id && kept.registry == *registry).then_some(kept)
    }

    /// Keeps this in the place of what was kept before. After a crash either is there, whole.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn save(&self, kept: &Kept) -> Result<(), StoreError> {
        let failed = |error| StoreError::Io(self.folder.clone(), error);
        let body = document::text(kept);
        let next = self.folder.join("index.next");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(header(&body).as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(&body)?;
            file.sync_all()?;
            fs::rename(&next, self.path())?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(failed)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("index")
    }
}

/// A checksum, not a proof: who can write the file can write any.
fn header(body: &[u8]) -> String {
    format!("{MAGIC} {}", hex::encode(keccak(&[body])))
}

#[cfg(test)]
mod tests {
    use jeju_chain::{Capability, ProviderRecord};

    use super::*;

    const REGISTRY: [u8; 20] = [9; 20];

    fn kept(count: u8) -> Kept {
        let provider = |number: u8| {
            let record = ProviderRecord {
                account: [number; 20],
                name: (&b"\xff\x00name"[..]).into(),
                endpoint: (&b"https://p.example"[..]).into(),
                attestation_hash: [3; 32],
                stake: u128::MAX,
                registered_at: u64::MAX,
                agent: [4; 32],
                active: number.is_multiple_of(2),
            };
            let capability = Capability {
                model: (&b"a/b \xff"[..]).into(),
                price_per_input_token: 0,
                price_per_output_token: u128::MAX,
                max_context: 1,
                active: true,
            };
            Arc::new(Provider::new(record, vec![capability; usize::from(number % 3)]))
        };
        let filter = format!(
            "{{\"version\":1,\"chainId\":31337,\"filter\":\"0x{0}\",\"number\":7,\"hash\":\"0x{0}\"}}",
            "01".repeat(32)
        );
        Kept {
            chain_id: 31_337,
            registry: REGISTRY,
            block: Block {
                number: 7,
                hash: [1; 32],
                timestamp: 8,
            },
            cursor: Cursor::from_json(&filter).unwrap(),
            providers: (1..=count).map(provider).collect(),
        }
    }

    #[test]
    fn what_was_kept_comes_back_and_the_newest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("made")).unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), None);
        store.save(&kept(200)).unwrap();
        store.save(&kept(5)).unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), Some(kept(5)));
        assert_eq!(store.load(1, &REGISTRY), None, "another chain");
        assert_eq!(store.load(31_337, &[8; 20]), None, "another registry");
    }

    #[test]
    fn what_is_damaged_is_as_good_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(&kept(2)).unwrap();
        let whole = fs::read(store.path()).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let of_later = [b"jeju-gateway-index/2", &whole[MAGIC.len()..]].concat();
        let nonsense = b"{\"chainId\":31337}";
        let nonsense = [header(nonsense).as_bytes(), b"\n", nonsense].concat();
        for damaged in [
            &whole[..whole.len() / 2],
            &flipped,
            &of_later,
            &nonsense,
            b"",
            b"\n",
            &[0xff; 100],
        ] {
            fs::write(store.path(), damaged).unwrap();
            assert_eq!(store.load(31_337, &REGISTRY), None, "{} bytes", damaged.len());
        }
        // What a crash left half-written isn't looked at.
        fs::write(store.path(), &whole).unwrap();
        fs::write(folder.path().join("index.next"), "half").unwrap();
        assert_eq!(store.load(31_337, &REGISTRY), Some(kept(2)));
    }

    #[test]
    fn a_folder_is_of_one_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(first);
        Store::open(folder.path()).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Store::open(&file), Err(StoreError::Io(..))));
    }
}
