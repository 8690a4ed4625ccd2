//! A contract's answer to a call that changes nothing, as k endpoints give it.

use serde_json::{Value, json};

use crate::hexadecimal::parse_data;
use crate::reader::{ChainReader, ReadError};
use crate::rpc::{RpcClient, RpcError};

/// Longest result that is kept, in bytes. Contracts that answer more are refused.
pub const MAX_CALL_RESULT: usize = 4 << 10;

impl ChainReader {
    /// What the contract `to` answers to `data` at the finalised block: k equal answers. `None` where it reverts, or
    /// where there is no contract.
    ///
    /// # Errors
    /// Where the block can't be read, or k endpoints give no equal answers.
    pub async fn call(&self, to: &[u8; 20], data: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let block = self.finalized_block().await?.block;
        let call = json!({
            "to": format!("0x{}", hex::encode(to)),
            "data": format!("0x{}", hex::encode(data)),
        });
        // By hash and canonical (EIP-1898), so that all endpoints answer for one state.
        let hash = format!("0x{}", hex::encode(block.hash));
        let params = json!([call, { "blockHash": hash, "requireCanonical": true }]);
        self.agree(|node| Box::pin(ask(node, params.clone()))).await
    }
}

async fn ask(node: &RpcClient, params: Value) -> Result<Option<Vec<u8>>, RpcError> {
    let result: String = match node.call("eth_call", params).await {
        Ok(result) => result,
        // The node ran the call and the contract refused it. Other refusals of a node are no answer of a contract.
        Err(RpcError::Node { code, data, .. }) if code == REVERTED || data.is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let result = parse_data(&result).map_err(|_| RpcError::Malformed("call result"))?;
    if result.len() > MAX_CALL_RESULT {
        return Err(RpcError::Malformed("call result is too long"));
    }
    // An account without code answers nothing.
    Ok((!result.is_empty()).then_some(result))
}

/// JSON-RPC code of a call that reverted (geth's and anvil's); other nodes at least hand on what the contract said.
const REVERTED: i64 = 3;
