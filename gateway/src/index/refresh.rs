//! Reads the registry: all of it once, and then what its events name.
//!
//! Who is active is read anew each time, page by page: it changes without an event when an agent is sold or the least
//! stake is raised. Records and models are read again where an event names their provider.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jeju_chain::{Block, ChainReader, Cursor, EventError, EventReader, Filter, MAX_PROVIDER_PAGE, ReadError};
use tokio::time::sleep;

use super::{Index, Provider, Snapshot};
use crate::store::{Kept, Store, StoreError};

/// Providers that are read at a time.
const AT_ONCE: usize = 8;
/// Most providers that are kept. More than there will be; a registry that claims more is not ours.
const MAX_PROVIDERS: u64 = 100_000;
/// What changed is kept once in so long, and what didn't, for its newer block.
const KEEP_CHANGES: Duration = Duration::from_secs(60);
const KEEP_BLOCK: Duration = Duration::from_secs(600);
/// Longest wait after a failure.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Keeps an index as new as the chain.
pub struct Refresh {
    chain: Arc<ChainReader>,
    chain_id: u64,
    registry: [u8; 20],
    index: Arc<Index>,
    cursor: Option<Cursor>,
    known: HashMap<[u8; 20], Arc<Provider>>,
    /// Whom events named since they were read.
    stale: BTreeSet<[u8; 20]>,
    store: Option<Arc<Store>>,
    kept: Option<Instant>,
    /// Whether providers were read since they were kept.
    has_changed: bool,
}

impl Refresh {
    /// Of `ComputeRegistry` at `registry`.
    pub fn new(chain: Arc<ChainReader>, chain_id: u64, registry: [u8; 20], index: Arc<Index>) -> Self {
        Self {
            chain,
            chain_id,
            registry,
            index,
            cursor: None,
            known: HashMap::new(),
            stale: BTreeSet::new(),
            store: None,
            kept: None,
            has_changed: false,
        }
    }

    /// Goes on where `store` says, which keeps what is read from now on. The index has what was kept at once.
    #[must_use]
    pub fn with_store(mut self, store: Arc<Store>) -> Self {
        if let Some(kept) = store.load(self.chain_id, &self.registry) {
            self.index
                .replace(Snapshot::new(kept.block, kept.providers.clone()));
            let known = kept.providers.into_iter();
            self.known = known
                .map(|provider| (provider.record.account, provider))
                .collect();
            self.cursor = Some(kept.cursor);
        }
        self.store = Some(store);
        self
    }

    /// Keeps the state if it is time. A store that fails costs the next start some reading, and nothing else.
    ///
    /// # Errors
    /// What the store says.
    pub async fn keep(&mut self) -> Result<(), StoreError> {
        let wait = if self.has_changed {
            KEEP_CHANGES
        } else {
            KEEP_BLOCK
        };
        let is_time = self.kept.is_none_or(|at| at.elapsed() >= wait);
        let (Some(store), Some(cursor), true) = (&self.store, &self.cursor, is_time) else {
            return Ok(());
        };
        let snapshot = self.index.now();
        let Some(block) = snapshot.block() else {
            return Ok(());
        };
        let kept = Kept {
            chain_id: self.chain_id,
            registry: self.registry,
            block,
            cursor: cursor.clone(),
            providers: snapshot.all().to_vec(),
        };
        let store = store.clone();
        self.kept = Some(Instant::now());
        self.has_changed = false;
        let saved = tokio::task::spawn_blocking(move || store.save(&kept)).await;
        saved.unwrap_or(Ok(()))
    }

    /// Refreshes each `interval`, for ever. What can't be read is tried again; the last state stays until then.
    pub async fn run(mut self, interval: Duration, mut failed: impl FnMut(&str)) {
        let mut failures = 0;
        loop {
            let wait = match self.once().await {
                Ok(()) => {
                    failures = 0;
                    if let Err(error) = self.keep().await {
                        failed(&error.to_string());
                    }
                    interval
                }
                Err(error) => {
                    failed(&format!("{error} ({})", error.code()));
                    failures += 1;
                    Duration::from_secs(1 << failures.min(6)).min(MAX_WAIT)
                }
            };
            sleep(wait).await;
        }
    }

