//! The transactions of `ComputeRental`, and those of `ComputeRegistry` that a provider needs before it can offer anything.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use jeju_chain::{Block, ChainReader, Offer, ReadError, RpcClient, RpcError};

use crate::bindings::ComputeRental::{
    DISPUTE_BONDCall, RentalCreated, cancelRentalCall, closeDisputeCall, completeRentalCall,
    computeRegistryCall, createDisputeCall, createRentalCall, expireRentalCall, extendRentalCall,
    identityRegistryCall, linkProviderAgentCall, setProviderResourcesCall, startRentalCall, withdrawCall,
    withdrawToCall,
};
use crate::bindings::RentalOffers::{ComputeResources, ResourcePricing};
use crate::bindings::{ComputeRegistry, IdentityRegistry};
use crate::sender::{Receipt, SendError, Sender, logs};

/// A rental that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRental {
    /// Whose machine.
    pub provider: Address,
    /// How long, within the offer's bounds.
    pub hours: u64,
    /// Line of the only key that logs in. Public for good.
    pub ssh_public_key: String,
    /// Image reference, best with its digest; empty where the provider chooses. Public for good.
    pub container_image: String,
    /// Start-up script, best `sha256:` and its digest. Public for good.
    pub startup_script: String,
}

/// Rents, and pays `value` wei: what is more than the price is credited to the payer. Returns the rental's id, as the
/// contract's event names it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn create(
    sender: &Sender<'_>,
    contract: Address,
    rental: &NewRental,
    value: u128,
) -> Result<(B256, Receipt), SendError> {
    let call = createRentalCall {
        provider: rental.provider,
        durationHours: U256::from(rental.hours),
        sshPublicKey: rental.ssh_public_key.clone(),
        containerImage: rental.container_image.clone(),
        startupScript: rental.startup_script.clone(),
    };
    let receipt = sender.pay(contract, &call, U256::from(value)).await?;
    let id = created(
        sender.rpc(),
        contract,
        sender.account(),
        rental.provider,
        &receipt,
    )
    .await?;
    Ok((id, receipt))
}

/// Adds hours to an active rental, and pays `value` wei. The user only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn extend(
    sender: &Sender<'_>,
    contract: Address,
    rental: B256,
    hours: u64,
    value: u128,
) -> Result<Receipt, SendError> {
    let call = extendRentalCall {
        rentalId: rental,
        additionalHours: U256::from(hours),
    };
    sender.pay(contract, &call, U256::from(value)).await
}

/// Starts a rental: its time runs from then on. The provider only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn start(
    sender: &Sender<'_>,
    contract: Address,
    rental: B256,
    ssh_host: &str,
    ssh_port: u16,
    container_id: &str,
) -> Result<Receipt, SendError> {
    let call = startRentalCall {
        rentalId: rental,
        sshHost: ssh_host.to_owned(),
        sshPort: ssh_port,
        containerId: container_id.to_owned(),
    };
    sender.call(contract, &call).await
}

/// Ends an active rental: either side at any time, anyone once its time is over.
///
/// # Errors
/// Any of [`SendError`].
pub async fn complete(sender: &Sender<'_>, contract: Address, rental: B256) -> Result<Receipt, SendError> {
    sender
        .call(contract, &completeRentalCall { rentalId: rental })
        .await
}

/// Gives up a rental that wasn't started. The user only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn cancel(sender: &Sender<'_>, contract: Address, rental: B256) -> Result<Receipt, SendError> {
    sender
        .call(contract, &cancelRentalCall { rentalId: rental })
        .await
}

/// Ends a rental that the provider didn't start in time. Anyone.
///
/// # Errors
/// Any of [`SendError`].
pub async fn expire(sender: &Sender<'_>, contract: Address, rental: B256) -> Result<Receipt, SendError> {
    sender
        .call(contract, &expireRentalCall { rentalId: rental })
        .await
}

