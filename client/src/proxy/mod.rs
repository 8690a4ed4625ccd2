//! The verifying proxy: plain HTTP in on loopback, attested TLS out.
//!
//! A prompt leaves this machine on attested sessions only, and an answer reaches the caller only when it verified: JSON
//! is held until then, a stream passes event by event and is cut before `[DONE]` when its end doesn't verify.

mod forward;
mod inbound;
mod pool;
mod refusal;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use crate::session::Limits;
use pool::Pool;

/// Connections of callers at a time; more wait.
const MAX_CONNECTIONS: usize = 256;
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long answers under way may go on after a shutdown was asked for.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
const PRUNE_INTERVAL: Duration = Duration::from_secs(15);

/// Why there is no proxy.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// Whoever reaches the proxy sends prompts in the user's name, and reads answers in plain text on the way.
    #[error("{0} is not a loopback address: the proxy speaks plain HTTP and serves this machine only")]
    NotLoopback(SocketAddr),
    /// The address can't be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A proxy that listens, and serves when [`Proxy::serve`] runs.
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    pool: Arc<Pool>,
}

impl Proxy {
    /// Binds `address`, which must be a loopback one.
    pub async fn bind(
        address: SocketAddr,
        node: NodeUrl,
        party: Arc<RelyingParty>,
        limits: Limits,
    ) -> Result<Self, ProxyError> {
        if !address.ip().is_loopback() {
            return Err(ProxyError::NotLoopback(address));
        }
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound
            .await
            .map_err(|source| ProxyError::Bind { address, source })?;
        Ok(Self {
            listener,
            address,
            pool: Arc::new(Pool::new(node, party, limits)),
        })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets answers under way end for a short while.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        tokio::pin!(shutdown);
        loop {
            let accept = async {
                // Never closed, so a permit always comes.
                let permit = connections.clone().acquire_owned().await.ok();
                (self.listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                accepted = accept => accepted,
                _ = prune.tick() => {
                    self.pool.prune();
                    continue;
                }
                () = &mut shutdown => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let pool = self.pool.clone();
            let service = service_fn(move |request| {
                let pool = pool.clone();
                async move { Ok::<_, Infallible>(forward::forward(&pool, request).await) }
            });
            let connection = Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // Broken connections are the caller's to notice.
                let _ = connection.await;
                drop(permit);
            });
        }
        drop(self.listener);
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await;
    }
}
