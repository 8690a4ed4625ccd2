//! Somebody's use of a route.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

use super::{Route, now_ms};

/// Longest sleep before the clock is read again: it may have been set.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Somebody uses a route, until this is dropped.
#[derive(Debug)]
pub struct Session {
    pub(super) route: Arc<Route>,
    pub(super) all: Arc<AtomicU64>,
}

impl Session {
    /// The route.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Returns once the route was deleted or has expired; connections end then.
    pub async fn over(&self) {
        let mut until = self.route.until.subscribe();
        loop {
            let left = until.borrow_and_update().saturating_sub(now_ms());
            if left == 0 {
                return;
            }
            tokio::select! {
                () = sleep(Duration::from_millis(left).min(CLOCK_CHECK)) => {}
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.route.sessions.fetch_sub(1, Relaxed);
        self.all.fetch_sub(1, Relaxed);
    }
}
