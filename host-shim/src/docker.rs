//! The guest's way to a Docker engine: a subset of its API, each request parsed and written anew.
//!
//! A connection of the guest is HTTP/1.1. A request is read whole, parsed into a
//! [`Request`](jeju_shim_protocol::docker::Request), and what that emits goes to the engine on a connection of its own,
//! with headers made here. The engine's answer is read into the few fields that an enclave needs and written anew. Two
//! kinds of bytes pass as they are: a container's own output, and the standard input and output of a command.

mod bandwidth;
mod body;
mod call;
mod engine;
mod execs;
mod failure;
mod guest;
mod images;
mod owner;
mod session;

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::Stream;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics::PortMetrics;
use crate::relay::{RelayEnd, relay};
use crate::shim::State;

use execs::Execs;
use failure::Failure;
use guest::Guest;
use images::Images;
use session::Session;

/// How long a request's head may take, and how long a connection may be idle between requests.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long a guest may take nothing of an answer.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// Longest request head in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Calls at once, each of which may hold its request's and its answer's bytes. Streams and commands don't count.
const MAX_CALLS: usize = 32;
/// Archives at once.
const MAX_ARCHIVES: usize = 2;
/// Time to take one line that refuses a connection.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// What the connections of this port share.
pub(crate) struct Docker {
    calls: Semaphore,
    archives: Semaphore,
    execs: Execs,
    images: Images,
}

impl Docker {
    pub(crate) fn new() -> Self {
        Self {
            calls: Semaphore::new(MAX_CALLS),
            archives: Semaphore::new(MAX_ARCHIVES),
            execs: Execs::default(),
            images: Images::default(),
        }
    }
}

/// Serves one connection of the guest: requests, and at last perhaps a command's bytes.
pub(crate) async fn serve(guest: Stream, state: Arc<State>, metrics: Arc<PortMetrics>) {
    let session = Arc::new(Session::new(state.clone(), metrics.clone()));
    let answering = session.clone();
    let guest = Guest::new(guest, WRITE_TIME, session.upgraded.clone());
    let service = service_fn(move |request| session::answer(answering.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(guest), service)
        .with_upgrades()
        .await;
    if served.is_err_and(|error| error.is_parse()) {
        metrics.bad_requests.one();
        state.events.caused("bad_request", &[("port", &Port::Docker)]);
    }
    let Some(upgrade) = session.take_upgrade() else {
        return;
    };
    let (Ok(engine), Ok(guest)) = tokio::join!(upgrade.engine, upgrade.guest) else {
        return;
    };
    let (mut engine, mut guest) = (TokioIo::new(engine), TokioIo::new(guest));
    if relay(&mut engine, &mut guest, state.relay_rules(), &metrics).await == RelayEnd::Idle {
        metrics.idle_timeouts.one();
    }
}

/// Answers a connection that won't be served.
pub(crate) async fn refuse(mut guest: Stream) {
    let body = Failure::busy().body();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = timeout(REFUSAL_TIME, guest.write_all(&[head.as_bytes(), &body].concat())).await;
}
