//! A contract's answer to a call that changes nothing, as k endpoints give it.

use serde_json::{Value, json};

use crate::abi::AbiError;
use crate::call_data::CallData;
use crate::hexadecimal::parse_data;
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::{RpcClient, RpcError};

/// Longest result that [`ChainReader::call`] keeps, in bytes. Contracts that answer more are refused.
pub const MAX_CALL_RESULT: usize = 4 << 10;

impl ChainReader {
    /// What the contract `to` answers to `data` at the finalised block: k equal answers. `None` where it reverts, or
    /// where there is no contract.
    ///
    /// # Errors
    /// Where the block can't be read, or k endpoints give no equal answers.
    pub async fn call(&self, to: &[u8; 20], data: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let block = self.finalized_block().await?.block;
        self.call_at(&block, to, data, MAX_CALL_RESULT).await
    }

    /// The same at a block that was read before, so that several answers hold for one state; answers of more than
    /// `max_len` bytes are refused.
    ///
    /// # Errors
    /// Where k endpoints give no equal answers, for instance because the block has left the chain.
    pub async fn call_at(
        &self,
        block: &Block,
        to: &[u8; 20],
        data: &[u8],
        max_len: usize,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.agree(|node| {
            let params = call_params(block, to, data);
            Box::pin(async move { call_once(node, params, max_len).await })
        })
        .await
    }

    /// What `decode` makes of a contract's answer of at most `max_len` bytes: the same from k endpoints. A contract that
    /// reverts, or isn't there, has given no answer; `what` names what was read in errors.
    pub(crate) async fn read<'a, T: PartialEq + Send + 'a>(
        &'a self,
        block: &Block,
        contract: &[u8; 20],
        call: &CallData,
        max_len: usize,
        what: &'static str,
        decode: impl Fn(&[u8]) -> Result<T, AbiError> + Copy + Send + 'a,
    ) -> Result<T, ReadError> {
        let params = call_params(block, contract, &call.encode());
        self.agree(|node| {
            let params = params.clone();
            Box::pin(async move {
                let bytes = answer(node, params, max_len).await?;
                decode(&bytes).map_err(|_| RpcError::Malformed(what))
            })
        })
        .await
    }
}

/// Parameters of `eth_call` at a block by hash, and canonical (EIP-1898), so that all endpoints answer for one state.
pub(crate) fn call_params(block: &Block, to: &[u8; 20], data: &[u8]) -> Value {
    let call = json!({
        "to": format!("0x{}", hex::encode(to)),
        "data": format!("0x{}", hex::encode(data)),
    });
    let hash = format!("0x{}", hex::encode(block.hash));
    json!([call, { "blockHash": hash, "requireCanonical": true }])
}

/// One endpoint's answer; `None` where the contract reverts, or where there is none.
pub(crate) async fn call_once(
    node: &RpcClient,
    params: Value,
    max_len: usize,
) -> Result<Option<Vec<u8>>, RpcError> {
    let result: String = match node.call("eth_call", params).await {
        Ok(result) => result,
        // The node ran the call and the contract refused it. Other refusals of a node are no answer of a contract.
        Err(RpcError::Node { code, data, .. }) if code == REVERTED || data.is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let result = parse_data(&result).map_err(|_| RpcError::Malformed("call result"))?;
    if result.len() > max_len {
        return Err(RpcError::Malformed("call result is too long"));
    }
    // An account without code answers nothing.
    Ok((!result.is_empty()).then_some(result))
}

/// What a contract says that answers every one of these calls.
pub(crate) async fn answer(node: &RpcClient, params: Value, max_len: usize) -> Result<Vec<u8>, RpcError> {
    call_once(node, params, max_len)
        .await?
        .ok_or(RpcError::NoContract)
}

/// JSON-RPC code of a call that reverted (geth's and anvil's); other nodes at least hand on what the contract said.
const REVERTED: i64 = 3;
