//! All accounts that the node knows: bounded in count, in buckets of which each is stored as a whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jeju_store::{Change, RecordName, SealingKey};
use serde::{Deserialize, Serialize};

use super::account::State;
use super::facts::Facts;
use super::refusal::Reason;
use crate::blobs::Blobs;
use crate::front::storage::{self, Layout, SHARDS, Storage, StorageError};

/// Accounts of one bucket. What one is stored as has up to 3 KiB, and a record up to 1 MiB.
const MAX_IN_BUCKET: usize = 256;
/// How often what changed is stored, where nobody waits for it.
const STORE_EVERY: Duration = Duration::from_secs(2);
const FORMAT: u8 = 1;
const RECORD: &str = "accounts";
const LAYOUT: Layout = Layout {
    name: "payments",
    is_short: |_| true,
};

/// The accounts.
pub(super) struct Accounts {
    buckets: Vec<Bucket>,
    storage: Storage<()>,
    uses: AtomicU64,
}

#[derive(Default)]
struct Bucket {
    accounts: Mutex<HashMap<[u8; 20], State>>,
    changed: AtomicBool,
    /// Held while it is stored.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    accounts: Vec<([u8; 20], State)>,
}

impl Accounts {
    /// Reads what was stored.
    ///
    /// # Errors
    /// Where there are no random numbers.
    pub(super) async fn open(blobs: Blobs, key: Option<SealingKey>) -> Result<Self, StorageError> {
        let mut buckets: Vec<Bucket> = Vec::new();
        buckets.resize_with(SHARDS, Bucket::default);
        let storage = Storage::open(LAYOUT, blobs, key, |shard, record| {
            let known = storage::decode::<Record>(FORMAT, &record.value);
            let known = known.filter(|_| record.name.as_str() == RECORD);
            let accounts = known.map_or_else(Vec::new, |record| record.accounts);
            *buckets[shard].lock() = accounts.into_iter().take(MAX_IN_BUCKET).collect();
        })
        .await?;
        Ok(Self {
            buckets,
            storage,
            uses: AtomicU64::new(0),
        })
    }

