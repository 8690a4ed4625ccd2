//! What came through a channel and wasn't read yet.
//!
//! russh reopens a channel's window when data comes, not when somebody reads it. So a channel whose reader has let too much
//! pile up holds its whole connection up until the reader takes some: memory stays bounded, whoever doesn't read.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;
use tokio::sync::Notify;

/// Bytes that may wait for a reader; from there on the connection waits too.
pub(super) const MOST: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    room: Notify,
}

#[derive(Default)]
struct Inner {
    pieces: VecDeque<Bytes>,
    len: usize,
    end: Ends,
    /// Nobody reads any more.
    is_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
struct Ends {
    /// The other end has said all.
    said_all: bool,
    /// The channel is gone.
    closed: bool,
}

impl Queue {
    /// Puts bytes in. Whether there is too much by now.
    pub(super) fn push(&self, data: &[u8]) -> bool {
        let mut inner = self.inner();
        if inner.is_left || inner.end.said_all || inner.end.closed || data.is_empty() {
            return false;
        }
        inner.pieces.push_back(Bytes::copy_from_slice(data));
        inner.len += data.len();
        inner.wake_reader();
        inner.len >= MOST
    }

    /// Returns once there is room again, or nobody reads any more.
    pub(super) async fn room(&self) {
        loop {
            let made = self.room.notified();
            if self.inner().has_room() {
                return;
            }
            made.await;
        }
    }

    /// No more comes.
    pub(super) fn said_all(&self) {
        let mut inner = self.inner();
        inner.end.said_all = true;
        inner.wake_reader();
    }

    /// Nothing more comes or goes.
    pub(super) fn close(&self) {
        let mut inner = self.inner();
        inner.end.closed = true;
        inner.wake_reader();
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }

    /// The reader has waited too long: what it has not read is lost.
    pub(super) fn break_off(&self) {
        let mut inner = self.inner();
        inner.pieces.clear();
        inner.len = 0;
        inner.end.said_all = false;
        drop(inner);
        self.close();
    }

    /// Nobody reads any more.
    pub(super) fn leave(&self) {
        let mut inner = self.inner();
        inner.is_left = true;
        inner.pieces.clear();
        inner.len = 0;
        drop(inner);
        self.room.notify_one();
    }

    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        let Some(piece) = inner.pieces.front_mut() else {
            if inner.end.said_all {
                return Poll::Ready(Ok(()));
            }
            if inner.end.closed {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            inner.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        let count = piece.len().min(into.remaining());
        into.put_slice(&piece[..count]);
        piece.advance(count);
        if piece.is_empty() {
            inner.pieces.pop_front();
        }
        inner.len -= count;
        let has_room = inner.has_room();
        drop(inner);
        if has_room {
            self.room.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready with an error where nothing can be written any more; else the writer is woken when that comes.
    pub(super) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        let mut inner = self.inner();
        if inner.end.closed {
            return Poll::Ready(io::ErrorKind::BrokenPipe.into());
        }
        inner.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn has_room(&self) -> bool {
        self.len < MOST || self.is_left
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn read(queue: &Queue, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let mut into = ReadBuf::new(&mut bytes);
        poll_fn(|context| queue.poll_read(context, &mut into)).await?;
        Ok(into.filled().to_vec())
    }

    #[tokio::test]
    async fn what_came_is_read_in_its_order_and_then_the_end() {
        let queue = Queue::default();
        assert!(!queue.push(b"abc") && !queue.push(b"de"));
        queue.said_all();
        queue.close();
        assert_eq!(read(&queue, 2).await.unwrap(), b"ab");
        assert_eq!(read(&queue, 9).await.unwrap(), b"c");
        assert_eq!(read(&queue, 9).await.unwrap(), b"de");
        assert_eq!(read(&queue, 9).await.unwrap(), b"");
        let broken = Queue::default();
        broken.push(b"a");
        broken.close();
        assert_eq!(read(&broken, 9).await.unwrap(), b"a");
        assert_eq!(
            read(&broken, 9).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    }

    #[tokio::test]
    async fn who_does_not_read_holds_up_until_room_is_made_or_nobody_reads() {
        let queue = Queue::default();
        let waits = async |queue: &Queue| timeout(Duration::from_millis(20), queue.room()).await.is_err();
        assert!(!queue.push(&[1; 10]));
        assert!(queue.push(&vec![0; MOST]));
        assert!(waits(&queue).await);
        assert_eq!(read(&queue, 10).await.unwrap(), [1; 10]);
        assert!(waits(&queue).await, "as much as may wait");
        assert_eq!(read(&queue, 1).await.unwrap(), [0]);
        assert!(!waits(&queue).await);
        queue.push(&[0; 9]);
        queue.leave();
        assert!(!waits(&queue).await && !queue.push(&vec![0; MOST]));
        let cut = Queue::default();
        cut.push(&vec![0; MOST]);
        cut.break_off();
        assert!(!waits(&cut).await);
        assert!(read(&cut, 9).await.is_err());
    }
}
