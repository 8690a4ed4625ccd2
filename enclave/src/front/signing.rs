//! The signature on every answer, and the signed end of every stream.

mod stream;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use jeju_attestation::hash::sha256;
use jeju_attestation::response::{RequestFields, ResponseFields, WorkerVersion, header};

use super::attester::Attester;
use super::epoch::Epoch;
use super::exchange::{Answer, WorkerAnswer, WorkerBody};
use super::receipts::Pending;

use stream::{Ending, signed};

pub(super) use stream::{Part, Parts, received};

const STREAM_TYPE: &str = "text/event-stream; charset=utf-8";

/// A response body: whole bytes, or chunks as they come.
pub(super) enum Body {
    Whole(Full<Bytes>),
    Chunks(BoxStream<'static, Bytes>),
}

impl Body {
    fn empty() -> Self {
        Body::Whole(Full::default())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Whole(body) => Pin::new(body).poll_frame(cx),
            Body::Chunks(chunks) => chunks
                .poll_next_unpin(cx)
                .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(body) => body.is_end_stream(),
            Body::Chunks(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(body) => body.size_hint(),
            Body::Chunks(_) => SizeHint::default(),
        }
    }
}

/// Signs an answer with the epoch's key.
pub(super) fn sign(
    attester: &Attester,
    channel: [u8; 32],
    nonce: [u8; 32],
    request: &RequestFields,
    receipt: Pending,
    answer: Answer,
) -> Response<Body> {
    let epoch = attester.current();
    match answer {
        Answer::Whole {
            status,
            content_type,
            cache_control,
            body,
            retry_after,
            allow,
        } => {
            // What isn't sent isn't signed: a HEAD request gets the head of an empty answer.
            let body = if request.method == "HEAD" {
                Bytes::new()
            } else {
                body
            };
            let digest = sha256(&body);
            if status == StatusCode::OK {
                receipt.close(digest, &epoch);
            }
            let fields = fields(
                &epoch,
                status,
                content_type,
                Some(digest),
                channel,
                nonce,
                request,
                None,
            );
            let (mut response, _) = head(&epoch, &fields, request, Body::Whole(Full::new(body)));
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
            if let Some(seconds) = retry_after {
                headers.insert(RETRY_AFTER, seconds.into());
            }
            if let Some(allow) = allow {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            response
        }
        Answer::Stream(parts) => {
            let fields = fields(
                &epoch,
                StatusCode::OK,
                STREAM_TYPE,
                None,
                channel,
                nonce,
                request,
                None,
            );
            let (mut response, signature) = head(&epoch, &fields, request, Body::empty());
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
            unbuffered(&mut response);
            let chunks = signed(parts, epoch, sha256(&signature), Ending::Done(receipt));
            *response.body_mut() = Body::Chunks(chunks);
            response
        }
        Answer::Worker(answer) => sign_worker(epoch, channel, nonce, request, *answer),
    }
}

/// Signs what a worker answers: its head passes as it is, but for what the node says.
fn sign_worker(
    epoch: Arc<Epoch>,
    channel: [u8; 32],
    nonce: [u8; 32],
    request: &RequestFields,
    answer: WorkerAnswer,
) -> Response<Body> {
    let bodiless = request.method == "HEAD" || matches!(answer.status.as_u16(), 204 | 205 | 304);
    let (digest, body, parts) = match answer.body {
        WorkerBody::Whole(body) => {
            let body = if bodiless { Bytes::new() } else { body };
            (Some(sha256(&body)), Body::Whole(Full::new(body)), None)
        }
        WorkerBody::Stream(_) if bodiless => (Some(sha256(&[])), Body::empty(), None),
        WorkerBody::Stream(parts) => (None, Body::empty(), Some(received(parts))),
    };
    let content_type = answer.content_type.to_str().unwrap_or("application/octet-stream");
    let fields = fields(
        &epoch,
        answer.status,
        content_type,
        digest,
        channel,
        nonce,
        request,
        Some(answer.worker),
    );
    let (mut response, signature) = head(&epoch, &fields, request, body);
    for (name, value) in &answer.headers {
        response.headers_mut().append(name, value.clone());
    }
    if let Some(parts) = parts {
        unbuffered(&mut response);
        let chunks = signed(parts, epoch, sha256(&signature), Ending::Comment);
        *response.body_mut() = Body::Chunks(chunks);
    }
    response
}

/// Proxies that buffer would hold a stream back.
fn unbuffered(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
}

/// An answer without signature: verifiers refuse it, whoever made it.
pub(super) fn unsigned_failure() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[expect(clippy::too_many_arguments, reason = "each is a field of what is signed")]
fn fields(
    epoch: &Epoch,
    status: StatusCode,
    content_type: &str,
    body_sha256: Option<[u8; 32]>,
    channel: [u8; 32],
    nonce: [u8; 32],
    request: &RequestFields,
    worker: Option<WorkerVersion>,
) -> ResponseFields {
    ResponseFields {
        status: status.as_u16(),
        content_type: content_type.to_owned(),
        body_sha256,
        request_sha256: request.body_sha256,
        nonce,
        channel,
        evidence: epoch.reference,
        worker,
        created: epoch.anchor.now(),
        key: epoch.key.public(),
    }
}

fn head(
    epoch: &Epoch,
    fields: &ResponseFields,
    request: &RequestFields,
    body: Body,
) -> (Response<Body>, [u8; 64]) {
    let signature = epoch.key.sign(&fields.signature_base(request));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(fields.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let evidence = [
        (header::QUOTE, epoch.quote_header.clone()),
        (header::CLAIMS, epoch.claims_header.clone()),
    ];
    for (name, value) in fields.headers(&signature).into_iter().chain(evidence) {
        let value = HeaderValue::try_from(value).expect("structured fields are ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
    let content_type = HeaderValue::from_str(&fields.content_type)
        .expect("content types are constants, or were header values");
    headers.insert(CONTENT_TYPE, content_type);
    (response, signature)
}
