//! The provider's wallet: sends a transaction if the chain still needs it, and never twice.
//!
//! What was sent before a crash needs no journal. A transaction gets the number of the account's next one, read before the
//! rental's state: if one that was sent earlier with this number is included meanwhile, this one can't be, and if it was
//! included before, the state shows it. While any transaction of the account waits, nothing is sent behind it.
//!
//! One of its own that isn't included in time is sent again with the same number and higher fees, up to a limit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jeju_chain::{RentalRecord, RentalStatus};
use jeju_contracts::rental;
use jeju_contracts::sender::{AccountKey, Fees, Receipt, SendError, quantity};
use jeju_wallet_auth::account::Account;
use serde_json::json;

use super::next::{Next, Operation};
use super::number::{INCLUSION, next_number};
use crate::rental::{Market, RentalError};

/// Highest fees, in those of the moment.
const MOST_FEES: u128 = 20;

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The rental is another provider's, or there is none of this id: nothing is ever sent for it.
    NotOurs,
    /// The chain has it already, or it is too late for it.
    NotNeeded,
    /// It was carried out.
    Sent(Receipt),
    /// The contract refuses it, for this reason.
    Refused(String),
}

/// The provider's account on its chain.
pub struct ProviderWallet {
    market: Market,
    key: AccountKey,
    inclusion: Duration,
    stuck: Mutex<Option<Stuck>>,
}

/// A transaction of this wallet's that wasn't included in time.
#[derive(Debug, Clone, Copy)]
struct Stuck {
    number: u64,
    fees: Fees,
}

impl ProviderWallet {
    /// Of this account.
    pub fn new(market: Market, key: AccountKey) -> Self {
        Self {
            market,
            key,
            inclusion: INCLUSION,
            stuck: Mutex::default(),
        }
    }

    /// The same that waits this long for what is on its way.
    pub fn waiting(self, inclusion: Duration) -> Self {
        Self { inclusion, ..self }
    }

    /// The account.
    pub fn account(&self) -> Account {
        Account(self.key.address().into_array())
    }

    /// The chain.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// Sends what is asked for, if the rental is this provider's and its state on chain still needs it.
    ///
    /// # Errors
    /// Where the chain can't be asked, or a transaction isn't included in time. Asking again is safe.
    pub async fn carry_out(&self, next: &Next) -> Result<Step, RentalError> {
        // Cheaply first: most rounds of a node that lags ask for what is done.
        if let Some(step) = self.judge(next).await? {
            return Ok(step);
        }
        let (number, before) = self.number().await?;
        // Now with the number in hand, so that whatever has the state changed has used it up.
        if let Some(step) = self.judge(next).await? {
            return Ok(step);
        }
        let sender = self
            .market
            .sender(&self.key)
            .with_nonce(number)
            .waiting(self.inclusion);
        let now = sender.fees().await?;
        let fees = match before {
            Some(before) => {
                let most = now.times(MOST_FEES);
                let raised = before.raised().or_higher(now);
                match raised.most <= most.most {
                    true => raised,
                    // What is paid for it already is enough for a chain that works.
                    false => return Err(RentalError::InFlight(1)),
                }
            }
            None => now,
        };
        let sender = match before {
            Some(_) => sender.with_fees(fees).in_place(),
            None => sender.with_fees(fees),
        };
        let (contract, id) = (self.market.contract.into(), next.rental.0.into());
        let sent = match &next.operation {
            Operation::Start {
                ssh_host,
                ssh_port,
                container_id,
            } => rental::start(&sender, contract, id, ssh_host, *ssh_port, container_id).await,
            Operation::Complete => rental::complete(&sender, contract, id).await,
        };
        *self.stuck() = match &sent {
            Err(SendError::NoReceipt(_)) => Some(Stuck { number, fees }),
            // Not taken, for whatever reason: it is asked for again as before.
            Err(_) => before.map(|fees| Stuck { number, fees }),
            Ok(_) => None,
        };
        match sent {
            Ok(receipt) => Ok(Step::Sent(receipt)),
            // Somebody else was faster, at a block that the endpoints didn't show yet.
            Err(error) if error.is_refusal("RentalNotActive") => Ok(Step::NotNeeded),
            Err(SendError::Refused(reason)) => Ok(Step::Refused(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// Number of the next transaction; or that of one of this wallet's that is stuck, with its fees.
    async fn number(&self) -> Result<(u64, Option<Fees>), RentalError> {
        let stuck = *self.stuck();
        if let Some(Stuck { number, fees }) = stuck {
            let of = json!([self.key.address(), "latest"]);
            let included = quantity(&self.market.rpc, "eth_getTransactionCount", of).await?;
            if included == number {
                return Ok((number, Some(fees)));
            }
            *self.stuck() = None;
        }
        let number = next_number(&self.market.rpc, &self.key, self.inclusion).await?;
        Ok((number, None))
    }

    fn stuck(&self) -> MutexGuard<'_, Option<Stuck>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known without sending anything; `None`: it is to be sent.
    async fn judge(&self, next: &Next) -> Result<Option<Step>, RentalError> {
        let block = self.market.block().await?;
        let (reader, contract) = (&self.market.reader, &self.market.contract);
        let Some(rental) = reader.rental_at(&block, contract, &next.rental.0).await? else {
            return Ok(Some(Step::NotOurs));
        };
        if rental.provider != self.account().0 {
            return Ok(Some(Step::NotOurs));
        }
        Ok((!is_needed(&rental, &next.operation, block.timestamp)).then_some(Step::NotNeeded))
    }
}

fn is_needed(rental: &RentalRecord, operation: &Operation, now: u64) -> bool {
    match operation {
        Operation::Start { .. } => rental.status == RentalStatus::Pending && now <= rental.start_deadline,
        Operation::Complete => rental.status == RentalStatus::Active,
    }
}
