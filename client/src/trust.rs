//! The policy that a command line names.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::{self, Kind, LaunchRules, Policy, PolicyError, Registry};
use jeju_attestation::tee::Tee;
use thiserror::Error;

use crate::error::{Class, Error};
use crate::files::{EndorsementArguments, FileError, text};
use crate::relying_party::RelyingParty;

/// What the user trusts.
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
}

/// Why there is no policy.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file can't be read, or isn't what it should be.
    #[error(transparent)]
    File(#[from] FileError),
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

impl TrustError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TrustError::File(error) => error.code(),
            TrustError::Nothing => "policy_missing",
            TrustError::NoRegistry => "policy_invalid",
            TrustError::Refused(error) => error.code(),
        }
    }

    /// Class: always the user's own input.
    pub fn class(&self) -> Class {
        Class::Usage
    }
}

impl TrustArguments {
    /// The policy of the file with the registry replaced by what else is given; without a file, a production policy
    /// that accepts every hardware platform and any agent, and no capability of a launch document.
    pub fn policy(&self) -> Result<Policy, TrustError> {
        let mut policy = match &self.policy {
            Some(path) => {
                Policy::parse(&text(path, policy::MAX_LEN)?, self.development).map_err(Error::from)?
            }
            None => self.hardware()?,
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
        // Once more as a whole: the rules between the fields hold for the result too.
        let document =
            toml::to_string(&policy).map_err(|error| Error::from(PolicyError::Toml(error.to_string())))?;
        Ok(Policy::parse(&document, self.development).map_err(Error::from)?)
    }

    /// Whether nothing is named that could be trusted.
    pub(crate) fn names_nothing(&self) -> bool {
        self.policy.is_none() && self.rpc.is_empty() && self.registry.is_none() && self.chain_id.is_none()
    }

    /// The policy, ready to appraise.
    pub fn relying_party(&self) -> Result<Arc<RelyingParty>, TrustError> {
        let endorsements = self.endorsements.read()?;
        Ok(Arc::new(RelyingParty::with_endorsements(
            self.policy()?,
            endorsements,
        )?))
    }

    fn hardware(&self) -> Result<Policy, TrustError> {
        let (Some(address), Some(chain_id), false) = (self.registry, self.chain_id, self.rpc.is_empty())
        else {
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
                rpc: Vec::new(),
                quorum: 1,
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
    fn addresses_may_be_checksummed() {
        assert!(address("0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B").is_ok());
        assert!(address("Ab5801a7D398351b8bE11C439e05C5B3259aeC9B").is_err());
    }
}
