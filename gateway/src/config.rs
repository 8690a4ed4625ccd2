//! The configuration file.

mod listeners;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use crate::index::Endpoint;
use crate::names::Service;

pub use listeners::{HealthChecks, HttpRoute, Ssh, TcpRoute, Tls};

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Not the TOML of the format.
    #[error("configuration: {0}")]
    Toml(#[from] toml::de::Error),
    /// A field whose value means nothing.
    #[error("configuration: {field} has the invalid value {value:?}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// What it held.
        value: String,
    },
}

/// What a gateway is told. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Display name.
    #[serde(default = "default_name")]
    pub name: String,
    /// Where the HTTP API listens.
    #[serde(default = "default_http")]
    pub http: SocketAddr,
    /// Where clients reach the API: `https://` and a host, or `http` on a development chain.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Id of the agent that somebody registered for the gateway.
    #[serde(default)]
    pub agent_id: Option<u64>,
    /// Domains below which providers' accounts are names, in lower case.
    #[serde(default)]
    pub domains: Vec<String>,
    /// How often somebody may ask.
    #[serde(default)]
    pub limits: RequestLimits,
    /// The chain.
    pub chain: Chain,
    /// Where TLS is passed through.
    #[serde(default)]
    pub tls: Vec<Tls>,
    /// The SSH proxy, where there is one.
    pub ssh: Option<Ssh>,
    /// The listener of HTTP routes, where there is one.
    pub http_route: Option<HttpRoute>,
    /// The listeners of TCP routes, where there are any.
    pub tcp_route: Option<TcpRoute>,
    /// Checks of providers.
    #[serde(default)]
    pub health: HealthChecks,
    /// Most connections of one address at a time, on all listeners but the API's together.
    #[serde(default = "listeners::default_per_address")]
    pub connections_per_address: usize,
    /// Folder of the index, of routes and of the gateway's SSH keys, so that they outlive a restart. It is made where it isn't there.
    pub state: Option<PathBuf>,
}

/// The chain, and where the providers are on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Chain id.
    pub id: u64,
    /// JSON-RPC endpoints.
    pub rpc: Vec<String>,
    /// How many of them must agree.
    #[serde(default = "one")]
    pub quorum: usize,
    /// `ComputeRegistry`, as `0x` and 40 digits.
    pub compute_registry: String,
    /// `ComputeRental`; without it, nothing about rentals is answered.
    #[serde(default)]
    pub compute_rental: Option<String>,
    /// `IdentityRegistry`.
    #[serde(default)]
    pub identity_registry: Option<String>,
    /// `ReputationRegistry`.
    #[serde(default)]
    pub reputation_registry: Option<String>,
    /// Seconds between two looks.
    #[serde(default = "default_interval")]
    pub interval_seconds: u64,
    /// A local development chain: plain `http`, no finality, providers in private networks.
    #[serde(default)]
    pub development: bool,
}

/// How often somebody may ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Requests of a wallet in a minute; as many at once.
    pub wallet_per_minute: u32,
    /// Requests of an IPv4 address, or of an IPv6 network of 64 bits, in a minute; as many at once.
    pub address_per_minute: u32,
    /// The same for what is answered from memory: lists, models, cards.
    pub reads_per_minute: u32,
    /// Whether the web server in front writes `X-Forwarded-For`, whose last address counts then.
    pub forwarded: bool,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            wallet_per_minute: 60,
            address_per_minute: 300,
            reads_per_minute: 1200,
            forwarded: false,
        }
    }
}

/// What of a provider a listener leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceName {
    /// The port that its endpoint names.
    Node,
    /// 4010.
    Mpc,
    /// 4020.
    Workers,
}

