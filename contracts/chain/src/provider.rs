//! What `ComputeRegistry` says about providers and the models that they serve, at one concrete block.

mod record;

use crate::abi::{address_argument, number_argument};
use crate::call::{answer, call_params};
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::RpcError;

pub use record::{Capability, MAX_CAPABILITIES, MAX_TEXT_BYTES, ProviderPage, ProviderRecord};

/// Selector of `getActiveProvidersPage(uint256,uint256)`.
const GET_ACTIVE_PROVIDERS_PAGE_SELECTOR: [u8; 4] = [0x5d, 0x71, 0x2d, 0xdd];
/// Selector of `getProvider(address)`.
const GET_PROVIDER_SELECTOR: [u8; 4] = [0x55, 0xf2, 0x1e, 0xb7];
/// Selector of `getCapabilities(address)`.
const GET_CAPABILITIES_SELECTOR: [u8; 4] = [0x99, 0x1e, 0xf1, 0x71];

/// Most providers that one page looks at.
pub const MAX_PROVIDER_PAGE: usize = 256;

impl ChainReader {
    /// The active ones among the providers from place `cursor` of the registry's list on, of which `limit` at most are
    /// looked at, as of `block`. The list only grows, so places stay good.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `ComputeRegistry` could have given, or where it isn't at `registry`.
    pub async fn providers_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
        cursor: u64,
        limit: usize,
    ) -> Result<ProviderPage, ReadError> {
        let limit = limit.min(MAX_PROVIDER_PAGE);
        let (from, count) = (number_argument(cursor), number_argument(limit as u64));
        let data = [&GET_ACTIVE_PROVIDERS_PAGE_SELECTOR[..], &from, &count].concat();
        self.agree(|node| {
            let params = call_params(block, registry, &data);
            Box::pin(async move {
                let bytes = answer(node, params, (3 + limit) * 32).await?;
                ProviderPage::from_answer(&bytes, limit).map_err(|_| RpcError::Malformed("page of providers"))
            })
        })
        .await
    }

    /// A provider as of `block`; `None` if nobody registered as it.
    ///
    /// # Errors
    /// As [`ChainReader::providers_at`].
    pub async fn provider_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<Option<ProviderRecord>, ReadError> {
        let data = [&GET_PROVIDER_SELECTOR[..], &address_argument(provider)].concat();
        let provider = *provider;
        self.agree(|node| {
            let params = call_params(block, registry, &data);
            Box::pin(async move {
                let bytes = answer(node, params, record::MAX_PROVIDER_BYTES).await?;
                ProviderRecord::from_answer(&provider, &bytes).map_err(|_| RpcError::Malformed("provider"))
            })
        })
        .await
    }

    /// The models that a provider offers or offered, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::providers_at`].
    pub async fn capabilities_at(
        &self,
        block: &Block,
        registry: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<Vec<Capability>, ReadError> {
        let data = [&GET_CAPABILITIES_SELECTOR[..], &address_argument(provider)].concat();
        self.agree(|node| {
            let params = call_params(block, registry, &data);
            Box::pin(async move {
                let bytes = answer(node, params, record::MAX_CAPABILITIES_BYTES).await?;
                Capability::all_from_answer(&bytes).map_err(|_| RpcError::Malformed("capabilities"))
            })
        })
        .await
    }
}