    /// Whether what is known outlives the boot.
    pub(super) fn persistence(&self) -> &'static str {
        self.storage.persistence().as_str()
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.lock().len()).sum()
    }

    /// Looks at an account that is known.
    pub(super) fn peek<T>(&self, account: &[u8; 20], look: impl FnOnce(&State) -> T) -> Option<T> {
        self.bucket(account).lock().get(account).map(look)
    }

    /// What the chain said of an account last.
    pub(super) fn facts(&self, account: &[u8; 20]) -> Option<(Instant, Facts)> {
        self.peek(account, |state| state.facts).flatten()
    }

    /// Changes an account, which becomes known by that. `facts` are what the chain says of it.
    ///
    /// # Errors
    /// [`Reason::Full`], or that of `change`.
    pub(super) fn with<T>(
        &self,
        account: &[u8; 20],
        (at, facts): (Instant, Facts),
        change: impl FnOnce(&mut State) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let bucket = self.bucket(account);
        let mut accounts = bucket.lock();
        let mut new = None;
        let state = match accounts.get_mut(account) {
            Some(state) => state,
            None => new.insert(State::new(&facts)),
        };
        state.used = self.uses.fetch_add(1, Relaxed);
        if state.facts.is_none_or(|(known, _)| known < at) {
            state.update(at, facts);
        }
        let changed = change(state)?;
        if let Some(new) = new {
            if accounts.len() >= MAX_IN_BUCKET {
                let oldest = forgettable(&accounts).ok_or(Reason::Full)?;
                accounts.remove(&oldest);
            }
            accounts.insert(*account, new);
        }
        bucket.changed.store(true, Relaxed);
        Ok(changed)
    }

    /// Changes an account that has an answer under way, and so is known.
    pub(super) fn change<T>(&self, account: &[u8; 20], change: impl FnOnce(&mut State) -> T) -> Option<T> {
        let bucket = self.bucket(account);
        let changed = bucket.lock().get_mut(account).map(change);
        bucket.changed.store(true, Relaxed);
        changed
    }

    /// The accounts behind `after` in their order, `most` at most, of which `pick` makes something.
    pub(super) fn page<T>(
        &self,
        after: Option<[u8; 20]>,
        most: usize,
        pick: impl Fn(&[u8; 20], &State) -> Option<T>,
    ) -> Vec<T> {
        let mut picked: Vec<([u8; 20], T)> = Vec::new();
        for bucket in &self.buckets {
            let accounts = bucket.lock();
            let behind = accounts
                .iter()
                .filter(|(account, _)| after.is_none_or(|after| **account > after));
            picked.extend(behind.filter_map(|(account, state)| Some((*account, pick(account, state)?))));
        }
        picked.sort_by_key(|(account, _)| *account);
        picked.truncate(most);
        picked.into_iter().map(|(_, value)| value).collect()
    }

    /// Stores an account's changes before anything rests on them.
    ///
    /// # Errors
    /// [`StorageError`]: what is in memory holds all the same, as long as the node runs.
    pub(super) async fn store(&self, account: &[u8; 20]) -> Result<(), StorageError> {
        self.store_bucket(self.storage.shard_of(account)).await
    }

    /// Goes on for ever: stores what changed. `failed` is told of each that couldn't be.
    pub(super) async fn keep(&self, failed: impl Fn()) {
        loop {
            tokio::time::sleep(STORE_EVERY).await;
            for shard in 0..self.buckets.len() {
                if self.buckets[shard].changed.load(Relaxed) && self.store_bucket(shard).await.is_err() {
                    failed();
                }
            }
        }
    }

    async fn store_bucket(&self, shard: usize) -> Result<(), StorageError> {
        let bucket = &self.buckets[shard];
        let _storing = bucket.storing.lock().await;
        // Before it is read: what changes behind this is stored next time.
        if !bucket.changed.swap(false, Relaxed) {
            return Ok(());
        }
        let stored = self.commit(shard, bucket).await;
        if stored.is_err() {
            bucket.changed.store(true, Relaxed);
        }
        stored
    }

    async fn commit(&self, shard: usize, bucket: &Bucket) -> Result<(), StorageError> {
        self.storage.settle(shard).await?;
        let accounts = {
            let accounts = bucket.lock();
            accounts
                .iter()
                .map(|(account, state)| (*account, state.clone()))
                .collect()
        };
        let value = storage::encode(FORMAT, &Record { accounts })?;
        let name = RecordName::new(RECORD).map_err(|_| StorageError::Full)?;
        self.storage
            .commit(shard, vec![Change::Put { name, value }], ())
            .await
    }

    fn bucket(&self, account: &[u8; 20]) -> &Bucket {
        &self.buckets[self.storage.shard_of(account)]
    }
}

