//! The policy that a command line names, and the way to nodes.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::{self, Kind, LaunchRules, Policy, PolicyError, Registry};
use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::ReferenceMode;
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::error::{Class, Error};
use crate::files::{EndorsementArguments, FileError, text};
use crate::policy::SnapshotError;
use crate::policy::arguments::{ReadSnapshotError, ReferenceArguments};
use crate::relying_party::RelyingParty;
use crate::session::unix_now;
use crate::via::Gateway;

/// What the user trusts, and how nodes are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct TrustArguments {
    /// Appraisal policy (TOML)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Accept a policy of kind "development", which trusts simulated silicon
    #[arg(long)]
    pub development: bool,
    /// JSON-RPC endpoint of the chain, never the provider's own (may be given several times; a majority must agree)
    #[arg(long, value_name = "URL")]
    pub rpc: Vec<String>,
    /// Address of the measurement registry
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub registry: Option<HexBytes<20>>,
    /// Chain id
    #[arg(long, value_name = "ID")]
    pub chain_id: Option<u64>,
    /// What vendors say about their hardware, where the node doesn't bring it
    #[command(flatten)]
    pub endorsements: EndorsementArguments,
    /// Gateway that leads to the node, as [DOMAIN@]HOST[:PORT]; is not trusted (may be given several times: the next is
    /// tried when one fails)
    #[arg(long, value_name = "GATEWAY")]
    pub via: Vec<Gateway>,
    /// Connect directly, whatever gateways the configuration names
    #[arg(long, conflicts_with = "via")]
    pub direct: bool,
    /// Where reference values come from.
    #[command(flatten)]
    pub reference: ReferenceArguments,
    /// Configuration, for what the command line leaves out [default: $JEJU_CONFIG, or ~/.config/jeju/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why there is no policy.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file can't be read, or isn't what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing says what to trust.
    #[error("name what you trust: --policy FILE, or --rpc URL --registry ADDRESS --chain-id ID")]
    Nothing,
    /// The policy is for hardware evidence in files alone.
    #[error("the policy names no chain (registry), so no node can pass it")]
    NoRegistry,
    /// Refused.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl From<SnapshotError> for TrustError {
    fn from(error: SnapshotError) -> Self {
        TrustError::Refused(error.into())
    }
}

impl From<ReadSnapshotError> for TrustError {
    fn from(error: ReadSnapshotError) -> Self {
        match error {
            ReadSnapshotError::File(error) => error.into(),
            ReadSnapshotError::Snapshot(error) => error.into(),
        }
    }
}

impl TrustError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TrustError::File(error) => error.code(),
            TrustError::Config(error) => error.code(),
            TrustError::Nothing => "policy_missing",
            TrustError::NoRegistry => "policy_invalid",
            TrustError::Refused(error) => error.code(),
        }
    }

    /// Class: the user's own input, unless reference values aren't what they should be.
    pub fn class(&self) -> Class {
        match self {
            TrustError::Refused(error) => error.class(),
            _ => Class::Usage,
        }
    }
}

impl TrustArguments {
    /// The policy of the file with the registry replaced by what else is given; without a file, a production policy
    /// that accepts every hardware platform and any agent, and no capability of a launch document. The configuration stands
    /// for what isn't given, and changes nothing of a policy's file.
    pub fn policy(&self) -> Result<Policy, TrustError> {
        let config = self.config()?;
        let mut policy = match self.policy.as_ref().or(config.policy.as_ref()) {
            Some(path) => {
                Policy::parse(&text(path, policy::MAX_LEN)?, self.development).map_err(Error::from)?
            }
            None => self.hardware(&config)?,
        };
        let registry = policy.registry.as_mut().ok_or(TrustError::NoRegistry)?;
        if let Some(address) = self.registry {
            registry.address = address;
        }
        if let Some(chain_id) = self.chain_id {
            registry.chain_id = chain_id;
        }
        if !self.rpc.is_empty() {
            registry.rpc.clone_from(&self.rpc);
            registry.quorum = self.rpc.len() / 2 + 1;
            // Naming endpoints asks for their answer, not for the file's list.
            policy.measurements.clear();
        }
        self.reference(&config).apply(&mut policy);
        // Once more as a whole: the rules between the fields hold for the result too.
        let document =
            toml::to_string(&policy).map_err(|error| Error::from(PolicyError::Toml(error.to_string())))?;
        Ok(Policy::parse(&document, self.development).map_err(Error::from)?)
    }

