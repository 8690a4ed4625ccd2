//! What connects the contracts once all are there. Most of it only governance may do, so on a public chain, where deployer
//! and governance are different accounts, it comes out as transactions for governance to send.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::SolCall;
use jeju_chain::{RpcClient, RpcError, platform};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bindings::{AttestedKeyRegistry, ComputeStaking, LedgerManager, MeasurementRegistry};
use crate::deployment::{DeployError, Deployment};
use crate::network::Network;
use crate::sender::{AccountKey, Receipt, Sender};

/// Platforms whose quotes the committee verifies.
const COMMITTEE_PLATFORMS: [u8; 3] = [platform::TDX, platform::SEV_SNP, platform::NITRO];

/// A transaction that connects two contracts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub name: String,
    /// The contract that is called.
    pub to: Address,
    /// The call.
    pub call: Bytes,
    /// Whether governance must have announced the call first, and its timelock must have run out.
    pub announced: bool,
    /// Whether anyone may make it, once all steps before it are made.
    pub anyone: bool,
    done: Check,
}

/// How it shows that a step was made: a view, and what the first word of its answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    call: Bytes,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    NotZero,
    AllBits(U256),
    Word(U256),
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum State {
    /// It was made before.
    Done,
    /// It was made now.
    Made {
        /// The transaction.
        transaction: Receipt,
    },
    /// It was announced, now or before, and can be made from then on.
    #[serde(rename_all = "camelCase")]
    Announced {
        /// Unix seconds.
        ready_at: u64,
    },
    /// It can be made once the steps before it are.
    Waiting,
    /// The account at hand may not, or this is a dry run: governance sends this.
    Governance {
        /// To this contract.
        to: Address,
        /// With this calldata.
        data: Bytes,
    },
}

/// A step and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wired {
    /// What the step does.
    pub step: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
}

/// The steps for a deployment, in the order in which they can be made.
pub fn steps(deployment: &Deployment) -> Vec<Step> {
    let at = |name: &str| deployment.contracts.get(name).map(|contract| contract.address);
    let (
        Some(identity),
        Some(hardware),
        Some(keys),
        Some(staking),
        Some(compute),
        Some(court),
        Some(ledger),
        Some(serving),
    ) = (
        at("identityRegistry"),
        at("hardwareRegistry"),
        at("attestedKeyRegistry"),
        at("computeStaking"),
        at("computeRegistry"),
        at("slashingCourt"),
        at("ledgerManager"),
        at("inferenceServing"),
    )
    else {
        return Vec::new();
    };
    let measurements = deployment.measurement_registry.address;
    let mut steps = Vec::new();
    for (name, registry) in [
        ("measurementRegistry", measurements),
        ("hardwareRegistry", hardware),
        ("identityRegistry", identity),
    ] {
        steps.push(Step {
            name: format!("{name} tells attestedKeyRegistry"),
            to: registry,
            call: MeasurementRegistry::addObserverCall { observer: keys }
                .abi_encode()
                .into(),
            announced: true,
            anyone: false,
            done: Check::new(
                MeasurementRegistry::isObserverCall { account: keys },
                Wanted::NotZero,
            ),
        });
    }
    steps.push(Step {
        name: "attestedKeyRegistry relies on being told".to_owned(),
        to: keys,
        call: AttestedKeyRegistry::connectCall {}.abi_encode().into(),
        announced: false,
        anyone: true,
        // Measurements, hardware and agents.
        done: Check::new(
            AttestedKeyRegistry::connectedCall {},
            Wanted::AllBits(U256::from(7)),
        ),
    });
    steps.push(Step {
        name: "inferenceServing settles in ledgerManager".to_owned(),
        to: ledger,
        call: LedgerManager::setInferenceContractCall { serving }
            .abi_encode()
            .into(),
        announced: false,
        anyone: false,
        done: Check::new(
            LedgerManager::inferenceContractCall {},
            Wanted::Word(serving.into_word().into()),
        ),
    });
    for (name, vault) in [("computeStaking", staking), ("computeRegistry", compute)] {
        steps.push(Step {
            name: format!("slashingCourt challenges in {name}"),
            to: vault,
            call: ComputeStaking::proposeChallengerCall { challenger: court }
                .abi_encode()
                .into(),
            announced: false,
            anyone: false,
            done: Check::new(
                ComputeStaking::challengerFromCall { challenger: court },
                Wanted::NotZero,
            ),
        });
    }
    if let Some(verifier) = at("frostVerifier") {
        // Simulated silicon exists on local chains alone.
        let is_local = deployment.network == Network::Localnet.to_string();
        let simulated = is_local.then_some(platform::SIMULATED);
        for platform in COMMITTEE_PLATFORMS.into_iter().chain(simulated) {
            steps.push(Step {
                name: format!("frostVerifier verifies quotes of platform {platform}"),
                to: keys,
                call: AttestedKeyRegistry::setVerifierCall { platform, verifier }
                    .abi_encode()
                    .into(),
                announced: true,
                anyone: false,
                done: Check::new(
                    AttestedKeyRegistry::platformsCall { platform },
                    Wanted::Word(verifier.into_word().into()),
                ),
            });
        }
    }
    steps
}

