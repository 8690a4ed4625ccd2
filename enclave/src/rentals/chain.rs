//! What the rentals role reads of the chain: `ComputeRental`, at one block, k of n.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jeju_attestation::launch::rentals::Rentals;
use jeju_chain::{Block, ChainReader, MAX_RENTAL_PAGE, Offer, ReadError, RentalRecord};

use super::backend::RentalId;

/// The chain couldn't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChainError(pub String);

impl From<ReadError> for ChainError {
    fn from(error: ReadError) -> Self {
        Self(error.to_string())
    }
}

/// The two blocks that rentals are read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// What is in it stays.
    pub finalized: Block,
    /// What is in it may be taken back.
    pub newest: Block,
}

/// Reads of one provider's rentals.
pub trait RentalChain: Send + Sync {
    /// The blocks of now; the newest isn't before the finalised one.
    fn blocks(&self) -> BoxFuture<'_, Result<Blocks, ChainError>>;

    /// Seconds since 1970 of the newest block that k endpoints have passed, whether or not they agree on it.
    fn newest_timestamp(&self) -> BoxFuture<'_, Result<u64, ChainError>>;

    /// Ids of the provider's rentals from place `cursor` of its list on, at most [`MAX_RENTAL_PAGE`]; fewer: the last ones.
    fn listed(&self, at: Block, cursor: u64) -> BoxFuture<'_, Result<Vec<RentalId>, ChainError>>;

    /// A rental; `None` if there was none of this id.
    fn rental(&self, at: Block, rental: RentalId) -> BoxFuture<'_, Result<Option<RentalRecord>, ChainError>>;

    /// The provider's offer; `None` if it never made one.
    fn offer(&self, at: Block) -> BoxFuture<'_, Result<Option<Offer>, ChainError>>;
}

/// The launch document's `ComputeRental`, through its endpoints.
pub struct Contract {
    chain: Arc<ChainReader>,
    contract: [u8; 20],
    provider: [u8; 20],
}

impl Contract {
    /// Rentals of the launch document's provider.
    pub fn new(chain: Arc<ChainReader>, launch: &Rentals) -> Self {
        Self {
            chain,
            contract: launch.contract.0,
            provider: launch.provider.0,
        }
    }
}

impl RentalChain for Contract {
    fn blocks(&self) -> BoxFuture<'_, Result<Blocks, ChainError>> {
        Box::pin(async move {
            // In this order: the newest is then the later one, unless endpoints have fallen behind.
            let finalized = self.chain.finalized_block().await?.block;
            let newest = self.chain.newest_block().await?;
            if newest.number < finalized.number {
                return Err(ChainError("endpoints fell behind the finalised block".into()));
            }
            Ok(Blocks { finalized, newest })
        })
    }

    fn newest_timestamp(&self) -> BoxFuture<'_, Result<u64, ChainError>> {
        Box::pin(async move { Ok(self.chain.newest_timestamp().await?) })
    }

    fn listed(&self, at: Block, cursor: u64) -> BoxFuture<'_, Result<Vec<RentalId>, ChainError>> {
        Box::pin(async move {
            let list =
                self.chain
                    .provider_rentals_at(&at, &self.contract, &self.provider, cursor, MAX_RENTAL_PAGE);
            Ok(list.await?)
        })
    }

    fn rental(&self, at: Block, rental: RentalId) -> BoxFuture<'_, Result<Option<RentalRecord>, ChainError>> {
        Box::pin(async move {
            let record = self.chain.rental_at(&at, &self.contract, &rental).await?;
            match record {
                Some(record) if record.provider != self.provider => {
                    Err(ChainError("a rental in the provider's list is another's".into()))
                }
                record => Ok(record),
            }
        })
    }

    fn offer(&self, at: Block) -> BoxFuture<'_, Result<Option<Offer>, ChainError>> {
        Box::pin(async move { Ok(self.chain.offer_at(&at, &self.contract, &self.provider).await?) })
    }
}
