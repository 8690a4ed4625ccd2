//! The policy that a command line names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::{Kind, LaunchRules, Policy, PolicyError, Registry};
use jeju_attestation::tee::Tee;
use thiserror::Error;

use crate::error::{Class, Error};
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
}

/// Why there is no policy.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing says what to trust.
    #[error("name what you trust: --policy FILE, or --rpc URL --registry ADDRESS --chain-id ID")]
    Nothing,
    /// Refused.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl TrustError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TrustError::File { .. } => "policy_unreadable",
            TrustError::Nothing => "policy_missing",
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
            Some(path) => Policy::parse(&read(path)?, self.development).map_err(Error::from)?,
            None => self.hardware()?,
        };
        let registry = &mut policy.registry;
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
        let text =
            toml::to_string(&policy).map_err(|error| Error::from(PolicyError::Toml(error.to_string())))?;
        Ok(Policy::parse(&text, self.development).map_err(Error::from)?)
    }

    /// The policy, ready to appraise.
    pub fn relying_party(&self) -> Result<Arc<RelyingParty>, TrustError> {
        Ok(Arc::new(RelyingParty::new(self.policy()?)?))
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
            registry: Registry {
                chain_id,
                address,
                rpc: Vec::new(),
                quorum: 1,
            },
            simulated: None,
            launch: LaunchRules::default(),
        })
    }
}

fn read(path: &Path) -> Result<String, TrustError> {
    std::fs::read_to_string(path).map_err(|source| TrustError::File {
        path: path.to_owned(),
        source,
    })
}

fn address(text: &str) -> Result<HexBytes<20>, String> {
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
        assert_eq!((policy.kind, policy.registry.quorum), (Kind::Production, 2));
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
        assert_eq!(
            (policy.registry.address, policy.registry.quorum),
            (HexBytes([9; 20]), 1)
        );

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
        assert_eq!(none.policy().unwrap_err().code(), "policy_unreadable");
    }

    #[test]
    fn addresses_may_be_checksummed() {
        assert!(address("0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B").is_ok());
        assert!(address("Ab5801a7D398351b8bE11C439e05C5B3259aeC9B").is_err());
    }
}
