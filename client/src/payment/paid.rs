//! A request that is paid for, until its answer is verified to the end.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{EndReason, STREAM_END_PREFIX};
use jeju_wallet_auth::market::SignedVoucher;
use sha2::{Digest, Sha256};

use super::book::Answered;
use super::payer::{Payer, Sent};
use super::usage::{Asked, Price, Told, Usage};
use super::{PaymentError, Payments, answered};
use crate::rental::amount::Amount;

/// A request that is paid for. Dropped without an answer, it may have cost as much as it can.
pub struct Paid {
    payments: Payments,
    payer: Arc<Payer>,
    price: Price,
    asked: Asked,
    /// Tokens of the prompt by the model's own tokenizer, where that is at hand.
    counted: Option<u64>,
    bound: u128,
    reserved: u128,
    carried: Option<Sent>,
    /// What it is to be counted at when it is dropped: nothing before it was sent.
    at_drop: AtDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtDrop {
    /// It wasn't sent.
    Free,
    /// It was sent, and its end isn't known.
    Doubtful,
    /// It is counted.
    Counted,
}

impl Paid {
    pub(super) fn new(
        payments: Payments,
        payer: Arc<Payer>,
        price: Price,
        asked: Asked,
        counted: Option<u64>,
    ) -> Result<Self, PaymentError> {
        let bound = asked.bound(&price)?;
        let reserved = payments.reserve(asked.estimate(&price)?)?;
        Ok(Self {
            payments,
            payer,
            price,
            asked,
            counted,
            bound,
            reserved,
            carried: None,
            at_drop: AtDrop::Free,
        })
    }

    pub(super) fn payer(&self) -> &Arc<Payer> {
        &self.payer
    }

    pub(super) fn carry(&mut self, sent: Option<Sent>) {
        self.carried = sent;
    }

    pub(super) fn voucher(&self) -> Option<&SignedVoucher> {
        self.carried.as_ref().map(|sent| &sent.voucher)
    }

    pub(super) fn sent(&mut self) {
        self.at_drop = AtDrop::Doubtful;
    }

    /// Nothing of the request was sent: it costs nothing, and its voucher wasn't handed in.
    pub fn unsent(mut self) {
        self.carried = None;
        self.at_drop = AtDrop::Free;
    }

    /// The answer came whole, and is verified. What it costs is in the book when this returns.
    ///
    /// # Errors
    /// Where the book can't be written.
    pub fn whole(mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), PaymentError> {
        self.head(status);
        let mut told = Told::default();
        told.take(body);
        let is_answer = status.is_success();
        match (self.owed(&told)?, answered(headers, sha256(body))) {
            (Some(cost), Some(answered)) if is_answer => self.count(cost, &told, answered),
            // A refusal costs nothing; what a node says of it otherwise is its own count.
            _ if !is_answer => {
                self.at_drop = AtDrop::Counted;
                self.payments.count(self.reserved, 0);
                Ok(())
            }
            // An answer that doesn't say what it took: Drop counts it as doubtful.
            _ => Ok(()),
        }
    }

    /// The answer is a stream whose head is verified.
    pub fn stream(mut self, status: StatusCode, headers: &HeaderMap) -> PaidStream {
        self.head(status);
        PaidStream {
            answered: answered(headers, [0; 32]),
            paid: self,
            told: Told::default(),
            body: Some(Sha256::new()),
        }
    }

    /// The head of the answer says whether the voucher was taken, and lets the next one go.
    fn head(&mut self, status: StatusCode) {
        let Some(sent) = self.carried.take() else {
            if status == StatusCode::PAYMENT_REQUIRED {
                self.payer.forget_node();
            }
            return;
        };
        match status.is_success() {
            true => self.payer.delivered(&sent),
            false => self.payer.forget_node(),
        }
    }

    fn owed(&self, told: &Told) -> Result<Option<u128>, PaymentError> {
        told.owed(&self.price, self.bound, |usage| self.believed(usage))
    }

    /// The usage that a node tells, as far as the request can have caused it.
    fn believed(&self, told: Usage) -> Usage {
        let mut usage = self.asked.caused(told);
        if let Some(counted) = self.counted {
            usage.input = usage.input.min(counted);
        }
        usage
    }

    fn count(&mut self, cost: u128, told: &Told, answered: Answered) -> Result<(), PaymentError> {
        if let Some(usage) = told.usage {
            let claimed = told.cost.unwrap_or(0).max(self.price.of(usage)?);
            if claimed > cost && told.cost.is_none_or(|asked| asked > cost) {
                eprintln!(
                    "jeju: {} asks {} for an answer that costs {} by its usage, as counted here, and the price on chain; \
                     no more is paid",
                    self.payer.facts().provider,
                    Amount(claimed),
                    Amount(cost)
                );
            }
        }
        self.payer.charge(cost, answered)?;
        self.at_drop = AtDrop::Counted;
        self.payments.count(self.reserved, cost);
        Ok(())
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        match self.at_drop {
            AtDrop::Counted => {}
            AtDrop::Free => self.payments.count(self.reserved, 0),
            AtDrop::Doubtful => {
                self.payments.count(self.reserved, self.bound);
                if let Err(error) = self.payer.doubt(self.bound) {
                    eprintln!("jeju: {error} ({})", error.code());
                }
            }
        }
    }
}

/// The same while its stream goes on.
pub struct PaidStream {
    paid: Paid,
    answered: Option<Answered>,
    told: Told,
    /// Of what the signed end covers; `None` once it has come.
    body: Option<Sha256>,
}

impl PaidStream {
    /// Whole events, as the verified stream gives them.
    pub fn events(&mut self, events: &[u8]) {
        self.told.take_events(events);
        let Some(body) = &mut self.body else { return };
        match end(events) {
            None => body.update(events),
            Some(end) => {
                body.update(&events[..end]);
                let digest: [u8; 32] = self.body.take().expect("it was there").finalize().into();
                if let Some(answered) = &mut self.answered {
                    answered.response.0 = digest;
                }
            }
        }
    }

    /// The stream's end is verified. What it costs is in the book when this returns.
    ///
    /// # Errors
    /// Where the book can't be written.
    pub fn ended(mut self, _reason: EndReason) -> Result<(), PaymentError> {
        let owed = self.paid.owed(&self.told)?;
        match (owed, self.answered, &self.body) {
            (Some(cost), Some(answered), None) => self.paid.count(cost, &self.told, answered),
            _ => Ok(()),
        }
    }
}

/// Where the signed end begins, at the beginning of an event.
fn end(events: &[u8]) -> Option<usize> {
    let prefix = STREAM_END_PREFIX.as_bytes();
    let mut at = 0;
    loop {
        let rest = &events[at..];
        if rest.starts_with(prefix) {
            return Some(at);
        }
        let blank = rest.windows(2).position(|pair| pair == b"\n\n")?;
        at += blank + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_end_is_found_where_an_event_begins() {
        let end_line = format!("{STREAM_END_PREFIX}v=1; digest=x\n\n");
        let before = "data: {\"a\":1}\n\ndata: {\"b\":\"";
        let events = format!("data: {{\"a\":1}}\n\n{end_line}data: [DONE]\n\n");
        assert_eq!(end(events.as_bytes()), Some(15));
        assert_eq!(end(end_line.as_bytes()), Some(0));
        assert_eq!(end(format!("{before}{end_line}").as_bytes()), None);
        assert_eq!(end(b""), None);
        assert_eq!(end(b"data: 1\n\n"), None);
    }
}
