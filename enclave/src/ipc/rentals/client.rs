//! The front's end.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

use super::{ANSWER, Answer, CALL, Call, HOST_KEY, MAX_FRAME, Refusal, message, read_message};
use crate::ipc::frame;

/// How long the role may take to name its key.
const KEY_WAIT: Duration = Duration::from_secs(10);
/// How long an answer may take: a command that a tenant runs has less.
const ANSWER_WAIT: Duration = Duration::from_secs(90);
/// Calls that wait at the same time.
const MAX_CALLS: usize = 128;

/// The rentals role is gone, or broke the protocol; the node is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rentals role is gone")]
pub struct RentalsGone;

/// Access to the rentals role. Clones share one connection.
#[derive(Debug, Clone)]
pub struct RentalsClient {
    writer: Arc<AsyncMutex<OwnedWriteHalf>>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    next: u64,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
}

impl RentalsClient {
    /// Takes the socket that PID 1 gave to the front, and waits for the SSH host key (Ed25519). Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered, or the role doesn't say its key first and soon.
    pub async fn connect(socket: OwnedFd) -> io::Result<(RentalsClient, [u8; 32])> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (mut read, write) = UnixStream::from_std(socket)?.into_split();
        let first = timeout(KEY_WAIT, frame::read_within(&mut read, MAX_FRAME)).await;
        let frame = first
            .map_err(|_| io::ErrorKind::TimedOut)?
            .map_err(|_| io::ErrorKind::InvalidData)?;
        let key = match (frame.kind, <[u8; 32]>::try_from(frame.body)) {
            (HOST_KEY, Ok(key)) => key,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        tokio::spawn(read_answers(read, waiting.clone()));
        let writer = Arc::new(AsyncMutex::new(write));
        Ok((RentalsClient { writer, waiting }, key))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`RentalsGone`].
    pub async fn ask(&self, call: &Call) -> Result<Answer, RentalsGone> {
        let Some(mut place) = self.enlist()? else {
            return Ok(Answer::refused(
                Refusal::Busy,
                "Too many calls wait for the rentals role.",
            ));
        };
        let body = message(place.ticket, call).ok_or(RentalsGone)?;
        let sending = async {
            let mut writer = self.writer.lock().await;
            frame::write_within(&mut *writer, CALL, &body, MAX_FRAME).await
        };
        sending.await.map_err(|_| RentalsGone)?;
        match timeout(ANSWER_WAIT, &mut place.answer).await {
            Ok(answer) => answer.map_err(|_| RentalsGone),
            Err(_) => Ok(Answer::refused(
                Refusal::Busy,
                "The rentals role did not answer in time.",
            )),
        }
    }

    fn enlist(&self) -> Result<Option<Place>, RentalsGone> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(RentalsGone);
        }
        if waiting.answers.len() >= MAX_CALLS {
            return Ok(None);
        }
        let ticket = waiting.next;
        waiting.next += 1;
        waiting.answers.insert(ticket, sender);
        Ok(Some(Place {
            ticket,
            answer,
            waiting: self.waiting.clone(),
        }))
    }
}

/// A call that waits; forgotten with this.
struct Place {
    ticket: u64,
    answer: oneshot::Receiver<Answer>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).answers.remove(&self.ticket);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_answers(mut socket: OwnedReadHalf, waiting: Arc<Mutex<Waiting>>) {
    while let Ok(frame) = frame::read_within(&mut socket, MAX_FRAME).await {
        let Some((ticket, answer)) = read_message(&frame.body).filter(|_| frame.kind == ANSWER) else {
            break;
        };
        // Whoever asked may have gone.
        if let Some(asked) = lock(&waiting).answers.remove(&ticket) {
            let _ = asked.send(answer);
        }
    }
    let mut waiting = lock(&waiting);
    waiting.closed = true;
    waiting.answers.clear();
}
