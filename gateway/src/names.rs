//! From a server name to addresses, and which addresses may be dialled at all.
//!
//! A name is a host of an active provider's endpoint, or `0x`'s forty digits of a provider's account below one of the
//! gateway's own domains, for providers whose endpoint is an address, which no server name can be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeju_shim_protocol::public::is_public;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::health::Health;
use crate::index::{Endpoint, Index, is_host};
use crate::passthrough::Directory;

/// How long an answer of the resolver is used.
const KEPT: Duration = Duration::from_secs(30);
/// Names that are remembered at a time.
const MAX_KEPT: usize = 10_000;
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 4;
/// Providers of one host that are tried: anybody can write another's host on chain.
const MAX_OF_HOST: usize = 4;

/// Which port of a node a listener leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The one that the endpoint names.
    Node,
    /// Another one of the same host: 4010 for signers, 4020 for workers.
    Port(u16),
}

/// Looks hosts up that stand on chain. Anybody can write any host there, the gateway's own network included: only public
/// addresses come out, unless the chain is a development chain.
pub struct Resolver {
    private: bool,
    kept: Mutex<HashMap<String, (Vec<IpAddr>, Instant)>>,
}

/// Names of providers, for one service.
pub struct Names {
    index: Arc<Index>,
    health: Arc<Health>,
    resolver: Arc<Resolver>,
    service: Service,
    /// The gateway's own domains.
    domains: Vec<String>,
}

impl Names {
    /// Of the providers in `index`, those that were well at their last check first.
    pub fn new(
        index: Arc<Index>,
        health: Arc<Health>,
        resolver: Arc<Resolver>,
        service: Service,
        domains: Vec<String>,
    ) -> Self {
        Self {
            index,
            health,
            resolver,
            service,
            domains,
        }
    }

    /// Where the providers of a name are; the oldest first among those that are equally well, so that nobody takes a name
    /// over by registering it once more.
    fn endpoints(&self, name: &str) -> Vec<Endpoint> {
        let snapshot = self.index.now();
        let mut at_host: Vec<_> = snapshot.at_host(name).collect();
        if at_host.is_empty() {
            let own = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
            let account = self.domains.iter().find_map(own).and_then(parse_label);
            let provider = account.and_then(|account| snapshot.provider(&account));
            at_host.extend(provider.filter(|provider| provider.record.active));
        }
        at_host.sort_by_key(|provider| {
            let reading = self.health.of(&provider.record.account);
            let is_ill = reading.is_some_and(|reading| !reading.healthy);
            (is_ill, provider.record.registered_at, provider.record.account)
        });
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for endpoint in at_host
            .into_iter()
            .filter_map(|provider| provider.endpoint.clone())
        {
            if !endpoints.contains(&endpoint) && endpoints.len() < MAX_OF_HOST {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }
}

impl Resolver {
    /// With `private`, addresses of private networks are let through as well.
    pub fn new(private: bool) -> Self {
        Self {
            private,
            kept: Mutex::default(),
        }
    }

    /// Addresses of a host, a name or an address, that may be dialled.
    pub async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.allowed(vec![address]);
        }
        if !is_host(host) {
            return Vec::new();
        }
        if let Some(kept) = self.kept(host) {
            return kept;
        }
        let found = match timeout(LOOKUP, lookup_host((host, 0))).await {
            Ok(Ok(found)) => self.allowed(found.map(|address| address.ip()).collect()),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (_, at)| at.elapsed() < KEPT);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(host.to_owned(), (found.clone(), Instant::now()));
        }
        found
    }

    fn kept(&self, host: &str) -> Option<Vec<IpAddr>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (addresses, at) = kept.get(host)?;
        (at.elapsed() < KEPT).then(|| addresses.clone())
    }

    fn allowed(&self, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        addresses.retain(|address| self.private || is_public(*address));
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }
}

impl Directory for Names {
    async fn find(&self, name: &str) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for endpoint in self.endpoints(name) {
            let port = match self.service {
                Service::Node => endpoint.port,
                Service::Port(port) => port,
            };
            let addresses = self.resolver.addresses(&endpoint.host).await;
            for address in addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, port))
            {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        found
    }
}

/// Forty digits of an account.
fn parse_label(label: &str) -> Option<[u8; 20]> {
    let mut account = [0; 20];
    hex::decode_to_slice(label, &mut account).ok()?;
    Some(account)
}
