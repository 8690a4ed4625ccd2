//! One request and its answer: the body is read whole and hashed, a handler answers, and the answer is signed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{NONCE_LEN, RequestFields, WorkerVersion, header};
use jeju_attestation::structured_field::parse_binary;
use jeju_openai::event;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::api::{self, mpc};
use super::error::ApiError;
use super::identity::random;
use super::inference::Tenant;
use super::listener::Connection;
use super::receipts::{Pending, Slip};
use super::signing::{self, Body};
use super::wallet::SignedHeaders;
use super::workers;
use super::{Node, attester::Attester};

/// Longest request body that is kept.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// The same on 4020: what a worker may be sent, and code with its JSON around it.
const MAX_WORKER_BODY: usize = 10 * 1024 * 1024;
/// Bodies above [`MAX_BODY`] that are kept at a time, in KiB.
pub(super) const BODIES: usize = 256 * 1024;
/// Longest request body that is still read to its end, so that even its refusal names the request that it answers.
const MAX_DRAINED: u64 = 64 * 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request as handlers see it.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Bytes,
    /// `Idempotency-Key`, if there is exactly one.
    pub(super) idempotency_key: Option<String>,
    /// What says whose request it is. Nothing is judged yet.
    pub(super) signed: Option<SignedHeaders>,
    /// With which requests it shares limits and caches.
    pub(super) tenant: Tenant,
    /// Where id and usage of its answer are noted.
    pub(super) slip: Slip,
    /// The request's header fields, on 4020.
    pub(super) headers: HeaderMap,
    /// Place of a long body.
    _place: Option<OwnedSemaphorePermit>,
}

/// Which port a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// 4007.
    Node,
    /// 4010.
    Mpc,
    /// 4020.
    Workers,
}

impl Surface {
    fn max_body(self) -> usize {
        match self {
            Surface::Node | Surface::Mpc => MAX_BODY,
            Surface::Workers => MAX_WORKER_BODY,
        }
    }
}

/// A handler's answer.
pub(super) enum Answer {
    /// Whole bytes.
    Whole {
        status: StatusCode,
        content_type: &'static str,
        cache_control: &'static str,
        body: Bytes,
        /// Seconds.
        retry_after: Option<u32>,
        allow: Option<&'static str>,
    },
    /// Events of a stream; the signed end is added here.
    Stream(signing::Parts),
    /// What a worker answers.
    Worker(Box<WorkerAnswer>),
}

/// An answer whose head and body are a worker's.
pub(super) struct WorkerAnswer {
    pub(super) status: StatusCode,
    /// Visible ASCII.
    pub(super) content_type: HeaderValue,
    /// Without `content-type` and what the node itself says.
    pub(super) headers: HeaderMap,
    pub(super) body: WorkerBody,
    pub(super) worker: WorkerVersion,
}

/// A worker's body.
pub(super) enum WorkerBody {
    /// All of it.
    Whole(Bytes),
    /// As it comes; the signed end is added here.
    Stream(mpsc::Receiver<signing::Part>),
}

impl Answer {
    /// 200 with JSON.
    pub(super) fn json(document: &Value) -> Self {
        Self::bytes("application/json", document.to_string().into())
    }

    /// 200 with JSON that holds what a user or a model wrote: wiped when it is sent.
    pub(super) fn private(document: Value) -> Self {
        Self::bytes("application/json", Bytes::from_owner(event::json(document)))
    }

    /// 200 with bytes.
    pub(super) fn bytes(content_type: &'static str, body: Bytes) -> Self {
        Answer::Whole {
            status: StatusCode::OK,
            content_type,
            cache_control: "no-store, no-transform",
            body,
            retry_after: None,
            allow: None,
        }
    }

    /// 200 with bytes that never change.
    pub(super) fn immutable(content_type: &'static str, bytes: Bytes) -> Self {
        match Self::bytes(content_type, bytes) {
            Answer::Whole {
                status,
                content_type,
                body,
                retry_after,
                allow,
                ..
            } => Answer::Whole {
                status,
                content_type,
                cache_control: "public, max-age=31536000, immutable, no-transform",
                body,
                retry_after,
                allow,
            },
            stream => stream,
        }
    }
}

impl Answer {
    /// An error, in the shape that clients of the port know.
    fn error(surface: Surface, error: ApiError) -> Self {
        let body = match surface {
            Surface::Node => error.body(),
            Surface::Mpc | Surface::Workers => error.flat_body(),
        };
        Answer::Whole {
            status: error.status,
            content_type: "application/json",
            cache_control: "no-store, no-transform",
            body: body.to_string().into(),
            retry_after: error.retry_after,
            allow: error.allow,
        }
    }
}

