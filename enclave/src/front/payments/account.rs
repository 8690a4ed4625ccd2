//! What one account owes, and what it promised.
//!
//! Everything counts as vouchers count: from the first on, and never down. `owed` begins at what the chain has paid when the
//! account is first seen, and grows with each answer; a settlement that the chain took is taken off again, since no voucher
//! pays for it.

use std::time::Instant;

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{SignedVoucher, Voucher};
use jeju_wallet_auth::signature::Signature;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::refusal::Reason;

/// Least time that a voucher must still be good for when it is taken, in seconds: time to submit it.
const MARGIN: u64 = 3600;
/// Amounts of `X-Payment` that are remembered of one account one by one.
const MAX_SPENT: usize = 64;
/// Settlements of one account that the chain may not have taken yet.
const MAX_SETTLEMENTS: usize = 32;
/// Longest receipt that is kept with a voucher, in bytes.
const MAX_RECEIPT: usize = 1024;

/// The newest voucher of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Promise {
    pub(super) cumulative: u128,
    pub(super) sequence: u64,
    pub(super) request: [u8; 32],
    pub(super) response: [u8; 32],
    pub(super) expiry: u64,
    #[serde(with = "signature_bytes")]
    signature: [u8; 65],
    /// JSON of the receipt for the answer that it names, if the node still had it.
    pub(super) receipt: Option<String>,
}

/// A settlement that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Settled {
    nonce: u64,
    cost: u128,
    /// Whether it was in this boot.
    #[serde(skip)]
    now: bool,
}

/// What is known of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What its answers cost, in wei, but for those that were settled.
    pub(super) owed: u128,
    pub(super) promise: Option<Promise>,
    /// What vouchers had paid when the chain was last read.
    paid: u128,
    settlements: Vec<Settled>,
    /// Amounts of `X-Payment`: a text has no other number, so that each passes once.
    spent: Vec<u128>,
    /// The largest that isn't remembered any more: it and all below count as used.
    spent_below: Option<u128>,
    /// What answers under way may cost.
    #[serde(skip)]
    reserved: u128,
    #[serde(skip)]
    open: u32,
    /// When it was used last, by the node's own count.
    #[serde(skip)]
    pub(super) used: u64,
    #[serde(skip)]
    pub(super) facts: Option<(Instant, Facts)>,
}

impl State {
    /// An account that is seen for the first time.
    pub(super) fn new(facts: &Facts) -> Self {
        Self {
            owed: facts.paid,
            paid: facts.paid,
            ..Self::default()
        }
    }

    /// Takes over what the chain says.
    pub(super) fn update(&mut self, at: Instant, facts: Facts) {
        // What vouchers paid that this node doesn't know was owed before it lost its state.
        let known = self
            .promise
            .as_ref()
            .map_or(0, |promise| promise.cumulative)
            .max(self.paid);
        self.owed = self.owed.saturating_add(facts.paid.saturating_sub(known));
        self.paid = self.paid.max(facts.paid);
        let owed = &mut self.owed;
        self.settlements.retain(|settled| {
            let taken = settled.nonce < facts.nonce;
            if taken {
                *owed = owed.saturating_sub(settled.cost);
            }
            !taken
        });
        self.facts = Some((at, facts));
    }

    /// What vouchers promise that are good for a while yet, or have paid.
    pub(super) fn promised(&self, now: u64) -> u128 {
        let promise = self.promise.as_ref().filter(|promise| promise.expiry > now);
        promise.map_or(0, |promise| promise.cumulative).max(self.paid)
    }

    /// What vouchers had paid when the chain was last read.
    pub(super) fn paid(&self) -> u128 {
        self.paid
    }

    /// Whether its answers may be begun that may cost so much.
    ///
    /// # Errors
    /// [`Reason`].
    pub(super) fn admit(&self, estimate: u128, credit: u128, now: u64, facts: &Facts) -> Result<(), Reason> {
        let unpaid = self.owed.saturating_sub(self.paid);
        let needed = unpaid.saturating_add(self.reserved).saturating_add(estimate);
        if facts.balance < needed {
            return Err(Reason::Insufficient {
                needed,
                balance: facts.balance,
            });
        }
        let due = self.owed.saturating_sub(self.promised(now));
        if due > credit {
            return Err(Reason::Due { due, credit });
        }
        Ok(())
    }

    /// Sets aside what an answer may cost.
    pub(super) fn reserve(&mut self, estimate: u128) {
        self.open += 1;
        self.reserved = self.reserved.saturating_add(estimate);
    }

    /// The answer came to an end.
    pub(super) fn release(&mut self, estimate: u128) {
        self.open = self.open.saturating_sub(1);
        self.reserved = self.reserved.saturating_sub(estimate);
    }

