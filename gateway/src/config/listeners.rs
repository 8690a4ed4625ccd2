//! Where a gateway listens for users of rentals, how it looks after providers, and where it keeps what it knows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::ServiceName;
use crate::tcp_route::MAX_PORTS;

/// A listener of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What of a provider it leads to.
    pub service: ServiceName,
    /// Most connections at a time.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

/// The SSH proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Most connections at a time.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

/// The listener of HTTP routes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRoute {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Domain below which a route's id is a host name, in lower case.
    pub domain: String,
    /// Most connections at a time.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Whether a web server in front writes `X-Forwarded-For` and `X-Forwarded-Proto`, which containers are told then.
    #[serde(default)]
    pub forwarded: bool,
    /// Seconds that a container has for an answer's head.
    #[serde(default = "default_answer")]
    pub answer_seconds: u64,
}

/// The listeners of TCP routes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpRoute {
    /// On which address.
    #[serde(default = "default_address")]
    pub address: IpAddr,
    /// First and last port: a port for each route.
    pub ports: [u16; 2],
    /// Most connections at a time, on all ports together.
    #[serde(default = "default_connections")]
    pub connections: usize,
}

/// Checks of providers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthChecks {
    /// Whether there are any.
    pub enabled: bool,
    /// Seconds between two rounds.
    pub interval_seconds: u64,
    /// Seconds for each check.
    pub timeout_seconds: u64,
    /// Checks at a time.
    pub at_once: usize,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_seconds: 30,
            timeout_seconds: 5,
            at_once: 64,
        }
    }
}

impl TcpRoute {
    /// The ports; none where the first comes after the last, there are too many of them, or zero is one.
    pub fn range(&self) -> Option<RangeInclusive<u16>> {
        let [first, last] = self.ports;
        let count = usize::from(last.checked_sub(first)?) + 1;
        (first > 0 && count <= MAX_PORTS).then_some(first..=last)
    }
}

/// A value that a listener can't have: the path of its field, and what it held.
pub(super) fn wrong(config: &super::Config) -> Option<(&'static str, String)> {
    let connections = [
        ("ssh.connections", config.ssh.as_ref().map(|ssh| ssh.connections)),
        (
            "http_route.connections",
            config.http_route.as_ref().map(|http| http.connections),
        ),
        (
            "tcp_route.connections",
            config.tcp_route.as_ref().map(|tcp| tcp.connections),
        ),
        ("connections_per_address", Some(config.connections_per_address)),
    ];
    let of_tls = config
        .tls
        .iter()
        .map(|tls| ("tls.connections", Some(tls.connections)));
    let is_wrong = |count: usize| !(1..=1_000_000).contains(&count);
    let health = &config.health;
    let mut found = connections
        .into_iter()
        .chain(of_tls)
        .filter_map(|(field, count)| Some((field, count.filter(|count| is_wrong(*count))?.to_string())));
    found.next().or_else(|| {
        let range = config.tcp_route.as_ref().filter(|tcp| tcp.range().is_none());
        let domain = config.http_route.as_ref().map(|http| &http.domain);
        let answer = config.http_route.as_ref().map_or(1, |http| http.answer_seconds);
        let times = [
            ("http_route.answer_seconds", answer, 3600),
            ("health.interval_seconds", health.interval_seconds, 3600),
            ("health.timeout_seconds", health.timeout_seconds, 60),
            ("health.at_once", health.at_once as u64, 1024),
        ];
        let time = times
            .into_iter()
            .find(|(_, value, most)| !(1..=*most).contains(value));
        range
            .map(|tcp| ("tcp_route.ports", format!("{:?}", tcp.ports)))
            .or_else(|| {
                let domain = domain.filter(|domain| !super::is_domain(domain))?;
                Some(("http_route.domain", domain.clone()))
            })
            .or_else(|| time.map(|(field, value, _)| (field, value.to_string())))
    })
}

pub(super) fn default_per_address() -> usize {
    256
}

fn default_connections() -> usize {
    10_000
}

fn default_answer() -> u64 {
    60
}

fn default_address() -> IpAddr {
    Ipv4Addr::UNSPECIFIED.into()
}
