//! Where workers and accounts that pay are kept: sealed at the host, or in memory where the platform can't seal or the host
//! keeps nothing.
//!
//! Records lie in several stores, so that a change writes a short manifest. An owner's are in one of them, and which one
//! depends on a secret: nobody chooses whose store to fill. Short records are read when a store is opened, the others
//! (a worker's code, variables, secrets) when they are needed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jeju_attestation::hash::tagged_sha256;
use jeju_store::{
    BlobOp, BlobReply, Change, Commit, MemoryBlobs, Opening, Persistence, Record, RecordName, SealingKey,
    Store,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::identity::random;
use crate::blobs::{BlobError, Blobs};

/// Stores.
pub(super) const SHARDS: usize = 32;
/// How often an operation is asked for again, and how long after.
const RETRIES: u32 = 3;
const RETRY: Duration = Duration::from_millis(200);
/// Most bytes that are kept in memory where the host keeps none.
const MAX_MEMORY: usize = 512 << 20;

/// Why something isn't stored, or can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StorageError {
    /// There is no room. Nothing was changed.
    Full,
    /// The host does nothing, or gives back something else. Whether a change took effect is unknown; it is brought to its
    /// end before the next one.
    Host,
    /// The system has no random numbers.
    Random,
}

/// What stores are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Begins their names.
    pub(super) name: &'static str,
    /// Whether a record is read when its store is opened.
    pub(super) is_short: fn(&RecordName) -> bool,
}

/// Sealed stores, and changes under way. `E` is what a change means to whoever made it.
pub(super) struct Storage<E> {
    host: Host,
    shards: Vec<tokio::sync::Mutex<Shard<E>>>,
    salt: Zeroizing<[u8; 32]>,
    layout: Layout,
    persistence: Persistence,
}

struct Shard<E> {
    store: Store,
    pending: Option<Pending<E>>,
}

/// A commit that isn't durable yet.
struct Pending<E> {
    commit: Commit,
    done: usize,
    effect: E,
}

/// Who keeps blobs.
pub(super) enum Host {
    /// The host.
    Blobs(Blobs),
    /// This process.
    Memory(Mutex<MemoryBlobs>),
}

impl Host {
    fn memory() -> Self {
        Host::Memory(Mutex::default())
    }

