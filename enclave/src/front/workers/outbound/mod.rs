//! What workers fetch: HTTP and HTTPS to where the launch document lets them go, with TLS that ends in the enclave.
//!
//! A fetch goes one way: [`destination`] (may it go there?) → [`places`] (is there room?) → [`exchange`] (a connection of
//! the owner's, the request, the head of the answer) → [`redirect`] (and again, if it leads elsewhere) → [`body`] (the
//! answer, as fast as the worker reads). Nothing that a worker, a server or the host sends makes any of it fail for
//! another worker; connections are never shared between owners.

mod body;
mod connection;
mod destination;
mod exchange;
mod fields;
mod places;
mod redirect;

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Method;
use jeju_attestation::launch::workers::Workers;
use jeju_worker_broker::{Body, BoxFuture, CallContext, Outbound};
use jeju_worker_protocol::{Failure, FetchRequest, FetchResponse, Redirect, code};
use rustls::ClientConfig;
use tokio::time::sleep;
use url::Url;

use crate::egress::TargetDial;

use self::body::Payload;
use self::connection::Connector;
use self::destination::Rules;
use self::exchange::{Message, Reply};
use self::places::Places;
use self::redirect::Next;

/// Longest body either way, in bytes. What an isolate can hold of it is bounded apart.
const MAX_BODY: u64 = 256 * 1024 * 1024;

/// How much, and how long.
#[derive(Clone, Copy)]
struct Limits {
    /// Until a connection can take a request: look-up, TCP, TLS.
    connect: Duration,
    /// Until the head of an answer.
    head: Duration,
    /// Until the next bytes of an answer.
    stall: Duration,
    /// How long an idle connection is kept.
    keep: Duration,
    /// Fetches at a time.
    total: usize,
    /// Fetches of one owner at a time.
    per_owner: usize,
    /// Fetches of one worker at a time.
    per_worker: usize,
    /// Idle connections.
    idle: usize,
    /// Longest body of a request or an answer, in bytes.
    body: u64,
}

/// Together with idle connections less than half of what the host's shim carries, so that the node's own egress always
/// finds room.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(15),
    head: Duration::from_secs(300),
    stall: Duration::from_secs(300),
    keep: Duration::from_secs(15),
    total: 160,
    per_owner: 48,
    per_worker: 16,
    idle: 64,
    body: MAX_BODY,
};

/// Carries out fetches. Cheap to clone.
#[derive(Clone)]
pub(in crate::front) struct Fetcher(Arc<Inner>);

struct Inner {
    rules: Rules,
    connector: Connector,
    places: Places,
    limits: Limits,
}

impl Fetcher {
    /// For what the launch document says of workers. `names` are the node's own, where no worker may go; `tls` says whom
    /// servers are trusted by. To be called on the runtime.
    pub(in crate::front) fn new(
        workers: &Workers,
        names: &[String],
        dial: Arc<dyn TargetDial>,
        tls: &ClientConfig,
    ) -> Self {
        Self::with(Rules::new(workers, names), dial, tls, LIMITS)
    }

    fn with(rules: Rules, dial: Arc<dyn TargetDial>, tls: &ClientConfig, limits: Limits) -> Self {
        let inner = Arc::new(Inner {
            rules,
            connector: Connector::new(dial, tls, limits.connect),
            places: Places::new(limits),
            limits,
        });
        tokio::spawn(sweeping(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// All that a URL answers to a GET with status 200, of at most `longest` bytes.
    ///
    /// # Errors
    /// [`Failure`] where it may not be fetched, doesn't answer so, or is longer.
    pub(in crate::front) async fn get(
        &self,
        context: Arc<CallContext>,
        url: &str,
        longest: usize,
    ) -> Result<Vec<u8>, Failure> {
        let request = FetchRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            has_body: false,
            redirect: Redirect::Follow,
        };
        let (response, mut pieces) = self.0.fetch(&context, request, None).await?;
        if response.status != 200 {
            return Err(failed(format!("the answer has status {}", response.status)));
        }
        let mut whole = Vec::new();
        while let Some(piece) = pieces.recv().await {
            let piece = piece?;
            if whole.len() + piece.len() > longest {
                return Err(failed(format!("the answer has more than {longest} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

impl Outbound for Fetcher {
    fn fetch(
        &self,
        context: Arc<CallContext>,
        request: FetchRequest,
        body: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.fetch(&context, request, body).await })
    }
}

impl Inner {
    async fn fetch(
        &self,
        context: &CallContext,
        request: FetchRequest,
        body: Option<Body>,
    ) -> Result<(FetchResponse, Body), Failure> {
        let mut url = Url::parse(&request.url).map_err(|_| invalid("the URL is none"))?;
        let mut destination = self.rules.check(&url)?;
        let method = method(&request.method)?;
        if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
            return Err(invalid(format!("a {method} request has no body")));
        }
        let (headers, announced) = fields::of_request(&request.headers)?;
        let place = self.places.take(context).await;
        let mut message = Message {
            method,
            headers,
            payload: Payload::gather(body, announced, self.limits.body).await?,
        };
        let mut redirected = 0;
        loop {
            let reply = self.send(&place.owner, &destination, &url, &mut message).await?;
            match redirect::next(request.redirect, redirected, &url, &reply.head, &mut message)? {
                Next::Answer => return Ok(self.answer(reply, url, redirected > 0, place)),
                Next::Elsewhere(to) => url = to,
            }
            redirected += 1;
            destination = self.rules.check(&url)?;
        }
    }

    fn answer(
        &self,
        reply: Reply,
        mut url: Url,
        redirected: bool,
        place: places::Place,
    ) -> (FetchResponse, Body) {
        url.set_fragment(None);
        let response = FetchResponse {
            status: reply.head.status.as_u16(),
            status_text: fields::reason(&reply.head),
            headers: fields::of_response(&reply.head.headers),
            url: url.into(),
            redirected,
        };
        (response, body::pump(reply, place, self.limits))
    }
}

/// Drops connections that wait for too long, for as long as there are fetches: their buffers hold what was said on them.
async fn sweeping(inner: Weak<Inner>) {
    while let Some(every) = inner.upgrade().map(|inner| inner.limits.keep / 4) {
        sleep(every).await;
        if let Some(inner) = inner.upgrade() {
            inner.places.sweep();
        }
    }
}

/// A method that scripts may use.
fn method(name: &str) -> Result<Method, Failure> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => Err(invalid(format!("method {name} is not for workers"))),
        Ok(method) if method.as_str() == "TRACK" => Err(invalid("method TRACK is not for workers")),
        Ok(method) => Ok(method),
        Err(_) => Err(invalid("the method is none")),
    }
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(code::FETCH_INVALID, text)
}

fn refused(text: impl Into<String>) -> Failure {
    Failure::new(code::FETCH_REFUSED, text)
}

fn failed(text: impl Into<String>) -> Failure {
    Failure::new(code::FETCH_FAILED, text)
}

#[cfg(test)]
mod tests;
