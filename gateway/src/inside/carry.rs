//! Bytes both ways between a client and a container.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use crate::passthrough::Counters;

const PIECE: usize = 16 * 1024;

/// Something that goes through a route, until this is dropped: counted among the listener's.
pub(crate) struct Tally {
    counters: Arc<Counters>,
    to_container: AtomicU64,
    to_client: AtomicU64,
}

impl Tally {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        counters.active.fetch_add(1, Relaxed);
        Self {
            counters,
            to_container: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.to_container.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.to_client.fetch_add(bytes as u64, Relaxed);
    }

    /// All bytes so far.
    pub(crate) fn sum(&self) -> u64 {
        let to_client = self.to_client.load(Relaxed);
        self.to_container.load(Relaxed).wrapping_add(to_client)
    }

    /// Returns once nothing has gone either way for `idle`: up to twice as long.
    pub(crate) async fn silence(&self, idle: Duration) {
        let mut before = self.sum();
        loop {
            sleep(idle).await;
            let now = self.sum();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let all = &self.counters.carried;
        all.to_provider
            .fetch_add(self.to_container.load(Relaxed), Relaxed);
        all.to_client.fetch_add(self.to_client.load(Relaxed), Relaxed);
        self.counters.active.fetch_sub(1, Relaxed);
    }
}

/// Carries until both ends have said all, one breaks off, or neither says anything for `idle`.
pub(crate) async fn carry(
    client: impl AsyncRead + AsyncWrite,
    container: impl AsyncRead + AsyncWrite,
    tally: &Tally,
    idle: Duration,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_container, mut to_container) = tokio::io::split(container);
    let both = async {
        tokio::try_join!(
            one_way(&mut from_client, &mut to_container, |bytes| tally.sent(bytes)),
            one_way(&mut from_container, &mut to_client, |bytes| tally.received(bytes)),
        )
    };
    let counters = &tally.counters;
    tokio::select! {
        outcome = both => if outcome.is_err() {
            counters.broken.fetch_add(1, Relaxed);
        },
        () = tally.silence(idle) => drop(counters.idle.fetch_add(1, Relaxed)),
    }
}

async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
        // Upgraded connections of HTTP hold back what isn't flushed.
        to.flush().await?;
        count(read);
    }
}
