//! The verifying proxy: plain HTTP in on loopback, attested TLS out.
//!
//! A prompt leaves this machine on attested sessions only, and an answer reaches the caller only when it verified: JSON
//! is held until then, a stream passes event by event and is cut before `[DONE]` when its end doesn't verify.
//!
//! | module | what it does |
//! |---|---|
//! | `inbound` | what a caller may ask |
//! | `nodes`, `market` | which nodes it may go to, the best first |
//! | `attempt` | one after the other, until one has answered |
//! | `pool` | attested sessions with one node |
//! | `rules` | by which rules nodes are judged |
//! | `payer` | where payments hook in |
//! | `forward`, `refusal` | the verified answer, or why there is none |

mod attempt;
pub mod command;
mod forward;
mod inbound;
mod market;
mod nodes;
mod pay;
pub mod payer;
mod pool;
mod refusal;
mod rules;

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
use tokio::task::JoinHandle;

use crate::discover::DiscoverError;
use crate::error::Class;
use crate::node_url::NodeUrl;
use crate::payment::PaymentError;
use crate::session::Limits;
use crate::trust::TrustError;
use attempt::Upstream;
pub use market::Market;
use nodes::Nodes;
use payer::Payer;
use pool::Pool;
use rules::Files;
pub use rules::Rules;

/// Connections of callers at a time; more wait.
const MAX_CONNECTIONS: usize = 256;
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long answers under way may go on after a shutdown was asked for.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
const PRUNE_INTERVAL: Duration = Duration::from_secs(15);

/// Why there is no proxy.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// Neither a node nor a model is named.
    #[error("name what to ask: --node URL or --model ID")]
    Nothing,
    /// There is no policy.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No providers can be looked for.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// Nothing can be paid.
    #[error(transparent)]
    Payment(#[from] PaymentError),
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

impl ProxyError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            ProxyError::Nothing => "arguments_invalid",
            ProxyError::Trust(error) => error.code(),
            ProxyError::Discover(error) => error.code(),
            ProxyError::Payment(error) => error.code(),
            ProxyError::NotLoopback(_) => "listen_not_loopback",
            ProxyError::Bind { .. } => "listen_failed",
        }
    }

    /// Class.
    pub fn class(&self) -> Class {
        match self {
            ProxyError::Trust(error) => error.class(),
            ProxyError::Discover(error) => error.class(),
            ProxyError::Payment(error) => error.class(),
            ProxyError::Nothing | ProxyError::NotLoopback(_) | ProxyError::Bind { .. } => Class::Usage,
        }
    }
}

/// A proxy that listens, and serves when [`Proxy::serve`] runs.
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    upstream: Upstream,
    files: Option<Files>,
}

impl Proxy {
    /// Binds `address`, which must be a loopback one, for one node.
    pub async fn bind(
        address: SocketAddr,
        node: NodeUrl,
        rules: impl Into<Rules>,
        limits: Limits,
    ) -> Result<Self, ProxyError> {
        let pool = Pool::new(node, rules.into(), limits);
        Self::bind_nodes(address, Nodes::One(Arc::new(pool))).await
    }

    /// The same for the providers of a model. They are looked at while the proxy serves; who wants to know them before
    /// calls [`Market::refresh`].
    pub async fn bind_market(address: SocketAddr, market: Arc<Market>) -> Result<Self, ProxyError> {
        Self::bind_nodes(address, Nodes::Market(market)).await
    }

    async fn bind_nodes(address: SocketAddr, nodes: Nodes) -> Result<Self, ProxyError> {
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
            upstream: Upstream {
                nodes,
                retries: 0,
                payer: None,
            },
            files: None,
        })
    }

    /// The same that sends a request again, to another node, where it was sent and nothing was answered: so many times.
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.upstream.retries = retries;
        self
    }

    /// The same that pays.
    pub fn with_payer(mut self, payer: Arc<dyn Payer>) -> Self {
        self.upstream.payer = Some(payer);
        self
    }

    /// The same that takes its rules anew where their files change.
    fn following(mut self, files: Files) -> Self {
        self.files = Some(files);
        self
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets answers under way end for a short while.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let upstream = Arc::new(self.upstream);
        let refreshing = upstream
            .nodes
            .clone_market()
            .map(|market| EndOnDrop(tokio::spawn(async move { market.follow().await })));
        let following = self.files.map(|files| EndOnDrop(tokio::spawn(files.follow())));
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        let mut flushing = Flushing::default();
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
                    upstream.nodes.prune();
                    flushing.begin(&upstream);
                    continue;
                }
                () = &mut shutdown => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors, most likely: give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let upstream = upstream.clone();
            let service = service_fn(move |request| {
                let upstream = upstream.clone();
                async move { Ok::<_, Infallible>(forward::forward(&upstream, request).await) }
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
        drop((self.listener, refreshing, following));
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await;
        let paid = async {
            flushing.end().await;
            upstream.flush().await;
        };
        let _ = tokio::time::timeout(SHUTDOWN_LIMIT, paid).await;
    }
}

/// Handing in what is owed, one round at a time.
#[derive(Default)]
struct Flushing(Option<JoinHandle<()>>);

impl Flushing {
    fn begin(&mut self, upstream: &Arc<Upstream>) {
        let is_free = self.0.as_ref().is_none_or(JoinHandle::is_finished);
        if upstream.payer.is_some() && is_free {
            let upstream = upstream.clone();
            self.0 = Some(tokio::spawn(async move { upstream.flush().await }));
        }
    }

    /// Waits for the round that is under way.
    async fn end(self) {
        if let Some(task) = self.0 {
            let _ = task.await;
        }
    }
}

struct EndOnDrop(JoinHandle<()>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
