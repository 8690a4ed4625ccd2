//! What `InferenceServing` says about services, settlements and vouchers, at one concrete block.

mod service;

use std::sync::Arc;

use crate::abi::{Words, one};
use crate::call::{answer, call_params};
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};
use crate::rpc::RpcError;

pub use service::Service;

/// Most services of one page.
pub const MAX_SERVICE_PAGE: usize = 64;
/// Most services of a provider that are read. Those that it registers later aren't seen here.
pub const MAX_SERVICES: usize = 1024;

/// What a user's vouchers paid a provider so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoucherSession {
    /// In wei, altogether.
    pub paid: u128,
    /// Sequence of the newest voucher that was submitted.
    pub sequence: u64,
}

/// What an agent was paid for. Providers can pay themselves: proves little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentStats {
    /// Tokens of requests and answers.
    pub tokens: u64,
    /// In wei.
    pub revenue: u128,
    /// Settlements and receipts that were counted.
    pub settlements: u64,
}

/// The contracts that `InferenceServing` works with, named for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServingContracts {
    /// `LedgerManager`.
    pub ledger: [u8; 20],
    /// `ComputeRegistry`.
    pub registry: [u8; 20],
    /// `IdentityRegistry`.
    pub identity: [u8; 20],
    /// `AttestedKeyRegistry`.
    pub attested_keys: [u8; 20],
}

impl ChainReader {
    /// A provider's services from index `cursor` on, `limit` at most, as of `block`. The list only grows and prices never
    /// change; a page that isn't full is the last.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer that `InferenceServing` could have given, or where it isn't at `serving`.
    /// A limit above [`MAX_SERVICE_PAGE`] counts as that.
    pub async fn service_page_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        provider: &[u8; 20],
        cursor: u64,
        limit: usize,
    ) -> Result<Vec<Service>, ReadError> {
        let limit = limit.min(MAX_SERVICE_PAGE);
        let call = CallData::new("getServicesPage(address,uint256,uint256)")
            .address(provider)
            .number(cursor)
            .number(limit as u64);
        let provider = *provider;
        let most = service::max_page_bytes(limit);
        self.read(block, serving, &call, most, "page of services", move |answer| {
            Service::page_from_answer(&provider, cursor, limit, answer)
        })
        .await
    }

    /// All services of a provider, ended ones too, by their indices: the first [`MAX_SERVICES`].
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn services_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<Vec<Service>, ReadError> {
        let mut all = Vec::new();
        while all.len() < MAX_SERVICES {
            let cursor = all.len() as u64;
            let page = self
                .service_page_at(block, serving, provider, cursor, MAX_SERVICE_PAGE)
                .await?;
            let is_last = page.len() < MAX_SERVICE_PAGE;
            all.extend(page);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// One service, ended or not; `None` if the provider has none of this index.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn service_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        provider: &[u8; 20],
        index: u64,
    ) -> Result<Option<Service>, ReadError> {
        Ok(self
            .service_page_at(block, serving, provider, index, 1)
            .await?
            .pop())
    }

    /// Nonce of the next settlement of a user with a provider, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn settlement_nonce_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        user: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<u64, ReadError> {
        let call = CallData::new("getNonce(address,address)")
            .address(user)
            .address(provider);
        self.read(block, serving, &call, 32, "settlement nonce", |answer| {
            one(answer, Words::u64)
        })
        .await
    }

    /// What a user's vouchers paid a provider, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn voucher_session_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        user: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<VoucherSession, ReadError> {
        let call = CallData::new("sessionOf(address,address)")
            .address(user)
            .address(provider);
        self.read(block, serving, &call, 64, "voucher session", |answer| {
            let mut words = Words::new(answer);
            let (paid, sequence) = (words.u128()?, words.u64()?);
            words.end()?;
            Ok(VoucherSession { paid, sequence })
        })
        .await
    }

    /// Who signs a provider's settlements, as of `block`: itself unless it named another account.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn settlement_signer_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        provider: &[u8; 20],
    ) -> Result<[u8; 20], ReadError> {
        let call = CallData::new("getSigner(address)").address(provider);
        self.read(block, serving, &call, 32, "settlement signer", |answer| {
            one(answer, Words::address)
        })
        .await
    }

    /// What an agent was paid for, as of `block`.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn agent_stats_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
        agent: &[u8; 32],
    ) -> Result<AgentStats, ReadError> {
        let call = CallData::new("getAgentStats(uint256)").word(*agent);
        self.read(block, serving, &call, 96, "agent statistics", |answer| {
            let mut words = Words::new(answer);
            let (tokens, revenue, settlements) = (words.u64()?, words.u128()?, words.u64()?);
            words.end()?;
            Ok(AgentStats {
                tokens,
                revenue,
                settlements,
            })
        })
        .await
    }

    /// The contracts that `serving` works with.
    ///
    /// # Errors
    /// As [`ChainReader::service_page_at`].
    pub async fn serving_contracts_at(
        &self,
        block: &Block,
        serving: &[u8; 20],
    ) -> Result<ServingContracts, ReadError> {
        let names = ["ledger()", "registry()", "identityRegistry()", "attestedKeys()"];
        let calls = names.map(|name| call_params(block, serving, &CallData::new(name).encode()));
        let calls = Arc::new(calls);
        self.agree(|node| {
            let calls = Arc::clone(&calls);
            Box::pin(async move {
                let mut found = [[0; 20]; 4];
                for (call, found) in calls.iter().zip(&mut found) {
                    let answer = answer(node, call.clone(), 32).await?;
                    *found = one(&answer, Words::address).map_err(|_| RpcError::Malformed("address"))?;
                }
                let [ledger, registry, identity, attested_keys] = found;
                Ok(ServingContracts {
                    ledger,
                    registry,
                    identity,
                    attested_keys,
                })
            })
        })
        .await
    }
}