    async fn perform(&self, op: BlobOp) -> Result<BlobReply, BlobError> {
        match self {
            Host::Blobs(blobs) => blobs.perform(op).await,
            Host::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let more = match &op {
                    BlobOp::Put { blob, .. } => blob.len(),
                    _ => 0,
                };
                let held: usize = match more {
                    0 => 0,
                    _ => memory.0.values().map(Vec::len).sum(),
                };
                if held + more > MAX_MEMORY {
                    return Err(BlobError::Full);
                }
                Ok(memory.perform(&op))
            }
        }
    }

    /// Asks until it is answered, or not any more.
    async fn insist(&self, op: &BlobOp) -> Result<BlobReply, BlobError> {
        let mut left = RETRIES;
        loop {
            match self.perform(op.clone()).await {
                Err(BlobError::Host(_) | BlobError::TimedOut) if left > 0 => {
                    left -= 1;
                    sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl<E: Clone> Storage<E> {
    /// Opens all stores, and gives the short records ([`Layout::is_short`]) to `take`. Stores that aren't whole are replaced by empty
    /// ones: the host could as well have shown none. Where it keeps none, all is kept in memory.
    ///
    /// # Errors
    /// [`StorageError::Random`].
    pub(super) async fn open(
        layout: Layout,
        blobs: Blobs,
        key: Option<SealingKey>,
        mut take: impl FnMut(usize, Record),
    ) -> Result<Self, StorageError> {
        if let Some(key) = key {
            let mut records = Vec::new();
            let host = Host::Blobs(blobs);
            match Self::open_at(layout, host, &key, Persistence::Sealed, &mut |shard, record| {
                records.push((shard, record))
            })
            .await
            {
                Ok(storage) => {
                    records
                        .into_iter()
                        .for_each(|(shard, record)| take(shard, record));
                    return Ok(storage);
                }
                Err(StorageError::Random) => return Err(StorageError::Random),
                Err(_) => {}
            }
        }
        let key = random::<32>().map_err(|_| StorageError::Random)?;
        let key = SealingKey::new(Zeroizing::new(key));
        Self::open_at(layout, Host::memory(), &key, Persistence::Volatile, &mut take).await
    }

    async fn open_at(
        layout: Layout,
        host: Host,
        key: &SealingKey,
        persistence: Persistence,
        take: &mut dyn FnMut(usize, Record),
    ) -> Result<Self, StorageError> {
        let tagged = |what: &str| tagged_sha256(&format!("jeju-{}-{what}-v1", layout.name), &[key.expose()]);
        let (name, salt) = (tagged("space"), Zeroizing::new(tagged("shards")));
        let mut shards = Vec::with_capacity(SHARDS);
        for shard in 0..SHARDS {
            let space = format!("{}-{}-{shard:02}", layout.name, hex::encode(&name[..8]));
            let store = open_shard(layout, &host, &space, key, &mut |record| take(shard, record)).await?;
            shards.push(tokio::sync::Mutex::new(Shard { store, pending: None }));
        }
        Ok(Self {
            host,
            shards,
            salt,
            layout,
            persistence,
        })
    }

    /// Whether what is kept outlives the boot.
    pub(super) fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// Where an owner's records are.
    pub(super) fn shard_of(&self, owner: &[u8; 20]) -> usize {
        let digest = tagged_sha256(
            &format!("jeju-{}-shard-v1", self.layout.name),
            &[&self.salt[..], owner],
        );
        usize::from(digest[0]) % SHARDS
    }

    /// Brings a change of before to its end, if there is one: its effect.
    ///
    /// # Errors
    /// [`StorageError`] when it still can't be.
    pub(super) async fn settle(&self, shard: usize) -> Result<Option<E>, StorageError> {
        let mut shard = self.shards[shard].lock().await;
        self.finish(&mut shard).await
    }

    /// Makes changes, all of them or none, and gives back `effect` once they are durable. [`Storage::settle`] first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(super) async fn commit(
        &self,
        shard: usize,
        changes: Vec<Change>,
        effect: E,
    ) -> Result<E, StorageError> {
        let mut shard = self.shards[shard].lock().await;
        if shard.pending.is_some() {
            return Err(StorageError::Host);
        }
        let commit = shard.store.commit(changes).map_err(|error| match error {
            jeju_store::StoreError::NoRandomNumbers => StorageError::Random,
            _ => StorageError::Full,
        })?;
        shard.pending = Some(Pending {
            commit,
            done: 0,
            effect: effect.clone(),
        });
        self.finish(&mut shard).await?;
        Ok(effect)
    }

    async fn finish(&self, shard: &mut Shard<E>) -> Result<Option<E>, StorageError> {
        while let Some(pending) = &mut shard.pending {
            let durable = pending.done >= pending.commit.durable_after();
            let Some(op) = pending.commit.ops().get(pending.done) else {
                break;
            };
            match self.host.insist(op).await {
                Ok(BlobReply::Done) => pending.done += 1,
                // What only tidies up may fail.
                _ if durable => break,
                Err(BlobError::Full) => return self.give_up(shard).await,
                _ => return Err(StorageError::Host),
            }
        }
        let Some(pending) = shard.pending.take() else {
            return Ok(None);
        };
        shard
            .store
            .confirm(pending.commit)
            .map_err(|_| StorageError::Host)?;
        Ok(Some(pending.effect))
    }

    /// The host has no room, and so took nothing of the operation that it was asked for last.
    async fn give_up(&self, shard: &mut Shard<E>) -> Result<Option<E>, StorageError> {
        if let Some(pending) = shard.pending.take() {
            let written = shard
                .store
                .abandon(pending.commit)
                .map_err(|_| StorageError::Host)?;
            for op in written {
                // What can't be deleted now is when the store is next opened.
                if self.host.perform(op).await.is_err() {
                    break;
                }
            }
        }
        Err(StorageError::Full)
    }

    /// The contents of records, in the order of their names.
    ///
    /// # Errors
    /// [`StorageError::Host`], also where one isn't there.
    pub(super) async fn read(
        &self,
        shard: usize,
        names: &[RecordName],
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, StorageError> {
        let shard = self.shards[shard].lock().await;
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            let op = shard.store.ask(name).ok_or(StorageError::Host)?;
            let reply = self.host.insist(&op).await.map_err(|_| StorageError::Host)?;
            values.push(shard.store.read(name, reply).map_err(|_| StorageError::Host)?);
        }
        Ok(values)
    }
}

/// Opens one store; one that isn't whole is replaced.
async fn open_shard(
    layout: Layout,
    host: &Host,
    space: &str,
    key: &SealingKey,
    take: &mut dyn FnMut(Record),
) -> Result<Store, StorageError> {
    let start = |replace: bool| {
        let opening = match replace {
            false => Opening::new(space, Some(key.clone())),
            true => Opening::replace(space, Some(key.clone())),
        };
        opening
            .map(|opening| opening.reading(layout.is_short))
            .map_err(|_| StorageError::Random)
    };
    let mut opening = start(false)?;
    let mut records = Vec::new();
    while let Some(op) = opening.ask().map_err(|_| StorageError::Random)? {
        let reply = host.insist(&op).await.map_err(|_| StorageError::Host)?;
        match opening.answer(reply) {
            Ok(record) => records.extend(record),
            Err(_) => {
                records.clear();
                opening = start(true)?;
            }
        }
    }
    records.into_iter().for_each(take);
    opening.finish().map_err(|_| StorageError::Host)
}

/// A value as a record of a format.
///
/// # Errors
/// [`StorageError::Full`] for a value that has no encoding.
pub(super) fn encode(format: u8, value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let bytes = postcard::to_extend(value, vec![format]).map_err(|_| StorageError::Full)?;
    Ok(Zeroizing::new(bytes))
}

/// The inverse of [`encode`]; `None` for another format.
pub(super) fn decode<T: DeserializeOwned>(format: u8, bytes: &[u8]) -> Option<T> {
    let (found, rest) = bytes.split_first()?;
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) if *found == format => Some(value),
        _ => None,
    }
}