    /// Whether nothing is named that could be trusted.
    pub(crate) fn names_nothing(&self) -> bool {
        let named = self.policy.is_some()
            || !self.rpc.is_empty()
            || self.registry.is_some()
            || self.chain_id.is_some();
        // One that can't be read may name something: whoever asks for it then is told why.
        let configured = || {
            self.config().map_or(true, |config| {
                config.policy.is_some() || config.registry.is_some()
            })
        };
        !named && !configured()
    }

    /// What the configuration says.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::read(self.config.as_deref())
    }

    /// The gateways that lead to nodes.
    fn gateways(&self) -> Result<Vec<Gateway>, ConfigError> {
        match (self.direct, self.via.is_empty()) {
            (true, _) => Ok(Vec::new()),
            (false, false) => Ok(self.via.clone()),
            (false, true) => Ok(self.config()?.gateways),
        }
    }

    /// The policy, ready to appraise.
    pub fn relying_party(&self) -> Result<Arc<RelyingParty>, TrustError> {
        let endorsements = self.endorsements.read()?;
        let policy = self.policy()?;
        let registry = policy.registry.as_ref().ok_or(TrustError::NoRegistry)?;
        let reference = self.reference(&self.config()?);
        let memory = reference.memory(&policy)?;
        let snapshot = reference.snapshot(registry, memory.as_ref(), unix_now())?;
        if snapshot.is_none() {
            check_source(&policy, registry)?;
        }
        let mut party = RelyingParty::with_endorsements(policy, endorsements)?;
        if let Some(memory) = memory {
            party = party.remembering(memory)?;
        }
        if let Some(snapshot) = snapshot {
            party = party.with_snapshot(snapshot);
        }
        Ok(Arc::new(party.through(self.gateways()?)))
    }

    /// Files that change what is trusted, or how nodes are reached, whether they are there or not. A configuration that can't
    /// be read names none.
    pub(crate) fn rule_files(&self) -> Vec<PathBuf> {
        let config = self.config().unwrap_or_default();
        let snapshot = self.reference(&config).snapshot;
        let named = [
            self.config.clone(),
            self.policy.clone().or(config.policy),
            snapshot,
        ];
        let vendors = self
            .endorsements
            .collateral
            .iter()
            .chain(&self.endorsements.files);
        named.into_iter().flatten().chain(vendors.cloned()).collect()
    }

    /// Where reference values come from. What the configuration says of that belongs to its policy, or to none.
    fn reference(&self, config: &Config) -> ReferenceArguments {
        let mut reference = self.reference.clone();
        if self.policy.is_none() {
            if self.rpc.is_empty() {
                reference.snapshot = reference.snapshot.or_else(|| config.snapshot.clone());
            }
            reference.governance = reference.governance.or(config.governance);
            reference.allow_rpc |= config.allow_rpc;
        }
        reference
    }

    fn hardware(&self, config: &Config) -> Result<Policy, TrustError> {
        let (address, chain_id) = (
            self.registry.or(config.registry),
            self.chain_id.or(config.chain_id),
        );
        let reference = self.reference(config);
        let named = !(self.rpc.is_empty() && config.rpc.is_empty()) || reference.snapshot.is_some();
        let (Some(address), Some(chain_id), true) = (address, chain_id, named) else {
            return Err(TrustError::Nothing);
        };
        Ok(Policy {
            version: 1,
            kind: Kind::Production,
            tees: Tee::ALL
                .into_iter()
                .filter(|tee| *tee != Tee::Simulated)
                .collect(),
            agents: Vec::new(),
            any_agent: true,
            platforms: Vec::new(),
            measurements: Vec::new(),
            max_age_seconds: 1800,
            require_channel: true,
            registry: Some(Registry {
                chain_id,
                address,
                // Those of the command line, if there are any, take their place.
                rpc: config.rpc.clone(),
                quorum: config.quorum(),
                allow_rpc: false,
                governance: reference.governance,
            }),
            simulated: None,
            launch: LaunchRules::default(),
            tdx: None,
            sgx: None,
            sev_snp: None,
            nitro: None,
            gpu: None,
            require_event_log: false,
            test_roots: None,
        })
    }
}

