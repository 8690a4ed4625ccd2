//! The transactions by which a provider says what it serves.

use alloy::primitives::{Address, B256, U256};

use crate::bindings::ComputeRegistry::{
    addCapabilityCall, deactivateCall, reactivateCall, setCapabilityActiveCall, updateEndpointCall,
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
