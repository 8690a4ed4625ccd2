//! Appraisal policy: what a relying party accepts. There is no accept-all, and no way to write one: each reference
//! value that is absent is a refusal.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::measurement::MeasurementId;
use crate::tee::Tee;

/// Longest policy document, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

/// Chain ids of local development chains; development policies are refused for all others.
const LOCAL_CHAINS: [u64; 2] = [1337, 31337];

/// Why a policy document is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Longer than [`MAX_LEN`].
    #[error("policy of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// Not the TOML of the format.
    #[error("policy: {0}")]
    Toml(String),
    /// Another version.
    #[error("policy version {0} is not known, this software reads version 1")]
    Version(u32),
    /// A development policy, but development wasn't asked for.
    #[error("this is a development policy; it is read only with --development")]
    Development,
    /// A production policy that names simulated silicon.
    #[error("a production policy can't accept simulated evidence")]
    SimulatedInProduction,
    /// A development policy for a chain that others use.
    #[error("a development policy is refused for chain {0}, which is not a local one")]
    DevelopmentChain(u64),
    /// Simulated evidence is accepted, but no root is named.
    #[error("policy accepts simulated evidence but names no development root")]
    NoSimulatedRoot,
    /// Nothing is accepted.
    #[error("policy names no {0}")]
    Nothing(&'static str),
    /// A value without meaning.
    #[error("policy: {0} is invalid")]
    Value(&'static str),
}

/// What kind of trust a policy expresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Silicon vendors' roots only.
    Production,
    /// Also simulated silicon, on a local chain, with every verdict marked.
    Development,
}

/// A parsed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Format version, 1.
    pub version: u32,
    /// Kind of trust.
    pub kind: Kind,
    /// Platforms whose evidence is accepted.
    pub tees: Vec<Tee>,
    /// Agents that are accepted.
    #[serde(default)]
    pub agents: Vec<HexBytes<32>>,
    /// Accept any agent: the user doesn't mind which provider answers.
    #[serde(default)]
    pub any_agent: bool,
    /// Platform identities that are accepted; empty: any, and the verdict says which it was.
    #[serde(default)]
    pub platforms: Vec<HexBytes<32>>,
    /// Reference values pinned here; where empty, the registry is asked.
    #[serde(default)]
    pub measurements: Vec<HexBytes<32>>,
    /// Greatest age of the anchor block, in seconds.
    #[serde(default = "default_max_age")]
    pub max_age_seconds: u64,
    /// Whether a fresh quote bound to the connection is needed before anything else is sent.
    #[serde(default = "yes")]
    pub require_channel: bool,
    /// The chain and registry that the node must read.
    pub registry: Registry,
    /// Roots of simulated silicon; development only.
    #[serde(default)]
    pub simulated: Option<Simulated>,
    /// Rules on the launch document.
    #[serde(default)]
    pub launch: LaunchRules,
}

/// A measurement registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Chain id.
    pub chain_id: u64,
    /// Contract address.
    pub address: HexBytes<20>,
    /// JSON-RPC endpoints to ask, never the provider's own or the gateway's.
    #[serde(default)]
    pub rpc: Vec<String>,
    /// How many of them must agree.
    #[serde(default = "one")]
    pub quorum: usize,
}

/// Trust in simulated silicon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// Public keys of development roots: uncompressed P-256 points.
    pub roots: Vec<HexBytes<65>>,
}

/// Rules on the launch document: a capability without a rule is a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaunchRules {
    /// Services that may be switched on.
    pub services: Vec<String>,
    /// Egress entries that may be there.
    pub egress: Vec<String>,
    /// Model digests that may be served; empty where inference isn't used.
    pub models: Vec<HexBytes<32>>,
    /// Whether operational logs may go to the host.
    pub log_sink: bool,
    /// Whether a platform that can't bind the launch document in silicon is accepted.
    pub not_settable: bool,
}

impl Policy {
    /// Reads a policy. `development` is the user's own word that a development policy is wanted.
    pub fn parse(text: &str, development: bool) -> Result<Self, PolicyError> {
        if text.len() > MAX_LEN {
            return Err(PolicyError::TooLong(text.len()));
        }
        let policy: Self = toml::from_str(text).map_err(|error| PolicyError::Toml(error.to_string()))?;
        policy.check(development)?;
        Ok(policy)
    }

    /// Whether the measurement is pinned in this policy.
    pub fn pins(&self, id: &MeasurementId) -> bool {
        self.measurements.iter().any(|pinned| pinned.0 == id.0)
    }

