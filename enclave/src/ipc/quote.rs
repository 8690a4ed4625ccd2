//! The front asks, the quote role answers: quotes over a claims-buffer.
//!
//! The front hands over claims, never REPORT_DATA, so that no other layout of REPORT_DATA can be quoted.
//! Requests carry an id that their answer repeats; answers may come in any order.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jeju_attestation::tee::Tee;
pub use jeju_quote::Evidence as QuotedEvidence;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Fields, Frame, MAX_FRAME, put_bytes};

/// Longest claims-buffer in bytes.
pub const MAX_CLAIMS: usize = 640;

/// Most requests that wait at the same time.
pub const MAX_WAITING: usize = 64;

/// How long the front waits for one quote.
pub const QUOTE_WAIT: Duration = Duration::from_secs(30);

const REQUEST: u8 = 0x01;
const EVIDENCE: u8 = 0x81;
const FAILURE: u8 = 0xff;

/// Why there is no quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteFailure {
    /// Too many requests wait already.
    #[error("too many quotes are asked for at once")]
    Busy,
    /// The quoting device didn't answer in time.
    #[error("the quoting device didn't answer in time")]
    TimedOut,
    /// The claims aren't a claims-buffer.
    #[error("the claims are malformed")]
    Malformed,
    /// The quoting device failed, or the host kept it from answering.
    #[error("the quoting device failed")]
    Device,
    /// The quote role is gone; the node is about to end.
    #[error("the quote role is gone")]
    Closed,
}

impl QuoteFailure {
    const ALL: [QuoteFailure; 5] = [
        QuoteFailure::Busy,
        QuoteFailure::TimedOut,
        QuoteFailure::Malformed,
        QuoteFailure::Device,
        QuoteFailure::Closed,
    ];

    fn code(self) -> u8 {
        match self {
            QuoteFailure::Busy => 1,
            QuoteFailure::TimedOut => 2,
            QuoteFailure::Malformed => 3,
            QuoteFailure::Device => 4,
            QuoteFailure::Closed => 5,
        }
    }

    fn from_code(code: u8) -> Option<QuoteFailure> {
        QuoteFailure::ALL
            .into_iter()
            .find(|failure| failure.code() == code)
    }
}

/// A request as the quote role reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRequest {
    /// Repeated by the answer.
    pub id: u64,
    /// 1 to [`MAX_CLAIMS`] bytes.
    pub claims: Vec<u8>,
}

impl QuoteRequest {
    fn encode(&self) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        body.extend_from_slice(&self.claims);
        body
    }

    /// Parses a frame of the front. `None` for anything but one request of the right size.
    pub fn parse(frame: &Frame) -> Option<QuoteRequest> {
        if frame.kind != REQUEST {
            return None;
        }
        let mut fields = Fields::new(&frame.body);
        let id = fields.u64()?;
        let claims = fields.rest();
        (1..=MAX_CLAIMS).contains(&claims.len()).then(|| QuoteRequest {
            id,
            claims: claims.to_vec(),
        })
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteAnswer {
    /// The id of the request.
    pub id: u64,
    /// Evidence, or why there is none.
    pub outcome: Result<QuotedEvidence, QuoteFailure>,
}

impl QuoteAnswer {
    /// Kind and body of the frame. Evidence too long for a frame becomes [`QuoteFailure::Device`].
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut body = self.id.to_be_bytes().to_vec();
        match &self.outcome {
            Ok(evidence) if evidence.cpu.len() + evidence.endorsements.len() < MAX_FRAME - 64 => {
                body.push(tee_code(evidence.tee));
                put_bytes(&mut body, &evidence.cpu);
                put_bytes(&mut body, &evidence.endorsements);
                (EVIDENCE, body)
            }
            Ok(_) => {
                body.push(QuoteFailure::Device.code());
                (FAILURE, body)
            }
            Err(failure) => {
                body.push(failure.code());
                (FAILURE, body)
            }
        }
    }

    /// Parses a frame of the quote role. `None` for anything that [`QuoteAnswer::encode`] can't have made.
    pub fn parse(frame: &Frame) -> Option<QuoteAnswer> {
        let mut fields = Fields::new(&frame.body);
        let id = fields.u64()?;
        let outcome = match frame.kind {
            EVIDENCE => {
                let tee = tee_from_code(fields.byte()?)?;
                let cpu = fields.bytes(MAX_FRAME)?.to_vec();
                let endorsements = fields.bytes(MAX_FRAME)?.to_vec();
                Ok(QuotedEvidence {
                    tee,
                    cpu,
                    endorsements,
                })
            }
            FAILURE => Err(QuoteFailure::from_code(fields.byte()?)?),
            _ => return None,
        };
        fields.end()?;
        Some(QuoteAnswer { id, outcome })
    }
}

/// The one-byte code of a platform in messages between the node's processes.
pub(crate) fn tee_code(tee: Tee) -> u8 {
    match tee {
        Tee::Tdx => 1,
        Tee::SevSnp => 2,
        Tee::Nitro => 3,
        Tee::Simulated => 4,
    }
}

