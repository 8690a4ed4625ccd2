//! Appraisal policy: what a relying party accepts. There is no accept-all, and no way to write one: each reference
//! value that is absent is a refusal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::appraisal::check_platform;
use crate::hardware::Hardware;
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;
use crate::launch::rentals::Isolation;
use crate::launch::upstreams::Confidentiality;
use crate::launch::workers::Reach;
use crate::measurement::MeasurementId;
use crate::reasons::shown;
use crate::rejection::Rejection;
use crate::roots::{AmdProduct, TestRoots, TrustAnchors};
use crate::tee::Tee;
use crate::toml_items::{self, MAX_ITEMS};
use crate::verdict::ReferenceMode;
use crate::x509::pem_certificates;
use crate::{nitro, nvidia, sev_snp, sgx, tdx};

/// Longest policy document, in bytes.
pub const MAX_LEN: usize = 128 * 1024;

/// Chain ids of local development chains; development policies are refused for all others.
const LOCAL_CHAINS: [u64; 2] = [1337, 31337];

/// Whether a chain is a local development chain, which begins anew whenever somebody wants.
pub fn is_local_chain(id: u64) -> bool {
    LOCAL_CHAINS.contains(&id)
}

/// Why a policy document is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Longer than [`MAX_LEN`].
    #[error("policy of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
    /// More keys, values and lines than any policy needs.
    #[error("policy may have more than {MAX_ITEMS} keys, values and lines")]
    TooManyItems,
    /// Not the TOML of the format.
    #[error("policy: {0}")]
    Toml(String),
    /// Not the JSON of the format.
    #[error("policy: {0}")]
    Json(String),
    /// Another version.
    #[error("policy version {0} is not known, this software reads version 1")]
    Version(u32),
    /// A development policy, but development wasn't asked for.
    #[error("this is a development policy; it is read only with --development")]
    Development,
    /// A production policy that names simulated silicon.
    #[error("a production policy can't accept simulated evidence")]
    SimulatedInProduction,
    /// A production policy that names test roots.
    #[error("a production policy can't trust test roots")]
    TestRootsInProduction,
    /// A test root that isn't a certificate of an authority.
    #[error("policy: test_roots.{0} is not the certificate of an authority in PEM")]
    TestRoot(&'static str),
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
    /// The chain and registry that the node must read. Without it the policy is for hardware evidence alone, and no
    /// node passes.
    #[serde(default)]
    pub registry: Option<Registry>,
    /// Roots of simulated silicon; development only.
    #[serde(default)]
    pub simulated: Option<Simulated>,
    /// Rules on the launch document.
    #[serde(default)]
    pub launch: LaunchRules,
    /// Rules on Intel TDX evidence; without them none is accepted, even if `tees` names it.
    #[serde(default)]
    pub tdx: Option<tdx::Rules>,
    /// Rules on Intel SGX evidence; without them none is accepted.
    #[serde(default)]
    pub sgx: Option<sgx::Rules>,
    /// Rules on AMD SEV-SNP evidence; without them none is accepted.
    #[serde(default, rename = "sev-snp")]
    pub sev_snp: Option<sev_snp::Rules>,
    /// Rules on AWS Nitro evidence; without them none is accepted.
    #[serde(default)]
    pub nitro: Option<nitro::Rules>,
    /// Rules on GPUs; without them a node with GPUs is refused.
    #[serde(default)]
    pub gpu: Option<nvidia::Rules>,
    /// Whether the log of a measured boot must be there and replay to the quoted registers.
    #[serde(default)]
    pub require_event_log: bool,
    /// Roots of synthetic silicon in the place of the vendors'; development only.
    #[serde(default)]
    pub test_roots: Option<TestRootCertificates>,
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
    /// Whether their answer is enough for a reference value, though it proves nothing. Development policies need no word
    /// for it.
    #[serde(default)]
    pub allow_rpc: bool,
    /// Account that signs snapshots of the registry (EIP-712). With it, reference values come from a snapshot that the
    /// verifier brings.
    #[serde(default)]
    pub governance: Option<HexBytes<20>>,
}

