//! Logs of contracts, read once each and in order, up to the finalised block: a reader that goes on where it stopped.
//!
//! k endpoints must give the same logs of a range, and the chain must still hold the block at which the last page ended.
//! What k endpoints withhold together isn't noticed: a quorum that lies can lie here as everywhere else (`docs/design.md`).

mod cursor;
mod log;

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use self::log::{LogJson, read};
use crate::hexadecimal::parse_word;
use crate::reader::{Block, ChainReader, Head, ReadError};
use crate::rpc::{RpcClient, RpcError};

pub use cursor::{CURSOR_VERSION, Cursor, CursorError};
pub use log::{Event, Filter, FilterError, MAX_ADDRESSES, MAX_TOPIC_ALTERNATIVES};

/// Most blocks of a page unless the endpoints want fewer. Hosted nodes commonly draw the line at 2,000 to 10,000.
pub const MAX_SPAN: u64 = 2_000;

/// Reads the logs that a filter lets through.
#[derive(Debug)]
pub struct EventReader<'a> {
    chain: &'a ChainReader,
    chain_id: u64,
    filter: Filter,
    /// Blocks that the next page asks for; less after a refusal.
    span: u64,
}

/// A range of blocks, with all of its logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order in which the chain has them.
    pub events: Vec<Event>,
    /// Where to go on. Stored together with what was made of the events, each of them is used once.
    pub cursor: Cursor,
    /// The finalised block that the page was read under, with its label.
    pub head: Head,
}

impl Page {
    /// Whether the page reaches the finalised block.
    pub fn is_last(&self) -> bool {
        self.cursor.number() >= self.head.block.number
    }
}

/// Why there is no next page. The cursor stays good, except after [`EventError::Rewound`].
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The endpoints gave no answer, or different ones.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The endpoints serve another chain.
    #[error("the endpoints serve chain {found}, not {wanted}")]
    OtherChain {
        /// Their chain id.
        found: u64,
        /// The reader's.
        wanted: u64,
    },
    /// The cursor was made by another reader: other chain, addresses or topics.
    #[error("the cursor belongs to another chain or filter")]
    OtherCursor,
    /// The block at which the last page ended is no longer on the chain, or the finalised head lies before it. What was
    /// read since an earlier block has to be undone; nothing here guesses which.
    #[error("the chain has rewound: block {number} was {expected}, now {found}", expected = hex::encode(expected), found = found.map_or_else(|| "not there".to_owned(), hex::encode))]
    Rewound {
        /// The block's number.
        number: u64,
        /// Hash of the block that was read.
        expected: [u8; 32],
        /// Hash of the block that the chain has there now, where it is final.
        found: Option<[u8; 32]>,
    },
}

impl EventError {
    /// A stable code for output and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::OtherChain { .. } => "chain-other",
            Self::OtherCursor => "chain-cursor-other",
            Self::Rewound { .. } => "chain-rewound",
        }
    }
}

impl<'a> EventReader<'a> {
    /// A reader of the chain with that id. Connects to nothing yet.
    pub fn new(chain: &'a ChainReader, chain_id: u64, filter: Filter) -> Self {
        Self {
            chain,
            chain_id,
            filter,
            span: MAX_SPAN,
        }
    }

    /// The cursor from which the first page begins at the block after `number`, which must be final: usually the block
    /// before the contracts' deployment.
    pub async fn start_after(&self, number: u64) -> Result<Cursor, EventError> {
        self.check_chain().await?;
        if self.chain.finalized_block().await?.block.number < number {
            return Err(ReadError::BlockNotFound.into());
        }
        let block = self.chain.block_by_number(number).await?;
        Ok(Cursor::new(self.chain_id, &self.filter, block.number, block.hash))
    }