    /// Reads what changed, and puts the new state into the index.
    ///
    /// # Errors
    /// Where the chain can't be read. After a rewind all is read anew.
    pub async fn once(&mut self) -> Result<(), EventError> {
        let outcome = self.read().await;
        if matches!(outcome, Err(EventError::Rewound { .. } | EventError::OtherCursor)) {
            self.cursor = None;
            self.known.clear();
        }
        outcome
    }

    async fn read(&mut self) -> Result<(), EventError> {
        let filter = Filter::new(vec![self.registry], Vec::new()).map_err(|_| EventError::OtherCursor)?;
        let chain = self.chain.clone();
        let mut reader = EventReader::new(&chain, self.chain_id, filter);
        // The cursor first: what happens while all is read comes again as an event.
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => {
                let block = chain.finalized_block().await?.block;
                reader.start_after(block.number).await?
            }
        };
        // Providers are read at the block up to which events were: at an older one, what an event says isn't there yet.
        let block = loop {
            let page = match reader.next(&cursor).await {
                Ok(page) => page,
                Err(error) => {
                    self.cursor = Some(cursor);
                    return Err(error);
                }
            };
            self.stale
                .extend(page.events.iter().filter_map(|event| provider_of(&event.topics)));
            let (is_last, block) = (page.is_last(), page.head.block);
            cursor = page.cursor;
            if is_last {
                break block;
            }
        };
        self.cursor = Some(cursor);
        let active = self.active(&block).await?;
        let unknown = active.iter().filter(|account| !self.known.contains_key(*account));
        let wanted: BTreeSet<_> = unknown.chain(&self.stale).copied().collect();
        self.has_changed |= !wanted.is_empty();
        self.fetch(&block, wanted).await?;
        self.stale.clear();
        let providers = self.known.iter().map(|(account, provider)| {
            let is_active = active.contains(account);
            match provider.record.active == is_active {
                true => provider.clone(),
                false => {
                    let mut record = provider.record.clone();
                    record.active = is_active;
                    Arc::new(Provider::new(record, provider.capabilities.clone()))
                }
            }
        });
        self.index.replace(Snapshot::new(block, providers.collect()));
        Ok(())
    }

    async fn active(&self, block: &Block) -> Result<BTreeSet<[u8; 20]>, ReadError> {
        let (mut active, mut cursor) = (BTreeSet::new(), 0);
        while cursor < MAX_PROVIDERS {
            let page = self
                .chain
                .providers_at(block, &self.registry, cursor, MAX_PROVIDER_PAGE)
                .await?;
            active.extend(page.active);
            if page.next < cursor + MAX_PROVIDER_PAGE as u64 {
                break;
            }
            cursor = page.next;
        }
        Ok(active)
    }

    async fn fetch(&mut self, block: &Block, accounts: BTreeSet<[u8; 20]>) -> Result<(), ReadError> {
        let (chain, registry) = (self.chain.clone(), self.registry);
        let read = |account: [u8; 20]| {
            let chain = chain.clone();
            async move {
                let record = chain.provider_at(block, &registry, &account).await?;
                let capabilities = chain.capabilities_at(block, &registry, &account).await?;
                Ok::<_, ReadError>(record.map(|record| Arc::new(Provider::new(record, capabilities))))
            }
        };
        let mut found = stream::iter(accounts).map(read).buffer_unordered(AT_ONCE);
        while let Some(provider) = found.try_next().await? {
            if let Some(provider) = provider {
                self.known.insert(provider.record.account, provider);
            }
        }
        Ok(())
    }
}

/// The registry's events name the provider first.
fn provider_of(topics: &[[u8; 32]]) -> Option<[u8; 20]> {
    let topic = topics.get(1)?;
    let (zeros, account) = topic.split_at(12);
    (zeros.iter().all(|byte| *byte == 0)).then(|| account.try_into().ok())?
}
