//! Counters of payments: numbers only, of no account.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

/// All counters.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) vouchers: AtomicU64,
    pub(super) vouchers_refused: AtomicU64,
    /// Settlements that were signed.
    pub(super) settlements: AtomicU64,
    /// Answers that were charged.
    pub(super) charged: AtomicU64,
    /// Requests that were refused.
    pub(super) refused: AtomicU64,
    /// Times that the host stored nothing.
    pub(super) unstored: AtomicU64,
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn document(&self) -> Value {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        json!({
            "vouchers": of(&self.vouchers),
            "vouchersRefused": of(&self.vouchers_refused),
            "settlements": of(&self.settlements),
            "charged": of(&self.charged),
            "refused": of(&self.refused),
            "unstored": of(&self.unstored),
        })
    }
}