impl Check {
    fn new(view: impl SolCall, wanted: Wanted) -> Self {
        Self {
            call: view.abi_encode().into(),
            wanted,
        }
    }
}

/// Makes every step that `key` may make, announcing first where that is needed, and says where each stands. `owner` governs
/// the contracts. May be repeated at any time; without a key it only looks.
///
/// # Errors
/// When a transaction fails, or the node can't be asked.
pub async fn wire(
    rpc: &RpcClient,
    key: Option<&AccountKey>,
    deployment: &Deployment,
    owner: Address,
) -> Result<Vec<Wired>, DeployError> {
    let sender = key.map(|key| (Sender::new(rpc, key, deployment.chain_id), key.address() == owner));
    let mut wired: Vec<Wired> = Vec::new();
    for step in steps(deployment) {
        let waits = step.anyone && !wired.iter().all(|step| step.state.is_made());
        let state = match (is_done(rpc, &step).await?, &sender) {
            (true, _) => State::Done,
            (false, _) if waits => State::Waiting,
            (false, Some((sender, governance))) if step.anyone || *governance => {
                make(rpc, sender, &step).await?
            }
            (false, _) => State::Governance {
                to: step.to,
                data: governance_call(rpc, &step).await?,
            },
        };
        wired.push(Wired {
            step: step.name,
            state,
        });
    }
    Ok(wired)
}

impl State {
    fn is_made(&self) -> bool {
        matches!(self, State::Done | State::Made { .. })
    }
}

async fn is_done(rpc: &RpcClient, step: &Step) -> Result<bool, RpcError> {
    // Where nothing is deployed yet, nothing is done.
    let Some(word) = view(rpc, step.to, &step.done.call).await? else {
        return Ok(false);
    };
    Ok(match step.done.wanted {
        Wanted::NotZero => !word.is_zero(),
        Wanted::AllBits(bits) => word & bits == bits,
        Wanted::Word(wanted) => word == wanted,
    })
}

/// What governance sends next: the announcement, or the call itself once its time has come.
async fn governance_call(rpc: &RpcClient, step: &Step) -> Result<Bytes, RpcError> {
    if !step.announced || announced_for(rpc, step).await? != 0 {
        return Ok(step.call.clone());
    }
    Ok(announcement(step))
}

async fn make(rpc: &RpcClient, sender: &Sender<'_>, step: &Step) -> Result<State, DeployError> {
    if step.announced {
        let mut ready_at = announced_for(rpc, step).await?;
        if ready_at == 0 {
            sender.send(step.to, announcement(step)).await?;
            ready_at = announced_for(rpc, step).await?;
        }
        if ready_at > newest_block_time(rpc).await? {
            return Ok(State::Announced { ready_at });
        }
    }
    let transaction = sender.send(step.to, step.call.clone()).await?;
    Ok(State::Made { transaction })
}

fn announcement(step: &Step) -> Bytes {
    MeasurementRegistry::announceCall {
        call: step.call.clone(),
    }
    .abi_encode()
    .into()
}

async fn announced_for(rpc: &RpcClient, step: &Step) -> Result<u64, RpcError> {
    let change: B256 = keccak256(&step.call);
    let call = MeasurementRegistry::announcedForCall { change }
        .abi_encode()
        .into();
    let word = view(rpc, step.to, &call).await?;
    Ok(word.map_or(0, |word| word.saturating_to()))
}

async fn newest_block_time(rpc: &RpcClient) -> Result<u64, RpcError> {
    let block: Value = rpc.call("eth_getBlockByNumber", json!(["latest", false])).await?;
    block["timestamp"]
        .as_str()
        .and_then(|text| jeju_chain::parse_quantity(text).ok())
        .ok_or(RpcError::Malformed("timestamp"))
}

/// The first word of a view's answer; `None` where there is none, as from an account without code.
pub(crate) async fn view(rpc: &RpcClient, to: Address, call: &Bytes) -> Result<Option<U256>, RpcError> {
    let answer: Bytes = rpc
        .call("eth_call", json!([{ "to": to, "input": call }, "latest"]))
        .await?;
    Ok(answer.get(..32).map(U256::from_be_slice))
}
