//! Connections: opened through the host, with TLS where the URL says so, and kept for their owner's next request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jeju_chain::Io;
use jeju_shim_protocol::ExchangeError;
use jeju_shim_protocol::egress::Host;
use jeju_shim_protocol::line::ErrorCode;
use jeju_worker_protocol::Failure;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::body::Outgoing;
use super::destination::Destination;
use super::{failed, refused};
use crate::egress::TargetDial;

/// Longest head of an answer, in bytes, and its most fields.
const MAX_HEAD: usize = 64 * 1024;
const MAX_FIELDS: usize = 128;
/// How long a connection that has just been used may take until it can take another request.
const SETTLE: Duration = Duration::from_millis(100);
/// Idle connections of one owner.
const IDLE_PER_OWNER: usize = 16;

/// Opens connections.
pub(super) struct Connector {
    dial: Arc<dyn TargetDial>,
    tls: TlsConnector,
    patience: Duration,
}

/// An open connection, which ends when this is dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Outgoing>,
    /// Whether it carried a request before.
    pub(super) waited: bool,
    _task: EndOnDrop,
}

struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connector {
    pub(super) fn new(dial: Arc<dyn TargetDial>, tls: &ClientConfig, patience: Duration) -> Self {
        let mut tls = tls.clone();
        // A ticket would tell a server that two owners' workers run on one node.
        tls.resumption = Resumption::disabled();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            dial,
            tls: Arc::new(tls).into(),
            patience,
        }
    }

    /// Connects, within its time.
    pub(super) async fn open(&self, to: &Destination) -> Result<Connection, Failure> {
        let connecting = timeout(self.patience, self.connect(to));
        connecting
            .await
            .unwrap_or_else(|_| Err(failed(format!("{} doesn't answer in time", to.line.target))))
    }

    async fn connect(&self, to: &Destination) -> Result<Connection, Failure> {
        let target = &to.line.target;
        let stream = self.dial.dial(&to.line).await;
        let stream = stream.map_err(|error| not_connected(&error, to))?;
        if !to.is_secure {
            return speak_http(stream, to).await;
        }
        let name = match &target.host {
            Host::Ip(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
                .map_err(|_| failed(format!("{target} has no name for a certificate")))?,
        };
        match self.tls.connect(name, stream).await {
            Ok(stream) => speak_http(stream, to).await,
            Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(_)) => failed(format!(
                    "the certificate of {target} isn't one that the web trusts"
                )),
                Some(_) => failed(format!("{target} and this node don't agree on TLS")),
                None => failed(format!("{target} broke off the connection")),
            }),
        }
    }
}

fn not_connected(error: &ExchangeError, to: &Destination) -> Failure {
    let target = &to.line.target;
    match error {
        ExchangeError::Refused(ErrorCode::NotPublic) => {
            refused(format!("{target} may not be fetched: its address isn't public"))
        }
        ExchangeError::Refused(ErrorCode::Denied) => refused(format!(
            "{target} may not be fetched: the node's host doesn't let it out"
        )),
        ExchangeError::Refused(ErrorCode::Busy) => {
            failed("the node's host has no room for another connection")
        }
        ExchangeError::Refused(ErrorCode::Timeout) => failed(format!("{target} doesn't answer in time")),
        _ => failed(format!("{target} can't be reached")),
    }
}

async fn speak_http(stream: impl Io + 'static, to: &Destination) -> Result<Connection, Failure> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| failed(format!("{} broke off the connection", to.line.target)))?;
    let task = tokio::spawn(async move {
        // Its end reaches whoever waits for the answer.
        let _ = connection.await;
    });
    Ok(Connection {
        sender,
        waited: false,
        _task: EndOnDrop(task.abort_handle()),
    })
}

/// Idle connections of one owner.
pub(super) struct Idle {
    kept: Mutex<Vec<Kept>>,
    /// Of all owners.
    places: Arc<Semaphore>,
    keep: Duration,
}

struct Kept {
    to: Destination,
    connection: Connection,
    since: Instant,
    _place: OwnedSemaphorePermit,
}

impl Idle {
    pub(super) fn new(places: Arc<Semaphore>, keep: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            places,
            keep,
        }
    }

    /// A connection there that can take a request, as far as this end knows.
    pub(super) async fn take(&self, to: &Destination) -> Option<Connection> {
        while let Some(mut connection) = self.newest(to) {
            if matches!(timeout(SETTLE, connection.sender.ready()).await, Ok(Ok(()))) {
                connection.waited = true;
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer came to its end, if there is room.
    pub(super) fn put(&self, to: Destination, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return;
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == IDLE_PER_OWNER {
            kept.remove(0);
        }
        kept.push(Kept {
            to,
            connection,
            since: Instant::now(),
            _place: place,
        });
    }

    /// Drops those that have waited for too long, or were closed; whether any are left.
    pub(super) fn sweep(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.since.elapsed() < self.keep && !one.connection.sender.is_closed());
        !kept.is_empty()
    }

    fn newest(&self, to: &Destination) -> Option<Connection> {
        self.sweep();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|one| one.to == *to)?;
        Some(kept.remove(at).connection)
    }
}