    /// Takes a voucher whose signature holds; whether it is another one than the newest.
    ///
    /// # Errors
    /// [`Reason`]; then nothing changed.
    pub(super) fn take(&mut self, signed: &SignedVoucher, now: u64, facts: &Facts) -> Result<bool, Reason> {
        let voucher = &signed.voucher;
        if voucher.expiry <= now.saturating_add(MARGIN) {
            return Err(Reason::Expiring { margin: MARGIN });
        }
        let (least, after) = match &self.promise {
            Some(newest) if newest.is(signed) => return Ok(false),
            Some(newest) => (newest.cumulative, Some(newest.sequence)),
            None => (0, None),
        };
        // The contract takes the number that it took last, if it pays more.
        let (least, after) = (least.max(facts.paid), after.max(facts.sequence.checked_sub(1)));
        if voucher.cumulative < least || after.is_some_and(|after| voucher.sequence <= after) {
            return Err(Reason::NotCumulative {
                promised: least,
                sequence: after.unwrap_or(0),
            });
        }
        let reach = facts.reach(now.saturating_add(MARGIN));
        let adds = voucher.cumulative - facts.paid.min(voucher.cumulative);
        if adds > reach {
            return Err(Reason::Uncovered { adds, reach });
        }
        self.promise = Some(Promise {
            cumulative: voucher.cumulative,
            sequence: voucher.sequence,
            request: voucher.request_digest,
            response: voucher.response_digest,
            expiry: voucher.expiry,
            signature: signed.signature.0,
            receipt: None,
        });
        Ok(true)
    }

    /// Keeps the receipt of the answer that the newest voucher names.
    pub(super) fn keep_receipt(&mut self, response: &[u8; 32], receipt: String) {
        let promise = self
            .promise
            .as_mut()
            .filter(|promise| promise.response == *response);
        if let Some(promise) = promise.filter(|_| receipt.len() <= MAX_RECEIPT) {
            promise.receipt = Some(receipt);
        }
    }

    /// Uses an amount of `X-Payment`.
    ///
    /// # Errors
    /// [`Reason::Used`], also for an amount that is too small to be remembered.
    pub(super) fn spend(&mut self, amount: u128) -> Result<(), Reason> {
        if self.spent.contains(&amount) || self.spent_below.is_some_and(|below| amount <= below) {
            return Err(Reason::Used);
        }
        self.spent.push(amount);
        if self.spent.len() > MAX_SPENT
            && let Some((at, least)) = self
                .spent
                .iter()
                .copied()
                .enumerate()
                .min_by_key(|(_, amount)| *amount)
        {
            self.spent.swap_remove(at);
            self.spent_below = Some(least);
        }
        Ok(())
    }

    /// Adds what an answer cost.
    pub(super) fn charge(&mut self, cost: u128) {
        self.owed = self.owed.saturating_add(cost);
    }

    /// Whether a settlement of this number may be signed, which it then counts as.
    pub(super) fn settle(&mut self, nonce: u64, cost: u128) -> bool {
        if let Some(settled) = self.settlements.iter_mut().find(|settled| settled.nonce == nonce) {
            if settled.now {
                return false;
            }
            // Signed before, by a key that is gone: the chain may have taken either.
            settled.cost = settled.cost.min(cost);
            settled.now = true;
            return true;
        }
        if self.settlements.len() >= MAX_SETTLEMENTS {
            return false;
        }
        self.settlements.push(Settled {
            nonce,
            cost,
            now: true,
        });
        true
    }

    /// Whether little is lost with it: nothing is under way, and it holds no voucher that the chain hasn't paid.
    pub(super) fn is_idle(&self) -> bool {
        let held = self.promise.as_ref();
        self.open == 0 && held.is_none_or(|promise| promise.cumulative <= self.paid)
    }

    /// Whether all was paid.
    pub(super) fn is_paid(&self) -> bool {
        self.owed <= self.paid
    }
}

impl Promise {
    /// Whether it is this voucher.
    fn is(&self, signed: &SignedVoucher) -> bool {
        self.signature == signed.signature.0
            && *signed == self.signed(signed.voucher.user, signed.voucher.provider)
    }

    /// The voucher as it was signed.
    pub(super) fn signed(&self, user: Account, provider: Account) -> SignedVoucher {
        SignedVoucher {
            voucher: Voucher {
                user,
                provider,
                cumulative: self.cumulative,
                sequence: self.sequence,
                request_digest: self.request,
                response_digest: self.response,
                expiry: self.expiry,
            },
            signature: Signature(self.signature),
        }
    }
}

mod signature_bytes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 65], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 65], D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("a signature has 65 bytes"))
    }
}

#[cfg(test)]
mod tests;