/// Trust in simulated silicon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// Public keys of development roots: uncompressed P-256 points.
    pub roots: Vec<HexBytes<65>>,
}

/// Roots of synthetic silicon, as PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestRootCertificates {
    /// Stands for Intel's.
    pub intel: Option<String>,
    /// Stand for AMD's, by product.
    pub amd: BTreeMap<AmdProduct, String>,
    /// Stands for AWS's.
    pub aws_nitro: Option<String>,
    /// Stands for NVIDIA's device root.
    pub nvidia_device: Option<String>,
    /// Stands for NVIDIA's root of reference integrity manifests.
    pub nvidia_rim: Option<String>,
}

/// Rules on the launch document: a capability without a rule is a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaunchRules {
    /// Services that may be switched on.
    pub services: Vec<String>,
    /// Egress entries that may be there.
    pub egress: Vec<String>,
    /// Chain profiles that the document may name.
    pub chain_profiles: Vec<String>,
    /// Model digests that may be served; empty where inference isn't used.
    pub models: Vec<HexBytes<32>>,
    /// Networks of signers that the node may be a member of, by genesis digest.
    pub mpc_networks: Vec<HexBytes<32>>,
    /// Where containers of rentals may run.
    pub rentals: Vec<Isolation>,
    /// Where workers may connect to.
    pub workers: Vec<Reach>,
    /// Who may be able to read prompts at the upstreams that the node passes them to.
    pub upstreams: Vec<Confidentiality>,
    /// Whether operational logs may go to the host.
    pub log_sink: bool,
    /// Whether a platform that can't bind the launch document in silicon is accepted.
    pub not_settable: bool,
}

