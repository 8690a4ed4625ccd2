//! What came through a channel and wasn't read yet: no more than the channel's window, which is reopened as it is read.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;

#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In one piece: a container that sends single bytes takes no more memory than another.
    bytes: BytesMut,
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
    /// Puts bytes in.
    pub(super) fn push(&self, data: &[u8]) {
        let mut inner = self.inner();
        if inner.is_left || inner.end.said_all || inner.end.closed || data.is_empty() {
            return;
        }
        inner.bytes.extend_from_slice(data);
        inner.wake_reader();
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

    /// Nobody reads any more.
    pub(super) fn leave(&self) {
        let mut inner = self.inner();
        inner.is_left = true;
        inner.bytes = BytesMut::new();
    }

    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.bytes.is_empty() {
            if inner.end.said_all {
                return Poll::Ready(Ok(()));
            }
            if inner.end.closed {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            inner.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = inner.bytes.len().min(into.remaining());
        into.put_slice(&inner.bytes[..count]);
        inner.bytes.advance(count);
        if inner.bytes.is_empty() {
            // Nothing is kept for channels that say nothing for long.
            inner.bytes = BytesMut::new();
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
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

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
        queue.push(b"abc");
        queue.push(b"de");
        queue.said_all();
        queue.close();
        assert_eq!(read(&queue, 2).await.unwrap(), b"ab");
        assert_eq!(read(&queue, 9).await.unwrap(), b"cde");
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
    async fn what_nobody_reads_is_not_kept() {
        let queue = Queue::default();
        queue.push(&[1; 10]);
        queue.leave();
        queue.push(&[2; 10]);
        queue.close();
        assert!(read(&queue, 9).await.is_err());
    }
}
