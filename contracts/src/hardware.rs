//! The transactions of `HardwareRegistry`, and what it says of a machine.

use alloy::primitives::{Address, B256};
use alloy::sol_types::SolCall;
use jeju_chain::{RpcClient, RpcError};
use serde_json::json;

use crate::bindings::HardwareRegistry::{
    allowCall, findCall, machineAtCall, proposeCall, revokeCall, revokeForAllCall, standingCall,
};
use crate::sender::{Receipt, SendError, Sender};

/// An agent, and a machine that it is to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Agent id.
    pub agent: B256,
    /// Platform id: the 32 bytes that evidence of this machine names.
    pub hardware: B256,
}

/// What the registry says of a machine of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its number there.
    pub number: u64,
    /// `proposed`, `allowed` or `revoked`.
    pub stage: &'static str,
    /// Whether the agent may run on it now: allowed, of the same owner as when it was proposed, and not revoked for all.
    pub allowed: bool,
    /// Class of key material that may be held there.
    pub custody: u8,
    /// Unix seconds: while proposed, when it can be allowed; then, since when it was.
    pub since: u64,
    /// Unix seconds from which it was revoked; zero if it wasn't.
    pub ended_at: u64,
}

/// Announces that an agent is to run on a machine; its timelock starts. Owner only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn propose(
    sender: &Sender<'_>,
    registry: Address,
    machine: Machine,
    custody: u8,
) -> Result<Receipt, SendError> {
    let call = proposeCall {
        agentId: machine.agent.into(),
        hardware: machine.hardware,
        custody,
    };
    sender.call(registry, &call).await
}

/// Lets the agent run on it. Owner only, after the timelock.
///
/// # Errors
/// Any of [`SendError`].
pub async fn allow(sender: &Sender<'_>, registry: Address, machine: Machine) -> Result<Receipt, SendError> {
    let call = allowCall {
        agentId: machine.agent.into(),
        hardware: machine.hardware,
    };
    sender.call(registry, &call).await
}

/// Ends the agent's permission at once and for good. Revoker only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn revoke(sender: &Sender<'_>, registry: Address, machine: Machine) -> Result<Receipt, SendError> {
    let call = revokeCall {
        agentId: machine.agent.into(),
        hardware: machine.hardware,
    };
    sender.call(registry, &call).await
}

/// Ends a machine for all agents at once and for good. Revoker only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn revoke_for_all(
    sender: &Sender<'_>,
    registry: Address,
    hardware: B256,
) -> Result<Receipt, SendError> {
    sender.call(registry, &revokeForAllCall { hardware }).await
}

/// What the registry says at the newest block; none of a machine that nobody proposed for the agent.
///
/// # Errors
/// [`RpcError`], also where no such registry is.
pub async fn standing(
    rpc: &RpcClient,
    registry: Address,
    machine: Machine,
) -> Result<Option<Standing>, RpcError> {
    let find = findCall {
        agentId: machine.agent.into(),
        hardware: machine.hardware,
    };
    let found = view(rpc, registry, &find).await?;
    let number = found.number;
    if number.is_zero() {
        return Ok(None);
    }
    let record = view(rpc, registry, &machineAtCall { number }).await?;
    let standing = view(rpc, registry, &standingCall { number }).await?;
    Ok(Some(Standing {
        number: number.to(),
        stage: match record.stage {
            1 => "proposed",
            2 => "allowed",
            3 => "revoked",
            _ => return Err(RpcError::Malformed("stage of a machine")),
        },
        allowed: found.allowed,
        custody: record.custody,
        since: record.since,
        ended_at: standing.endedAt,
    }))
}

async fn view<C: SolCall>(rpc: &RpcClient, to: Address, call: &C) -> Result<C::Return, RpcError> {
    let input = alloy::primitives::Bytes::from(call.abi_encode());
    let answer: alloy::primitives::Bytes = rpc
        .call("eth_call", json!([{ "to": to, "input": input }, "latest"]))
        .await?;
    C::abi_decode_returns(&answer).map_err(|_| RpcError::Malformed("answer of the hardware registry"))
}
