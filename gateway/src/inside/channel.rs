//! A connection to a port of a container, as bytes that are read and written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::client::Msg;
use russh::{Channel as SshChannel, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::link::{Link, WINDOW};
use super::queue::Queue;

/// A channel. Dropped, it is closed.
pub(crate) struct Channel {
    queue: Arc<Queue>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    link: Arc<Link>,
    /// Read, and not given back to the server yet.
    taken: u32,
    /// What closes it, and its place on the connection.
    kept: Option<(ChannelWriteHalf<Msg>, OwnedSemaphorePermit)>,
}

impl Channel {
    pub(super) fn new(
        channel: SshChannel<Msg>,
        queue: Arc<Queue>,
        link: Arc<Link>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        // What comes goes to the queue: russh must not keep it a second time.
        let (_, half) = channel.split();
        Self {
            queue,
            writer: Box::pin(half.make_writer()),
            link,
            taken: 0,
            kept: Some((half, place)),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.queue.leave();
        let Some((half, place)) = self.kept.take() else {
            return;
        };
        let link = self.link.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _ = half.close().await;
                link.closed(half.id());
                drop(place);
            });
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = self.queue.poll_read(context, into);
        // Never more than the window, which is what russh let in.
        self.taken += (into.filled().len() - before) as u32;
        if self.taken >= WINDOW / 2
            && let Some((half, _)) = &self.kept
        {
            self.link.grant(half.id(), self.taken);
            self.taken = 0;
        }
        outcome
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.queue.poll_closed(context) {
            return Poll::Ready(Err(error));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A channel that is closed has no half left to close.
        if self.queue.poll_closed(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.writer.as_mut().poll_shutdown(context)
    }
}
