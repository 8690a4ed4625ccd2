//! HTTP on loopback: every request is the worker's.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jeju_worker_broker::{Call, CallEvent};
use jeju_worker_protocol::api::ErrorBody;
use jeju_worker_protocol::{Failure, FetchEvent, Headers, code};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::engine::{Engine, Version, described, show};
use crate::worker::WorkerError;

/// Runs `scheduled` at once.
const SCHEDULED: &str = "/__scheduled";
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Pieces of a body that wait for the client.
const PIECES: usize = 4;

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A socket that listens.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens.
///
/// # Errors
/// [`WorkerError::Listen`].
pub(super) async fn bind(address: SocketAddr) -> Result<Bound, WorkerError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    bound.await.map_err(|source| WorkerError::Listen {
        address: address.to_string(),
        source,
    })
}

impl Bound {
    /// Where; the port is the real one where 0 was asked for.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves, and never ends.
    pub(super) async fn serve(self, engine: Arc<Engine>) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let engine = engine.clone();
            let address = self.address;
            let service = service_fn(move |request| {
                let engine = engine.clone();
                async move { Ok::<_, Infallible>(answer(&engine, address, request).await) }
            });
            let connection = Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .serve_connection(TokioIo::new(stream), service);
            // Broken connections are the client's to notice.
            tokio::spawn(connection);
        }
    }
}

async fn answer(engine: &Engine, address: SocketAddr, request: Request<Incoming>) -> Answer {
    let Some(version) = engine.version() else {
        return failed(&Failure::new(code::CRASHED, "there is no version that answers"));
    };
    let outcome = match (request.method(), request.uri().path()) {
        (&Method::POST, SCHEDULED) => scheduled(&version).await,
        _ => fetch(version, address, request).await,
    };
    outcome.unwrap_or_else(|failure| failed(&failure))
}

async fn scheduled(version: &Arc<Version>) -> Result<Answer, Failure> {
    let now = super::now();
    let cron = version.cron.clone().unwrap_or_else(|| "* * * * *".to_owned());
    super::scheduled(version, cron, now - now % 60_000).await?;
    Ok(plain(StatusCode::OK, Bytes::from_static(b"{\"success\":true}")))
}

async fn fetch(
    version: Arc<Version>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let (head, body) = request.into_parts();
    let limit = usize::try_from(version.limits().request_body).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await;
    let body =
        body.map_err(|_| Failure::new(code::REQUEST_BODY, "the request body is too long, or cut off"))?;
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| address.to_string(), str::to_owned);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let fields = head.headers.iter().filter(|(name, _)| !is_hop(name));
    let headers = fields.map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes())));
    let event = FetchEvent {
        method: head.method.as_str().to_owned(),
        url: format!("http://{host}{path}"),
        headers: headers.collect(),
        body: Some(body.to_bytes().to_vec()),
    };
    let call = version.fetch(event, None).await?;
    let (sender, answer) = oneshot::channel();
    tokio::spawn(pass(version, call, sender));
    answer
        .await
        .unwrap_or_else(|_| Err(Failure::new(code::CRASHED, "the engine has gone")))
}

/// Takes all that comes of an event: the answer goes to the client, log lines to the terminal.
async fn pass(version: Arc<Version>, mut call: Call, answer: oneshot::Sender<Result<Answer, Failure>>) {
    let mut answer = Some(answer);
    let mut pieces: Option<mpsc::Sender<io::Result<Frame<Bytes>>>> = None;
    let mut last = String::new();
    while let Some(event) = call.next().await {
        match event {
            CallEvent::Log(line) => {
                show(&line);
                last = line.text;
            }
            CallEvent::Head {
                status,
                headers,
                body,
                ..
            } => {
                let body = match body {
                    Some(body) => Full::new(body.into())
                        .map_err(|never| match never {})
                        .boxed_unsync(),
                    None => {
                        let (sender, receiver) = mpsc::channel(PIECES);
                        pieces = Some(sender);
                        let next = |mut receiver: mpsc::Receiver<_>| async {
                            Some((receiver.recv().await?, receiver))
                        };
                        StreamBody::new(stream::unfold(receiver, next)).boxed_unsync()
                    }
                };
                if let Some(answer) = answer.take() {
                    let _ = answer.send(Ok(with_head(status, &headers, body)));
                }
            }
            CallEvent::Body(data) => {
                // Whoever is gone wants no more: that cancels the event.
                let Some(sender) = &pieces else { return };
                if sender.send(Ok(Frame::data(data.into()))).await.is_err() {
                    return;
                }
            }
            CallEvent::BodyEnd(failure) => {
                if let (Some(sender), Some(failure)) = (pieces.take(), failure) {
                    tell(&failure, &last);
                    let _ = sender.send(Err(io::Error::other("cut off"))).await;
                }
            }
            CallEvent::Done { failure, .. } => {
                let Some(failure) = failure else { continue };
                tell(&failure, &last);
                if let Some(answer) = answer.take() {
                    drop(answer.send(Err(failure)));
                }
            }
        }
    }
    // The code stays until its last event is over.
    drop(version);
}

/// Says what went wrong, unless the worker's log just did.
fn tell(failure: &Failure, last: &str) {
    if failure.message.is_empty() || !last.starts_with(&failure.message) {
        eprintln!("error {} ({})", described(failure), failure.code);
    }
}

fn with_head(status: u16, headers: &Headers, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::from_bytes(&value.chars().map(|c| c as u8).collect::<Vec<_>>());
        if let (Ok(name), Ok(value)) = (name, value)
            && !is_hop(&name)
        {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn failed(failure: &Failure) -> Answer {
    let body = ErrorBody {
        error: match failure.code.as_str() {
            // The first nodes' words, which the node says too.
            code::TIMEOUT => "Worker timeout".to_owned(),
            code::NO_HANDLER => "No fetch handler exported".to_owned(),
            _ => failure.message.clone(),
        },
        code: failure.code.clone(),
        stack: failure.stack.clone(),
    };
    let status = match failure.code.as_str() {
        code::REQUEST_BODY => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    plain(status, serde_json::to_vec(&body).unwrap_or_default().into())
}

fn plain(status: StatusCode, json: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(json).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What belongs to one connection, and not to the message.
fn is_hop(name: &HeaderName) -> bool {
    const NAMES: [&str; 4] = ["keep-alive", "proxy-connection", "upgrade", "te"];
    [CONNECTION, TRANSFER_ENCODING].contains(name) || NAMES.contains(&name.as_str())
}

/// Bytes as characters, as the Fetch standard has them.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
