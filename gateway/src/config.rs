//! The configuration file.

use std::net::SocketAddr;

use serde::Deserialize;
use thiserror::Error;

use crate::names::Service;

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
    /// Domains below which providers' accounts are names, in lower case.
    #[serde(default)]
    pub domains: Vec<String>,
    /// The chain.
    pub chain: Chain,
    /// Where TLS is passed through.
    #[serde(default)]
    pub tls: Vec<Tls>,
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
    /// Seconds between two looks.
    #[serde(default = "default_interval")]
    pub interval_seconds: u64,
    /// A local development chain: plain `http`, no finality, providers in private networks.
    #[serde(default)]
    pub development: bool,
}

/// One listener.
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
        let is_domain = |domain: &str| {
            domain
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.is_empty()
        };
        if let Some(domain) = config.domains.iter().find(|domain| !is_domain(domain)) {
            return invalid("domains", domain);
        }
        match config
            .tls
            .iter()
            .find(|tls| !(1..=1_000_000).contains(&tls.connections))
        {
            Some(tls) => invalid("tls.connections", &tls.connections),
            None => Ok(config),
        }
    }
}

impl Chain {
    /// The registry's address; some in every configuration that was read.
    pub fn registry(&self) -> Option<[u8; 20]> {
        let mut address = [0; 20];
        hex::decode_to_slice(self.compute_registry.strip_prefix("0x")?, &mut address).ok()?;
        Some(address)
    }
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

fn default_connections() -> usize {
    10_000
}

fn one() -> usize {
    1
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
"#;

    #[test]
    fn reads_what_a_gateway_is_told() {
        let config = Config::parse(CONFIG).unwrap();
        assert_eq!(config.http.port(), 4009);
        assert_eq!(config.chain.registry(), Some([1; 20]));
        assert_eq!(config.tls[1].service.service(), Service::Port(4020));
        assert!(!config.chain.development);
    }

    #[test]
    fn refuses_what_means_nothing() {
        for (from, to, field) in [
            ("0x0101", "0101", "chain.compute_registry"),
            ("id = 1", "id = 1\ninterval_seconds = 0", "chain.interval_seconds"),
            ("gw.example", ".example", "domains"),
            ("gw.example", "GW.example", "domains"),
            ("\"node\"", "\"node\"\nconnections = 0", "tls.connections"),
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
