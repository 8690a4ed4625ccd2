//! Deployment through the deterministic CREATE2 factory: an address follows from code and constructor arguments alone, so
//! running it again finds what is there, and anyone can compute where a registry must be.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use alloy::primitives::{Address, B256, Bytes, address, keccak256};
use alloy::sol_types::SolConstructor;
use jeju_chain::{RpcClient, RpcError};
use serde::{Deserialize, Serialize};

use crate::bindings::MeasurementRegistry;
use crate::network::{Network, NetworkError};
use crate::plan::{PlanArguments, plan};
use crate::sender::{AccountKey, Receipt, SendError, Sender, has_code};

/// The factory that most chains, and anvil, have at this address. It takes salt and init code.
pub const CREATE2_FACTORY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// What is to be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryArguments {
    /// Governance.
    pub owner: Address,
    /// The account that may revoke.
    pub revoker: Address,
    /// Timelock in seconds.
    pub min_delay: u64,
}

impl RegistryArguments {
    /// Init code: the contract's bytecode and the encoded arguments.
    pub fn init_code(&self) -> Vec<u8> {
        let arguments = MeasurementRegistry::constructorCall {
            owner_: self.owner,
            revoker_: self.revoker,
            minDelay_: self.min_delay,
        };
        [MeasurementRegistry::BYTECODE.as_ref(), &arguments.abi_encode()].concat()
    }

    /// Where the factory puts the contract.
    pub fn address(&self) -> Address {
        CREATE2_FACTORY.create2(salt(), keccak256(self.init_code()))
    }
}

/// What `deployments/<network>.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Name of the network.
    pub network: String,
    /// Chain id.
    pub chain_id: u64,
    /// The factory that was used.
    pub factory: Address,
    /// The measurement registry.
    pub measurement_registry: DeployedRegistry,
    /// The other contracts by name, as far as they were asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contracts: BTreeMap<String, DeployedContract>,
}

/// Another deployed contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployedContract {
    /// Its address.
    pub address: Address,
    /// Keccak-256 of the init code, which holds its arguments.
    pub init_code_hash: B256,
    /// The transaction that created it; absent where it was there before.
    pub created: Option<Receipt>,
}

/// A deployed `MeasurementRegistry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployedRegistry {
    /// Its address.
    pub address: Address,
    /// What it was made with.
    pub arguments: RegistryArguments,
    /// Keccak-256 of the init code.
    pub init_code_hash: B256,
    /// The transaction that created it; absent where it was there before.
    pub created: Option<Receipt>,
}

/// What a run of [`deploy`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The contract was created.
    Created,
    /// It was there.
    Found,
    /// Dry run: it isn't there, and nothing was sent.
    Planned,
}

/// Why a deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The network's rules are against it.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The node couldn't be asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// One of the contracts.
    #[error("{name}: {source}")]
    Contract {
        /// Its name.
        name: &'static str,
        /// Why.
        source: Box<DeployError>,
    },
    /// The chain lacks the factory.
    #[error("no CREATE2 factory at {CREATE2_FACTORY}: deploy it first (it is one pre-signed transaction)")]
    NoFactory,
    /// The transaction succeeded, but the contract isn't where it must be.
    #[error("no contract at {0} after the deployment")]
    Missing(Address),
    /// The record of an earlier deployment belongs to another network or chain.
    #[error("{path} describes {network} with chain id {chain_id}: move it away to deploy anew")]
    OtherDeployment {
        /// The file.
        path: String,
        /// Its network.
        network: String,
        /// Its chain id.
        chain_id: u64,
    },
    /// The record of an earlier deployment doesn't parse.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: serde_json::Error,
    },
    /// A file couldn't be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: io::Error,
    },
}

/// Deploys the registry unless it is there; with no `key` it only looks. May be repeated after any failure.
pub async fn deploy(
    rpc: &RpcClient,
    key: Option<&AccountKey>,
    network: Network,
    arguments: RegistryArguments,
) -> Result<(Deployment, Outcome), DeployError> {
    let chain_id = crate::sender::quantity(rpc, "eth_chainId", serde_json::json!([])).await?;
    network.check_chain_id(chain_id)?;
    network.check_delay(arguments.min_delay)?;

    let init_code = arguments.init_code();
    let address = arguments.address();
    let sender = key.map(|key| Sender::new(rpc, key, chain_id));
    let (outcome, created) = create(rpc, sender.as_ref(), address, &init_code).await?;
    let deployment = Deployment {
        network: network.to_string(),
        chain_id,
        factory: CREATE2_FACTORY,
        measurement_registry: DeployedRegistry {
            address,
            arguments,
            init_code_hash: keccak256(&init_code),
            created,
        },
        contracts: BTreeMap::new(),
    };
    Ok((deployment, outcome))
}