    /// Roots of simulated silicon; none in a production policy.
    pub fn simulated_roots(&self) -> &[HexBytes<65>] {
        match (&self.simulated, self.kind) {
            (Some(simulated), Kind::Development) => &simulated.roots,
            _ => &[],
        }
    }

    fn check(&self, development: bool) -> Result<(), PolicyError> {
        if self.version != 1 {
            return Err(PolicyError::Version(self.version));
        }
        let simulated = self.tees.contains(&Tee::Simulated);
        match self.kind {
            Kind::Production if simulated || self.simulated.is_some() => {
                return Err(PolicyError::SimulatedInProduction);
            }
            Kind::Production => {}
            Kind::Development if !development => return Err(PolicyError::Development),
            Kind::Development if !LOCAL_CHAINS.contains(&self.registry.chain_id) => {
                return Err(PolicyError::DevelopmentChain(self.registry.chain_id));
            }
            Kind::Development if simulated && self.simulated_roots().is_empty() => {
                return Err(PolicyError::NoSimulatedRoot);
            }
            Kind::Development => {}
        }
        if self.tees.is_empty() {
            return Err(PolicyError::Nothing("platform (tees)"));
        }
        if self.agents.is_empty() && !self.any_agent {
            return Err(PolicyError::Nothing("agent (agents, or any_agent = true)"));
        }
        if self.measurements.is_empty() && self.registry.rpc.is_empty() {
            return Err(PolicyError::Nothing(
                "reference value (measurements, or registry.rpc)",
            ));
        }
        if self.measurements.iter().any(|id| is_zero(&id.0)) {
            return Err(PolicyError::Value("measurements"));
        }
        if !self.registry.rpc.is_empty() && !(1..=self.registry.rpc.len()).contains(&self.registry.quorum) {
            return Err(PolicyError::Value("registry.quorum"));
        }
        Ok(())
    }
}

fn default_max_age() -> u64 {
    1800
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        format!(
            r#"
version = 1
kind = "development"
tees = ["simulated"]
agents = ["0x{agent}"]
measurements = ["0x{id}"]
[registry]
chain_id = 31337
address = "0x{registry}"
[simulated]
roots = ["0x{root}"]
[launch]
services = ["inference"]
"#,
            agent = "08".repeat(32),
            id = "01".repeat(32),
            registry = "09".repeat(20),
            root = "04".repeat(65),
        )
    }

    #[test]
    fn reads_a_policy() {
        let policy = Policy::parse(&text(), true).unwrap();
        assert_eq!(policy.max_age_seconds, 1800);
        assert!(policy.require_channel);
        assert!(policy.pins(&MeasurementId([1; 32])));
        assert_eq!(policy.simulated_roots().len(), 1);
    }

    #[test]
    fn refusals() {
        let with = |from: &str, to: &str| {
            assert!(text().contains(from), "{from}");
            Policy::parse(&text().replacen(from, to, 1), true).unwrap_err()
        };
        assert_eq!(Policy::parse(&text(), false), Err(PolicyError::Development));
        assert_eq!(with("version = 1", "version = 3"), PolicyError::Version(3));
        assert_eq!(
            with("\"development\"", "\"production\""),
            PolicyError::SimulatedInProduction
        );
        assert_eq!(with("31337", "1"), PolicyError::DevelopmentChain(1));
        assert_eq!(
            with("tees = [\"simulated\"]", "tees = []"),
            PolicyError::Nothing("platform (tees)")
        );
        assert!(matches!(with("agents =", "platforms ="), PolicyError::Nothing(_)));
        assert!(matches!(
            with("measurements =", "platforms ="),
            PolicyError::Nothing(_)
        ));
        assert!(matches!(with("services", "everything"), PolicyError::Toml(_)));
        assert!(matches!(with("\"simulated\"", "\"any\""), PolicyError::Toml(_)));
        assert_eq!(
            with(&format!("\"0x{}\"", "04".repeat(65)), ""),
            PolicyError::NoSimulatedRoot
        );
        assert_eq!(
            with(&"01".repeat(32), &"00".repeat(32)),
            PolicyError::Value("measurements")
        );
        assert_eq!(
            with("chain_id", "rpc = [\"http://127.0.0.1:1\"]\nquorum = 2\nchain_id"),
            PolicyError::Value("registry.quorum")
        );
        assert!(matches!(
            Policy::parse(&" ".repeat(MAX_LEN + 1), true),
            Err(PolicyError::TooLong(_))
        ));
    }
}
