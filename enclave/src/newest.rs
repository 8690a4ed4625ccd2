//! How late it is by the chain's newest block, and what this machine counted since. The block may leave the chain again;
//! that time has passed stays true. The wall clock is the host's and is never read.

use std::sync::Arc;
use std::time::Duration;

use jeju_chain::ChainReader;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How often the newest block is read.
const READ_NEWEST: Duration = Duration::from_secs(20);

/// Reads the newest block's time.
pub(crate) struct NewestTime {
    chain: Arc<ChainReader>,
    read: Mutex<Option<Reading>>,
}

impl NewestTime {
    pub(crate) fn new(chain: Arc<ChainReader>) -> Self {
        Self {
            chain,
            read: Mutex::new(None),
        }
    }

    /// Seconds since 1970, at least; `None` where no block could be read yet.
    pub(crate) async fn now(&self) -> Option<u64> {
        let mut known = self.read.lock().await;
        if known.is_none_or(|known| known.at.elapsed() >= READ_NEWEST)
            && let Ok(timestamp) = self.chain.newest_timestamp().await
        {
            *known = Some(Reading::new(timestamp).or_later(*known));
        }
        known.map(|known| known.now())
    }
}

/// A block's timestamp, and when it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    timestamp: u64,
    at: Instant,
}

impl Reading {
    /// A timestamp that was read now.
    pub(crate) fn new(timestamp: u64) -> Self {
        Self {
            timestamp,
            at: Instant::now(),
        }
    }

    /// Seconds since 1970, at least.
    pub(crate) fn now(&self) -> u64 {
        self.timestamp.saturating_add(self.at.elapsed().as_secs())
    }

    /// The later of two: an endpoint that falls behind doesn't make it earlier.
    pub(crate) fn or_later(self, known: Option<Reading>) -> Reading {
        match known {
            Some(known) if known.now() > self.now() => known,
            _ => self,
        }
    }
}
