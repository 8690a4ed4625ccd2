//! What the API answers from.

use std::sync::Arc;

use jeju_chain::ChainReader;

use crate::config::{Config, RequestLimits, address};
use crate::health::Health;
use crate::index::Index;
use crate::inside::Inside;
use crate::limits::Rate;
use crate::passthrough::Counters;
use crate::routes::{Routes, Ways};

/// Who the gateway says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Display name.
    pub name: String,
    /// Where clients reach the API, without a slash at the end.
    pub url: Option<String>,
    /// Port of this API.
    pub port: u16,
    /// Domains below which providers' accounts are server names.
    pub domains: Vec<String>,
    /// The agent that somebody registered for it.
    pub agent_id: Option<u64>,
    /// Chain id.
    pub chain_id: u64,
    /// Where the contracts are.
    pub contracts: Contracts,
}

/// Addresses of contracts. What has none isn't answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contracts {
    /// `ComputeRegistry`.
    pub compute_registry: [u8; 20],
    /// `ComputeRental`.
    pub compute_rental: Option<[u8; 20]>,
    /// `IdentityRegistry`.
    pub identity_registry: Option<[u8; 20]>,
    /// `ReputationRegistry`.
    pub reputation_registry: Option<[u8; 20]>,
}

/// How often somebody may ask what costs the gateway something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Each wallet.
    pub wallet: Rate,
    /// Each address, for what reads the chain or carries a signature.
    pub address: Rate,
    /// Each address, for what is answered from memory.
    pub reads: Rate,
    /// Whether a web server in front writes `X-Forwarded-For`, whose last address then counts.
    pub forwarded: bool,
}

/// What the API answers from.
pub struct Parts {
    /// Who the gateway is.
    pub info: Info,
    /// Providers.
    pub index: Arc<Index>,
    /// Which of them answer.
    pub health: Arc<Health>,
    /// Of each listener.
    pub counters: Vec<Arc<Counters>>,
    /// Reads rentals.
    pub chain: Arc<ChainReader>,
    /// Ways to rentals.
    pub routes: Arc<Routes>,
    /// Where those begin.
    pub ways: Ways,
    /// Those into containers, where there are any.
    pub inside: Option<Arc<Inside>>,
    /// How often somebody may ask.
    pub rates: Rates,
}

impl Info {
    /// As a configuration says it, for an API on `port`.
    pub fn new(config: &Config, port: u16, compute_registry: [u8; 20]) -> Self {
        let chain = &config.chain;
        let contract = |text: &Option<String>| text.as_deref().and_then(address);
        Self {
            name: config.name.clone(),
            url: config.public_url.clone(),
            port,
            domains: config.domains.clone(),
            agent_id: config.agent_id,
            chain_id: chain.id,
            contracts: Contracts {
                compute_registry,
                compute_rental: contract(&chain.compute_rental),
                identity_registry: contract(&chain.identity_registry),
                reputation_registry: contract(&chain.reputation_registry),
            },
        }
    }
}

impl Rates {
    /// As a configuration says it: a minute's requests may come at once.
    pub fn new(limits: &RequestLimits) -> Self {
        let rate = |per_minute| Rate {
            per_minute,
            burst: per_minute,
        };
        Self {
            wallet: rate(limits.wallet_per_minute),
            address: rate(limits.address_per_minute),
            reads: rate(limits.reads_per_minute),
            forwarded: limits.forwarded,
        }
    }
}
