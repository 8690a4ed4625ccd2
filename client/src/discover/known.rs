//! Providers that were read before. Only those whom the contracts' events name are read again, so that who follows a chain
//! with thousands of providers asks for little.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jeju_chain::{Block, ChainReader, Cursor, EventError, EventReader, Filter, ReadError};
use jeju_wallet_auth::eip712::keccak;

use super::finder::Provider;

/// Events after which a provider is read again: each has it as its first topic behind the signature.
const EVENTS: [&str; 12] = [
    "ProviderRegistered(address,string,string,bytes32,uint256,uint256)",
    "ProviderUpdated(address,string,bytes32)",
    "ProviderDeactivated(address)",
    "ProviderReactivated(address)",
    "StakeAdded(address,uint256,uint256)",
    "StakeWithdrawn(address,uint256)",
    "AgentLinked(address,uint256,uint64)",
    "CapabilityAdded(address,string,uint256,uint256,uint256)",
    "CapabilityUpdated(address,uint256,bool)",
    "ServiceRegistered(address,uint256,string,string,uint256,uint256)",
    "ServiceDeactivated(address,uint256)",
    "ServiceReactivated(address,uint256)",
];
/// After which all are read again, whatever events say.
const LIFE: Duration = Duration::from_secs(3600);

/// Providers as they were read.
pub(super) struct Known {
    chain_id: u64,
    contracts: Vec<[u8; 20]>,
    providers: HashMap<[u8; 20], Provider>,
    /// Up to where events were read; none: from now on.
    cursor: Option<Cursor>,
    since: Instant,
}

impl Known {
    /// Nobody yet, of a registry and a list of services.
    pub(super) fn new(chain_id: u64, registry: [u8; 20], serving: Option<[u8; 20]>) -> Self {
        Self {
            chain_id,
            contracts: [registry].into_iter().chain(serving).collect(),
            providers: HashMap::new(),
            cursor: None,
            since: Instant::now(),
        }
    }

    /// Forgets whom events named since; everybody, where that can't be known. The finalised block as of which this is so.
    ///
    /// # Errors
    /// Where the chain can't be read.
    pub(super) async fn catch_up(&mut self, chain: &ChainReader) -> Result<Block, ReadError> {
        if self.since.elapsed() < LIFE
            && let Some(cursor) = self.cursor.take()
            && let Ok(block) = self.follow(chain, cursor).await
        {
            return Ok(block);
        }
        self.providers.clear();
        self.since = Instant::now();
        let block = chain.finalized_block().await?.block;
        // Before anybody is read: what happens meanwhile comes as an event.
        let reader = EventReader::new(chain, self.chain_id, self.filter()?);
        self.cursor = reader.start_after(block.number).await.ok();
        Ok(block)
    }

    pub(super) fn get(&self, account: &[u8; 20]) -> Option<&Provider> {
        self.providers.get(account)
    }

    /// Keeps these, and nobody else.
    pub(super) fn replace(&mut self, providers: &[Provider]) {
        let kept = providers.iter().cloned();
        self.providers = kept.map(|provider| (provider.record.account, provider)).collect();
    }

    async fn follow(&mut self, chain: &ChainReader, mut cursor: Cursor) -> Result<Block, EventError> {
        let mut reader = EventReader::new(chain, self.chain_id, self.filter()?);
        loop {
            let page = reader.next(&cursor).await?;
            let named: BTreeSet<_> = page
                .events
                .iter()
                .filter_map(|event| event.topics.get(1))
                .collect();
            self.providers
                .retain(|account, _| !named.contains(&topic(account)));
            let (is_last, block) = (page.is_last(), page.head.block);
            cursor = page.cursor;
            if is_last {
                self.cursor = Some(cursor);
                return Ok(block);
            }
        }
    }

    fn filter(&self) -> Result<Filter, ReadError> {
        let events = EVENTS.map(|event| keccak(&[event.as_bytes()]));
        Filter::new(self.contracts.clone(), vec![events.to_vec()]).map_err(|_| ReadError::BlockNotFound)
    }
}

/// An account as events have it.
fn topic(account: &[u8; 20]) -> [u8; 32] {
    let mut topic = [0; 32];
    topic[12..].copy_from_slice(account);
    topic
}
