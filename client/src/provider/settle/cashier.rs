//! Submits one voucher, if it pays.

use std::time::Duration;

use jeju_chain::{Block, VoucherSession};
use jeju_contracts::sender::{AccountKey, Receipt, SendError, Sender};
use jeju_contracts::serving;

use super::due::Due;
use crate::chain::Chain;
use crate::payment::{Facts, PaymentError};
use crate::provider::number::{INCLUSION, next_number};
use crate::rental::amount::Amount;

/// A voucher that runs out this soon, in seconds, is submitted however little it pays.
const SOON: u64 = 2 * 24 * 60 * 60;
/// Refusals that are of the receipt alone: the voucher pays without it.
const OF_THE_RECEIPT: [&str; 3] = ["ReceiptMismatch", "ReceiptOfOtherAgent", "ReceiptAlreadyCounted"];

/// What came of a voucher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was submitted, and paid so much.
    Paid {
        /// In wei.
        amount: u128,
        /// Whether the enclave's receipt was counted with it.
        counted: bool,
        /// The transaction.
        receipt: Receipt,
    },
    /// The chain has paid it.
    NotDue,
    /// It pays less than is worth a transaction, in wei.
    TooLittle(u128),
    /// The user's money is gone: nothing is set aside.
    Uncovered,
    /// It ran out.
    Expired,
    /// It is another provider's.
    NotOurs,
    /// The user didn't sign it.
    Unsigned,
    /// The contract refuses it, for this reason.
    Refused(String),
}

impl Outcome {
    /// A stable code and words, for those against which something is to be done.
    pub(super) fn reason(&self) -> (&'static str, String) {
        match self {
            Outcome::Paid { .. } => ("voucher_paid", "it is paid".to_owned()),
            Outcome::NotDue => ("voucher_not_due", "the chain has paid it".to_owned()),
            Outcome::TooLittle(amount) => ("voucher_too_little", format!("it would pay {}", Amount(*amount))),
            Outcome::Uncovered => (
                "voucher_uncovered",
                "the user has nothing set aside for this provider".to_owned(),
            ),
            Outcome::Expired => ("voucher_expired", "it ran out".to_owned()),
            Outcome::NotOurs => ("voucher_not_ours", "it is another provider's".to_owned()),
            Outcome::Unsigned => ("voucher_signature_invalid", "its user did not sign it".to_owned()),
            Outcome::Refused(reason) => ("contract_refused", format!("refused by the contract: {reason}")),
        }
    }
}

/// The provider's account on its chain.
pub struct Cashier {
    chain: Chain,
    facts: Facts,
    key: AccountKey,
    least: u128,
    inclusion: Duration,
}

impl Cashier {
    /// Of the account that the facts name; vouchers that pay less than `least` wei wait.
    pub fn new(chain: Chain, facts: Facts, key: AccountKey, least: u128) -> Self {
        Self {
            chain,
            facts,
            key,
            least,
            inclusion: INCLUSION,
        }
    }

    /// The time by the chain's newest block.
    ///
    /// # Errors
    /// Where the chain can't be asked.
    pub async fn now(&self) -> Result<u64, PaymentError> {
        Ok(self.chain.reader.newest_timestamp().await?)
    }

