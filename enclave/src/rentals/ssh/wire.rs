//! A connection's bytes, until it is cut off, or the client doesn't take any more of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::cut::Cut;

/// A client that takes nothing for so long is gone. As long as it takes for unanswered keep-alives.
const STALL: Duration = Duration::from_secs(120);
/// How long a client has to close its side after ours.
const CLOSING: Duration = Duration::from_secs(5);
/// Read at once: a packet is read in two pieces.
const READ_AHEAD: usize = 64 * 1024;

pub(super) struct Wire<S> {
    stream: BufReader<S>,
    /// None once it was cut.
    cut: Option<BoxFuture<'static, ()>>,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    /// Runs once our side is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, cut: Cut) -> Self {
        Self {
            stream: BufReader::with_capacity(READ_AHEAD, stream),
            cut: Some(Box::pin(cut.done())),
            stall: None,
            closing: None,
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(cx).is_pending()
        {
            return Ok(());
        }
        self.cut = None;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn watched<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stall = None;
            return write;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, write)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        self.closing.get_or_insert_with(|| Box::pin(sleep(CLOSING)));
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watched(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_reading_and_writing() {
        let (near, mut far) = duplex(64);
        let cut = Cut::new();
        let mut wire = Wire::new(near, cut.clone());
        far.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        wire.read_exact(&mut read).await.unwrap();
        let reading = tokio::spawn(async move {
            let outcome = wire.read(&mut [0; 1]).await;
            (outcome.map_err(|e| e.kind()), wire)
        });
        tokio::task::yield_now().await;
        cut.cut();
        let (outcome, mut wire) = reading.await.unwrap();
        assert_eq!(outcome, Err(io::ErrorKind::ConnectionAborted));
        assert_eq!(
            wire.write(b"x").await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_gone_after_a_while() {
        let (near, far) = duplex(64);
        let mut wire = Wire::new(near, Cut::new());
        let outcome = wire.write_all(&[0; 65]).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_close_is_left_after_a_while() {
        let (near, far) = duplex(64);
        let mut wire = Wire::new(near, Cut::new());
        wire.shutdown().await.unwrap();
        assert_eq!(wire.read(&mut [0; 1]).await.unwrap(), 0);
        drop(far);
    }
}
