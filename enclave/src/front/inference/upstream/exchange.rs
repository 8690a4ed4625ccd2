//! One request to an upstream and its answer, each step within its time.
//!
//! A request is sent once. It is sent again only where it can't have been read: on a connection that had waited and was
//! closed before a byte was written, which [`hyper`] says by giving the request back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jeju_openai::upstream::refusal;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use zeroize::Zeroizing;

use super::connect::{Check, Connect, Connection};
use super::failure::Failure;
use super::pool::Pool;

/// Until the head of an answer: for a whole answer, as long as all of it takes.
const HEAD: Duration = Duration::from_secs(600);
/// Until the next bytes of a body.
const STALL: Duration = Duration::from_secs(120);
/// For all of an exchange, however many bytes trickle in.
const ALL: Duration = Duration::from_secs(3600);
/// Longest waits that an upstream may wish for, in seconds.
const MAX_RETRY_AFTER: u32 = 60;

pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";

/// The way to an upstream.
pub(super) struct Route {
    pub(super) connect: Box<dyn Connect>,
    pub(super) pool: Arc<Pool>,
    /// For `Host`.
    pub(super) authority: HeaderValue,
    /// How long connecting may take.
    pub(super) patience: Duration,
}

/// What is asked.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Empty for GET.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Type of the answer.
    pub(super) accept: &'static str,
    /// For another node: which tenant asks.
    pub(super) bearer: Option<String>,
}

/// An answer with status 200 and of the type that was asked for.
pub(super) struct Reply {
    body: Incoming,
    check: Option<Box<dyn Check>>,
    /// Goes back to the pool at the body's end.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    until: Instant,
    /// Set anew for each piece: a timer that is moved costs less than a new one.
    silence: Pin<Box<Sleep>>,
}

impl Route {
    /// Asks, and waits for the head of the answer.
    pub(super) async fn send(&self, call: Call) -> Result<Reply, Failure> {
        let until = Instant::now() + ALL;
        let accept = call.accept;
        let body = Bytes::from_owner(call.body);
        let mut head = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, self.authority.clone())
            .header(ACCEPT, call.accept);
        if !body.is_empty() {
            head = head.header(CONTENT_TYPE, JSON).header(CONTENT_LENGTH, body.len());
        }
        if let Some(bearer) = call.bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {bearer}")).map_err(|_| Failure::Broken)?;
            value.set_sensitive(true);
            head = head.header(AUTHORIZATION, value);
        }
        let (head, ()) = head.body(()).map_err(|_| Failure::Broken)?.into_parts();
        let (response, check, connection) = loop {
            let (mut connection, waited) = match self.pool.take().await {
                Some(connection) => (connection, true),
                None => (self.open().await?, false),
            };
            let mut head = head.clone();
            let check = match &connection.session {
                Some(session) => Some(session.begin(&mut head, &body)?),
                None => None,
            };
            let request = Request::from_parts(head, Full::new(body.clone()));
            let Connection { sender, work, .. } = &mut connection;
            match timeout(HEAD, work.until(sender.try_send_request(request))).await {
                Ok(Ok(response)) => break (response, check, connection),
                Ok(Err(mut error)) => {
                    // Given back where not a byte of it was written.
                    let unsent = error.take_message().is_some();
                    if !(waited && unsent) {
                        return Err(Failure::Broken);
                    }
                }
                Err(_) => return Err(Failure::TimedOut),
            }
        };
        let (parts, body) = response.into_parts();
        let mut reply = Reply {
            body,
            check,
            connection: Some(connection),
            pool: self.pool.clone(),
            until,
            silence: Box::pin(sleep_until(until)),
        };
        if let Some(check) = &mut reply.check {
            check.head(&parts)?;
        }
        if parts.status != StatusCode::OK {
            let said = reply.beginning(refusal::MAX_BODY).await?;
            let refused = refusal::judge(parts.status.as_u16(), &said);
            return Err(Failure::Refused(refused, retry_after(&parts.headers)));
        }
        match is_plain(&parts.headers, accept) {
            true => Ok(reply),
            false => Err(Failure::Broken),
        }
    }

    async fn open(&self) -> Result<Connection, Failure> {
        match timeout(self.patience, self.connect.connect()).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(super::connect::ConnectError::Unreachable.into()),
        }
    }
}

impl Reply {
    /// The next bytes, checked; none at the end, which is checked too.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let until = self.until.min(Instant::now() + STALL);
        self.silence.as_mut().reset(until);
        loop {
            let Some(connection) = &mut self.connection else {
                return Ok(None);
            };
            let frame = tokio::select! {
                biased;
                frame = connection.work.until(self.body.frame()) => frame,
                () = self.silence.as_mut() => return Err(Failure::TimedOut),
            };
            let Some(frame) = frame else {
                if let Some(check) = &mut self.check {
                    check.end()?;
                }
                if let Some(connection) = self.connection.take() {
                    self.pool.put(connection);
                }
                return Ok(None);
            };
            // Trailers say nothing here.
            if let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() {
                if let Some(check) = &mut self.check {
                    check.data(&data)?;
                }
                return Ok(Some(data));
            }
        }
    }

    /// All of the body.
    pub(super) async fn whole(mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut pieces = Vec::new();
        let mut len = 0;
        while let Some(piece) = self.next().await? {
            len += piece.len();
            if len > limit {
                return Err(Failure::Broken);
            }
            pieces.push(piece);
        }
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        pieces.iter().for_each(|piece| body.extend_from_slice(piece));
        Ok(body)
    }

    /// Waits for the end where nothing is to come any more.
    ///
    /// # Errors
    /// When it doesn't come, or isn't as it must be where the other end vouches for it.
    pub(super) async fn end(mut self, limit: usize, patience: Duration) -> Result<(), Failure> {
        let is_checked = self.check.is_some();
        let rest = async {
            let mut len = 0;
            while let Some(piece) = self.next().await? {
                len += piece.len();
                if len > limit {
                    return Err(Failure::Broken);
                }
            }
            Ok(())
        };
        match timeout(patience, rest).await {
            Err(_) if is_checked => Err(Failure::TimedOut),
            Ok(outcome) if is_checked => outcome,
            // All was said. The connection isn't used again.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Bytes from the body's start; the whole of it, where it is no longer and the other end vouches for it.
    async fn beginning(&mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut said = Zeroizing::new(Vec::with_capacity(limit));
        while said.len() < limit {
            match self.next().await {
                Ok(Some(piece)) => {
                    let room = limit - said.len();
                    said.extend_from_slice(&piece[..piece.len().min(room)]);
                }
                Ok(None) => break,
                Err(failure @ Failure::Connect(_)) => return Err(failure),
                // The status says enough.
                Err(_) => break,
            }
        }
        Ok(said)
    }
}

/// Whether a body is of the type that was asked for, and in the clear.
fn is_plain(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    let encoding = headers.get(CONTENT_ENCODING);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
        && encoding.is_none_or(|encoding| encoding == "identity")
}

fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.clamp(1, MAX_RETRY_AFTER))
}
