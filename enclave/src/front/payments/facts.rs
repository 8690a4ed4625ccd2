//! What the chain says of prices and accounts, read at final blocks and kept for a while.
//!
//! Nothing that is kept can become dangerous meanwhile: the price of a service never changes, what vouchers paid only grows,
//! and what was set aside can't be taken back within a day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join3};
use jeju_attestation::launch::payments;
use jeju_chain::{ChainReader, ReadError, Service};
use tokio::sync::{Mutex, Semaphore};

use super::refusal::Reason;

/// How long a reading is as good as a new one.
const FRESH: Duration = Duration::from_secs(30);
/// How long it is used where the chain can't be read.
const USABLE: Duration = Duration::from_secs(5 * 60);
/// Readings of a refused account are made again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// Accounts that are read at a time.
const READS: usize = 16;

/// What the chain says of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// What vouchers paid, in wei.
    pub(super) paid: u128,
    /// Sequence of the newest voucher that was submitted.
    pub(super) sequence: u64,
    /// What the account set aside for the provider, in wei.
    pub(super) balance: u128,
    /// What of it waits for its refund, beside the balance.
    pub(super) refund: u128,
    /// Seconds since 1970 from which the account can take the refund.
    pub(super) refund_from: u64,
    /// Nonce of its next settlement.
    pub(super) nonce: u64,
}

impl Facts {
    /// What a voucher can draw on until then, in wei.
    pub(super) fn reach(&self, until: u64) -> u128 {
        let refund = if self.refund_from > until { self.refund } else { 0 };
        self.balance.saturating_add(refund)
    }
}

/// What a settlement needs to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settling {
    /// Nonce of the next settlement, by the newest block.
    pub(super) nonce: u64,
    /// Who signs the provider's settlements.
    pub(super) signer: [u8; 20],
}

/// A model's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    /// Index of the service.
    pub(super) service: u64,
    /// Wei for a token of the prompt.
    pub(super) input: u128,
    /// Wei for a token of the answer.
    pub(super) output: u128,
}

/// Reads the chain.
pub(super) struct ChainFacts {
    chain: Arc<ChainReader>,
    serving: [u8; 20],
    ledger: [u8; 20],
    provider: [u8; 20],
    services: Mutex<Option<(Instant, Arc<Vec<Service>>)>>,
    reads: Semaphore,
}

impl ChainFacts {
    pub(super) fn new(config: &payments::Payments, chain: Arc<ChainReader>) -> Self {
        Self {
            chain,
            serving: config.serving.0,
            ledger: config.ledger.0,
            provider: config.provider.0,
            services: Mutex::default(),
            reads: Semaphore::new(READS),
        }
    }

    /// The price of a model; `None` where the provider offers none.
    ///
    /// # Errors
    /// [`Reason::Unreadable`].
    pub(super) async fn price(&self, model: &str) -> Result<Option<Price>, Reason> {
        let find = |services: &[Service]| {
            Service::first_active(services, model).map(|service| Price {
                service: service.index,
                input: service.price_per_input_token,
                output: service.price_per_output_token,
            })
        };
        // Held while it is read: all wait for the one reading.
        let mut known = self.services.lock().await;
        if let Some((at, services)) = &*known {
            // A service that is new should be seen soon by who waits for it.
            let good_for = match find(services) {
                Some(_) => FRESH,
                None => AGAIN,
            };
            if at.elapsed() < good_for {
                return Ok(find(services));
            }
        }
        match self.services().await {
            Ok(services) => {
                let price = find(&services);
                *known = Some((Instant::now(), Arc::new(services)));
                Ok(price)
            }
            Err(_) => match &*known {
                Some((at, services)) if at.elapsed() < USABLE => Ok(find(services)),
                _ => Err(Reason::Unreadable),
            },
        }
    }

    async fn services(&self) -> Result<Vec<Service>, ReadError> {
        let block = self.chain.finalized_block().await?.block;
        self.chain
            .services_at(&block, &self.serving, &self.provider)
            .await
    }

    /// What the chain says of an account. `known` is what it said before, and `refused` that the account isn't served by it.
    ///
    /// # Errors
    /// [`Reason::Unreadable`].
    pub(super) async fn account(
        &self,
        account: &[u8; 20],
        known: Option<(Instant, Facts)>,
        refused: bool,
    ) -> Result<(Instant, Facts), Reason> {
        let within = |most: Duration| known.filter(|(at, _)| at.elapsed() < most);
        if let Some(known) = within(if refused { AGAIN } else { FRESH }) {
            return Ok(known);
        }
        let _place = self.reads.acquire().await.map_err(|_| Reason::Unreadable)?;
        match self.read(account).await {
            Ok(facts) => Ok((Instant::now(), facts)),
            Err(_) => within(USABLE).ok_or(Reason::Unreadable),
        }
    }

    async fn read(&self, account: &[u8; 20]) -> Result<Facts, ReadError> {
        let block = self.chain.finalized_block().await?.block;
        let (chain, serving, provider) = (&self.chain, &self.serving, &self.provider);
        let (session, sub, nonce) = try_join3(
            chain.voucher_session_at(&block, serving, account, provider),
            chain.sub_account_at(&block, &self.ledger, account, provider),
            chain.settlement_nonce_at(&block, serving, account, provider),
        )
        .await?;
        Ok(Facts {
            paid: session.paid,
            sequence: session.sequence,
            balance: sub.balance,
            refund: sub.pending_refund,
            refund_from: sub.refund_unlock,
            nonce,
        })
    }

    /// What a settlement of an account must be like now. The newest block decides: a settlement for a block that leaves the
    /// chain again is one that the contract refuses.
    pub(super) async fn settling(&self, account: &[u8; 20]) -> Option<Settling> {
        let block = self.chain.newest_block().await.ok()?;
        let (chain, serving, provider) = (&self.chain, &self.serving, &self.provider);
        let (nonce, signer) = try_join(
            chain.settlement_nonce_at(&block, serving, account, provider),
            chain.settlement_signer_at(&block, serving, provider),
        )
        .await
        .ok()?;
        Some(Settling { nonce, signer })
    }
}
