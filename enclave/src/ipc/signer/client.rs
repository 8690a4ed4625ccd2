//! The front's end: one connection, shared by everything in the front that speaks with the signer.
//!
//! What comes from the signer is handed on without waiting, so that nobody who is slow (a peer, a client, the host's
//! store) can keep the front from reading; only the way to the signer can be full, and whoever sends waits for it.

mod link;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jeju_attestation::keys::MpcKeys;
use jeju_store::{BlobOp, BlobReply};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub use self::link::{PeerInbox, PeerLink};
use super::message::{FromSigner, ToSigner};
use super::{MAX_FRAME, MAX_REQUEST};
use crate::ipc::frame;

/// Most requests of clients that wait at the same time.
pub const MAX_REQUESTS: usize = 256;
/// Most connections with peers at the same time, those included that aren't admitted yet.
pub const MAX_LINKS: usize = 128;
/// Sealed messages that wait for one slow peer; with more it is cut off.
pub const MAX_UNSENT: usize = 256;
/// How long an answer to a client's request may take. Members have given up long before.
pub const REQUEST_WAIT: Duration = Duration::from_secs(90);
/// How long any other answer may take.
const WAIT: Duration = Duration::from_secs(10);
/// Messages on their way to the signer.
const QUEUE: usize = 256;
/// Questions to contracts and to the store that wait at the same time.
const QUESTIONS: usize = 256;

/// Why the signer gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerFailure {
    /// Too much waits already.
    #[error("too much is asked of the signer at once")]
    Busy,
    /// It didn't answer in time.
    #[error("the signer didn't answer in time")]
    TimedOut,
    /// Longer than what the signer takes.
    #[error("the request is too long for the signer")]
    TooLong,
    /// It is gone, or broke the protocol; the node is about to end.
    #[error("the signer is gone")]
    Closed,
}

/// Access to the signer. Clones share one connection.
#[derive(Debug, Clone)]
pub struct SignerClient {
    shared: Arc<Shared>,
    queue: mpsc::Sender<ToSigner>,
}

/// What the signer asks of the front.
#[derive(Debug)]
pub struct SignerStreams {
    /// Questions to contracts; ends with the signer.
    pub contracts: mpsc::Receiver<ContractAsker>,
    /// Operations of the host's store; ends with the signer.
    pub blobs: mpsc::Receiver<BlobAsker>,
}

/// A question to a contract (ERC-1271), which must be answered.
#[derive(Debug)]
pub struct ContractAsker {
    /// The contract.
    pub account: [u8; 20],
    /// What was signed.
    pub digest: [u8; 32],
    /// The signature.
    pub signature: Vec<u8>,
    query: u64,
    queue: mpsc::Sender<ToSigner>,
}

/// An operation of the host's store, which must be answered.
#[derive(Debug)]
pub struct BlobAsker {
    /// What to do.
    pub op: BlobOp,
    id: u64,
    queue: mpsc::Sender<ToSigner>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    next_ticket: u64,
    answers: HashMap<u64, oneshot::Sender<Vec<u8>>>,
    next_connection: u32,
    links: HashMap<u32, Link>,
}

#[derive(Debug)]
struct Link {
    nonce: Option<oneshot::Sender<[u8; 32]>>,
    verdict: Option<oneshot::Sender<Result<u16, String>>>,
    /// Dropped when the signer wants no more of this peer, which ends its inbox.
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
}

impl SignerClient {
    /// Takes the socket that PID 1 gave to the front, and waits for the signer's keys. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered, or the signer doesn't say its keys first and soon.
    pub async fn connect(socket: OwnedFd) -> io::Result<(SignerClient, MpcKeys, SignerStreams)> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (mut read, write) = UnixStream::from_std(socket)?.into_split();
        let keys = match timeout(WAIT, next(&mut read)).await {
            Ok(Some(FromSigner::Keys { identity, channel })) => MpcKeys { identity, channel },
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let shared = Arc::new(Shared::default());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (contracts, contract_questions) = mpsc::channel(QUESTIONS);
        let (blobs, blob_questions) = mpsc::channel(QUESTIONS);
        let reader = Reader {
            shared: shared.clone(),
            queue: queue.clone(),
            contracts,
            blobs,
        };
        tokio::spawn(write_messages(write, waiting, shared.clone()));
        tokio::spawn(reader.run(read));
        let streams = SignerStreams {
            contracts: contract_questions,
            blobs: blob_questions,
        };
        Ok((SignerClient { shared, queue }, keys, streams))
    }

