//! Responses that verified: whole bodies are held until then, streams pass event by event.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use jeju_attestation::hash::sha256;
use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::{
    EndReason, Headers, Session as AttestedKey, StreamVerifier, VerifiedHead, WorkerVersion, verify_answer,
};

use crate::connection::{Connection, EndOnDrop, Exchange};
use crate::error::{Error, within};

/// Longest body that users hold until it is verified, in bytes.
pub const MAX_BODY_LEN: usize = 32 * 1024 * 1024;

/// A response whose head verified, and whose body did or does while it is read.
#[derive(Debug)]
pub struct VerifiedResponse {
    /// Status.
    pub status: StatusCode,
    /// All headers as received. The signature covers status, content type, and the attestation headers; the others are
    /// protected by the attested connection alone.
    pub headers: HeaderMap,
    /// Epoch whose key signed.
    pub epoch: u32,
    /// Which code made the answer, where a worker did: signed by the node. `None` for what the node itself answers, so
    /// who calls a worker looks here.
    pub worker: Option<WorkerVersion>,
    /// Body.
    pub body: VerifiedBody,
}

/// The body of a verified response.
#[derive(Debug)]
pub enum VerifiedBody {
    /// All of it, verified.
    Whole(Bytes),
    /// Events as they come; complete only when [`VerifiedStream::next`] said so.
    Stream(Box<VerifiedStream>),
}

/// Server-sent events, or what a worker streams. Each was sent on the attested connection; that none is missing or changed is known at the end.
pub struct VerifiedStream {
    body: Incoming,
    verifier: Option<StreamVerifier>,
    end: Option<EndReason>,
    stall: Duration,
    _connection: Arc<EndOnDrop>,
}

impl VerifiedStream {
    /// The next whole events; `None` after the stream's end was verified. `[DONE]` is among them only after a good
    /// final signature.
    ///
    /// # Errors
    /// A stream that breaks off is [`Rejection::StreamUnsigned`], whoever cut it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let outcome = self.step().await;
        if outcome.is_err() {
            self.verifier = None;
        }
        outcome
    }

    /// Why the stream ended, once it is verified.
    pub fn end(&self) -> Option<EndReason> {
        self.end
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        if self.end.is_some() {
            return Ok(None);
        }
        loop {
            let verifier = self.verifier.as_mut().ok_or(Rejection::StreamUnsigned)?;
            let frame = within("the next piece of the stream", self.stall, self.body.frame()).await?;
            let Some(frame) = frame else {
                let verifier = self.verifier.take().ok_or(Rejection::StreamUnsigned)?;
                self.end = Some(verifier.finish()?);
                return Ok(None);
            };
            let frame = frame.map_err(|_| Rejection::StreamUnsigned)?;
            if let Ok(data) = frame.into_data() {
                let events = verifier.push(&data)?;
                if !events.is_empty() {
                    return Ok(Some(events.into()));
                }
            }
        }
    }
}

impl std::fmt::Debug for VerifiedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedStream")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// How much is taken of a response.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Longest body that is held until it is verified, in bytes.
    pub body: usize,
    /// Longest wait for the next piece of a stream.
    pub stall: Duration,
}

/// Verifies the head with a key of the connection's node, and the body unless it is a stream.
///
/// # Errors
/// What isn't as it was signed.
pub async fn verified(
    exchange: Exchange,
    key: &AttestedKey,
    connection: &Connection,
    bounds: Bounds,
) -> Result<VerifiedResponse, Error> {
    let Exchange { request, head, body } = exchange;
    let key = AttestedKey {
        channel: Some(connection.channel()),
        ..key.clone()
    };
    let answer = verify_answer(&request, head.status.as_u16(), &HeaderView(&head.headers), &key)?;
    let body = match answer.head {
        VerifiedHead::Body(digest) => {
            let body = whole(body, bounds.body).await?;
            if sha256(&body) != digest {
                return Err(Rejection::BodyDigest.into());
            }
            VerifiedBody::Whole(body)
        }
        VerifiedHead::Stream { start } => VerifiedBody::Stream(Box::new(VerifiedStream {
            body,
            verifier: Some(answer.stream(key.key, start)),
            end: None,
            stall: bounds.stall,
            _connection: connection.hold(),
        })),
    };
    Ok(VerifiedResponse {
        status: head.status,
        headers: head.headers,
        epoch: key.epoch,
        worker: answer.worker,
        body,
    })
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::BodyTooLong(limit)),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => Err(Error::Http(*error)),
            Err(_) => Err(Rejection::BodyDigest.into()),
        },
    }
}

/// Headers as the verifier looks them up: a name that stands there twice has no value.
pub struct HeaderView<'a>(pub &'a HeaderMap);

impl Headers for HeaderView<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}
