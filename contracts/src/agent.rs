//! The transactions of `IdentityRegistry` (ERC-8004): agents, and where their registration files lie.

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolEvent;
use jeju_chain::RpcError;

use crate::bindings::IdentityRegistry::{
    self, MetadataEntry, register_1Call, setAgentURICall, setMetadataCall,
};
use crate::sender::{Receipt, SendError, Sender, logs};

/// Makes an agent of the account, with metadata. Returns its id, as the registry's event names it.
///
/// # Errors
/// Any of [`SendError`].
pub async fn register(
    sender: &Sender<'_>,
    identities: Address,
    uri: &str,
    metadata: &[(&str, &[u8])],
) -> Result<(B256, Receipt), SendError> {
    let entry = |(key, value): &(&str, &[u8])| MetadataEntry {
        metadataKey: (*key).to_owned(),
        metadataValue: Bytes::copy_from_slice(value),
    };
    let call = register_1Call {
        agentURI: uri.to_owned(),
        metadata: metadata.iter().map(entry).collect(),
    };
    let receipt = sender.call(identities, &call).await?;
    let event = IdentityRegistry::Registered::SIGNATURE_HASH;
    for log in logs(sender.rpc(), receipt.transaction).await? {
        if log.address == identities
            && let [topic, agent, ..] = log.topics[..]
            && topic == event
        {
            return Ok((agent, receipt));
        }
    }
    Err(RpcError::Malformed("receipt without the agent's event").into())
}

/// Moves the registration file of an agent. Owner and operators only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_uri(
    sender: &Sender<'_>,
    identities: Address,
    agent: B256,
    uri: &str,
) -> Result<Receipt, SendError> {
    let call = setAgentURICall {
        agentId: agent.into(),
        newURI: uri.to_owned(),
    };
    sender.call(identities, &call).await
}

/// Sets a metadata entry of an agent. Owner and operators only.
///
/// # Errors
/// Any of [`SendError`].
pub async fn set_metadata(
    sender: &Sender<'_>,
    identities: Address,
    agent: B256,
    key: &str,
    value: &[u8],
) -> Result<Receipt, SendError> {
    let call = setMetadataCall {
        agentId: agent.into(),
        metadataKey: key.to_owned(),
        metadataValue: Bytes::copy_from_slice(value),
    };
    sender.call(identities, &call).await
}