impl ServiceName {
    /// The port.
    pub const fn service(self) -> Service {
        match self {
            ServiceName::Node => Service::Node,
            ServiceName::Mpc => Service::Port(4010),
            ServiceName::Workers => Service::Port(4020),
        }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        let invalid = |field, value: &dyn ToString| {
            Err(ConfigError::Value {
                field,
                value: value.to_string(),
            })
        };
        if config.chain.registry().is_none() {
            return invalid("chain.compute_registry", &config.chain.compute_registry);
        }
        if !(1..=3600).contains(&config.chain.interval_seconds) {
            return invalid("chain.interval_seconds", &config.chain.interval_seconds);
        }
        if let Some(domain) = config.domains.iter().find(|domain| !is_domain(domain)) {
            return invalid("domains", domain);
        }
        for (field, contract) in [
            ("chain.compute_rental", &config.chain.compute_rental),
            ("chain.identity_registry", &config.chain.identity_registry),
            ("chain.reputation_registry", &config.chain.reputation_registry),
        ] {
            if let Some(contract) = contract.as_ref().filter(|text| address(text).is_none()) {
                return invalid(field, contract);
            }
        }
        if let Some(url) = &config.public_url
            && config.url_host().is_none()
        {
            return invalid("public_url", url);
        }
        for (field, rate) in [
            ("limits.wallet_per_minute", config.limits.wallet_per_minute),
            ("limits.address_per_minute", config.limits.address_per_minute),
            ("limits.reads_per_minute", config.limits.reads_per_minute),
        ] {
            if !(1..=1_000_000).contains(&rate) {
                return invalid(field, &rate);
            }
        }
        match listeners::wrong(&config) {
            Some((field, value)) => invalid(field, &value),
            None => Ok(config),
        }
    }
}

impl Config {
    /// Name or address by which clients reach the gateway: that of `public_url`, else the first domain, else where the API
    /// listens.
    pub fn public_host(&self) -> String {
        self.url_host()
            .or_else(|| self.domains.first().cloned())
            .unwrap_or_else(|| self.http.ip().to_string())
    }

    /// None where the URL isn't one that clients can use.
    fn url_host(&self) -> Option<String> {
        let url = self.public_url.as_deref()?;
        let rest = match url.strip_prefix("http://") {
            Some(rest) => self.chain.development.then_some(rest)?,
            None => url.strip_prefix("https://")?,
        };
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte);
        if rest.ends_with('/') || !rest.bytes().all(plain) {
            return None;
        }
        Endpoint::parse(&format!("https://{rest}")).map(|endpoint| endpoint.host)
    }
}

impl Chain {
    /// The registry's address; some in every configuration that was read.
    pub fn registry(&self) -> Option<[u8; 20]> {
        address(&self.compute_registry)
    }
}

/// An address as `0x` and 40 digits.
pub fn address(text: &str) -> Option<[u8; 20]> {
    let mut address = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut address).ok()?;
    Some(address)
}

fn default_name() -> String {
    "Jeju Compute Gateway".to_owned()
}

fn default_http() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4009))
}

fn default_interval() -> u64 {
    15
}

fn one() -> usize {
    1
}

