//! Where contracts are: by option, variable, or the record of a deployment.

use std::path::{Path, PathBuf};

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::deployment::Deployment;
use thiserror::Error;

use crate::chain::{Chain, ChainError};
use crate::config::ConfigError;
use crate::error::Class;
use crate::files::{self, FileError};
use crate::trust::{TrustArguments, address};

/// Longest record of a deployment, in bytes.
const MAX_RECORD: usize = 1 << 20;

/// The chain, the contracts on it, and what the user trusts.
#[derive(Debug, Clone, Default, Args)]
pub struct OnChainArguments {
    /// What the user trusts.
    #[command(flatten)]
    pub trust: TrustArguments,
    /// Where contracts are.
    #[command(flatten)]
    pub contracts: ContractsArguments,
}

/// Where contracts are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Contracts")]
pub struct ContractsArguments {
    /// Record of a deployment (JSON), as `jeju-contracts deploy` writes it
    #[arg(long, value_name = "FILE")]
    pub contracts: Option<PathBuf>,
    /// Address of ComputeRegistry [default: COMPUTE_REGISTRY_ADDRESS or REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub compute_registry: Option<HexBytes<20>>,
    /// Address of LedgerManager [default: LEDGER_MANAGER_ADDRESS or LEDGER_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub ledger_manager: Option<HexBytes<20>>,
    /// Address of InferenceServing [default: INFERENCE_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub inference_serving: Option<HexBytes<20>>,
    /// Address of IdentityRegistry [default: IDENTITY_REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub identity_registry: Option<HexBytes<20>>,
    /// Address of ReputationRegistry [default: REPUTATION_REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub reputation_registry: Option<HexBytes<20>>,
    /// Address of ValidationRegistry [default: VALIDATION_REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub validation_registry: Option<HexBytes<20>>,
    /// Address of AttestedKeyRegistry [default: ATTESTED_KEY_REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub attested_key_registry: Option<HexBytes<20>>,
    /// Address of ComputeStaking [default: COMPUTE_STAKING_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub compute_staking: Option<HexBytes<20>>,
    /// Address of WorkerRegistry [default: WORKER_REGISTRY_ADDRESS of the environment]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub worker_registry: Option<HexBytes<20>>,
}

/// A contract that the client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// Providers, their endpoints and models.
    ComputeRegistry,
    /// Deposits.
    LedgerManager,
    /// Services, prices and settlement.
    InferenceServing,
    /// Rentals.
    ComputeRental,
    /// Agents (ERC-8004).
    IdentityRegistry,
    /// Feedback on agents (ERC-8004).
    ReputationRegistry,
    /// Validations of agents (ERC-8004).
    ValidationRegistry,
    /// Keys that evidence vouches for.
    AttestedKeyRegistry,
    /// Stakes.
    ComputeStaking,
    /// Workers.
    WorkerRegistry,
}

/// Why it isn't known where a contract is, or there is no chain.
#[derive(Debug, Error)]
pub enum DeploymentError {
    /// There is no chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The record can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record isn't one.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A variable's value is no address.
    #[error("{0} is no address: 0x and 40 hex digits are expected")]
    Variable(&'static str),
    /// Nothing says where the contract is.
    #[error("name {}: {}", contract.title(), contract.ways())]
    Missing {
        /// Which.
        contract: Contract,
    },
    /// The record is of another chain than the endpoints.
    #[error("{} is of chain {found}, the RPC endpoints serve chain {wanted}", path.display())]
    OtherChain {
        /// The record.
        path: PathBuf,
        /// Its chain.
        found: u64,
        /// The endpoints'.
        wanted: u64,
    },
}

impl DeploymentError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            DeploymentError::Chain(error) => error.code(),
            DeploymentError::Config(error) => error.code(),
            DeploymentError::File(error) => error.code(),
            DeploymentError::Malformed { .. } => "deployment_invalid",
            DeploymentError::Variable(_) => "address_invalid",
            DeploymentError::Missing { .. } => "contract_missing",
            DeploymentError::OtherChain { .. } => "deployment_other_chain",
        }
    }

    /// Class.
    pub fn class(&self) -> Class {
        match self {
            DeploymentError::Chain(error) => error.class(),
            _ => Class::Usage,
        }
    }
}