    /// Tells the time, in seconds since 1970. Must be called once before anything else, and then often.
    ///
    /// # Errors
    /// [`SignerFailure::Closed`].
    pub async fn time(&self, lower: u64, upper: u64) -> Result<(), SignerFailure> {
        let upper = upper.max(lower);
        self.send(ToSigner::Time { lower, upper }).await
    }

    /// Hands a client's request on; the answer is a JSON document ([`crate::signer::outcome::Outcome`]).
    ///
    /// # Errors
    /// See [`SignerFailure`].
    pub async fn request(&self, bytes: Vec<u8>) -> Result<Vec<u8>, SignerFailure> {
        if bytes.len() > MAX_REQUEST {
            return Err(SignerFailure::TooLong);
        }
        self.ask(REQUEST_WAIT, |ticket| ToSigner::Request { ticket, bytes })
            .await
    }

    /// How the signer is: a JSON document ([`crate::signer::outcome::Status`]).
    ///
    /// # Errors
    /// See [`SignerFailure`].
    pub async fn status(&self) -> Result<Vec<u8>, SignerFailure> {
        self.ask(WAIT, |ticket| ToSigner::StatusQuery { ticket }).await
    }

    /// Which configurations it knows, from this number after the first on or just the one in force: a JSON document
    /// ([`crate::signer::outcome::Configurations`]).
    ///
    /// # Errors
    /// See [`SignerFailure`].
    pub async fn configurations(&self, from: Option<u32>) -> Result<Vec<u8>, SignerFailure> {
        self.ask(WAIT, |ticket| ToSigner::ConfigurationsQuery { ticket, from })
            .await
    }

    /// Announces a connection with a peer that isn't known yet. The signer hears of it with [`PeerLink::nonce`].
    ///
    /// # Errors
    /// [`SignerFailure::Busy`] when there are too many, [`SignerFailure::Closed`].
    pub fn open_peer(&self) -> Result<(PeerLink, PeerInbox), SignerFailure> {
        let (outgoing, messages) = mpsc::channel(MAX_UNSENT);
        let mut state = self.shared.state();
        if state.closed {
            return Err(SignerFailure::Closed);
        }
        if state.links.len() >= MAX_LINKS {
            return Err(SignerFailure::Busy);
        }
        // Numbers come back after 2³² connections; one that still lives is skipped.
        while state.links.contains_key(&state.next_connection) {
            state.next_connection = state.next_connection.wrapping_add(1);
        }
        let connection = state.next_connection;
        state.next_connection = connection.wrapping_add(1);
        let link = Link {
            nonce: None,
            verdict: None,
            outgoing: Some(outgoing),
        };
        state.links.insert(connection, link);
        let client = self.clone();
        Ok((PeerLink { connection, client }, PeerInbox { messages }))
    }

    async fn ask(
        &self,
        wait: Duration,
        message: impl FnOnce(u64) -> ToSigner,
    ) -> Result<Vec<u8>, SignerFailure> {
        let (sender, answer) = oneshot::channel();
        let ticket = self.shared.enlist(sender)?;
        let _place = Place {
            shared: &self.shared,
            ticket,
        };
        let answered = timeout(wait, async {
            self.send(message(ticket)).await?;
            answer.await.map_err(|_| SignerFailure::Closed)
        });
        answered.await.unwrap_or(Err(SignerFailure::TimedOut))
    }

    async fn send(&self, message: ToSigner) -> Result<(), SignerFailure> {
        self.queue.send(message).await.map_err(|_| SignerFailure::Closed)
    }
}

impl ContractAsker {
    /// Answers. No answer is a no.
    pub async fn answer(self, valid: bool) {
        let query = self.query;
        let _ = self.queue.send(ToSigner::ContractAnswer { query, valid }).await;
    }
}

