//! How late it is by the chain's newest block, final or not.

use serde_json::json;

use crate::reader::{ChainReader, ReadError, block};
use crate::rpc::RpcError;

impl ChainReader {
    /// Timestamp of the newest block that k endpoints have passed, in seconds since 1970. The block may leave the chain
    /// again; that time has passed stays true. Nothing else may rest on it.
    ///
    /// # Errors
    /// Where fewer than k endpoints answer.
    pub async fn newest_timestamp(&self) -> Result<u64, ReadError> {
        let mut times = self
            .collect(|node| {
                Box::pin(async move {
                    match block(node, "eth_getBlockByNumber", json!(["latest", false])).await? {
                        Some(block) => Ok(block.timestamp),
                        None => Err(RpcError::Malformed("no latest block")),
                    }
                })
            })
            .await?;
        times.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
        // The k-th highest: fewer than k that lie can't bring the future.
        Ok(times[self.quorum() - 1])
    }
}
