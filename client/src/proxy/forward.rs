//! One request: to a node on an attested session, and back once verified.

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use jeju_attestation::verdict::Verdict;

use super::attempt::{Answer, Upstream};
use super::inbound::{self, strip_hop_by_hop};
use super::payer::StreamBill;
use super::pool::Lease;
use super::refusal::Refusal;
use crate::error::Error;
use crate::session::{SessionError, VerifiedBody, VerifiedStream};

/// What the proxy says of a response. Set here alone: whatever else carries the name is deleted.
pub(super) const VERIFIED: HeaderName = HeaderName::from_static("jeju-verified");

/// How a node's stream ends.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Bodies that end in an error cut the caller's connection.
pub(super) type ProxyBody = UnsyncBoxBody<Bytes, Error>;

/// Answers a caller.
pub(super) async fn forward(upstream: &Upstream, request: Request<Incoming>) -> Response<ProxyBody> {
    match exchange(upstream, request).await {
        Ok(response) => response,
        Err(refusal) => {
            eprintln!("jeju proxy: refused: {}", refusal.code());
            refusal.response()
        }
    }
}

async fn exchange(upstream: &Upstream, request: Request<Incoming>) -> Result<Response<ProxyBody>, Refusal> {
    let outbound = inbound::read(request).await?;
    upstream.nodes.check(&outbound)?;
    let Answer {
        lease,
        response,
        bill,
    } = upstream.ask(&outbound).await?;
    let mut headers = response.headers.clone();
    strip_hop_by_hop(&mut headers);
    // hyper counts the body that it sends; a HEAD response has none and keeps its length.
    if outbound.method != http::Method::HEAD {
        headers.remove(CONTENT_LENGTH);
    }
    mark(&mut headers, lease.session.verdict(), response.epoch);
    let body = match response.body {
        VerifiedBody::Whole(body) => {
            if let Some(bill) = bill {
                bill.whole(response.status, &response.headers, &body);
            }
            lease.give_back();
            Full::new(body).map_err(|never| match never {}).boxed_unsync()
        }
        VerifiedBody::Stream(events) => passing(Passing {
            events,
            bill: bill.map(|bill| bill.stream(response.status, &response.headers)),
            lease,
        }),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = response.status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// A stream on its way to the caller.
struct Passing {
    events: Box<VerifiedStream>,
    bill: Option<Box<dyn StreamBill>>,
    lease: Lease,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<Bytes>, SessionError> {
        let events = self.events.next().await?;
        if let (Some(events), Some(bill)) = (&events, &mut self.bill) {
            bill.events(events);
        }
        Ok(events)
    }

    /// The end is verified.
    fn ended(self) {
        if let (Some(bill), Some(reason)) = (self.bill, self.events.end()) {
            bill.ended(reason);
        }
        self.lease.give_back();
    }
}

/// Passes verified events on; an end that doesn't verify is an error, which cuts the connection before `[DONE]`.
fn passing(passing: Passing) -> ProxyBody {
    let frames = stream::unfold(Some(passing), |passing| async {
        let mut passing = passing?;
        match passing.next().await {
            // Callers close at `[DONE]`, so the end is awaited first.
            Ok(Some(last)) if last.ends_with(DONE) => match passing.next().await {
                Ok(None) => {
                    passing.ended();
                    Some((Ok(Frame::data(last)), None))
                }
                // What a worker streams may go on after it.
                Ok(Some(more)) => Some((Ok(Frame::data([last, more].concat().into())), Some(passing))),
                Err(error) => Some(cut(error)),
            },
            Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some(passing))),
            Ok(None) => {
                passing.ended();
                None
            }
            Err(error) => Some(cut(error)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn cut(error: SessionError) -> (Result<Frame<Bytes>, Error>, Option<Passing>) {
    eprintln!("jeju proxy: stream cut: {}", error.code());
    (Err(error.into()), None)
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