impl Bucket {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 20], State>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account with which the least is lost: one that paid all, or else one that never promised more than it paid.
fn forgettable(accounts: &HashMap<[u8; 20], State>) -> Option<[u8; 20]> {
    let idle = accounts.iter().filter(|(_, state)| state.is_idle());
    idle.min_by_key(|(_, state)| (!state.is_paid(), state.used))
        .map(|(account, _)| *account)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use jeju_shim_protocol::Port;
    use jeju_shim_protocol::blob::{self, BlobRequest};
    use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
    use zeroize::Zeroizing;

    use super::*;

    const FACTS: Facts = Facts {
        paid: 0,
        sequence: 0,
        balance: 1000,
        refund: 0,
        refund_from: 0,
        nonce: 0,
    };

    fn account(number: u32) -> [u8; 20] {
        let mut account = [0; 20];
        account[..4].copy_from_slice(&number.to_be_bytes());
        account
    }

    fn key() -> SealingKey {
        SealingKey::new(Zeroizing::new([7; 32]))
    }

    async fn volatile() -> Accounts {
        let nowhere = Blobs::new(GuestTransport::Unix("/nonexistent".into()));
        Accounts::open(nowhere, None).await.ok().unwrap()
    }

    fn charge(accounts: &Accounts, number: u32, cost: u128) -> Result<(), Reason> {
        accounts.with(&account(number), (Instant::now(), FACTS), |state| {
            state.charge(cost);
            Ok(())
        })
    }

    #[tokio::test]
    async fn the_count_of_accounts_is_bounded_and_the_idle_go_first() {
        let accounts = volatile().await;
        for number in 0..20_000 {
            charge(&accounts, number, 1).unwrap();
        }
        assert!(accounts.len() <= SHARDS * MAX_IN_BUCKET);
        assert!(accounts.peek(&account(19_999), |_| ()).is_some());
        assert!(accounts.peek(&account(0), |_| ()).is_none());
        // Who has an answer under way stays.
        let accounts = volatile().await;
        let mut known = Vec::new();
        for number in 0..20_000 {
            let reserved = accounts.with(&account(number), (Instant::now(), FACTS), |state| {
                state.reserve(1);
                Ok(())
            });
            match reserved {
                Ok(()) => known.push(number),
                Err(reason) => assert_eq!(reason, Reason::Full),
            }
        }
        assert_eq!(accounts.len(), known.len());
        assert!(
            known
                .iter()
                .all(|number| accounts.peek(&account(*number), |_| ()).is_some())
        );
    }

    #[tokio::test]
    async fn who_is_refused_is_not_remembered() {
        let accounts = volatile().await;
        let refused = accounts.with(&account(1), (Instant::now(), FACTS), |_| {
            Err::<(), _>(Reason::Used)
        });
        assert_eq!((refused, accounts.len()), (Err(Reason::Used), 0));
        assert_eq!(accounts.change(&account(1), |_| ()), None);
    }

    #[tokio::test]
    async fn pages_have_each_account_once() {
        let accounts = volatile().await;
        for number in 0..250 {
            charge(&accounts, number, number.into()).unwrap();
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let odd = |known: &[u8; 20], state: &State| (state.owed % 2 == 1).then_some(*known);
            let page = accounts.page(after, 100, odd);
            assert!(page.len() <= 100);
            let Some(last) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
        }
        let odd: Vec<_> = (0..250).filter(|number| number % 2 == 1).map(account).collect();
        assert_eq!(found, odd);
    }

    /// A host that keeps blobs, over its socket.
    fn host() -> (tempfile::TempDir, impl Fn() -> Blobs) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let listener = HostTransport::Unix(path.clone()).listen(Port::Blobs).unwrap();
        let kept = Arc::new(Mutex::new(BTreeMap::new()));
        tokio::spawn(async move {
            while let Ok(mut stream) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    while let Ok(request) = blob::read_request(&mut stream).await {
                        match request {
                            BlobRequest::Get(name) => {
                                let found: Option<Vec<u8>> =
                                    kept.lock().unwrap().get(&name.to_string()).cloned();
                                let found = found
                                    .as_deref()
                                    .ok_or(jeju_shim_protocol::line::ErrorCode::NotFound);
                                blob::write_found(&mut stream, found).await.unwrap();
                            }
                            BlobRequest::Put(name, len) => {
                                let body = blob::read_body(&mut stream, len).await.unwrap();
                                kept.lock().unwrap().insert(name.to_string(), body);
                                blob::write_done(&mut stream, Ok(())).await.unwrap();
                            }
                            BlobRequest::Delete(name) => {
                                kept.lock().unwrap().remove(&name.to_string());
                                blob::write_done(&mut stream, Ok(())).await.unwrap();
                            }
                            BlobRequest::List(request) => {
                                let page = {
                                    let kept = kept.lock().unwrap();
                                    let space = format!("{}/", request.space());
                                    let leaves = kept.keys().filter_map(|name| name.strip_prefix(&space));
                                    blob::Page::select(&request, leaves).encode()
                                };
                                blob::write_found(&mut stream, Ok(&page)).await.unwrap();
                            }
                        }
                    }
                });
            }
        });
        (directory, move || Blobs::new(GuestTransport::Unix(path.clone())))
    }

    #[tokio::test]
    async fn what_is_stored_outlives_the_boot_and_other_keys_read_nothing() {
        let (_directory, blobs) = host();
        let accounts = Accounts::open(blobs(), Some(key())).await.ok().unwrap();
        assert_eq!(accounts.persistence(), "sealed");
        for number in 0..100 {
            charge(&accounts, number, number.into()).unwrap();
            accounts.store(&account(number)).await.ok().unwrap();
        }
        drop(accounts);
        let accounts = Accounts::open(blobs(), Some(key())).await.ok().unwrap();
        for number in 0..100 {
            let owed = accounts.peek(&account(number), |state| state.owed);
            assert_eq!(owed, Some(number.into()));
        }
        let other = SealingKey::new(Zeroizing::new([8; 32]));
        assert_eq!(Accounts::open(blobs(), Some(other)).await.ok().unwrap().len(), 0);
    }
}
