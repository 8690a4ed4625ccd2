//! What `ComputeRental` says about rentals and offers, at one concrete block.
//!
//! A block of [`ChainReader::finalized_block`] shows what stays: a rental's existence, key, image and script never change
//! after its creation. Its status, times and money are read at [`ChainReader::newest_block`], and may be taken back.

mod offer;
mod record;

use std::sync::Arc;

use crate::abi::{self, AbiError, address_argument, number_argument};
use crate::call::{answer, call_params};
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::RpcError;

pub use offer::{
    CALCULATE_RENTAL_COST_SELECTOR, GET_PROVIDER_RESOURCES_SELECTOR, GpuType, MAX_RENTAL_HOURS, Offer,
    RentalResources,
};
pub use record::{
    GET_RENTAL_SELECTOR, MAX_HOST_BYTES, MAX_IMAGE_BYTES, MAX_KEY_BYTES, MAX_SCRIPT_BYTES, RentalRecord,
    RentalStatus, TERMS_OF_SELECTOR,
};

/// Selector of `getProviderRentalsPage(address,uint256,uint256)`.
pub const GET_PROVIDER_RENTALS_PAGE_SELECTOR: [u8; 4] = [0xfb, 0xc0, 0xad, 0xb8];
/// Selector of `getUserRentalsPage(address,uint256,uint256)`.
pub const GET_USER_RENTALS_PAGE_SELECTOR: [u8; 4] = [0xda, 0x63, 0xbb, 0xec];
/// Selector of `owed(address)`.
pub const OWED_SELECTOR: [u8; 4] = [0xdf, 0x18, 0xe0, 0x47];

/// Most rental ids of a page.
pub const MAX_RENTAL_PAGE: usize = 256;

impl ChainReader {
    /// A rental as it stood at `block`; `None` if there was none of this id.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `ComputeRental` could have given, or where it isn't at `contract`.
    pub async fn rental_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        rental: &[u8; 32],
    ) -> Result<Option<RentalRecord>, ReadError> {
        let get = call_params(block, contract, &[&GET_RENTAL_SELECTOR[..], rental].concat());
        let terms = call_params(block, contract, &[&TERMS_OF_SELECTOR[..], rental].concat());
        let (rental, calls) = (*rental, Arc::new((get, terms)));
        self.agree(|node| {
            let calls = Arc::clone(&calls);
            Box::pin(async move {
                let (get, terms) = tokio::try_join!(
                    answer(node, calls.0.clone(), record::MAX_RECORD_BYTES),
                    answer(node, calls.1.clone(), record::TERMS_BYTES),
                )?;
                RentalRecord::from_answers(&rental, &get, &terms)
                    .map_err(|_| RpcError::Malformed("rental record"))
            })
        })
        .await
    }

    /// Ids of a provider's rentals from place `cursor` of its list on, `limit` at most, as of `block`. The list only
    /// grows, so places stay good; a page that isn't full is the last.
    ///
    /// # Errors
    /// As [`ChainReader::rental_at`]. A limit above [`MAX_RENTAL_PAGE`] counts as that.
    pub async fn provider_rentals_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        provider: &[u8; 20],
        cursor: u64,
        limit: usize,
    ) -> Result<Vec<[u8; 32]>, ReadError> {
        let list = GET_PROVIDER_RENTALS_PAGE_SELECTOR;
        self.page(block, contract, list, provider, cursor, limit).await
    }

    /// The same of the rentals that a user has made.
    ///
    /// # Errors
    /// As [`ChainReader::provider_rentals_at`].
    pub async fn user_rentals_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        user: &[u8; 20],
        cursor: u64,
        limit: usize,
    ) -> Result<Vec<[u8; 32]>, ReadError> {
        self.page(
            block,
            contract,
            GET_USER_RENTALS_PAGE_SELECTOR,
            user,
            cursor,
            limit,
        )
        .await
    }

    /// A provider's offer as of `block`; `None` if it never made one. Whether the provider is active in
    /// `ComputeRegistry` is another question, which `createRental` asks.
    ///
    /// # Errors
    /// As [`ChainReader::rental_at`].
    pub async fn offer_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<Option<Offer>, ReadError> {
        let data = [&GET_PROVIDER_RESOURCES_SELECTOR[..], &address_argument(provider)].concat();
        self.agree(|node| {
            let params = call_params(block, contract, &data);
            Box::pin(async move {
                let bytes = answer(node, params, offer::OFFER_BYTES).await?;
                Offer::from_answer(&bytes).map_err(|_| RpcError::Malformed("offer"))
            })
        })
        .await
    }

    /// What a rental of so many hours costs at a provider's offer as of `block`, in wei.
    ///
    /// # Errors
    /// As [`ChainReader::rental_at`].
    pub async fn rental_cost_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        provider: &[u8; 20],
        hours: u64,
    ) -> Result<u128, ReadError> {
        let (provider, hours) = (address_argument(provider), number_argument(hours));
        let data = [&CALCULATE_RENTAL_COST_SELECTOR[..], &provider, &hours].concat();
        self.amount(block, contract, data).await
    }

    /// What an account may withdraw from `contract`, `ComputeRental` or another that credits its payments, as of
    /// `block`, in wei.
    ///
    /// # Errors
    /// As [`ChainReader::rental_at`].
    pub async fn owed_at(
        &self,
        block: &Block,
        contract: &[u8; 20],
        account: &[u8; 20],
    ) -> Result<u128, ReadError> {
        let data = [&OWED_SELECTOR[..], &address_argument(account)].concat();
        self.amount(block, contract, data).await
    }

    async fn page(
        &self,
        block: &Block,
        contract: &[u8; 20],
        list: [u8; 4],
        owner: &[u8; 20],
        cursor: u64,
        limit: usize,
    ) -> Result<Vec<[u8; 32]>, ReadError> {
        let limit = limit.min(MAX_RENTAL_PAGE);
        let (owner, cursor) = (address_argument(owner), number_argument(cursor));
        let data = [&list[..], &owner, &cursor, &number_argument(limit as u64)].concat();
        self.agree(|node| {
            let params = call_params(block, contract, &data);
            Box::pin(async move {
                let bytes = answer(node, params, (2 + limit) * 32).await?;
                abi::words(&bytes, limit).map_err(|_| RpcError::Malformed("page of rentals"))
            })
        })
        .await
    }

    async fn amount(&self, block: &Block, contract: &[u8; 20], data: Vec<u8>) -> Result<u128, ReadError> {
        self.agree(|node| {
            let params = call_params(block, contract, &data);
            Box::pin(async move {
                let bytes = answer(node, params, 32).await?;
                abi::amount(&bytes).map_err(|_| RpcError::Malformed("amount"))
            })
        })
        .await
    }
}

/// Ids in an answer to `getProviderRentalsPage` or `getUserRentalsPage`, `limit` at most.
///
/// # Errors
/// Where the bytes are no such answer.
pub fn rental_page(answer: &[u8], limit: usize) -> Result<Vec<[u8; 32]>, AbiError> {
    abi::words(answer, limit)
}