    /// Submits a voucher, if it is this provider's, signed, and pays by the chain's state.
    ///
    /// # Errors
    /// Where the chain can't be asked, or a transaction isn't included in time. Submitting again is safe.
    pub async fn submit(&self, due: &Due) -> Result<Outcome, PaymentError> {
        let voucher = &due.signed.voucher;
        if voucher.provider != self.facts.provider {
            return Ok(Outcome::NotOurs);
        }
        if !due.signed.is_signed(&self.facts.at()) {
            return Ok(Outcome::Unsigned);
        }
        if let Err(outcome) = self.judge(due).await? {
            return Ok(outcome);
        }
        let number = next_number(&self.chain.rpc, &self.key, self.inclusion).await?;
        // Now with the number in hand, so that whatever has paid it has used that up.
        let amount = match self.judge(due).await? {
            Ok(amount) => amount,
            Err(outcome) => return Ok(outcome),
        };
        let sender = self.chain.sender(&self.key).with_nonce(number);
        match self.send(&sender, due).await {
            Ok((counted, receipt)) => Ok(Outcome::Paid {
                amount,
                counted,
                receipt,
            }),
            // Somebody else was faster, at a block that the endpoints didn't show yet.
            Err(error) if error.is_refusal("NothingDue") || error.is_refusal("VoucherSuperseded") => {
                Ok(Outcome::NotDue)
            }
            Err(SendError::Refused(reason)) => Ok(Outcome::Refused(reason)),
            Err(error) => Err(error.into()),
        }
    }

    /// What it pays; or why it isn't submitted.
    async fn judge(&self, due: &Due) -> Result<Result<u128, Outcome>, PaymentError> {
        let reader = &self.chain.reader;
        let block = reader.newest_block().await?;
        let voucher = &due.signed.voucher;
        let (user, provider) = (&voucher.user.0, &voucher.provider.0);
        let serving = &self.facts.serving.0;
        let session = reader.voucher_session_at(&block, serving, user, provider).await?;
        let ledger = &self.facts.ledger.0;
        let part = reader.sub_account_at(&block, ledger, user, provider).await?;
        let covered = part.balance.saturating_add(part.pending_refund);
        Ok(self.worth(due, &block, &session, covered, part.pending_refund > 0))
    }

    fn worth(
        &self,
        due: &Due,
        block: &Block,
        session: &VoucherSession,
        covered: u128,
        is_leaving: bool,
    ) -> Result<u128, Outcome> {
        let voucher = &due.signed.voucher;
        let open = voucher.cumulative.saturating_sub(session.paid);
        if open == 0 || voucher.sequence < session.sequence {
            return Err(Outcome::NotDue);
        }
        if block.timestamp > voucher.expiry {
            return Err(Outcome::Expired);
        }
        let amount = open.min(covered);
        if amount == 0 {
            return Err(Outcome::Uncovered);
        }
        let is_urgent = is_leaving || voucher.expiry - block.timestamp < SOON;
        match amount >= self.least || is_urgent {
            true => Ok(amount),
            false => Err(Outcome::TooLittle(amount)),
        }
    }

    /// With the receipt, which puts the answer on the agent's record; without it where the contract won't count it.
    async fn send(&self, sender: &Sender<'_>, due: &Due) -> Result<(bool, Receipt), SendError> {
        let serving = self.facts.serving.0.into();
        let (voucher, signature) = (due.submitted(), &due.signed.signature.0);
        if let Some((receipt, of_receipt)) = &due.receipt {
            let sent = serving::settle_voucher_with_receipt(
                sender,
                serving,
                &voucher,
                signature,
                receipt,
                &of_receipt.0,
            );
            match sent.await {
                Ok(receipt) => return Ok((true, receipt)),
                Err(error) if !is_of_the_receipt(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let receipt = serving::settle_voucher(sender, serving, &voucher, signature).await?;
        Ok((false, receipt))
    }
}

/// Whether the contract would take the voucher without the receipt. What `AttestedKeyRegistry` refuses comes without a name
/// of the serving contract: nothing was sent then either.
fn is_of_the_receipt(error: &SendError) -> bool {
    let is_vouchers = |name| error.is_refusal(name);
    let of_the_voucher = [
        "InvalidVoucher",
        "VoucherExpired",
        "VoucherSuperseded",
        "NothingDue",
    ];
    match error {
        SendError::Refused(_) => {
            OF_THE_RECEIPT.into_iter().any(is_vouchers) || !of_the_voucher.into_iter().any(is_vouchers)
        }
        // A revert whose data isn't known here.
        SendError::Rpc(jeju_chain::RpcError::Node { .. }) => true,
        _ => false,
    }
}