/// What a dispute is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DisputeReason {
    /// The machine can't be reached.
    ProviderOffline = 1,
    /// The machine isn't the one that was offered.
    WrongHardware = 2,
    /// It is slower than was offered.
    PoorPerformance = 3,
    /// The provider endangered the user, or the other way round.
    SecurityIssue = 4,
    /// The user did harm with the machine.
    UserAbuse = 5,
    /// The user attacked the provider.
    UserHackAttempt = 6,
    /// The user broke the provider's terms.
    UserTermsViolation = 7,
    /// The money isn't what it should be.
    PaymentDispute = 8,
}

/// Opens a dispute over an active rental, which ends its use. Either side, with `bond` wei, which is [`dispute_bond`]. `evidence`
/// is public for good. Returns the dispute's id: a rental has one at most.
///
/// # Errors
/// Any of [`SendError`].
pub async fn dispute(
    sender: &Sender<'_>,
    contract: Address,
    rental: B256,
    reason: DisputeReason,
    evidence: &str,
    bond: u128,
) -> Result<(B256, Receipt), SendError> {
    let call = createDisputeCall {
        rentalId: rental,
        reason: reason as u8,
        evidenceUri: evidence.to_owned(),
    };
    let receipt = sender.pay(contract, &call, U256::from(bond)).await?;
    Ok((dispute_id(rental), receipt))
}

/// Carries out a ruling on a rental's dispute, or ends one without. Anyone, once its time has come.
///
/// # Errors
/// Any of [`SendError`].
pub async fn close_dispute(
    sender: &Sender<'_>,
    contract: Address,
    rental: B256,
) -> Result<Receipt, SendError> {
    let call = closeDisputeCall {
        disputeId: dispute_id(rental),
    };
    sender.call(contract, &call).await
}

/// Bond of a dispute, in wei; `None` if the contract is no `ComputeRental`.
///
/// # Errors
/// Where k endpoints give no equal answers.
pub async fn dispute_bond(
    reader: &ChainReader,
    block: &Block,
    contract: Address,
) -> Result<Option<u128>, ReadError> {
    let bond = read(reader, block, contract, &DISPUTE_BONDCall {}).await?;
    Ok(bond.and_then(|bond| u128::try_from(bond).ok()))
}

/// Id of a rental's dispute.
fn dispute_id(rental: B256) -> B256 {
    keccak256(("dispute".to_owned(), rental).abi_encode_params())
}

/// Pays out what the account is owed, to itself or to another account.
///
/// # Errors
/// Any of [`SendError`].
pub async fn withdraw(
    sender: &Sender<'_>,
    contract: Address,
    to: Option<Address>,
) -> Result<Receipt, SendError> {
    match to {
        None => sender.call(contract, &withdrawCall {}).await,
        Some(to) => sender.call(contract, &withdrawToCall { to }).await,
    }
}

/// Makes the account's offer, in place of any other. How many rentals run is left out; no image allows any.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_provider_resources(
    sender: &Sender<'_>,
    contract: Address,
    offer: &Offer,
    images: &[String],
) -> Result<Receipt, SendError> {
    let resources = &offer.resources;
    let call = setProviderResourcesCall {
        resources: ComputeResources {
            gpuType: resources.gpu_type.number(),
            gpuCount: resources.gpu_count,
            gpuVram: resources.gpu_vram_gb,
            cpuCores: resources.cpu_cores,
            memoryGb: resources.memory_gb,
            storageGb: resources.storage_gb,
            bandwidthMbps: resources.bandwidth_mbps,
            teeCapable: resources.tee_capable,
        },
        pricing: ResourcePricing {
            pricePerHour: U256::from(offer.price_per_hour),
            pricePerGpuHour: U256::from(offer.price_per_gpu_hour),
            minimumRentalHours: U256::from(offer.minimum_hours),
            maximumRentalHours: U256::from(offer.maximum_hours),
        },
        maxConcurrent: U256::from(offer.max_concurrent),
        supportedImages: images.to_vec(),
        sshEnabled: offer.ssh_enabled,
        dockerEnabled: offer.docker_enabled,
    };
    sender.call(contract, &call).await
}

