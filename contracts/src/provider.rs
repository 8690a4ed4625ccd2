//! The transactions of `ComputeRegistry` by which a provider says what it serves, with which stake and which attested key.
//! Registration itself: [`crate::rental::register_provider`].

use alloy::primitives::{Address, B256, U256};

use crate::bindings::ComputeRegistry::{
    addCapabilityCall, addStakeCall, deactivateCall, linkAgentCall, reactivateCall, setAttestedKeyCall,
    setCapabilityActiveCall, unlinkAgentCall, updateEndpointCall, withdrawCall, withdrawStakeCall,
    withdrawToCall,
};
use crate::sender::{Receipt, SendError, Sender};

/// A model at a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCapability {
    /// Its name, 1 to 256 bytes.
    pub model: String,
    /// Wei for each token of a prompt.
    pub price_per_input_token: u128,
    /// Wei for each token of an answer.
    pub price_per_output_token: u128,
    /// Tokens of the longest context.
    pub max_context: u64,
}

/// Offers another model.
///
/// # Errors
/// Any of [`SendError`].
pub async fn add_capability(
    sender: &Sender<'_>,
    registry: Address,
    capability: &NewCapability,
) -> Result<Receipt, SendError> {
    let call = addCapabilityCall {
        model: capability.model.clone(),
        pricePerInputToken: U256::from(capability.price_per_input_token),
        pricePerOutputToken: U256::from(capability.price_per_output_token),
        maxContextLength: U256::from(capability.max_context),
    };
    sender.call(registry, &call).await
}

/// Starts or stops offering the model at a place of the provider's list.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_capability_active(
    sender: &Sender<'_>,
    registry: Address,
    index: u64,
    active: bool,
) -> Result<Receipt, SendError> {
    let index = U256::from(index);
    sender
        .call(registry, &setCapabilityActiveCall { index, active })
        .await
}

/// Moves the provider's API to another URL.
///
/// # Errors
/// Any of [`SendError`].
pub async fn update_endpoint(
    sender: &Sender<'_>,
    registry: Address,
    endpoint: &str,
) -> Result<Receipt, SendError> {
    let call = updateEndpointCall {
        endpoint: endpoint.to_owned(),
        // Zero keeps what is there.
        attestationHash: B256::ZERO,
    };
    sender.call(registry, &call).await
}

/// Takes work, or takes none any more.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_active(sender: &Sender<'_>, registry: Address, active: bool) -> Result<Receipt, SendError> {
    match active {
        true => sender.call(registry, &reactivateCall {}).await,
        false => sender.call(registry, &deactivateCall {}).await,
    }
}

/// Adds `amount` wei to the stake.
///
/// # Errors
/// Any of [`SendError`].
pub async fn add_stake(sender: &Sender<'_>, registry: Address, amount: u128) -> Result<Receipt, SendError> {
    sender.pay(registry, &addStakeCall {}, U256::from(amount)).await
}

/// Starts the unbonding of `amount` wei of stake; [`withdraw`] pays once it is over. An active provider keeps the minimum.
///
/// # Errors
/// Any of [`SendError`].
pub async fn withdraw_stake(
    sender: &Sender<'_>,
    registry: Address,
    amount: u128,
) -> Result<Receipt, SendError> {
    let amount = U256::from(amount);
    sender.call(registry, &withdrawStakeCall { amount }).await
}

/// Pays what is free, stake whose unbonding is over and rewards, to the account or to another.
///
/// # Errors
/// Any of [`SendError`].
pub async fn withdraw(
    sender: &Sender<'_>,
    registry: Address,
    to: Option<Address>,
) -> Result<Receipt, SendError> {
    match to {
        None => sender.call(registry, &withdrawCall {}).await,
        Some(to) => sender.call(registry, &withdrawToCall { to }).await,
    }
}

/// Links the provider to an agent that it owns, in place of any other; `None` ends the link.
///
/// # Errors
/// Any of [`SendError`].
pub async fn link_agent(
    sender: &Sender<'_>,
    registry: Address,
    agent: Option<B256>,
) -> Result<Receipt, SendError> {
    match agent {
        None => sender.call(registry, &unlinkAgentCall {}).await,
        Some(agent) => {
            let call = linkAgentCall {
                agentId: agent.into(),
            };
            sender.call(registry, &call).await
        }
    }
}

/// Answers for an attested key of the linked agent, for good, and shows it to clients; `None` shows none any more.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_attested_key(
    sender: &Sender<'_>,
    registry: Address,
    key: Option<Address>,
) -> Result<Receipt, SendError> {
    let key = key.unwrap_or(Address::ZERO);
    sender.call(registry, &setAttestedKeyCall { key }).await
}
