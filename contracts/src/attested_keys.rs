//! The provider's transaction with `AttestedKeyRegistry`.

use alloy::primitives::{Address, U256};

use crate::bindings::AttestedKeyRegistry::{AgentConsent, registerCall};
use crate::sender::{Receipt, SendError, Sender};

/// A key, what its quote was found to say, and who agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration<'a> {
    /// Platform, by the number that contracts have for it.
    pub platform: u8,
    /// Measurement id.
    pub measurement: [u8; 32],
    /// Platform id, or zeros.
    pub hardware: [u8; 32],
    /// Agent.
    pub agent: [u8; 32],
    /// SHA-256 of the claims-buffer.
    pub claims_digest: [u8; 32],
    /// SHA-256 of the launch document.
    pub launch_digest: [u8; 32],
    /// Account of the key.
    pub key: [u8; 20],
    /// State of the firmware.
    pub tcb_status: u8,
    /// Unix seconds after which the key is dead.
    pub expiry: u64,
    /// The claims-buffer.
    pub claims: &'a [u8],
    /// What the platform's verifier wants.
    pub proof: &'a [u8],
    /// Signature of the agent's owner over the consent, for the same expiry.
    pub consent: &'a [u8],
}

/// Registers a key, or renews it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn register(
    sender: &Sender<'_>,
    registry: Address,
    registration: &Registration<'_>,
) -> Result<Receipt, SendError> {
    let call = registerCall {
        claims: (
            registration.platform,
            registration.measurement.into(),
            registration.hardware.into(),
            U256::from_be_bytes(registration.agent),
            registration.claims_digest.into(),
            registration.launch_digest.into(),
            registration.key.into(),
            registration.tcb_status,
            registration.expiry,
        )
            .into(),
        buffer: registration.claims.to_vec().into(),
        proof: registration.proof.to_vec().into(),
        consent: AgentConsent {
            expiry: registration.expiry,
            signature: registration.consent.to_vec().into(),
        },
    };
    sender.call(registry, &call).await
}
