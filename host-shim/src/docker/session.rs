//! A connection of the guest: reads requests and writes answers.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use jeju_shim_protocol::docker::{MAX_BODY, Refusal, Request};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::body::{Output, Passing, Progress};
use super::call::{Reply, perform};
use super::engine::Driver;
use super::failure::Failure;
use super::{bandwidth, images, owner};
use crate::metrics::PortMetrics;
use crate::shim::State;

/// Time for a request's body to come.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Time until a call's turn comes.
const TURN_TIME: Duration = Duration::from_secs(30);
/// A container's output is read from a file, and a silent engine is a broken one.
const OUTPUT_SILENCE: Duration = Duration::from_secs(30);

type Answered = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A connection, while it speaks HTTP.
pub(super) struct Session {
    state: Arc<State>,
    metrics: Arc<PortMetrics>,
    upgrade: Mutex<Option<Upgrade>>,
    /// Whether the connection carries a command's bytes now.
    pub(super) upgraded: Arc<AtomicBool>,
}

/// Both ends of a command's bytes, once they are there.
pub(super) struct Upgrade {
    pub(super) guest: OnUpgrade,
    pub(super) engine: OnUpgrade,
    /// Moves the engine's bytes until then.
    _driver: Driver,
}

impl Session {
    pub(super) fn new(state: Arc<State>, metrics: Arc<PortMetrics>) -> Self {
        Self {
            state,
            metrics,
            upgrade: Mutex::new(None),
            upgraded: Arc::default(),
        }
    }

    pub(super) fn take_upgrade(&self) -> Option<Upgrade> {
        self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Answers one request. Every failure is an answer too.
pub(super) async fn answer(
    session: Arc<Session>,
    mut request: http::Request<Incoming>,
) -> Result<Answered, Infallible> {
    let guest = hyper::upgrade::on(&mut request);
    let (head, mut body) = request.into_parts();
    Ok(match serve(&session, &head, &mut body).await {
        Ok(Reply::Whole(status, body)) => whole(&session, status, body),
        Ok(Reply::Progress(answer)) => {
            let silence = session.state.config.idle_timeout;
            let body = Passing::new(answer, Progress::default(), silence, session.metrics.clone());
            stream(body, "application/json")
        }
        Ok(Reply::Output(answer)) => {
            let body = Passing::new(answer, Output, OUTPUT_SILENCE, session.metrics.clone());
            stream(body, "application/vnd.docker.multiplexed-stream")
        }
        Ok(Reply::Upgraded(answer)) => {
            let (engine, driver) = answer.into_upgrade();
            let upgrade = Upgrade {
                guest,
                engine,
                _driver: driver,
            };
            *session.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
            session.upgraded.store(true, Relaxed);
            switching()
        }
        Err(failure) => {
            note(&session, &failure);
            // One that didn't come in its time gets no second one.
            if failure.status != StatusCode::REQUEST_TIMEOUT {
                tokio::spawn(discard(body));
            }
            whole(&session, failure.status, Some(failure.body()))
        }
    })
}

async fn serve(session: &Session, head: &Parts, body: &mut Incoming) -> Result<Reply, Failure> {
    let Some(socket) = &session.state.config.docker else {
        return Err(Failure::not_configured());
    };
    let method = head.method.as_str();
    let target = target(&head.uri);
    let content_type = content_type(&head.headers)?;
    let limit = Request::body_limit(method, &target)?;
    let docker = &session.state.docker;
    let _call = turn(&docker.calls).await?;
    let _archive = match limit > MAX_BODY {
        true => Some(turn(&docker.archives).await?),
        false => None,
    };
    let body = read(body, limit).await?;
    session.metrics.from_guest.add(body.len() as u64);
    let request = Request::parse(method, &target, content_type, &body)?;
    if matches!(request, Request::StartExec { .. }) && !asks_for_upgrade(&head.headers) {
        return Err(Failure::no_upgrade());
    }
    if let Some(agent) = session.state.config.docker_agent {
        owner::check(socket, agent, &request).await?;
    }
    let archive = matches!(request, Request::PutArchive { .. }).then_some(body);
    let reply = perform(socket, &request, archive, docker).await?;
    let (state, holds) = (&session.state, session.state.config.docker_bandwidth);
    match request {
        Request::StartContainer(name) if holds => bandwidth::hold_soon(state.clone(), name),
        Request::StopContainer { name, .. } if holds => bandwidth::release_soon(name),
        Request::RemoveContainer(name) => {
            images::sweep_soon(state.clone());
            if holds {
                bandwidth::release_soon(name);
            }
        }
        _ => {}
    }
    Ok(reply)
}

/// The request's target as it came, whole: an absolute one isn't taken for its path.
fn target(uri: &http::Uri) -> String {
    uri.to_string()
}

/// The one content type, if any.
fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let first = all.next().map(|value| value.to_str().unwrap_or("?"));
    match all.next() {
        None => Ok(first),
        // Two are none that a call takes.
        Some(_) => Ok(Some("?")),
    }
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| {
        headers
            .get(name)
            .is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    is(CONNECTION, "upgrade") && is(UPGRADE, "tcp")
}

async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    match timeout(TURN_TIME, turns.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Failure::busy()),
    }
}

/// The whole body, which the caller knows the limit of.
async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || Failure::from(Refusal::too_large(limit));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        _ => Err(Failure::body_incomplete()),
    }
}

/// Lets what is left of a body of usual length come and go while the refusal is sent. A connection that ends with bytes not
/// taken is broken for who sends them, and a client that still writes wouldn't get to reading.
async fn discard(mut body: Incoming) {
    let _ = timeout(BODY_TIME, async {
        let mut left = MAX_BODY;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.checked_sub(frame.data_ref().map_or(0, Bytes::len))?;
        }
        Some(())
    })
    .await;
}

fn note(session: &Session, failure: &Failure) {
    let metrics = &session.metrics;
    let event = match failure.status {
        status if failure.code() == "docker_engine" => {
            // The engine's own refusals, as of a name that isn't there, are part of ordinary life.
            if status.is_client_error() {
                return;
            }
            "docker_failed"
        }
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            metrics.unreachable.one();
            "docker_failed"
        }
        StatusCode::REQUEST_TIMEOUT => {
            metrics.bad_requests.one();
            "docker_refused"
        }
        _ => {
            metrics.denied.one();
            "docker_refused"
        }
    };
    session.state.events.caused(event, &[("code", &failure.code())]);
}

fn whole(session: &Session, status: StatusCode, body: Option<Bytes>) -> Answered {
    let mut response = Response::new(full(body.clone().unwrap_or_default()));
    *response.status_mut() = status;
    if let Some(body) = body {
        session.metrics.to_guest.add(body.len() as u64);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    response
}

fn stream(body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static, kind: &'static str) -> Answered {
    let mut response = Response::new(body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn switching() -> Answered {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, http::HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, http::HeaderValue::from_static("tcp"));
    response
}

fn full(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
