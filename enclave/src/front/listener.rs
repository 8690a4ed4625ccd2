//! Accepts connections, ends TLS, and hands each request to [`super::exchange`].
//!
//! Everything below TLS is carried by the host, which may cut, delay, flood or garble: each wait is bounded, the count
//! of connections is bounded, and a failed handshake costs its own connection only.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jeju_attestation::response;
use jeju_attested_tls::PEER_ALPN;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::{Listener, Stream};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Node;
use super::exchange::{self, Surface};
use super::peers::Peers;
use super::stall::Unstalled;

/// Connections at a time; further ones wait in the listener's queue.
const CONNECTIONS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a request's head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(60);
/// How long a client may take no byte of its answer.
const STALL: Duration = Duration::from_secs(60);
/// Longest request head, in bytes.
const HEAD_LEN: usize = 64 * 1024;
/// Wait after a failed accept, so that a host that makes accepts fail can't spin this loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Accepts that may fail one after the other before the port counts as lost.
const ACCEPT_FAILURES: u32 = 200;
/// Number of the next connection.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What a port accepts.
pub(super) struct Service {
    /// TLS for clients, who speak HTTP.
    pub(super) http: Arc<ServerConfig>,
    /// Which routes they get.
    pub(super) surface: Surface,
    /// What every request can reach.
    pub(super) node: Arc<Node>,
    /// TLS for peers, and who serves them, where the port has them.
    pub(super) peers: Option<(Arc<ServerConfig>, Arc<Peers>)>,
}

pub(super) async fn serve(listener: Listener, service: Service) -> Result<Infallible, FatalCode> {
    let service = Arc::new(service);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut failures = 0;
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| FatalCode::Internal)?;
        match listener.accept().await {
            Ok(stream) => {
                failures = 0;
                let service = service.clone();
                tokio::spawn(async move {
                    // Every way in which a connection ends is the peer's or the host's doing.
                    let _ = connection(stream, &service, place).await;
                });
            }
            Err(_) if failures == ACCEPT_FAILURES => return Err(FatalCode::ListenerFailed),
            Err(_) => {
                failures += 1;
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: Stream, service: &Service, place: OwnedSemaphorePermit) -> io::Result<()> {
    let (tls, peers) = timeout(HANDSHAKE, handshake(stream, service))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    match peers {
        // Peers have places of their own: clients who take all of theirs don't part the signers.
        Some(peers) => {
            drop(place);
            peers.accept(tls).await;
            Ok(())
        }
        None => {
            serve_http(tls, service).await?;
            drop(place);
            Ok(())
        }
    }
}

/// The protocol that the other end offers decides what it gets: a peer must show a certificate of its own.
async fn handshake(stream: Stream, service: &Service) -> io::Result<(TlsStream<Stream>, Option<Arc<Peers>>)> {
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let offers_peer = hello
        .client_hello()
        .alpn()
        .is_some_and(|mut offered| offered.any(|protocol| protocol == PEER_ALPN));
    match &service.peers {
        Some((config, peers)) if offers_peer => {
            Ok((hello.into_stream(config.clone()).await?, Some(peers.clone())))
        }
        _ => Ok((hello.into_stream(service.http.clone()).await?, None)),
    }
}

async fn serve_http(tls: TlsStream<Stream>, service: &Service) -> io::Result<()> {
    let tls = Tls(Arc::new(Mutex::new(tls)));
    let connection = Arc::new(Connection {
        channel: response::channel(&tls.export(&[])?),
        surface: service.surface,
        number: NUMBER.fetch_add(1, Relaxed),
        tls: tls.clone(),
    });
    let node = service.node.clone();
    let service = service_fn(move |request| {
        let (node, connection) = (node.clone(), connection.clone());
        async move { Ok::<_, Infallible>(exchange::answer(&node, &connection, request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_LEN)
        .serve_connection(TokioIo::new(Unstalled::new(tls, STALL)), service)
        .await
        .map_err(io::Error::other)
}

/// What requests of one connection share.
pub(super) struct Connection {
    /// `Jeju-Channel` of every response on it.
    pub(super) channel: [u8; 32],
    /// Which port it came to.
    pub(super) surface: Surface,
    /// Tells it from the node's other connections.
    pub(super) number: u64,
    tls: Tls,
}

impl Connection {
    /// `channel` of claims for this nonce: exported from this very connection, never taken from outside.
    pub(super) fn challenge(&self, nonce: &[u8; 32]) -> io::Result<[u8; 32]> {
        Ok(response::challenge_channel(&self.tls.export(nonce)?))
    }
}

/// The TLS stream, which HTTP reads and writes and from which handlers export keying material.
#[derive(Clone)]
struct Tls(Arc<Mutex<TlsStream<Stream>>>);

impl Tls {
    fn export(&self, context: &[u8]) -> io::Result<[u8; 32]> {
        let tls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jeju_attested_tls::exporter(tls.get_ref().1, context).map_err(io::Error::other)
    }

    fn with<T>(&self, poll: impl FnOnce(Pin<&mut TlsStream<Stream>>) -> T) -> T {
        poll(Pin::new(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|tls| tls.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|tls| tls.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tls| tls.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tls| tls.poll_shutdown(cx))
    }
}
