//! Pipes, sockets and terminals, read and written without blocking.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Room of a pipe that carries bulk, in bytes.
const PIPE_ROOM: libc::c_int = 256 * 1024;

/// A descriptor that can be waited for. A clone is the same one.
#[derive(Clone)]
pub(crate) struct Fd(Arc<AsyncFd<OwnedFd>>);

impl Fd {
    /// Errors: it is a plain file, which nobody can wait for.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: both calls take a descriptor that is open, and change nothing but its flags.
        unsafe {
            let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
            if flags == -1 || libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: the descriptor is owned, and so stays this one while it is registered.
        Ok(Fd(Arc::new(unsafe { AsyncFd::register(fd) }?)))
    }

    /// Makes room for more at once, where it is a pipe and the system allows it: fewer changes between processes.
    pub(crate) fn widened(self) -> Self {
        // SAFETY: the descriptor is open; the call changes nothing but the pipe's room.
        unsafe { libc::fcntl(self.raw(), libc::F_SETPIPE_SZ, PIPE_ROOM) };
        self
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl AsyncRead for Fd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let read = guard.try_io(|fd| {
                // SAFETY: the kernel writes at most as many bytes as there is room, and reads none.
                let read = unsafe {
                    let room = buffer.unfilled_mut();
                    libc::read(fd.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), room.len())
                };
                usize::try_from(read).map_err(|_| io::Error::last_os_error())
            });
            match read {
                Ok(Ok(read)) => {
                    // SAFETY: the kernel has written this many bytes.
                    unsafe { buffer.assume_init(read) };
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                // The other end of a terminal is closed.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Fd {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            let written = guard.try_io(|fd| {
                // SAFETY: the bytes outlive the call, which only reads them.
                let written =
                    unsafe { libc::write(fd.as_fd().as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
                usize::try_from(written).map_err(|_| io::Error::last_os_error())
            });
            match written {
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(outcome) => return Poll::Ready(outcome),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The other end learns it once the last clone is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
