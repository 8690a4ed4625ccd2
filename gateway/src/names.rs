//! From a server name to addresses.
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

use crate::index::{Endpoint, Index};
use crate::passthrough::Directory;

/// How long an answer of the resolver is used.
const KEPT: Duration = Duration::from_secs(30);
/// Names that are remembered at a time.
const MAX_KEPT: usize = 10_000;
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Which port of a node a listener leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The one that the endpoint names.
    Node,
    /// Another one of the same host: 4010 for signers, 4020 for workers.
    Port(u16),
}

/// Names of providers, for one service.
pub struct Names {
    index: Arc<Index>,
    service: Service,
    /// The gateway's own domains.
    domains: Vec<String>,
    /// Whether endpoints may be in private networks: on a development chain.
    private: bool,
    kept: Mutex<HashMap<String, (Vec<IpAddr>, Instant)>>,
}

impl Names {
    /// Of the providers in `index`.
    pub fn new(index: Arc<Index>, service: Service, domains: Vec<String>, private: bool) -> Self {
        Self {
            index,
            service,
            domains,
            private,
            kept: Mutex::default(),
        }
    }

    fn endpoint(&self, name: &str) -> Option<Endpoint> {
        let snapshot = self.index.now();
        if let Some(provider) = snapshot.at_host(name).next() {
            return provider.endpoint.clone();
        }
        let own = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
        let label = self.domains.iter().find_map(own)?;
        let mut account = [0; 20];
        hex::decode_to_slice(label, &mut account).ok()?;
        let provider = snapshot
            .provider(&account)
            .filter(|provider| provider.record.active)?;
        provider.endpoint.clone()
    }

    /// Addresses of a host that may be dialled: anybody can write any host on chain, the gateway's own network included.
    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.allowed(vec![address]);
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
        let Some(endpoint) = self.endpoint(name) else {
            return Vec::new();
        };
        let port = match self.service {
            Service::Node => endpoint.port,
            Service::Port(port) => port,
        };
        let addresses = self.addresses(&endpoint.host).await;
        addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect()
    }
}
