//! Which providers answer. Each one's endpoint is dialled now and then, TLS is set up, and `GET /health` is asked for.
//!
//! Nothing is believed: a certificate is anybody's here, and who answers may answer others otherwise. What comes out says
//! where it is worth trying first; evidence is checked by whoever sends a prompt.
//!
//! | module | what it does |
//! |---|---|
//! | `probe` | one check |
//! | `rounds` | who is checked, and when |
//! | `ranking` | providers of a model, the cheapest and nearest first |

mod probe;
mod ranking;
mod rounds;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

pub use probe::Probe;
pub use ranking::{Ranked, ranked};
pub use rounds::{Pace, Rounds};

/// What the last check of a provider found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whether it answered as a node that is ready does.
    pub healthy: bool,
    /// Milliseconds from the first packet to the end of the answer; of a failed check, until it was given up.
    pub latency_ms: u32,
    /// When that was, in Unix seconds.
    pub checked_at: u64,
}

/// The last readings of all providers. Who was never checked has none.
#[derive(Default)]
pub struct Health(RwLock<HashMap<[u8; 20], Reading>>);

impl Health {
    /// The last reading of a provider.
    pub fn of(&self, account: &[u8; 20]) -> Option<Reading> {
        let readings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        readings.get(account).copied()
    }

    /// How many providers have a reading, and how many of them are healthy.
    pub fn counts(&self) -> (usize, usize) {
        let readings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let healthy = readings.values().filter(|reading| reading.healthy).count();
        (readings.len(), healthy)
    }

    /// Notes what was found at an endpoint for all providers that name it.
    pub fn note(&self, accounts: &[[u8; 20]], reading: Reading) {
        let mut readings = self.0.write().unwrap_or_else(PoisonError::into_inner);
        readings.extend(accounts.iter().map(|account| (*account, reading)));
    }

    /// Forgets those that aren't wanted any more.
    fn retain(&self, wanted: impl Fn(&[u8; 20]) -> bool) {
        let mut readings = self.0.write().unwrap_or_else(PoisonError::into_inner);
        readings.retain(|account, _| wanted(account));
    }
}