impl Contract {
    /// Its name in records of deployments.
    pub const fn name(self) -> &'static str {
        match self {
            Contract::ComputeRegistry => "computeRegistry",
            Contract::LedgerManager => "ledgerManager",
            Contract::InferenceServing => "inferenceServing",
            Contract::ComputeRental => "computeRental",
            Contract::IdentityRegistry => "identityRegistry",
            Contract::ReputationRegistry => "reputationRegistry",
            Contract::ValidationRegistry => "validationRegistry",
            Contract::AttestedKeyRegistry => "attestedKeyRegistry",
            Contract::ComputeStaking => "computeStaking",
            Contract::WorkerRegistry => "workerRegistry",
        }
    }

    /// Variables that may hold its address, the first one that is set. Those of the first Jeju Compute, where it had some.
    pub const fn variables(self) -> &'static [&'static str] {
        match self {
            Contract::ComputeRegistry => &["COMPUTE_REGISTRY_ADDRESS", "REGISTRY_ADDRESS"],
            Contract::LedgerManager => &["LEDGER_MANAGER_ADDRESS", "LEDGER_ADDRESS"],
            Contract::InferenceServing => &["INFERENCE_ADDRESS"],
            Contract::ComputeRental => &["COMPUTE_RENTAL_ADDRESS", "RENTAL_ADDRESS"],
            Contract::IdentityRegistry => &["IDENTITY_REGISTRY_ADDRESS"],
            Contract::ReputationRegistry => &["REPUTATION_REGISTRY_ADDRESS"],
            Contract::ValidationRegistry => &["VALIDATION_REGISTRY_ADDRESS"],
            Contract::AttestedKeyRegistry => &["ATTESTED_KEY_REGISTRY_ADDRESS"],
            Contract::ComputeStaking => &["COMPUTE_STAKING_ADDRESS"],
            Contract::WorkerRegistry => &["WORKER_REGISTRY_ADDRESS"],
        }
    }

    /// Its name in Solidity.
    fn title(self) -> String {
        let (first, rest) = self.name().split_at(1);
        first.to_ascii_uppercase() + rest
    }

    fn ways(self) -> String {
        let option = match self {
            // Of commands about rentals, which have no other contract.
            Contract::ComputeRental => "contract".to_owned(),
            _ => self.name().chars().fold(String::new(), |mut option, c| {
                if c.is_ascii_uppercase() {
                    option.push('-');
                }
                option.push(c.to_ascii_lowercase());
                option
            }),
        };
        let variable = self.variables().first().copied().unwrap_or_default();
        format!(
            "--{option} ADDRESS, --contracts FILE, {variable} in the environment, or contracts in the configuration"
        )
    }
}

impl OnChainArguments {
    /// The chain that the arguments name.
    ///
    /// # Errors
    /// [`DeploymentError::Chain`]; [`DeploymentError::OtherChain`] where the record of the deployment is of another.
    pub async fn chain(&self) -> Result<Chain, DeploymentError> {
        let chain = Chain::connect(&self.trust).await?;
        let config = self.trust.config()?;
        if let Some(path) = self.contracts.contracts.as_ref().or(config.contracts.as_ref()) {
            let record = read(path)?;
            if record.chain_id != chain.chain_id {
                return Err(DeploymentError::OtherChain {
                    path: path.clone(),
                    found: record.chain_id,
                    wanted: chain.chain_id,
                });
            }
        }
        Ok(chain)
    }

    /// Where a contract is.
    ///
    /// # Errors
    /// [`DeploymentError::Missing`] where nothing says it, others where what says it can't be read.
    pub fn contract(&self, contract: Contract) -> Result<[u8; 20], DeploymentError> {
        let found = self.find(contract)?;
        found.ok_or(DeploymentError::Missing { contract })
    }

    /// The same; `None` where nothing says it.
    ///
    /// # Errors
    /// Where what might say it can't be read.
    pub fn find(&self, contract: Contract) -> Result<Option<[u8; 20]>, DeploymentError> {
        let configured = self.trust.config()?.contracts;
        self.contracts
            .find(contract, configured.as_deref(), |name| std::env::var(name).ok())
    }
}

