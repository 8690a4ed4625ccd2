use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection of the guest, which fails when the guest takes nothing of an answer for too long. While it carries a
/// command's bytes it waits: a person may hold a terminal's output.
pub(super) struct Guest<S> {
    stream: S,
    wait: Duration,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
    upgraded: Arc<AtomicBool>,
}

impl<S> Guest<S> {
    /// `upgraded` is set once the connection carries a command's bytes.
    pub(super) fn new(stream: S, wait: Duration, upgraded: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            wait,
            timer: None,
            upgraded,
        }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() || self.upgraded.load(Relaxed) {
            self.timer = None;
            return written;
        }
        let wait = self.wait;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        timer.as_mut().reset(Instant::now() + wait);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Time stands still while anything can go on, so nothing here is timed.
    #[tokio::test(start_paused = true)]
    async fn a_guest_that_takes_nothing_is_given_up_unless_it_has_a_command() {
        for carries_a_command in [false, true] {
            let (shim, _guest) = tokio::io::duplex(1000);
            let upgraded = Arc::new(AtomicBool::new(carries_a_command));
            let mut guest = Guest::new(shim, Duration::from_secs(60), upgraded);
            guest.write_all(&[0; 1000]).await.unwrap();
            let stuck = tokio::time::timeout(Duration::from_secs(600), guest.write_all(b"x")).await;
            match stuck {
                Ok(outcome) => {
                    assert!(!carries_a_command);
                    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
                }
                Err(_) => assert!(carries_a_command),
            }
        }
    }
}
