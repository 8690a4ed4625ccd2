//! Connections that wait for the next request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::connect::Connection;

/// Most connections that wait.
const MAX_IDLE: usize = 32;
/// Between looks for those that have waited for too long.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a connection that has just been used may take until it can take another request.
const SETTLE: Duration = Duration::from_millis(100);

/// Idle connections to one upstream.
pub(super) struct Pool {
    idle: Mutex<Vec<(Connection, Instant)>>,
    /// How long one may wait; none waits where this is zero.
    keep: Duration,
}

impl Pool {
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            keep,
        }
    }

    /// A connection that can take a request, as far as this end knows.
    pub(super) async fn take(&self) -> Option<Connection> {
        while let Some(mut connection) = self.newest() {
            let session = connection.session.as_ref();
            let usable = session.is_none_or(|session| session.is_usable());
            let Connection { sender, work, .. } = &mut connection;
            if usable && matches!(timeout(SETTLE, work.until(sender.ready())).await, Ok(Ok(()))) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer came to its end.
    pub(super) fn put(&self, connection: Connection) {
        if self.keep.is_zero() || connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    /// Drops connections that have waited for too long, for as long as there is a pool: their buffers hold what was said on
    /// them last.
    pub(super) async fn sweeping(self: Arc<Self>) {
        if self.keep.is_zero() {
            return;
        }
        loop {
            sleep(SWEEP).await;
            self.sweep();
        }
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| now.duration_since(*since) < self.keep);
    }

    fn newest(&self) -> Option<Connection> {
        self.sweep();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().map(|(connection, _)| connection)
    }
}
