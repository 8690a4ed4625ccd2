//! HTTP with the host's port 5002: one connection a request, and a limit on everything that comes back.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::docker::answer::{self, AnswerError, Failure};
use jeju_shim_protocol::docker::{ContainerName, ExecId, Refusal, Request};
use jeju_shim_protocol::transport::{GuestTransport, Stream};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::filter::Admitted;
use super::text::printable;
use crate::rentals::backend::BackendError;

/// Longest head of an answer in bytes, and most fields in it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;
/// Longest body of an answer that says why not.
const MAX_FAILURE: usize = 64 * 1024;
/// Longest text of the host's that is shown, in bytes.
const MAX_REASON: usize = 400;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The filter doesn't take it.
    #[error("{0}")]
    NotAdmitted(#[from] Refusal),
    /// Nothing listens.
    #[error("port 5002: {0}")]
    Dial(#[source] io::Error),
    /// What came is no HTTP answer, or stopped in the middle.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// What came is no answer to this call.
    #[error("{0}")]
    Unexpected(&'static str),
    /// What came is too long.
    #[error("the answer is too long")]
    TooLong,
    /// The body isn't what this call is answered with.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// The call was refused or failed.
    #[error("status {status}: {}", failure.message)]
    Failed {
        /// HTTP status.
        status: u16,
        /// Code, and printable text of bounded length.
        failure: Failure,
    },
    /// Not in time.
    #[error("no answer in time")]
    TimedOut,
}

impl CallError {
    /// Whether the engine says that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        self.is_status(404)
    }

    /// Whether the engine says that something else is in the way.
    pub(super) fn is_conflict(&self) -> bool {
        self.is_status(409)
    }

    /// Whether the engine says that it may not do it now, such as remove a network in use.
    pub(super) fn is_forbidden(&self) -> bool {
        self.is_status(403)
    }

    fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Failed { status, failure } if *status == wanted && failure.code == ENGINE)
    }
}

/// Code of a failure that the engine itself reported.
const ENGINE: &str = "docker_engine";

impl From<CallError> for BackendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut => Self::TimedOut,
            CallError::NotAdmitted(refusal) => Self::Refused(refusal.message),
            not_found if not_found.is_not_found() => Self::NotFound,
            CallError::Failed { status, failure } => match failure.code == ENGINE || status < 500 {
                true => Self::Refused(failure.message),
                // The shim's own: it can't reach the engine, or doesn't understand it.
                false => Self::Unavailable(failure.message),
            },
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The engine behind the shim.
#[derive(Debug, Clone)]
pub(super) struct Client {
    transport: GuestTransport,
}

impl Client {
    pub(super) fn new(transport: GuestTransport) -> Self {
        Self { transport }
    }

    /// A call whose answer says no more than that it was done.
    pub(super) async fn call(&self, request: &Request, limit: Duration) -> Result<(), CallError> {
        self.ask(request, None, limit).await.map(|_| ())
    }

    /// A call with a document for an answer.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<T, CallError> {
        Ok(answer::read(&self.ask(request, None, limit).await?)?)
    }

    /// Unpacks an archive in a container.
    pub(super) async fn put(
        &self,
        name: ContainerName,
        archive: Bytes,
        limit: Duration,
    ) -> Result<(), CallError> {
        let request = Request::PutArchive { name };
        self.ask(&request, Some(archive), limit).await.map(|_| ())
    }

    /// A call whose answer comes bit by bit. `limit` is for its head.
    pub(super) async fn stream(&self, request: &Request, limit: Duration) -> Result<Body, CallError> {
        in_time(limit, async {
            let (response, driver) = self.send(&Admitted::of(request, None)?, false).await?;
            done(response, driver).await
        })
        .await
    }

    /// Starts an exec: the connection behind the answer, and what came with its head already.
    pub(super) async fn upgrade(&self, id: ExecId, limit: Duration) -> Result<(Stream, Bytes), CallError> {
        in_time(limit, async {
            let request = Admitted::of(&Request::StartExec { id }, None)?;
            let (mut response, driver) = self.send(&request, true).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                done(response, driver).await?;
                return Err(CallError::Unexpected("the connection was not handed over"));
            }
            let upgraded = hyper::upgrade::on(&mut response).await?;
            let parts = upgraded
                .downcast::<TokioIo<Stream>>()
                .map_err(|_| CallError::Unexpected("the connection is another one"))?;
            Ok((parts.io.into_inner(), parts.read_buf))
        })
        .await
    }

    async fn ask(
        &self,
        request: &Request,
        archive: Option<Bytes>,
        limit: Duration,
    ) -> Result<Bytes, CallError> {
        in_time(limit, async {
            let (response, driver) = self.send(&Admitted::of(request, archive)?, false).await?;
            done(response, driver).await?.whole(answer::MAX_ANSWER).await
        })
        .await
    }

    async fn send(
        &self,
        request: &Admitted,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Driver), CallError> {
        let stream = self.transport.dial(Port::Docker).await.map_err(CallError::Dial)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = Driver(tokio::spawn(async move {
            // Its end reaches whoever waits for the answer.
            let _ = connection.with_upgrades().await;
        }));
        let mut message = http::Request::builder()
            .method(request.method())
            .uri(request.target())
            .header(header::HOST, "docker");
        if let Some(content_type) = request.content_type() {
            message = message.header(header::CONTENT_TYPE, content_type);
        }
        if upgrade {
            message = message
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "tcp");
        }
        let message = message
            .body(Full::new(request.body()))
            .map_err(|_| CallError::Unexpected("the request makes no HTTP"))?;
        Ok((sender.send_request(message).await?, driver))
    }
}

/// The body of an answer that says yes.
async fn done(response: Response<Incoming>, driver: Driver) -> Result<Body, CallError> {
    let status = response.status();
    let body = Body {
        incoming: response.into_body(),
        _driver: driver,
    };
    // 304: it is so already.
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(body);
    }
    let said = body.whole(MAX_FAILURE).await?;
    let failure: Failure = answer::read(&said).unwrap_or(Failure {
        code: String::new(),
        message: "no reason was given".to_owned(),
    });
    Err(CallError::Failed {
        status: status.as_u16(),
        failure: Failure {
            code: printable(&failure.code, 64),
            message: printable(&failure.message, MAX_REASON),
        },
    })
}

/// A body that still comes.
pub(super) struct Body {
    incoming: Incoming,
    _driver: Driver,
}

impl Body {
    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        while let Some(frame) = self.incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn whole(self, limit: usize) -> Result<Bytes, CallError> {
        let Self { incoming, _driver } = self;
        match Limited::new(incoming, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLong),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(error) => CallError::Http(*error),
                Err(_) => CallError::Unexpected("the answer has no body"),
            }),
        }
    }
}

/// The task that moves a connection's bytes. The connection ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives up at the limit.
pub(super) async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    timeout(limit, call).await.unwrap_or(Err(CallError::TimedOut))
}
