//! The transactions of `MeasurementRegistry`, and where its storage lies.

use alloy::primitives::{Address, B256, U256, keccak256};

use crate::bindings::MeasurementRegistry::{activateCall, proposeCall, raiseVersionFloorCall, revokeCall};
use crate::sender::{Receipt, SendError, Sender};

/// Storage slot of the mapping from measurement ids to records.
pub const RECORDS_SLOT: u64 = 2;

/// Storage slot of policy epoch, version floor and revoker.
pub const POLICY_SLOT: u64 = 3;

/// What governance proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// Measurement id.
    pub id: [u8; 32],
    /// SHA-256 of the release manifest.
    pub release_digest: [u8; 32],
    /// Release number.
    pub version: u32,
    /// Platform number, see [`jeju_chain::platform`].
    pub platform: u8,
    /// Class of key material that the image may be entrusted with.
    pub custody: u8,
    /// Properties of the image.
    pub flags: u16,
}

/// Announces a measurement; its timelock starts. Owner only.
pub async fn propose(
    sender: &Sender<'_>,
    registry: Address,
    proposal: &Proposal,
) -> Result<Receipt, SendError> {
    let Proposal {
        id,
        release_digest,
        version,
        platform,
        custody,
        flags,
    } = *proposal;
    let (id, release) = (id.into(), release_digest.into());
    let call = proposeCall {
        id,
        releaseDigest: release,
        version,
        platform,
        custody,
        flags,
    };
    sender.call(registry, &call).await
}

/// Lets verifiers accept a proposed measurement. Owner only, after the timelock.
pub async fn activate(sender: &Sender<'_>, registry: Address, id: B256) -> Result<Receipt, SendError> {
    sender.call(registry, &activateCall { id }).await
}

/// Ends a measurement at once and for good. Revoker only.
pub async fn revoke(sender: &Sender<'_>, registry: Address, id: B256) -> Result<Receipt, SendError> {
    sender.call(registry, &revokeCall { id }).await
}

/// Ends all measurements of lower versions. Owner only.
pub async fn raise_version_floor(
    sender: &Sender<'_>,
    registry: Address,
    floor: u32,
) -> Result<Receipt, SendError> {
    sender.call(registry, &raiseVersionFloorCall { floor }).await
}

/// Storage slot of a record's packed word; its release digest lies in the next one. For `eth_getProof`.
pub fn record_slot(id: B256) -> U256 {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(id.as_slice());
    preimage[32..].copy_from_slice(&U256::from(RECORDS_SLOT).to_be_bytes::<32>());
    keccak256(preimage).into()
}
