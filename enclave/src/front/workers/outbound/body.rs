//! Bodies in both directions, at the speed of whoever reads them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use jeju_worker_broker::Body;
use jeju_worker_protocol::{Failure, MAX_CHUNK};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::exchange::{Reply, Sent};
use super::places::Place;
use super::{Limits, failed};

/// Longest body that is known before it is sent, in bytes: it has a `Content-Length`, and can be sent again.
const GATHERED: usize = 256 * 1024;
/// How long a body may take to be known: one that comes slowly is a stream.
const GATHERING: Duration = Duration::from_millis(100);
/// Pieces of an answer that wait for the worker.
const PIECES: usize = 2;

/// The body of a request.
pub(super) enum Payload {
    /// None.
    None,
    /// All of it.
    Whole(Bytes),
    /// It comes piece by piece.
    Stream(Box<Stream>),
    /// It was a stream, and is gone.
    Sent,
}

/// A body that comes piece by piece.
pub(super) struct Stream {
    /// What came already.
    first: Bytes,
    rest: Body,
    /// How long it is, where the worker said so.
    announced: Option<u64>,
    /// Bytes that may come yet.
    left: u64,
    sent: Sent,
}

impl Payload {
    /// Waits shortly for the whole body.
    ///
    /// # Errors
    /// The worker's, where it has none after all.
    pub(super) async fn gather(
        body: Option<Body>,
        announced: Option<u64>,
        longest: u64,
    ) -> Result<Self, Failure> {
        let Some(mut body) = body else {
            return Ok(Payload::None);
        };
        let until = Instant::now() + GATHERING;
        let mut first = Vec::new();
        while first.len() <= GATHERED {
            match timeout_at(until, body.recv()).await {
                Ok(Some(piece)) => first.extend_from_slice(&piece?),
                Ok(None) => return Ok(Payload::Whole(first.into())),
                Err(_) => break,
            }
        }
        let longest = announced.unwrap_or(longest).min(longest);
        Ok(Payload::Stream(Box::new(Stream {
            announced: announced.filter(|len| *len == longest),
            left: longest,
            first: first.into(),
            rest: body,
            sent: Arc::default(),
        })))
    }

    /// Takes it out: a stream can be sent once.
    pub(super) fn take(&mut self) -> Self {
        match self {
            Payload::None => Payload::None,
            Payload::Whole(bytes) => Payload::Whole(bytes.clone()),
            Payload::Sent => Payload::Sent,
            Payload::Stream(_) => std::mem::replace(self, Payload::Sent),
        }
    }

    /// As it is sent; what can be sent again; and whether it came to its end.
    pub(super) fn send(self) -> (Outgoing, Option<Payload>, Sent) {
        match self {
            Payload::None | Payload::Sent => (Outgoing::None, Some(Payload::None), done()),
            Payload::Whole(bytes) => {
                let again = Payload::Whole(bytes.clone());
                (Outgoing::Whole(Some(bytes)), Some(again), done())
            }
            Payload::Stream(stream) => {
                let sent = stream.sent.clone();
                (Outgoing::Stream(stream), None, sent)
            }
        }
    }
}

fn done() -> Sent {
    Arc::new(AtomicBool::new(true))
}

/// A request's body on its way.
pub(super) enum Outgoing {
    None,
    Whole(Option<Bytes>),
    Stream(Box<Stream>),
}

impl Outgoing {
    /// Back, where nothing of it was written.
    pub(super) fn into_payload(self) -> Payload {
        match self {
            Outgoing::None => Payload::None,
            Outgoing::Whole(bytes) => Payload::Whole(bytes.unwrap_or_default()),
            Outgoing::Stream(stream) => Payload::Stream(stream),
        }
    }
}

/// Why a body breaks off, which breaks off the request. Its failure is the worker's own.
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub(super) struct BrokenOff;

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Outgoing::None => Poll::Ready(None),
            Outgoing::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Stream(stream) => stream.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::None => true,
            Outgoing::Whole(bytes) => bytes.is_none(),
            Outgoing::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::None => SizeHint::with_exact(0),
            Outgoing::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outgoing::Stream(stream) => stream
                .announced
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Stream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let piece = if self.first.is_empty() {
            ready!(self.rest.poll_recv(cx))
        } else {
            Some(Ok(Vec::from(std::mem::take(&mut self.first))))
        };
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                let left = self.left.checked_sub(piece.len() as u64);
                self.left = left.unwrap_or(0);
                Some(left.map(|_| Frame::data(piece.into())).ok_or(BrokenOff))
            }
            Some(Err(_)) => Some(Err(BrokenOff)),
            // Shorter than was said: what was sent would be taken for another request's beginning.
            None if self.announced.is_some() && self.left > 0 => Some(Err(BrokenOff)),
            None => {
                self.sent.store(true, Ordering::Relaxed);
                None
            }
        })
    }
}

/// Hands on an answer's body, on a task of its own that ends when nobody reads it. The connection is kept if it came to
/// its end.
pub(super) fn pump(reply: Reply, place: Place, limits: Limits) -> Body {
    let (pieces, body) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let Reply {
            body: mut incoming,
            connection,
            from,
            sent,
            ..
        } = reply;
        let mut left = limits.body;
        let failure = loop {
            let frame = tokio::select! {
                biased;
                () = pieces.closed() => return,
                frame = timeout(limits.stall, incoming.frame()) => frame,
            };
            match frame {
                Ok(Some(Ok(frame))) => {
                    // Trailers say nothing here.
                    let Ok(data) = frame.into_data() else { continue };
                    left = match left.checked_sub(data.len() as u64) {
                        Some(left) => left,
                        None => break failed(format!("the answer has more than {} bytes", limits.body)),
                    };
                    for piece in data.chunks(MAX_CHUNK) {
                        if pieces.send(Ok(piece.to_vec())).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(None) => {
                    if sent.load(Ordering::Relaxed) {
                        place.owner.idle.put(from, connection);
                    }
                    return;
                }
                Ok(Some(Err(_))) => break failed("the answer broke off"),
                Err(_) => break failed("the answer doesn't go on in time"),
            }
        };
        // Whoever doesn't read doesn't need to know.
        let _ = pieces.send(Err(failure)).await;
    });
    body
}