/// Answers one request. Nothing that a request holds makes this fail.
pub(super) async fn answer(
    node: &Arc<Node>,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let nonce = nonce(&parts);
    let (body_sha256, body) = read(body, connection.surface.max_body(), &node.bodies).await;
    let fields = RequestFields {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: format!("?{}", parts.uri.query().unwrap_or_default()),
        body_sha256,
        nonce: nonce.as_ref().ok().copied().flatten(),
    };
    let slip = Slip::default();
    let handled = match (nonce, body) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(_), Ok((body, place))) => {
            let query = parts.uri.query().unwrap_or_default().to_owned();
            let signed = SignedHeaders::read(&parts.headers, connection.surface);
            let call = signed.map(|signed| Call {
                signed,
                idempotency_key: idempotency_key(&parts),
                tenant: tenant(&parts, connection),
                slip: slip.clone(),
                method: parts.method,
                headers: parts.headers,
                _place: place,
                path: fields.path.clone(),
                query,
                body,
            });
            match (call, connection.surface) {
                (Err(error), _) => Err(error),
                (Ok(call), Surface::Node) => api::route(node, connection, call).await,
                (Ok(call), Surface::Mpc) => mpc::route(node, connection, call).await,
                (Ok(call), Surface::Workers) => workers::route(node, connection, call).await,
            }
        }
    };
    let answer = handled.unwrap_or_else(|error| Answer::error(connection.surface, error));
    let is_error = matches!(&answer, Answer::Whole { status, .. } if !status.is_success());
    node.metrics.request(is_error);
    sign(&node.attester, connection, &fields, slip, answer)
}

fn sign(
    attester: &Attester,
    connection: &Connection,
    request: &RequestFields,
    slip: Slip,
    answer: Answer,
) -> Response<Body> {
    let receipt = Pending {
        receipts: attester.receipts.clone(),
        slip,
        request_sha256: request.body_sha256,
    };
    let nonce = request.nonce.map_or_else(random::<NONCE_LEN>, Ok);
    match nonce {
        Ok(nonce) => signing::sign(attester, connection.channel, nonce, request, receipt, answer),
        // Without random numbers nothing may be signed; the verifier refuses what isn't.
        Err(_) => signing::unsigned_failure(),
    }
}

fn nonce(parts: &Parts) -> Result<Option<[u8; NONCE_LEN]>, ApiError> {
    let mut values = parts.headers.get_all(header::NONCE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let nonce = value
        .to_str()
        .ok()
        .and_then(parse_binary)
        .and_then(|bytes| bytes.try_into().ok());
    match (nonce, values.next()) {
        (Some(nonce), None) => Ok(Some(nonce)),
        _ => Err(ApiError::invalid_nonce()),
    }
}

fn idempotency_key(parts: &Parts) -> Option<String> {
    let mut values = parts.headers.get_all("idempotency-key").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// A bearer token makes a tenant; nothing judges it. Without one a connection is by itself.
fn tenant(parts: &Parts, connection: &Connection) -> Tenant {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.as_bytes().starts_with(b"Bearer ") => {
            Tenant::Key(sha256(value.as_bytes()))
        }
        _ => Tenant::Connection(connection.number),
    }
}

/// A body, and its place among the long ones.
type Kept = (Bytes, Option<OwnedSemaphorePermit>);

/// Reads a body: its digest, and its bytes unless they are too many.
async fn read(
    mut body: Incoming,
    most: usize,
    bodies: &Arc<Semaphore>,
) -> ([u8; 32], Result<Kept, ApiError>) {
    let mut hash = Sha256::new();
    let mut kept = BytesMut::new();
    let mut len = 0u64;
    let mut place = None;
    let mut overloaded = false;
    let outcome = timeout(BODY_TIMEOUT, async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(ApiError::body_broken());
            };
            let Ok(data) = frame.into_data() else { continue };
            hash.update(&data);
            len += data.len() as u64;
            if len > MAX_DRAINED {
                return Err(ApiError::body_too_large(most));
            }
            if len > MAX_BODY as u64 && len <= most as u64 && place.is_none() && !overloaded {
                place = bodies.clone().try_acquire_many_owned((most / 1024) as u32).ok();
                overloaded = place.is_none();
            }
            if len <= most as u64 && !overloaded {
                kept.extend_from_slice(&data);
            }
        }
        match len > most as u64 {
            true => Err(ApiError::body_too_large(most)),
            false if overloaded => Err(ApiError::bodies_overloaded()),
            false => Ok(()),
        }
    })
    .await;
    let outcome = outcome.unwrap_or_else(|_| Err(ApiError::body_timeout()));
    (hash.finalize().into(), outcome.map(|()| (kept.freeze(), place)))
}