/// The inverse of [`tee_code`].
pub(crate) fn tee_from_code(code: u8) -> Option<Tee> {
    Tee::ALL.into_iter().find(|tee| tee_code(*tee) == code)
}

/// The front's access to the quote role. Clones share one connection.
#[derive(Debug, Clone)]
pub struct QuoteClient {
    shared: Arc<Shared>,
    requests: mpsc::Sender<QuoteRequest>,
}

type Waiter = oneshot::Sender<Result<QuotedEvidence, QuoteFailure>>;

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    waiters: HashMap<u64, Waiter>,
    closed: bool,
}

impl QuoteClient {
    /// Takes the socket that PID 1 gave to the front. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered with the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<QuoteClient> {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(socket)?.into_split();
        let shared = Arc::new(Shared::default());
        let (requests, queue) = mpsc::channel(MAX_WAITING);
        tokio::spawn(send_requests(write, queue, shared.clone()));
        tokio::spawn(take_answers(read, shared.clone()));
        Ok(QuoteClient { shared, requests })
    }

    /// A quote over `claims`, within [`QUOTE_WAIT`].
    ///
    /// # Errors
    /// See [`QuoteFailure`].
    pub async fn quote(&self, claims: Vec<u8>) -> Result<QuotedEvidence, QuoteFailure> {
        if !(1..=MAX_CLAIMS).contains(&claims.len()) {
            return Err(QuoteFailure::Malformed);
        }
        let (sender, answer) = oneshot::channel();
        let id = self.shared.enlist(sender)?;
        // Takes the waiter out again when this future ends early, so that callers who give up leave no room taken.
        let _place = Place {
            shared: &self.shared,
            id,
        };
        self.requests
            .try_send(QuoteRequest { id, claims })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => QuoteFailure::Busy,
                mpsc::error::TrySendError::Closed(_) => QuoteFailure::Closed,
            })?;
        match tokio::time::timeout(QUOTE_WAIT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(QuoteFailure::Closed),
            Err(_) => Err(QuoteFailure::TimedOut),
        }
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, waiter: Waiter) -> Result<u64, QuoteFailure> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(QuoteFailure::Closed);
        }
        if waiting.waiters.len() >= MAX_WAITING {
            return Err(QuoteFailure::Busy);
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.waiters.insert(id, waiter);
        Ok(id)
    }

    fn answer(&self, answer: QuoteAnswer) {
        let waiter = self.waiting().waiters.remove(&answer.id);
        // An unknown id belongs to a caller that gave up.
        if let Some(waiter) = waiter {
            let _ = waiter.send(answer.outcome);
        }
    }

    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        for (_, waiter) in waiting.waiters.drain() {
            let _ = waiter.send(Err(QuoteFailure::Closed));
        }
    }
}

struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.waiting().waiters.remove(&self.id);
    }
}

async fn send_requests(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<QuoteRequest>,
    shared: Arc<Shared>,
) {
    while let Some(request) = queue.recv().await {
        if frame::write(&mut socket, REQUEST, &request.encode())
            .await
            .is_err()
        {
            break;
        }
    }
    shared.close();
}