/// Deploys the registry and everything beside it, each unless it is there. What an interrupted run has made, the next one
/// finds.
///
/// The outcome is `Created` where anything was, `Planned` where anything is still to be.
pub async fn deploy_all(
    rpc: &RpcClient,
    key: Option<&AccountKey>,
    network: Network,
    arguments: &PlanArguments,
) -> Result<(Deployment, Outcome), DeployError> {
    network.check_challenger_delay(arguments.challenger_delay)?;
    let (mut deployment, mut outcome) = deploy(rpc, key, network, arguments.registry).await?;
    let sender = key.map(|key| Sender::new(rpc, key, deployment.chain_id));
    for planned in plan(arguments) {
        let (one, created) = create(rpc, sender.as_ref(), planned.address, &planned.init_code)
            .await
            .map_err(|source| DeployError::Contract {
                name: planned.name,
                source: Box::new(source),
            })?;
        if one != Outcome::Found {
            outcome = one;
        }
        let deployed = DeployedContract {
            address: planned.address,
            init_code_hash: planned.init_code_hash(),
            created,
        };
        deployment.contracts.insert(planned.name.to_owned(), deployed);
    }
    Ok((deployment, outcome))
}

async fn create(
    rpc: &RpcClient,
    sender: Option<&Sender<'_>>,
    address: Address,
    init_code: &[u8],
) -> Result<(Outcome, Option<Receipt>), DeployError> {
    if has_code(rpc, address).await? {
        return Ok((Outcome::Found, None));
    }
    if !has_code(rpc, CREATE2_FACTORY).await? {
        return Err(DeployError::NoFactory);
    }
    let Some(sender) = sender else {
        return Ok((Outcome::Planned, None));
    };
    let input = Bytes::from([salt().as_slice(), init_code].concat());
    let receipt = sender.send(CREATE2_FACTORY, input).await?;
    if !has_code(rpc, address).await? {
        return Err(DeployError::Missing(address));
    }
    Ok((Outcome::Created, Some(receipt)))
}

/// Reads the record of an earlier deployment, if there is one.
pub fn read(path: &Path) -> Result<Option<Deployment>, DeployError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => {
            return Err(DeployError::File {
                path: path.display().to_string(),
                reason,
            });
        }
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|reason| DeployError::Unreadable {
            path: path.display().to_string(),
            reason,
        })
}

/// Writes the record, whole or not at all. A repeated run keeps the receipt that an earlier one has written.
pub fn write(path: &Path, mut deployment: Deployment) -> Result<(), DeployError> {
    if let Some(earlier) = read(path)? {
        if (&earlier.network, earlier.chain_id) != (&deployment.network, deployment.chain_id) {
            return Err(DeployError::OtherDeployment {
                path: path.display().to_string(),
                network: earlier.network,
                chain_id: earlier.chain_id,
            });
        }
        let (old, new) = (
            &earlier.measurement_registry,
            &mut deployment.measurement_registry,
        );
        if old.address == new.address && new.created.is_none() {
            new.created = old.created;
        }
        for (name, old) in earlier.contracts {
            match deployment.contracts.get_mut(&name) {
                Some(new) if new.address == old.address && new.created.is_none() => new.created = old.created,
                Some(_) => {}
                // A run that was asked for less forgets nothing.
                None => {
                    deployment.contracts.insert(name, old);
                }
            }
        }
    }
    let mut text = serde_json::to_string_pretty(&deployment).map_err(|reason| DeployError::Unreadable {
        path: path.display().to_string(),
        reason,
    })?;
    text.push('\n');
    let partial = path.with_extension("json.partial");
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&partial, text))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|reason| DeployError::File {
        path: path.display().to_string(),
        reason,
    })
}

/// One salt for all: code and arguments already tell deployments apart.
pub fn salt() -> B256 {
    keccak256("jeju-contracts-v1")
}