/// Without a snapshot: what can't come to a verdict is refused before anybody is asked.
fn check_source(policy: &Policy, registry: &Registry) -> Result<(), Error> {
    if !policy.measurements.is_empty() {
        return Ok(());
    }
    if registry.rpc.is_empty() {
        return Err(SnapshotError::Missing.into());
    }
    let mode = ReferenceMode::Rpc {
        agree: registry.quorum,
        of: registry.rpc.len(),
    };
    Ok(policy.check_reference(mode)?)
}

pub(crate) fn address(text: &str) -> Result<HexBytes<20>, String> {
    // Contract addresses are often written in mixed case, as a checksum.
    HexBytes::parse(&text.to_ascii_lowercase()).ok_or_else(|| "0x and 40 hex digits are expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> TrustArguments {
        TrustArguments {
            rpc: vec!["https://a.example".into(), "https://b.example".into()],
            registry: Some(HexBytes([9; 20])),
            chain_id: Some(1),
            ..TrustArguments::default()
        }
    }

    #[test]
    fn without_a_file_only_hardware_passes() {
        let policy = arguments().policy().unwrap();
        assert_eq!(policy.tees, [Tee::Tdx, Tee::SevSnp, Tee::Nitro]);
        let registry = policy.registry.clone().unwrap();
        assert_eq!((policy.kind, registry.quorum), (Kind::Production, 2));
        assert!(policy.simulated_roots().is_empty() && policy.require_channel);
        for missing in [
            TrustArguments {
                rpc: vec![],
                ..arguments()
            },
            TrustArguments {
                registry: None,
                ..arguments()
            },
            TrustArguments {
                chain_id: None,
                ..arguments()
            },
        ] {
            assert_eq!(missing.policy().unwrap_err().code(), "policy_missing");
        }
    }

    #[test]
    fn the_command_line_replaces_the_registry_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        let text = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nany_agent = true\n\
             measurements = [\"0x{}\"]\n[registry]\nchain_id = 31337\naddress = \"0x{}\"\n[simulated]\n\
             roots = [\"0x{}\"]\n",
            "01".repeat(32),
            "08".repeat(20),
            "04".repeat(65)
        );
        std::fs::write(&path, text).unwrap();
        let file = TrustArguments {
            policy: Some(path),
            development: true,
            ..TrustArguments::default()
        };
        assert_eq!(file.policy().unwrap().measurements.len(), 1);
        let replaced = TrustArguments {
            rpc: vec!["http://127.0.0.1:1".into()],
            registry: Some(HexBytes([9; 20])),
            ..file.clone()
        };
        let policy = replaced.policy().unwrap();
        assert!(policy.measurements.is_empty());
        let registry = policy.registry.unwrap();
        assert_eq!((registry.address, registry.quorum), (HexBytes([9; 20]), 1));

        let no_word = TrustArguments {
            development: false,
            ..file.clone()
        };
        assert_eq!(no_word.policy().unwrap_err().code(), "policy_invalid");
        let public_chain = TrustArguments {
            chain_id: Some(1),
            ..file
        };
        assert_eq!(public_chain.policy().unwrap_err().code(), "policy_invalid");
        let none = TrustArguments {
            policy: Some(dir.path().join("none")),
            ..arguments()
        };
        assert_eq!(none.policy().unwrap_err().code(), "file_unreadable");
    }

    #[test]
    fn the_configuration_stands_for_what_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let text = format!(
            "rpc = [\"https://c.example\", \"https://d.example\", \"https://e.example\"]\nquorum = 3\nchain_id = 5\n\
             registry = \"0x{}\"\ngateways = [\"gateway.example\"]\n",
            "07".repeat(20)
        );
        std::fs::write(&path, &text).unwrap();
        let alone = TrustArguments {
            config: Some(path.clone()),
            ..TrustArguments::default()
        };
        let registry = alone.policy().unwrap().registry.unwrap();
        assert_eq!(
            (registry.chain_id, registry.rpc.len(), registry.quorum),
            (5, 3, 3)
        );
        assert!(!alone.names_nothing() && TrustArguments::default().names_nothing());
        assert_eq!(alone.gateways().unwrap().len(), 1);
        assert_eq!(
            alone.relying_party().err().unwrap().code(),
            "reference_not_proved"
        );
        std::fs::write(
            &path,
            format!("{text}allow_rpc = true\nsnapshot = \"none.json\"\n"),
        )
        .unwrap();
        assert_eq!(alone.relying_party().err().unwrap().code(), "file_unreadable");
        let asked = TrustArguments {
            rpc: vec!["https://a.example".into()],
            ..alone.clone()
        };
        assert!(asked.reference(&asked.config().unwrap()).snapshot.is_none());
        let direct = TrustArguments {
            direct: true,
            ..alone.clone()
        };
        assert!(direct.gateways().unwrap().is_empty());

        let beside = TrustArguments {
            config: Some(path.clone()),
            ..arguments()
        };
        let registry = beside.policy().unwrap().registry.unwrap();
        assert_eq!(
            (registry.chain_id, registry.rpc.len(), registry.quorum),
            (1, 2, 2)
        );

        // A policy's file says what it says.
        let pinned = format!(
            "version = 1\nkind = \"production\"\ntees = [\"tdx\"]\nany_agent = true\nmeasurements = [\"0x{}\"]\n\
             [registry]\nchain_id = 1\naddress = \"0x{}\"\n",
            "01".repeat(32),
            "08".repeat(20),
        );
        std::fs::write(dir.path().join("policy.toml"), pinned).unwrap();
        std::fs::write(&path, format!("policy = \"policy.toml\"\n{text}")).unwrap();
        let policy = alone.policy().unwrap();
        assert_eq!(policy.measurements.len(), 1);
        assert!(policy.registry.unwrap().rpc.is_empty());

        std::fs::write(&path, "policy = 1").unwrap();
        assert_eq!(alone.policy().unwrap_err().code(), "config_invalid");
        assert!(!alone.names_nothing());
    }

    #[test]
    fn endpoints_that_agree_are_enough_only_where_that_is_said() {
        let refused = arguments().relying_party().err().unwrap();
        assert_eq!(
            (refused.code(), refused.class().exit_code()),
            ("reference_not_proved", 2)
        );
        let said = |reference| TrustArguments {
            reference,
            policy: None,
            ..arguments()
        };
        let dir = tempfile::tempdir().unwrap();
        let allowed = said(ReferenceArguments {
            allow_rpc: true,
            policy_state: Some(dir.path().to_owned()),
            ..ReferenceArguments::default()
        });
        assert!(allowed.relying_party().is_ok());
        // Who signs is said, what was signed isn't there.
        let governed = said(ReferenceArguments {
            governance: Some(HexBytes([7; 20])),
            policy_state: Some(dir.path().to_owned()),
            ..ReferenceArguments::default()
        });
        assert_eq!(
            governed.relying_party().err().unwrap().code(),
            "reference_not_proved"
        );
        let absent = TrustArguments {
            rpc: Vec::new(),
            reference: ReferenceArguments {
                snapshot: Some(dir.path().join("none")),
                ..governed.reference.clone()
            },
            ..governed
        };
        assert_eq!(absent.relying_party().err().unwrap().code(), "file_unreadable");
    }

    #[test]
    fn addresses_may_be_checksummed() {
        assert!(address("0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B").is_ok());
        assert!(address("Ab5801a7D398351b8bE11C439e05C5B3259aeC9B").is_err());
    }
}
