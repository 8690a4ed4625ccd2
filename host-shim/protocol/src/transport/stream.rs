use std::io;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// A connection of the boundary. `shutdown` is SHUT_WR: the other direction goes on.
#[derive(Debug)]
pub struct Stream {
    /// Also for AF_VSOCK sockets: read, write, shutdown and SO_ERROR, which are all that is used of it, are the same
    /// system calls for every stream socket.
    socket: UnixStream,
    write_cap: usize,
}

impl Stream {
    /// Any connected stream socket. Writes pass on at most `write_cap` bytes each.
    pub(super) fn from_fd(fd: OwnedFd, write_cap: usize) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(fd);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket)?,
            write_cap,
        })
    }

    /// The socket itself, whose readiness ends a non-blocking connect.
    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self {
            socket,
            write_cap: usize::MAX,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let capped = &buf[..buf.len().min(self.write_cap)];
        Pin::new(&mut self.socket).poll_write(cx, capped)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match whole_slices(bufs, self.write_cap) {
            0 => {
                let first = bufs
                    .iter()
                    .find(|buf| !buf.is_empty())
                    .map_or(&[][..], |buf| &buf[..]);
                self.poll_write(cx, first)
            }
            count => Pin::new(&mut self.socket).poll_write_vectored(cx, &bufs[..count]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// How many leading slices stay within `cap` bytes together; 0 when the first non-empty one alone is too long.
fn whole_slices(bufs: &[IoSlice<'_>], cap: usize) -> usize {
    let mut total = 0usize;
    let fitting = bufs.iter().take_while(|buf| {
        total = total.saturating_add(buf.len());
        total <= cap
    });
    let count = fitting.count();
    if bufs[..count].iter().all(|buf| buf.is_empty()) {
        0
    } else {
        count
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn capped_pair(cap: usize) -> (Stream, Stream) {
        let (a, b) = UnixStream::pair().unwrap();
        (
            Stream {
                socket: a,
                write_cap: cap,
            },
            b.into(),
        )
    }

    #[tokio::test]
    async fn no_write_exceeds_the_cap() {
        let (mut guest, _host) = capped_pair(1000);
        assert_eq!(guest.write(&[0; 4000]).await.unwrap(), 1000);
        let slices = |lens: &[usize]| lens.iter().map(|len| vec![0; *len]).collect::<Vec<_>>();
        for (lens, written) in [
            (&[400, 400, 400][..], 800),
            (&[0, 1001, 5], 1000),
            (&[1000, 1], 1000),
            (&[0, 0], 0),
            (&[], 0),
        ] {
            let owned = slices(lens);
            let bufs: Vec<IoSlice<'_>> = owned.iter().map(|buf| IoSlice::new(buf)).collect();
            assert_eq!(guest.write_vectored(&bufs).await.unwrap(), written, "{lens:?}");
        }
    }

    #[tokio::test]
    async fn shutdown_ends_one_direction_only() {
        let (mut guest, mut host) = capped_pair(usize::MAX);
        guest.write_all(b"ask").await.unwrap();
        guest.shutdown().await.unwrap();
        let mut seen = Vec::new();
        host.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"ask");
        host.write_all(b"answer").await.unwrap();
        drop(host);
        let mut answer = Vec::new();
        guest.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }
}