fn is_domain(domain: &str) -> bool {
    domain
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
domains = ["gw.example"]
[chain]
id = 1
rpc = ["https://rpc.example"]
compute_registry = "0x0101010101010101010101010101010101010101"
[[tls]]
listen = "0.0.0.0:4007"
service = "node"
[[tls]]
listen = "[::]:4020"
service = "workers"
[ssh]
listen = "0.0.0.0:4022"
[http_route]
listen = "0.0.0.0:4008"
domain = "routes.example"
[tcp_route]
ports = [30000, 30099]
[health]
at_once = 8
"#;

    #[test]
    fn reads_what_a_gateway_is_told() {
        let config = Config::parse(CONFIG).unwrap();
        assert_eq!(config.http.port(), 4009);
        assert_eq!(config.chain.registry(), Some([1; 20]));
        assert_eq!(config.tls[1].service.service(), Service::Port(4020));
        assert!(!config.chain.development && config.state.is_none());
        assert_eq!(config.tcp_route.as_ref().unwrap().range(), Some(30_000..=30_099));
        assert_eq!((config.health.interval_seconds, config.health.at_once), (30, 8));
        assert_eq!(config.public_host(), "gw.example");
        assert_eq!(config.limits, RequestLimits::default());
    }

    #[test]
    fn a_gateway_says_where_it_is_reached() {
        let host = |url: &str, development: bool| {
            let text = format!("public_url = {url:?}\n{CONFIG}");
            let text = text.replace("id = 1", &format!("id = 1\ndevelopment = {development}"));
            Config::parse(&text).map(|config| config.public_host())
        };
        assert_eq!(
            host("https://API.gw.example:8443/jeju", false).unwrap(),
            "api.gw.example"
        );
        assert_eq!(host("http://127.0.0.1:4009", true).unwrap(), "127.0.0.1");
        for url in [
            "http://gw.example",
            "https://gw.example/",
            "https://",
            "https://a b",
            "https://user@gw.example",
            "https://gw.example?x",
            "gw.example",
        ] {
            let refused = host(url, false).unwrap_err();
            assert!(
                matches!(
                    refused,
                    ConfigError::Value {
                        field: "public_url",
                        ..
                    }
                ),
                "{url}"
            );
        }
    }

    #[test]
    fn the_configuration_beside_the_unit_is_one() {
        let config = Config::parse(include_str!("../systemd/gateway.toml")).unwrap();
        assert!(config.ssh.is_some() && config.http_route.is_some() && config.tcp_route.is_some());
        let unit = include_str!("../systemd/jeju-gateway.service");
        let folder = config.state.unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(unit.contains(&format!("\nStateDirectory={name}\n")));
    }

    #[test]
    fn refuses_what_means_nothing() {
        for (from, to, field) in [
            ("0x0101", "0101", "chain.compute_registry"),
            ("id = 1", "id = 1\ninterval_seconds = 0", "chain.interval_seconds"),
            (
                "id = 1",
                "id = 1\ncompute_rental = \"0x01\"",
                "chain.compute_rental",
            ),
            (
                "id = 1",
                "id = 1\nidentity_registry = \"\"",
                "chain.identity_registry",
            ),
            (
                "id = 1",
                "id = 1\nreputation_registry = \"a\"",
                "chain.reputation_registry",
            ),
            (
                "[chain]",
                "[limits]\nwallet_per_minute = 0\n[chain]",
                "limits.wallet_per_minute",
            ),
            (
                "[chain]",
                "[limits]\naddress_per_minute = 0\n[chain]",
                "limits.address_per_minute",
            ),
            ("gw.example", ".example", "domains"),
            ("gw.example", "GW.example", "domains"),
            ("\"node\"", "\"node\"\nconnections = 0", "tls.connections"),
            (
                "domains",
                "connections_per_address = 0\ndomains",
                "connections_per_address",
            ),
            ("4022", "4022\"\nconnections = 0 #", "ssh.connections"),
            ("routes.example", "routes.example.", "http_route.domain"),
            (
                "routes.example\"",
                "routes.example\"\nanswer_seconds = 0",
                "http_route.answer_seconds",
            ),
            ("[30000, 30099]", "[30000, 31000]", "tcp_route.ports"),
            ("[30000, 30099]", "[30000, 29999]", "tcp_route.ports"),
            ("[30000, 30099]", "[0, 9]", "tcp_route.ports"),
            ("at_once = 8", "at_once = 0", "health.at_once"),
            ("at_once = 8", "interval_seconds = 0", "health.interval_seconds"),
            ("at_once = 8", "timeout_seconds = 61", "health.timeout_seconds"),
        ] {
            match Config::parse(&CONFIG.replacen(from, to, 1)) {
                Err(ConfigError::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{from} -> {to}: {other:?}"),
            }
        }
        for (from, to) in [
            ("service", "servise"),
            ("\"node\"", "\"ssh\""),
            ("0.0.0.0:4007", "4007"),
        ] {
            let text = CONFIG.replacen(from, to, 1);
            assert!(matches!(Config::parse(&text), Err(ConfigError::Toml(_))), "{to}");
        }
    }
}