async fn take_answers(mut socket: OwnedReadHalf, shared: Arc<Shared>) {
    while let Ok(frame) = frame::read(&mut socket).await {
        let Some(answer) = QuoteAnswer::parse(&frame) else {
            break;
        };
        shared.answer(answer);
    }
    shared.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(byte: u8) -> QuotedEvidence {
        QuotedEvidence {
            tee: Tee::Simulated,
            cpu: vec![byte; 282],
            endorsements: vec![],
        }
    }

    fn connected() -> (QuoteClient, UnixStream) {
        let (front, quote) = StdUnixStream::pair().unwrap();
        quote.set_nonblocking(true).unwrap();
        (
            QuoteClient::new(front.into()).unwrap(),
            UnixStream::from_std(quote).unwrap(),
        )
    }

    async fn take(socket: &mut UnixStream) -> QuoteRequest {
        QuoteRequest::parse(&frame::read(socket).await.unwrap()).unwrap()
    }

    async fn give(socket: &mut UnixStream, id: u64, outcome: Result<QuotedEvidence, QuoteFailure>) {
        let (kind, body) = QuoteAnswer { id, outcome }.encode();
        frame::write(socket, kind, &body).await.unwrap();
    }

    #[test]
    fn answers_round_trip() {
        let mut outcomes: Vec<_> = QuoteFailure::ALL.into_iter().map(Err).collect();
        outcomes.extend(Tee::ALL.map(|tee| {
            Ok(QuotedEvidence {
                tee,
                cpu: vec![1; 9000],
                endorsements: vec![2; 4000],
            })
        }));
        for outcome in outcomes {
            let answer = QuoteAnswer {
                id: u64::MAX,
                outcome,
            };
            let (kind, body) = answer.encode();
            assert_eq!(QuoteAnswer::parse(&Frame { kind, body }), Some(answer));
        }
    }

    #[test]
    fn evidence_too_long_for_a_frame_is_a_device_failure() {
        let huge = QuotedEvidence {
            tee: Tee::Tdx,
            cpu: vec![0; MAX_FRAME],
            endorsements: vec![],
        };
        let (kind, body) = QuoteAnswer {
            id: 1,
            outcome: Ok(huge),
        }
        .encode();
        let parsed = QuoteAnswer::parse(&Frame { kind, body }).unwrap();
        assert_eq!(parsed.outcome, Err(QuoteFailure::Device));
    }

    #[test]
    fn malformed_answers_are_refused() {
        let (kind, body) = QuoteAnswer {
            id: 1,
            outcome: Ok(evidence(1)),
        }
        .encode();
        for length in 0..body.len() {
            assert_eq!(
                QuoteAnswer::parse(&Frame {
                    kind,
                    body: body[..length].to_vec()
                }),
                None,
                "{length}"
            );
        }
        let mut longer = body.clone();
        longer.push(0);
        assert_eq!(QuoteAnswer::parse(&Frame { kind, body: longer }), None);
        let mut unknown_tee = body.clone();
        unknown_tee[8] = 9;
        assert_eq!(
            QuoteAnswer::parse(&Frame {
                kind,
                body: unknown_tee
            }),
            None
        );
        assert_eq!(QuoteAnswer::parse(&Frame { kind: 0x33, body }), None);
        assert_eq!(
            QuoteAnswer::parse(&Frame {
                kind: FAILURE,
                body: vec![0, 0, 0, 0, 0, 0, 0, 1, 77]
            }),
            None
        );
    }

    #[test]
    fn malformed_requests_are_refused() {
        let body = |claims: usize| {
            QuoteRequest {
                id: 3,
                claims: vec![1; claims],
            }
            .encode()
        };
        assert!(
            QuoteRequest::parse(&Frame {
                kind: REQUEST,
                body: body(MAX_CLAIMS)
            })
            .is_some()
        );
        assert_eq!(
            QuoteRequest::parse(&Frame {
                kind: REQUEST,
                body: body(0)
            }),
            None
        );
        assert_eq!(
            QuoteRequest::parse(&Frame {
                kind: REQUEST,
                body: body(MAX_CLAIMS + 1)
            }),
            None
        );
        assert_eq!(
            QuoteRequest::parse(&Frame {
                kind: REQUEST,
                body: vec![0; 7]
            }),
            None
        );
        assert_eq!(
            QuoteRequest::parse(&Frame {
                kind: EVIDENCE,
                body: body(10)
            }),
            None
        );
    }

    #[tokio::test]
    async fn concurrent_callers_get_their_own_answers_in_any_order() {
        let (client, mut quote) = connected();
        let callers: Vec<_> = (1..=8u8)
            .map(|byte| {
                let client = client.clone();
                tokio::spawn(async move { (byte, client.quote(vec![byte; 3]).await) })
            })
            .collect();
        let mut requests = Vec::new();
        for _ in 0..8 {
            requests.push(take(&mut quote).await);
        }
        for request in requests.into_iter().rev() {
            give(&mut quote, request.id, Ok(evidence(request.claims[0]))).await;
        }
        for caller in callers {
            let (byte, outcome) = caller.await.unwrap();
            assert_eq!(outcome.unwrap().cpu[0], byte);
        }
    }

    #[tokio::test]
    async fn a_quote_role_that_dies_or_talks_nonsense_fails_all_callers() {
        let (client, quote) = connected();
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.quote(vec![1]).await }
        });
        tokio::task::yield_now().await;
        drop(quote);
        assert_eq!(waiting.await.unwrap(), Err(QuoteFailure::Closed));
        assert_eq!(client.quote(vec![1]).await, Err(QuoteFailure::Closed));

        let (client, mut quote) = connected();
        let waiting = tokio::spawn(async move { client.quote(vec![1]).await });
        let request = take(&mut quote).await;
        frame::write(&mut quote, 0x33, &request.encode()).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Err(QuoteFailure::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_quote_role_is_waited_for_a_bounded_time() {
        let (client, _quote) = connected();
        assert_eq!(client.quote(vec![1]).await, Err(QuoteFailure::TimedOut));
        assert!(client.shared.waiting().waiters.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_callers_are_turned_away() {
        let (client, _quote) = connected();
        let callers: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.quote(vec![1]).await })
            })
            .collect();
        while client.shared.waiting().waiters.len() < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.quote(vec![1]).await, Err(QuoteFailure::Busy));
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Err(QuoteFailure::TimedOut));
        }
    }

    #[tokio::test]
    async fn claims_of_a_wrong_size_are_never_sent() {
        let (client, _quote) = connected();
        assert_eq!(client.quote(vec![]).await, Err(QuoteFailure::Malformed));
        assert_eq!(
            client.quote(vec![0; MAX_CLAIMS + 1]).await,
            Err(QuoteFailure::Malformed)
        );
    }
}
