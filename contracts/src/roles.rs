//! Who has which role in the contracts as they stand, compared with whom they were made for.

use alloy::primitives::{Address, U256, keccak256};
use jeju_chain::{RpcClient, RpcError};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::plan::PlanArguments;
use crate::wiring::view;

/// Governance.
const OWNED: [&str; 12] = [
    "measurementRegistry",
    "identityRegistry",
    "hardwareRegistry",
    "attestedKeyRegistry",
    "computeStaking",
    "computeRegistry",
    "slashingCourt",
    "mpcKeyRegistry",
    "ledgerManager",
    "inferenceServing",
    "computeRental",
    "frostVerifier",
];
/// Those that have a revoker and a timelock beside.
const REVOCABLE: [&str; 6] = [
    "measurementRegistry",
    "identityRegistry",
    "hardwareRegistry",
    "attestedKeyRegistry",
    "mpcKeyRegistry",
    "frostVerifier",
];
const SINKS: [&str; 3] = ["computeStaking", "computeRegistry", "jobRegistry"];
const ARBITRATED: [&str; 2] = ["slashingCourt", "computeRental"];
const TREASURIES: [&str; 2] = ["inferenceServing", "computeRental"];

/// A role, or a delay that protects one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Name of the contract.
    pub contract: String,
    /// Name of the view that says it.
    pub role: &'static str,
    /// What was meant: an address, or seconds.
    pub expected: String,
    /// What the contract says; `None` where it says nothing.
    pub found: Option<String>,
}

impl Role {
    /// Whether it is as it was meant.
    pub fn as_meant(&self) -> bool {
        self.found.as_ref() == Some(&self.expected)
    }
}

/// Asks every contract of the deployment for its roles.
///
/// # Errors
/// Where the node can't be asked.
pub async fn read(
    rpc: &RpcClient,
    deployment: &Deployment,
    arguments: &PlanArguments,
) -> Result<Vec<Role>, RpcError> {
    let registry = &arguments.registry;
    let accounts: [(&'static str, &[&str], Address); 5] = [
        ("owner", &OWNED, registry.owner),
        ("revoker", &REVOCABLE, registry.revoker),
        ("sink", &SINKS, arguments.sink),
        ("arbiter", &ARBITRATED, arguments.arbiter),
        ("treasury", &TREASURIES, arguments.treasury),
    ];
    let delays: [(&'static str, &[&str], u64); 2] = [
        ("minDelay", &REVOCABLE, registry.min_delay),
        ("challengerDelay", &SINKS[..2], arguments.challenger_delay),
    ];
    let account = |word: U256| Address::from_word(word.into()).to_string();
    let mut roles = Vec::new();
    for (role, contracts, expected) in accounts {
        for contract in contracts {
            if let Some(found) = ask(rpc, deployment, contract, role).await? {
                roles.push(Role {
                    contract: (*contract).to_owned(),
                    role,
                    expected: expected.to_string(),
                    found: found.map(account),
                });
            }
        }
    }
    for (role, contracts, expected) in delays {
        for contract in contracts {
            if let Some(found) = ask(rpc, deployment, contract, role).await? {
                roles.push(Role {
                    contract: (*contract).to_owned(),
                    role,
                    expected: expected.to_string(),
                    found: found.map(|word| word.to_string()),
                });
            }
        }
    }
    Ok(roles)
}

/// The outer `None`: the deployment has no such contract.
async fn ask(
    rpc: &RpcClient,
    deployment: &Deployment,
    contract: &str,
    role: &str,
) -> Result<Option<Option<U256>>, RpcError> {
    let at = match contract {
        "measurementRegistry" => Some(deployment.measurement_registry.address),
        name => deployment.contracts.get(name).map(|contract| contract.address),
    };
    let Some(at) = at else { return Ok(None) };
    let call = keccak256(format!("{role}()"))[..4].to_vec().into();
    Ok(Some(view(rpc, at, &call).await?))
}
