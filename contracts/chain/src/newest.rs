//! The chain's newest block, final or not.

use serde_json::json;

use crate::guard::GuardError;
use crate::reader::{Block, ChainReader, ReadError, block};
use crate::rpc::{RpcClient, RpcError};

impl ChainReader {
    /// Timestamp of the newest block that k endpoints have passed, in seconds since 1970. The block may leave the chain
    /// again; that time has passed stays true. Nothing else may rest on it.
    ///
    /// # Errors
    /// Where fewer than k endpoints answer.
    pub async fn newest_timestamp(&self) -> Result<u64, ReadError> {
        let mut times: Vec<u64> = self.newest().await?.iter().map(|block| block.timestamp).collect();
        times.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
        // The k-th highest: fewer than k that lie can't bring the future.
        Ok(times[self.quorum() - 1])
    }

    /// The newest block that k endpoints have passed and agree on. It may leave the chain again, and what was read at it
    /// with it: only what can be taken back, or is checked again, may rest on it.
    ///
    /// # Errors
    /// Where fewer than k endpoints answer, or no k know the same block of that number, as they may for a moment after
    /// two blocks of one height were made; [`ReadError::Guarded`] where the reader's guard refuses the chain, or the block
    /// lies before one that was final.
    pub async fn newest_block(&self) -> Result<Block, ReadError> {
        let Some(guard) = self.guard() else {
            return self.shown_newest().await;
        };
        let highest = guard.recent(self).await?.block;
        let newest = self.shown_newest().await?;
        match newest.number < highest.number || newest.timestamp < highest.timestamp {
            true => Err(GuardError::Rewound {
                highest,
                found: Some(newest),
            }
            .into()),
            false => Ok(newest),
        }
    }

    async fn shown_newest(&self) -> Result<Block, ReadError> {
        let mut blocks = self.newest().await?;
        blocks.sort_by_key(|block| std::cmp::Reverse(block.number));
        // Those that lie are fewer than k, so they can't raise the k-th highest above an honest one's.
        blocks.truncate(self.quorum());
        let lowest = blocks[blocks.len() - 1];
        if blocks.iter().all(|block| *block == lowest) {
            return Ok(lowest);
        }
        self.block_by_number(lowest.number).await
    }

    async fn newest(&self) -> Result<Vec<Block>, ReadError> {
        self.collect(|node| Box::pin(latest(node))).await
    }
}

async fn latest(node: &RpcClient) -> Result<Block, RpcError> {
    block(node, "eth_getBlockByNumber", json!(["latest", false]))
        .await?
        .ok_or(RpcError::Malformed("no latest block"))
}
