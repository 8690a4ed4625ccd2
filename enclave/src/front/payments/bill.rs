//! What one answer costs, from before it is begun until it ended.

use std::sync::Arc;
use std::time::Instant;

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{Settlement, cost};
use serde_json::{Value, json};

use super::facts::Price;
use super::settlement::{Wish, request_hash};
use super::tally::Tally;
use super::{Estimate, Payments};

/// An answer that is paid for. Dropped without a charge, it costs nothing.
pub(in crate::front) struct Bill {
    payments: Arc<Payments>,
    account: [u8; 20],
    price: Price,
    estimate: Estimate,
    /// What is set aside for it while it is made.
    reserved: u128,
    wish: Option<Wish>,
    /// Seconds since 1970 when it began, and by this machine's count.
    begun: (u64, Instant),
}

/// Tokens that an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::front) struct Tokens {
    pub(in crate::front) input: u64,
    pub(in crate::front) output: u64,
}

impl Bill {
    pub(super) fn new(
        payments: Arc<Payments>,
        account: [u8; 20],
        price: Price,
        estimate: Estimate,
        reserved: u128,
        now: u64,
    ) -> Self {
        Self {
            payments,
            account,
            price,
            estimate,
            reserved,
            wish: None,
            begun: (now, Instant::now()),
        }
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        self.wish = Some(wish);
    }

    /// Charges the answer, and puts `payment` and the settlement into its document, which has id and model.
    pub(in crate::front) fn charge(&self, tokens: Tokens, document: &mut Value) {
        let cost = self.cost(tokens);
        let now = self.begun.0.saturating_add(self.begun.1.elapsed().as_secs());
        let changed = self.payments.accounts.change(&self.account, |state| {
            state.charge(cost);
            let signed = match self.wish {
                Some(Wish::Nonce(nonce)) if state.settle(nonce, cost) => Ok(Some(nonce)),
                Some(Wish::Nonce(_)) => Err("nonce_used"),
                Some(Wish::Refused(code)) => Err(code),
                None => Ok(None),
            };
            (state.owed, state.promised(now), signed)
        });
        // Accounts with an answer under way aren't forgotten.
        let Some((owed, promised, signed)) = changed else {
            return;
        };
        Tally::count(&self.payments.tally.charged);
        document["payment"] = json!({
            "cost": cost.to_string(),
            "owed": owed.to_string(),
            "promised": promised.to_string(),
        });
        match signed {
            Ok(None) => {}
            Ok(Some(nonce)) => document["settlement"] = self.settlement(nonce, tokens, document),
            Err(code) => document["payment"]["unsettled"] = code.into(),
        }
    }

    /// Charges an answer whose client left before its end: the prompt as it was estimated, and a token for each piece
    /// that was sent.
    pub(in crate::front) fn charge_left(&self, pieces: u64) {
        let cost = self.cost(Tokens {
            input: self.estimate.input,
            output: pieces,
        });
        self.payments
            .accounts
            .change(&self.account, |state| state.charge(cost));
        Tally::count(&self.payments.tally.charged);
    }

    fn cost(&self, tokens: Tokens) -> u128 {
        cost(tokens.input, tokens.output, self.price.input, self.price.output).unwrap_or(u128::MAX)
    }

    fn settlement(&self, nonce: u64, tokens: Tokens, document: &Value) -> Value {
        let settlement = Settlement {
            user: Account(self.account),
            provider: self.payments.provider,
            service: self.price.service,
            request_hash: request_hash(document),
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            nonce,
        };
        let signature = self
            .payments
            .attester
            .identity()
            .sign(&settlement.digest(&self.payments.serving));
        Tally::count(&self.payments.tally.settlements);
        json!({
            "provider": settlement.provider.to_string(),
            "service": settlement.service,
            "requestHash": format!("0x{}", hex::encode(settlement.request_hash)),
            "inputTokens": settlement.input_tokens,
            "outputTokens": settlement.output_tokens,
            "nonce": settlement.nonce,
            "signature": signature.to_string(),
        })
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.payments
            .accounts
            .change(&self.account, |state| state.release(self.reserved));
    }
}