    /// The page after `cursor`; without events and at the same place where nothing new is final.
    pub async fn next(&mut self, cursor: &Cursor) -> Result<Page, EventError> {
        if !cursor.fits(self.chain_id, &self.filter) {
            return Err(EventError::OtherCursor);
        }
        self.check_chain().await?;
        let head = self.chain.finalized_block().await?;
        let (last, hash) = (cursor.number(), cursor.hash());
        if head.block.number < last {
            return Err(EventError::Rewound {
                number: last,
                expected: hash,
                found: None,
            });
        }
        self.expect(last, hash).await?;
        if head.block.number == last {
            return Ok(Page {
                events: Vec::new(),
                cursor: cursor.clone(),
                head,
            });
        }

        let (first, newest) = (last + 1, head.block.number);
        loop {
            let to = newest.min(last.saturating_add(self.span));
            let end = if to == newest {
                head.block
            } else {
                self.chain.block_by_number(to).await?
            };
            let too_large = AtomicBool::new(false);
            match self.logs(first, &end, &too_large).await {
                Ok(events) => {
                    // The same chain before and after: the page's logs lie between two blocks that are both on it.
                    self.expect_parent(first, hash).await?;
                    self.expect(to, end.hash).await?;
                    self.span = MAX_SPAN.min(self.span.saturating_mul(2));
                    let cursor = Cursor::new(self.chain_id, &self.filter, end.number, end.hash);
                    return Ok(Page { events, cursor, head });
                }
                // Half as much, until one block is left; so at most eleven times.
                Err(_) if too_large.load(Ordering::Relaxed) && to > first => {
                    self.span = (to - last) / 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn check_chain(&self) -> Result<(), EventError> {
        let found = self.chain.chain_id().await?;
        if found == self.chain_id {
            return Ok(());
        }
        Err(EventError::OtherChain {
            found,
            wanted: self.chain_id,
        })
    }

    async fn expect(&self, number: u64, expected: [u8; 32]) -> Result<(), EventError> {
        let found = match self.chain.block_by_number(number).await {
            Ok(block) if block.hash == expected => return Ok(()),
            Ok(block) => Some(block.hash),
            Err(ReadError::BlockNotFound) => None,
            Err(error) => return Err(error.into()),
        };
        Err(EventError::Rewound {
            number,
            expected,
            found,
        })
    }

    /// The first block of the range must stand on the last one of the range before.
    async fn expect_parent(&self, number: u64, expected: [u8; 32]) -> Result<(), EventError> {
        let found = self
            .chain
            .agree(|node| Box::pin(parent(node, number)))
            .await?
            .ok_or(ReadError::BlockNotFound)?;
        if found == expected {
            return Ok(());
        }
        Err(EventError::Rewound {
            number: number - 1,
            expected,
            found: Some(found),
        })
    }

    /// The same logs from k endpoints. Says whether one of them found the range too large.
    async fn logs(&self, first: u64, end: &Block, too_large: &AtomicBool) -> Result<Vec<Event>, ReadError> {
        let mut query = self.filter.query();
        query["fromBlock"] = format!("{first:#x}").into();
        query["toBlock"] = format!("{:#x}", end.number).into();
        let params = json!([query]);
        self.chain
            .agree(|node| Box::pin(self.ask(node, params.clone(), first, *end, too_large)))
            .await
    }

    async fn ask(
        &self,
        node: &RpcClient,
        params: Value,
        first: u64,
        end: Block,
        too_large: &AtomicBool,
    ) -> Result<Vec<Event>, RpcError> {
        match node.call::<Vec<LogJson>>("eth_getLogs", params).await {
            Ok(logs) => read(logs, &self.filter, first, &end),
            Err(error) => {
                // Nodes say it with codes and words of their own. What was no question of size fails for one block, too.
                let size = matches!(
                    error,
                    RpcError::Node { .. }
                        | RpcError::TooLarge
                        | RpcError::Timeout { .. }
                        | RpcError::Status(_)
                );
                too_large.fetch_or(size, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ParentJson {
    parent_hash: String,
}

async fn parent(node: &RpcClient, number: u64) -> Result<Option<[u8; 32]>, RpcError> {
    let params = json!([format!("{number:#x}"), false]);
    let Some(block) = node
        .call::<Option<ParentJson>>("eth_getBlockByNumber", params)
        .await?
    else {
        return Ok(None);
    };
    let hash = parse_word(&block.parent_hash).map_err(|_| RpcError::Malformed("parent hash"))?;
    Ok(Some(hash))
}