/// Links the account's offer to an agent that it owns. The offer ends when the agent moves.
///
/// # Errors
/// Any of [`SendError`].
pub async fn link_provider_agent(
    sender: &Sender<'_>,
    contract: Address,
    agent: B256,
) -> Result<Receipt, SendError> {
    let call = linkProviderAgentCall {
        agentId: agent.into(),
    };
    sender.call(contract, &call).await
}

/// Registers the account in `ComputeRegistry` with `stake` wei, and with its agent where it has one.
///
/// # Errors
/// Any of [`SendError`].
pub async fn register_provider(
    sender: &Sender<'_>,
    registry: Address,
    name: &str,
    endpoint: &str,
    agent: Option<B256>,
    stake: u128,
) -> Result<Receipt, SendError> {
    let stake = U256::from(stake);
    let (name, endpoint) = (name.to_owned(), endpoint.to_owned());
    match agent {
        None => {
            let call = ComputeRegistry::registerCall {
                name,
                endpoint,
                attestationHash: B256::ZERO,
            };
            sender.pay(registry, &call, stake).await
        }
        Some(agent) => {
            let call = ComputeRegistry::registerWithAgentCall {
                name,
                endpoint,
                attestationHash: B256::ZERO,
                agentId: agent.into(),
            };
            sender.pay(registry, &call, stake).await
        }
    }
}

/// Makes an agent of the account in `IdentityRegistry`. Returns its id, as the registry's event names it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn register_agent(
    sender: &Sender<'_>,
    identities: Address,
    uri: &str,
) -> Result<(B256, Receipt), SendError> {
    let call = IdentityRegistry::register_2Call {
        agentURI: uri.to_owned(),
    };
    let receipt = sender.call(identities, &call).await?;
    let topic = IdentityRegistry::Registered::SIGNATURE_HASH;
    for log in logs(sender.rpc(), receipt.transaction).await? {
        if log.address == identities
            && let [event, agent, ..] = log.topics[..]
            && event == topic
        {
            return Ok((agent, receipt));
        }
    }
    Err(RpcError::Malformed("receipt without the agent's event").into())
}

/// The registries that `ComputeRental` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registries {
    /// `ComputeRegistry`, in which providers register.
    pub providers: Address,
    /// `IdentityRegistry`, of agents.
    pub identities: Address,
    /// Stake of an active provider at least, in wei.
    pub minimum_stake: u128,
}

/// Reads which registries `contract` asks; `None` if it is no `ComputeRental`.
///
/// # Errors
/// Where k endpoints give no equal answers.
pub async fn registries(
    reader: &ChainReader,
    block: &Block,
    contract: Address,
) -> Result<Option<Registries>, ReadError> {
    let Some(providers) = read(reader, block, contract, &computeRegistryCall {}).await? else {
        return Ok(None);
    };
    let Some(identities) = read(reader, block, contract, &identityRegistryCall {}).await? else {
        return Ok(None);
    };
    let stake = read(
        reader,
        block,
        providers,
        &ComputeRegistry::minProviderStakeCall {},
    )
    .await?;
    Ok(stake
        .and_then(|stake| u128::try_from(stake).ok())
        .map(|minimum_stake| Registries {
            providers,
            identities,
            minimum_stake,
        }))
}

/// What a contract answers to a call that changes nothing; `None` where it gives none of that form.
async fn read<C: SolCall>(
    reader: &ChainReader,
    block: &Block,
    contract: Address,
    call: &C,
) -> Result<Option<C::Return>, ReadError> {
    let answer = reader.call_at(block, &contract, &call.abi_encode(), 32).await?;
    Ok(answer.and_then(|answer| C::abi_decode_returns(&answer).ok()))
}

/// Id of the rental that a transaction made.
async fn created(
    rpc: &RpcClient,
    contract: Address,
    user: Address,
    provider: Address,
    receipt: &Receipt,
) -> Result<B256, SendError> {
    for log in logs(rpc, receipt.transaction).await? {
        if log.address == contract
            && let [event, id, by, of] = log.topics[..]
            && event == RentalCreated::SIGNATURE_HASH
            && by == user.into_word()
            && of == provider.into_word()
        {
            return Ok(id);
        }
    }
    Err(RpcError::Malformed("receipt without the rental's event").into())
}
