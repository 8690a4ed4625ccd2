//! Copies bytes both ways between two streams, with half-close, backpressure and a limit on silence.
//!
//! A connection holds a buffer only while its receiver is slower than its sender: reads go through one buffer per
//! thread, and what can't be written at once is kept, at most [`CHUNK`] bytes a direction. Reading until that buffer
//! is full or the sender pauses also joins small writes into large ones, which the guest's vsock needs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::metrics::{Counter, PortMetrics};

/// How long is waited once more after silence: what came while this machine stood still is known to the runtime only then.
const LAST_LOOK: Duration = Duration::from_millis(10);

/// Most bytes that are held for one direction.
pub(crate) const CHUNK: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long a relay waits, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RelayRules {
    /// Silence in both directions for so long ends the relay.
    pub(crate) idle: Duration,
    /// Whether the end of one direction can be told to the guest, and by it, without ending the other.
    pub(crate) half_close: bool,
    /// Without half-close: silence for so long after the outside has stopped sending ends the relay.
    pub(crate) grace: Duration,
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// Both directions ended.
    Closed,
    /// Nobody sent anything for too long.
    Idle,
    /// A socket failed.
    Broken,
}

/// Runs until both directions have ended or the rules say so. `outside` is the TCP side.
pub(crate) async fn relay<O, G>(
    outside: &mut O,
    guest: &mut G,
    rules: RelayRules,
    metrics: &PortMetrics,
) -> RelayEnd
where
    O: AsyncRead + AsyncWrite + Unpin,
    G: AsyncRead + AsyncWrite + Unpin,
{
    // Without half-close the end of the outside's bytes is held back, since the guest would take it for a full close.
    let mut inward = Direction::new(rules.half_close);
    let mut outward = Direction::new(true);
    let mut last = Instant::now();
    let mut looked = false;
    let mut timer = pin!(sleep_until(last + rules.idle));
    poll_fn(|cx| {
        let before = (inward.moved, outward.moved, inward.eof);
        let to_guest = inward.poll(cx, outside, guest, &metrics.to_guest);
        let to_outside = outward.poll(cx, guest, outside, &metrics.from_guest);
        let (to_guest, to_outside) = match (to_guest, to_outside) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(RelayEnd::Broken),
            (to_guest, to_outside) => (to_guest.is_ready(), to_outside.is_ready()),
        };
        // A guest that can't half-close has closed altogether once its direction ends.
        if to_outside && (to_guest || !rules.half_close) {
            return Poll::Ready(RelayEnd::Closed);
        }
        if before != (inward.moved, outward.moved, inward.eof) {
            last = Instant::now();
            looked = false;
        }
        let held = inward.eof && !rules.half_close;
        let limit = last
            + if held {
                rules.grace.min(rules.idle)
            } else {
                rules.idle
            };
        if held && !looked && timer.deadline() > limit {
            timer.as_mut().reset(limit);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= limit && looked {
                return Poll::Ready(if held { RelayEnd::Closed } else { RelayEnd::Idle });
            }
            looked = now >= limit;
            timer.as_mut().reset(if looked { now + LAST_LOOK } else { limit });
        }
        Poll::Pending
    })
    .await
}

/// One direction of a relay.
struct Direction {
    /// Read and not yet written.
    pending: Vec<u8>,
    written: usize,
    moved: u64,
    eof: bool,
    shut_at_eof: bool,
    done: bool,
}

impl Direction {
    fn new(shut_at_eof: bool) -> Self {
        Self {
            pending: Vec::new(),
            written: 0,
            moved: 0,
            eof: false,
            shut_at_eof,
            done: false,
        }
    }

    /// Ready once the sender has ended and its last byte has been handed on, or the receiver is gone.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        counter: &Counter,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.poll_copy(cx, from, to, counter)) {
            Err(CopyError::Read(error)) => return Poll::Ready(Err(error)),
            // The receiver is gone, but what it said before may still be on its way in the other direction: a server
            // that refuses a long upload answers and closes.
            Err(CopyError::Write) => {}
            Ok(()) if !self.shut_at_eof => return Poll::Pending,
            Ok(()) => {
                let _ = ready!(Pin::new(to).poll_shutdown(cx));
            }
        }
        self.done = true;
        Poll::Ready(Ok(()))
    }

    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        counter: &Counter,
    ) -> Poll<Result<(), CopyError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while self.written < self.pending.len() {
                let count = ready!(poll_write(cx, to, &self.pending[self.written..]))?;
                self.written += count;
                self.account(count, counter);
            }
            self.pending = Vec::new();
            self.written = 0;
            if self.eof {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_pass(cx, from, to, counter))?;
        }
    }

    /// Reads what there is, up to a chunk, and writes what the receiver takes; the rest becomes `pending`. Pending
    /// when there was nothing to read.
    fn poll_pass<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        counter: &Counter,
    ) -> Poll<Result<(), CopyError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(CHUNK, 0);
            let mut buffer = ReadBuf::new(scratch);
            while buffer.remaining() > 0 && !self.eof {
                let before = buffer.filled().len();
                match Pin::new(&mut *from).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => self.eof = buffer.filled().len() == before,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(CopyError::Read(error))),
                    Poll::Pending if before == 0 => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            let read = buffer.filled();
            let mut written = 0;
            while written < read.len() {
                match poll_write(cx, to, &read[written..])? {
                    Poll::Ready(count) => {
                        written += count;
                        self.account(count, counter);
                    }
                    Poll::Pending => {
                        self.pending = read[written..].to_vec();
                        break;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    fn account(&mut self, count: usize, counter: &Counter) {
        self.moved += count as u64;
        counter.add(count as u64);
    }
}

enum CopyError {
    Read(io::Error),
    Write,
}

/// Writes at least one byte of a non-empty slice.
fn poll_write<W: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    to: &mut W,
    bytes: &[u8],
) -> Poll<Result<usize, CopyError>> {
    match ready!(Pin::new(to).poll_write(cx, bytes)) {
        Ok(0) | Err(_) => Poll::Ready(Err(CopyError::Write)),
        Ok(count) => Poll::Ready(Ok(count)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::sleep;

    use super::*;

    /// Everything is in one thread: while it stands still, the other end writes, and the time of silence passes.
    #[tokio::test]
    async fn what_came_while_the_machine_stood_still_goes_through() {
        let (mut outside, mut client) = UnixStream::pair().unwrap();
        let (mut guest, mut node) = UnixStream::pair().unwrap();
        let rules = RelayRules {
            idle: Duration::from_millis(200),
            half_close: true,
            grace: Duration::from_secs(60),
        };
        let relayed =
            tokio::spawn(
                async move { relay(&mut outside, &mut guest, rules, &PortMetrics::default()).await },
            );
        sleep(Duration::from_millis(20)).await;
        let pause = sleep(Duration::from_millis(20));
        tokio::spawn(async { std::thread::sleep(Duration::from_millis(400)) });
        pause.await;
        client.write_all(b"late").await.unwrap();
        let mut found = [0; 4];
        node.read_exact(&mut found).await.unwrap();
        assert_eq!(&found, b"late");
        // Silence ends it all the same.
        assert_eq!(relayed.await.unwrap(), RelayEnd::Idle);
    }
}