impl BlobAsker {
    /// Answers; with nothing where it couldn't be done.
    pub async fn answer(self, reply: Option<BlobReply>) {
        let id = self.id;
        let _ = self.queue.send(ToSigner::BlobAnswer { id, reply }).await;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, waiter: oneshot::Sender<Vec<u8>>) -> Result<u64, SignerFailure> {
        let mut state = self.state();
        if state.closed {
            return Err(SignerFailure::Closed);
        }
        if state.answers.len() >= MAX_REQUESTS {
            return Err(SignerFailure::Busy);
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.answers.insert(ticket, waiter);
        Ok(ticket)
    }

    /// Ends all that waits: dropped, a waiter's other end sees that nothing comes.
    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.answers.clear();
        state.links.clear();
    }
}

/// Takes a waiter out again when its future ends early, so that callers who give up leave no room taken.
struct Place<'a> {
    shared: &'a Shared,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.state().answers.remove(&self.ticket);
    }
}

async fn write_messages(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<ToSigner>,
    shared: Arc<Shared>,
) {
    while let Some(message) = queue.recv().await {
        let (kind, body) = message.encode();
        if frame::write_within(&mut socket, kind, &body, MAX_FRAME)
            .await
            .is_err()
        {
            break;
        }
    }
    shared.close();
}

async fn next(socket: &mut OwnedReadHalf) -> Option<FromSigner> {
    let frame = frame::read_within(socket, MAX_FRAME).await.ok()?;
    FromSigner::parse(&frame)
}

struct Reader {
    shared: Arc<Shared>,
    queue: mpsc::Sender<ToSigner>,
    contracts: mpsc::Sender<ContractAsker>,
    blobs: mpsc::Sender<BlobAsker>,
}

impl Reader {
    async fn run(self, mut socket: OwnedReadHalf) {
        while let Some(message) = next(&mut socket).await {
            if self.take(message).is_none() {
                break;
            }
        }
        self.shared.close();
    }

    /// `None` where the signer broke the protocol.
    fn take(&self, message: FromSigner) -> Option<()> {
        match message {
            FromSigner::Keys { .. } => return None,
            FromSigner::Nonce { connection, nonce } => {
                // A connection that isn't known was closed on this side.
                if let Some(link) = self.shared.state().links.get_mut(&connection)
                    && let Some(waiter) = link.nonce.take()
                {
                    let _ = waiter.send(nonce);
                }
            }
            FromSigner::Admitted { connection, member } => {
                if let Some(link) = self.shared.state().links.get_mut(&connection)
                    && let Some(waiter) = link.verdict.take()
                {
                    let _ = waiter.send(Ok(member));
                }
            }
            FromSigner::NotAdmitted { connection, code } => {
                if let Some(link) = self.shared.state().links.get_mut(&connection) {
                    link.outgoing = None;
                    if let Some(waiter) = link.verdict.take() {
                        let _ = waiter.send(Err(code));
                    }
                }
            }
            FromSigner::PeerSend { connection, bytes } => {
                if let Some(link) = self.shared.state().links.get_mut(&connection)
                    && let Some(outgoing) = &link.outgoing
                    && outgoing.try_send(bytes).is_err()
                {
                    link.outgoing = None;
                }
            }
            FromSigner::Answer { ticket, document } | FromSigner::Status { ticket, document } => {
                // An unknown ticket belongs to a caller that gave up.
                if let Some(waiter) = self.shared.state().answers.remove(&ticket) {
                    let _ = waiter.send(document);
                }
            }
            FromSigner::AskContract {
                query,
                account,
                digest,
                signature,
            } => {
                let asker = ContractAsker {
                    account,
                    digest,
                    signature,
                    query,
                    queue: self.queue.clone(),
                };
                // More than the signer ever asks at once; no answer is a no.
                if let Err(TrySendError::Full(asker)) = self.contracts.try_send(asker) {
                    let (query, valid) = (asker.query, false);
                    let _ = self.queue.try_send(ToSigner::ContractAnswer { query, valid });
                }
            }
            FromSigner::Blob { id, op } => {
                let asker = BlobAsker {
                    op,
                    id,
                    queue: self.queue.clone(),
                };
                self.blobs.try_send(asker).ok()?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
