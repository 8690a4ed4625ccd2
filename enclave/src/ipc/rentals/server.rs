//! The rentals role's end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

use super::{ANSWER, Answer, CALL, Call, HOST_KEY, MAX_FRAME, message, read_message};
use crate::ipc::frame::{self, FrameError};

/// The rentals role's end of the socket to the front.
#[derive(Debug)]
pub struct FrontSocket {
    read: OwnedReadHalf,
    write: Arc<Mutex<OwnedWriteHalf>>,
}

/// A call that is to be answered, once.
#[derive(Debug)]
pub struct Asked {
    /// The call.
    pub call: Call,
    ticket: u64,
    write: Arc<Mutex<OwnedWriteHalf>>,
}

impl FrontSocket {
    /// Takes the socket that PID 1 gave to the role. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered with the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<FrontSocket> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(socket)?.into_split();
        Ok(FrontSocket {
            read,
            write: Arc::new(Mutex::new(write)),
        })
    }

    /// Names the SSH host key (Ed25519). The front waits for it.
    ///
    /// # Errors
    /// When the front is gone.
    pub async fn host_key(&self, key: &[u8; 32]) -> Result<(), FrameError> {
        frame::write_within(&mut *self.write.lock().await, HOST_KEY, key, MAX_FRAME).await
    }

    /// The next call; `None` when the front is gone or broke the protocol. Not cancel-safe.
    pub async fn next(&mut self) -> Option<Asked> {
        let frame = frame::read_within(&mut self.read, MAX_FRAME).await.ok()?;
        let (ticket, call) = read_message(&frame.body).filter(|_| frame.kind == CALL)?;
        Some(Asked {
            call,
            ticket,
            write: self.write.clone(),
        })
    }
}

impl Asked {
    /// Answers. A front that is gone is about to end the node.
    pub async fn answer(self, answer: &Answer) {
        let Some(body) = message(self.ticket, answer) else {
            return;
        };
        let _ = frame::write_within(&mut *self.write.lock().await, ANSWER, &body, MAX_FRAME).await;
    }
}
