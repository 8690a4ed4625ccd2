//! One request: to the node on an attested session, and back once verified.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use jeju_attestation::verdict::Verdict;

use super::inbound::{self, Outbound, strip_hop_by_hop};
use super::pool::{Lease, Pool};
use super::refusal::Refusal;
use crate::error::Error;
use crate::session::{SessionError, VerifiedBody, VerifiedResponse, VerifiedStream};

/// What the proxy says of a response. Set here alone: whatever else carries the name is deleted.
pub(super) const VERIFIED: HeaderName = HeaderName::from_static("jeju-verified");

/// Bodies that end in an error cut the caller's connection.
pub(super) type ProxyBody = UnsyncBoxBody<Bytes, Error>;

/// Answers a caller.
pub(super) async fn forward(pool: &Arc<Pool>, request: Request<Incoming>) -> Response<ProxyBody> {
    match exchange(pool, request).await {
        Ok(response) => response,
        Err(refusal) => {
            eprintln!("jeju proxy: refused: {}", refusal.code());
            refusal.response()
        }
    }
}

async fn exchange(pool: &Arc<Pool>, request: Request<Incoming>) -> Result<Response<ProxyBody>, Refusal> {
    let outbound = inbound::read(request).await?;
    let (lease, response) = send(pool, &outbound).await?;
    let mut headers = response.headers;
    strip_hop_by_hop(&mut headers);
    // hyper counts the body that it sends; a HEAD response has none and keeps its length.
    if outbound.method != http::Method::HEAD {
        headers.remove(CONTENT_LENGTH);
    }
    mark(&mut headers, lease.session.verdict(), response.epoch);
    let body = match response.body {
        VerifiedBody::Whole(body) => {
            lease.give_back();
            Full::new(body).map_err(|never| match never {}).boxed_unsync()
        }
        VerifiedBody::Stream(stream) => passing(stream, lease),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Idle sessions die unseen. A request is sent on another one only if nothing of it was sent before.
async fn send(pool: &Arc<Pool>, outbound: &Outbound) -> Result<(Lease, VerifiedResponse), Error> {
    loop {
        let mut lease = pool.lease().await?;
        let sent = lease.session.request(
            outbound.method.clone(),
            &outbound.path_and_query,
            outbound.headers.clone(),
            outbound.body.clone(),
        );
        match sent.await {
            Ok(response) => return Ok((lease, response)),
            Err(Error::Session(SessionError::SessionOver)) if lease.reused => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes verified events on; an end that doesn't verify is an error, which cuts the connection before `[DONE]`.
fn passing(events: Box<VerifiedStream>, lease: Lease) -> ProxyBody {
    let frames = stream::unfold(Some((events, lease)), |passing| async {
        let (mut events, lease) = passing?;
        match events.next().await {
            Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some((events, lease)))),
            Ok(None) => {
                lease.give_back();
                None
            }
            Err(error) => {
                eprintln!("jeju proxy: stream cut: {}", error.code());
                Some((Err(error.into()), None))
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn mark(headers: &mut HeaderMap, verdict: &Verdict, epoch: u32) {
    headers.remove(VERIFIED);
    let value = format!(
        "?1;tee=\"{}\";agent=\"{}\";epoch={epoch};mode=\"channel\"",
        verdict.tee, verdict.agent
    );
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(VERIFIED, value);
    }
}