impl Policy {
    /// Reads a policy, TOML or JSON. `development` is the user's own word that a development policy is wanted.
    pub fn parse(text: &str, development: bool) -> Result<Self, PolicyError> {
        if text.len() > MAX_LEN {
            return Err(PolicyError::TooLong(text.len()));
        }
        if toml_items::too_many(text) {
            return Err(PolicyError::TooManyItems);
        }
        let policy: Self = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| PolicyError::Json(shown(error)))?,
            false => toml_items::read(text).map_err(|error| PolicyError::Toml(shown(error)))?,
        };
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

    /// The roots that hardware evidence is verified against: test roots where a development policy names some, else
    /// the vendors'.
    pub fn trust_anchors(&self) -> Result<Cow<'static, TrustAnchors>, PolicyError> {
        match (&self.test_roots, self.kind) {
            (Some(roots), Kind::Development) => Ok(Cow::Owned(roots.anchors()?)),
            _ => Ok(Cow::Borrowed(TrustAnchors::vendors())),
        }
    }

    /// The registry that nodes must read.
    pub fn node_registry(&self) -> Result<&Registry, PolicyError> {
        self.registry
            .as_ref()
            .ok_or(PolicyError::Nothing("chain (registry), so it is not for nodes"))
    }

    /// Endpoints that agree prove nothing: only a policy that says so takes their word for a reference value.
    ///
    /// # Errors
    /// [`Rejection::ReferenceNotProved`].
    pub fn check_reference(&self, mode: ReferenceMode) -> Result<(), Rejection> {
        let allowed = self.registry.as_ref().is_some_and(|registry| registry.allow_rpc);
        match mode {
            ReferenceMode::Rpc { agree, of } if !allowed && self.kind != Kind::Development => {
                Err(Rejection::ReferenceNotProved { agree, of })
            }
            _ => Ok(()),
        }
    }

    /// A production policy trusts vendors' roots alone.
    pub(crate) fn check_roots(&self, anchors: &TrustAnchors) -> Result<(), Rejection> {
        match anchors.are_test_roots() && self.kind != Kind::Development {
            true => Err(Rejection::TestRoots),
            false => Ok(()),
        }
    }

    /// Simulated silicon speaks for whoever holds its root: the root must be this policy's own, whatever the verifier
    /// trusted, and a production policy has none.
    pub(crate) fn check_simulated(&self, hardware: &Hardware) -> Result<(), Rejection> {
        match hardware {
            Hardware::Simulated { root, .. } if !self.simulated_roots().contains(root) => {
                Err(Rejection::SimulatedRoot)
            }
            _ => Ok(()),
        }
    }

    /// Whether bare evidence is of an accepted platform, machine and measurement.
    pub(crate) fn check_hardware(&self, hardware: &Hardware) -> Result<(), Rejection> {
        check_platform(self, hardware.platform())?;
        let tee = Tee::from_name(hardware.name());
        if let Some(tee) = tee.filter(|tee| !self.tees.contains(tee)) {
            return Err(Rejection::TeeNotAccepted(tee));
        }
        match hardware.measurement() {
            Some(id) if !self.pins(&id) => Err(Rejection::MeasurementUnknown(id)),
            _ => Ok(()),
        }
    }

    fn check(&self, development: bool) -> Result<(), PolicyError> {
        if self.version != 1 {
            return Err(PolicyError::Version(self.version));
        }
        let simulated = self.tees.contains(&Tee::Simulated);
        let public_chain = self
            .registry
            .as_ref()
            .map(|registry| registry.chain_id)
            .filter(|id| !LOCAL_CHAINS.contains(id));
        match (self.kind, public_chain) {
            (Kind::Production, _) if simulated || self.simulated.is_some() => {
                return Err(PolicyError::SimulatedInProduction);
            }
            (Kind::Production, _) if self.test_roots.is_some() => {
                return Err(PolicyError::TestRootsInProduction);
            }
            (Kind::Production, _) => {}
            (Kind::Development, _) if !development => return Err(PolicyError::Development),
            (Kind::Development, Some(chain)) => return Err(PolicyError::DevelopmentChain(chain)),
            (Kind::Development, None) if simulated && self.simulated_roots().is_empty() => {
                return Err(PolicyError::NoSimulatedRoot);
            }
            (Kind::Development, None) => {}
        }
        self.trust_anchors()?;
        self.check_references()
    }

    /// What is accepted must be named: nothing here means everything.
    fn check_references(&self) -> Result<(), PolicyError> {
        if self.tees.is_empty() && self.sgx.is_none() && self.gpu.is_none() {
            return Err(PolicyError::Nothing("platform (tees)"));
        }
        if self.measurements.iter().any(|id| is_zero(&id.0)) {
            return Err(PolicyError::Value("measurements"));
        }
        let Some(registry) = &self.registry else {
            return match self.measurements.is_empty() && !self.tees.is_empty() {
                true => Err(PolicyError::Nothing(
                    "reference value (measurements, or registry.rpc)",
                )),
                false => Ok(()),
            };
        };
        if self.agents.is_empty() && !self.any_agent {
            return Err(PolicyError::Nothing("agent (agents, or any_agent = true)"));
        }
        let has_source = !registry.rpc.is_empty() || registry.governance.is_some();
        if self.measurements.is_empty() && !has_source {
            return Err(PolicyError::Nothing(
                "reference value (measurements, registry.governance or registry.rpc)",
            ));
        }
        if registry.governance.is_some_and(|key| is_zero(&key.0)) {
            return Err(PolicyError::Value("registry.governance"));
        }
        if !registry.rpc.is_empty() && !(1..=registry.rpc.len()).contains(&registry.quorum) {
            return Err(PolicyError::Value("registry.quorum"));
        }
        Ok(())
    }
}

