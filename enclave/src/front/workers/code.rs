//! Code that isn't uploaded: where its owner keeps it, and what `WorkerRegistry` says of it. What is fetched counts as one of
//! the owner's fetches, under the same rules; its digest is for the caller to check.

use std::sync::Arc;

use jeju_chain::{ChainReader, WorkerStatus};
use jeju_worker_broker::{BoxFuture, CallContext};
use jeju_worker_protocol::{Failure, MAX_BUNDLE, code};

use super::outbound::Fetcher;
use super::{CodeSource, Registered};

/// Reads the web and the chain.
pub(in crate::front) struct Remote {
    fetcher: Fetcher,
    chain: Arc<ChainReader>,
    /// `WorkerRegistry`, where the launch document names one.
    registry: Option<[u8; 20]>,
}

impl Remote {
    pub(in crate::front) fn new(
        fetcher: Fetcher,
        chain: Arc<ChainReader>,
        registry: Option<[u8; 20]>,
    ) -> Self {
        Self {
            fetcher,
            chain,
            registry,
        }
    }

    async fn text(&self, owner: &[u8; 20], url: &str) -> Result<String, Failure> {
        let context = CallContext {
            owner: *owner,
            // No worker's id is empty.
            worker: String::new(),
            version: 0,
        };
        let bytes = self.fetcher.get(Arc::new(context), url, MAX_BUNDLE).await?;
        String::from_utf8(bytes).map_err(|_| Failure::new(code::FETCH_FAILED, "what lies there isn't text"))
    }

    async fn record(&self, id: &[u8; 32]) -> Result<Registered, Failure> {
        let Some(registry) = &self.registry else {
            let text = "the launch document names no WorkerRegistry";
            return Err(Failure::new(code::FETCH_REFUSED, text));
        };
        let unread = |_| Failure::new(code::FETCH_FAILED, "the chain couldn't be read");
        let block = self.chain.finalized_block().await.map_err(unread)?.block;
        let record = self.chain.worker_at(&block, registry, id).await.map_err(unread)?;
        let record = record.filter(|record| record.status != WorkerStatus::Terminated);
        let record =
            record.ok_or_else(|| Failure::new(code::FETCH_FAILED, "the registry has no such worker"))?;
        Ok(Registered {
            owner: record.owner,
            code_hash: record.code_hash,
            code_url: record
                .code_uri
                .as_str()
                .filter(|uri| !uri.is_empty())
                .map(str::to_owned),
        })
    }
}

impl CodeSource for Remote {
    fn fetch<'a>(&'a self, owner: &'a [u8; 20], url: &'a str) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(self.text(owner, url))
    }

    fn registered<'a>(&'a self, id: &'a [u8; 32]) -> BoxFuture<'a, Result<Registered, Failure>> {
        Box::pin(self.record(id))
    }
}
