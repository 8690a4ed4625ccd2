//! The signer's end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc};

use super::MAX_FRAME;
use super::message::{FromSigner, ToSigner};
use crate::ipc::frame::{self, FrameError};

/// Messages of the front that are read ahead: enough that the signer never waits for its reader, and a bound on what a
/// front that floods can make it hold.
const READ_AHEAD: usize = 32;

/// The signer's end of the socket to the front.
#[derive(Debug)]
pub struct FrontSocket {
    /// The way to the front.
    pub writer: FrontWriter,
    messages: mpsc::Receiver<ToSigner>,
}

/// Sends messages to the front.
#[derive(Debug)]
pub struct FrontWriter(Mutex<OwnedWriteHalf>);

impl FrontSocket {
    /// Takes the socket that PID 1 gave to the signer. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered with the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<FrontSocket> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(socket)?.into_split();
        let (sender, messages) = mpsc::channel(READ_AHEAD);
        tokio::spawn(read_messages(read, sender));
        Ok(FrontSocket {
            writer: FrontWriter(Mutex::new(write)),
            messages,
        })
    }

    /// The next message; `None` when the front is gone or broke the protocol. May be dropped and called again.
    pub async fn next(&mut self) -> Option<ToSigner> {
        self.messages.recv().await
    }
}

impl FrontWriter {
    /// Sends one message.
    ///
    /// # Errors
    /// When the front is gone.
    pub async fn send(&self, message: &FromSigner) -> Result<(), FrameError> {
        let (kind, body) = message.encode();
        frame::write_within(&mut *self.0.lock().await, kind, &body, MAX_FRAME).await
    }
}

async fn read_messages(mut socket: OwnedReadHalf, messages: mpsc::Sender<ToSigner>) {
    // On a task of its own, because a frame that is read half-way can't be given up.
    while let Ok(frame) = frame::read_within(&mut socket, MAX_FRAME).await {
        let Some(message) = ToSigner::parse(&frame) else {
            break;
        };
        if messages.send(message).await.is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_front_that_breaks_the_protocol_is_gone() {
        for bytes in [&[0, 0, 0, 0][..], &[0xFF; 8], &[0, 0, 0, 2, 0x7F, 0]] {
            let (front, signer) = StdUnixStream::pair().unwrap();
            front.set_nonblocking(true).unwrap();
            let mut signer = FrontSocket::new(signer.into()).unwrap();
            let mut front = UnixStream::from_std(front).unwrap();
            let (kind, body) = ToSigner::StatusQuery { ticket: 1 }.encode();
            frame::write(&mut front, kind, &body).await.unwrap();
            front.write_all(bytes).await.unwrap();
            assert_eq!(signer.next().await, Some(ToSigner::StatusQuery { ticket: 1 }));
            assert_eq!(signer.next().await, None, "{bytes:?}");
        }
    }
}