impl TestRootCertificates {
    fn anchors(&self) -> Result<TrustAnchors, PolicyError> {
        let der = |name, pem: &str| match pem_certificates(pem.as_bytes()).as_deref() {
            Ok([der]) => Ok(der.clone()),
            _ => Err(PolicyError::TestRoot(name)),
        };
        let one = |name, pem: &Option<String>| pem.as_ref().map(|pem| der(name, pem)).transpose();
        let amd = self.amd.iter();
        let roots = TestRoots {
            intel: one("intel", &self.intel)?,
            amd: amd
                .map(|(product, pem)| Ok((*product, der("amd", pem)?)))
                .collect::<Result<_, _>>()?,
            aws_nitro: one("aws_nitro", &self.aws_nitro)?,
            nvidia_device: one("nvidia_device", &self.nvidia_device)?,
            nvidia_rim: one("nvidia_rim", &self.nvidia_rim)?,
        };
        TrustAnchors::for_development(&roots).map_err(|_| PolicyError::TestRoot("*"))
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
        assert_eq!(
            Policy::parse(&(text() + &"\n".repeat(MAX_ITEMS)), true),
            Err(PolicyError::TooManyItems)
        );
        assert!(matches!(
            Policy::parse(&" ".repeat(MAX_LEN + 1), true),
            Err(PolicyError::TooLong(_))
        ));
        let no_test_root = with("[launch]", "[test_roots]\nintel = \"root\"\n[launch]");
        assert_eq!(no_test_root, PolicyError::TestRoot("intel"));
        let twice = with("version = 1", "version = 1\nversion = 1");
        assert!(matches!(twice, PolicyError::Toml(_)));
    }

    #[test]
    fn only_who_says_so_trusts_endpoints_that_agree() {
        let policy = |kind: &str, more: &str| {
            let text = format!(
                "version = 1\nkind = \"{kind}\"\ntees = [\"tdx\"]\nany_agent = true\n[registry]\nchain_id = 31337\n\
                 address = \"0x{}\"\nrpc = [\"https://a.example\"]\n{more}",
                "09".repeat(20)
            );
            Policy::parse(&text, true)
        };
        let rpc = ReferenceMode::Rpc { agree: 1, of: 1 };
        let production = policy("production", "").unwrap();
        assert_eq!(
            production.check_reference(rpc),
            Err(Rejection::ReferenceNotProved { agree: 1, of: 1 })
        );
        assert_eq!(production.check_reference(ReferenceMode::Pinned), Ok(()));
        for allows in [
            policy("production", "allow_rpc = true"),
            policy("development", ""),
        ] {
            assert_eq!(allows.unwrap().check_reference(rpc), Ok(()));
        }
        let governed = |key: &str| {
            let more = format!("governance = \"0x{}\"", key.repeat(20));
            policy("production", &more).map(|policy| policy.check_reference(rpc).is_err())
        };
        assert_eq!(governed("07"), Ok(true), "a snapshot is wanted");
        assert_eq!(governed("00"), Err(PolicyError::Value("registry.governance")));
    }

    /// Each of the two ways in which a production policy could trust more than vendors.
    #[test]
    fn production_is_for_vendors_roots() {
        let production = |more: &str| {
            let text = format!(
                "version = 1\nkind = \"production\"\ntees = [\"tdx\"]\nmeasurements = [\"0x{}\"]\n{more}",
                "01".repeat(32)
            );
            Policy::parse(&text, true)
        };
        let policy = production("").unwrap();
        assert!(policy.simulated_roots().is_empty());
        assert!(!policy.trust_anchors().unwrap().are_test_roots());
        assert!(policy.node_registry().is_err(), "for hardware evidence alone");
        assert_eq!(
            production("[test_roots]"),
            Err(PolicyError::TestRootsInProduction)
        );
        let simulated = format!("[simulated]\nroots = [\"0x{}\"]", "04".repeat(65));
        assert_eq!(production(&simulated), Err(PolicyError::SimulatedInProduction));
        // Any chain, which a development policy may not name.
        let registry = format!(
            "any_agent = true\n[registry]\nchain_id = 1\naddress = \"0x{}\"",
            "09".repeat(20)
        );
        assert!(production(&registry).unwrap().node_registry().is_ok());
        assert_eq!(
            production(registry.trim_start_matches("any_agent = true\n")),
            Err(PolicyError::Nothing("agent (agents, or any_agent = true)"))
        );
    }
}