impl ContractsArguments {
    fn find(
        &self,
        contract: Contract,
        configured: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<[u8; 20]>, DeploymentError> {
        if let Some(address) = self.option(contract) {
            return Ok(Some(address.0));
        }
        if let Some(path) = &self.contracts
            && let Some(address) = recorded(path, contract)?
        {
            return Ok(Some(address));
        }
        for name in contract.variables() {
            if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
                let address = address(&text).map_err(|_| DeploymentError::Variable(name))?;
                return Ok(Some(address.0));
            }
        }
        configured.map_or(Ok(None), |path| recorded(path, contract))
    }

    fn option(&self, contract: Contract) -> Option<HexBytes<20>> {
        match contract {
            Contract::ComputeRegistry => self.compute_registry,
            Contract::LedgerManager => self.ledger_manager,
            Contract::InferenceServing => self.inference_serving,
            Contract::ComputeRental => None,
            Contract::IdentityRegistry => self.identity_registry,
            Contract::ReputationRegistry => self.reputation_registry,
            Contract::ValidationRegistry => self.validation_registry,
            Contract::AttestedKeyRegistry => self.attested_key_registry,
            Contract::ComputeStaking => self.compute_staking,
            Contract::WorkerRegistry => self.worker_registry,
        }
    }
}

/// A contract's address in a record.
pub(crate) fn recorded(path: &Path, contract: Contract) -> Result<Option<[u8; 20]>, DeploymentError> {
    let record = read(path)?;
    let deployed = record.contracts.get(contract.name());
    Ok(deployed.map(|deployed| deployed.address.into()))
}

fn read(path: &Path) -> Result<Deployment, DeploymentError> {
    let malformed = |reason: String| DeploymentError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let text = files::text(path, MAX_RECORD)?;
    if text.len() > MAX_RECORD {
        return Err(malformed(format!("longer than {MAX_RECORD} bytes")));
    }
    serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: [u8; 20] = [0x0b; 20];

    fn record(dir: &Path) -> PathBuf {
        let (address, hash) = (format!("0x{}", "0b".repeat(20)), format!("0x{}", "0c".repeat(32)));
        let record = serde_json::json!({
            "network": "localnet",
            "chainId": 31337,
            "factory": address,
            "measurementRegistry": {
                "address": address,
                "arguments": { "owner": address, "revoker": address, "minDelay": 0 },
                "initCodeHash": hash,
                "created": null,
            },
            "contracts": {
                "computeRegistry": { "address": address, "initCodeHash": hash, "created": null },
            },
        });
        let path = dir.join("deployment.json");
        std::fs::write(&path, record.to_string()).unwrap();
        path
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let file = record(dir.path());
        let (nothing, none) = (ContractsArguments::default(), |_: &str| None);
        let registry = Contract::ComputeRegistry;
        let variable = |name: &str| (name == "REGISTRY_ADDRESS").then(|| format!("0x{}", "0E".repeat(20)));
        assert_eq!(nothing.find(registry, None, none).unwrap(), None);
        assert_eq!(nothing.find(registry, Some(&file), none).unwrap(), Some(RECORDED));
        assert_eq!(
            nothing.find(registry, Some(&file), variable).unwrap(),
            Some([0x0e; 20])
        );
        let named = ContractsArguments {
            contracts: Some(file.clone()),
            ..nothing.clone()
        };
        assert_eq!(named.find(registry, None, variable).unwrap(), Some(RECORDED));
        assert_eq!(named.find(Contract::LedgerManager, None, none).unwrap(), None);
        let exact = ContractsArguments {
            compute_registry: Some(HexBytes([0x0f; 20])),
            ..named
        };
        assert_eq!(exact.find(registry, None, variable).unwrap(), Some([0x0f; 20]));
    }

    #[test]
    fn what_names_no_contract_is_said() {
        let arguments = OnChainArguments::default();
        let missing = arguments.contract(Contract::ValidationRegistry).unwrap_err();
        assert_eq!(missing.code(), "contract_missing");
        let text = missing.to_string();
        assert!(
            text.starts_with("name ValidationRegistry: --validation-registry ADDRESS, --contracts FILE"),
            "{text}"
        );
        let nonsense = |_: &str| Some("0x12".to_owned());
        let found = arguments.contracts.find(Contract::LedgerManager, None, nonsense);
        assert_eq!(found.unwrap_err().code(), "address_invalid");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        std::fs::write(&path, "{}").unwrap();
        let found = arguments
            .contracts
            .find(Contract::LedgerManager, Some(&path), |_| None);
        assert_eq!(found.unwrap_err().code(), "deployment_invalid");
    }
}
