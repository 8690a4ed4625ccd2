//! TLS connections to providers: the gateway reads the server name of the ClientHello, dials the provider that it means,
//! and carries bytes. It has no key of any of them, so it can cut, delay and miscount, and read nothing.
//!
//! | module | what it does |
//! |---|---|
//! | `accept` | who may come in, and until when |
//! | `addresses` | how many connections one address has |
//! | `hello` | the server name, out of the first bytes |
//! | `carry` | a connection and its target |
//! | `pump` | bytes both ways |
//! | `threads` | a core's own share of the connections |
//!
//! Routes to rentals ([`crate::ssh`], [`crate::tcp_route`], [`crate::http_route`]) are accepted and carried by the same.

mod accept;
mod addresses;
mod carry;
mod hello;
mod pump;
mod threads;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

pub use accept::{Admission, Drain};
pub use addresses::Addresses;
pub use hello::{HelloError, MAX_HELLO};
pub use pump::Carried;
pub use threads::Sockets;

pub(crate) use accept::accept;
pub(crate) use carry::{Counted, Said, carry, dial};

/// Where connections for a name go.
pub trait Directory: Send + Sync + 'static {
    /// Addresses to try, in this order, for a server name in lower case; none where nobody has the name.
    fn find(&self, name: &str) -> impl Future<Output = Vec<SocketAddr>> + Send;
}

/// Times of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time for what a client says first.
    pub hello: Duration,
    /// Time for each address that is dialled.
    pub dial: Duration,
    /// Time without a byte in either direction, after which a connection is closed: up to twice as long.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            dial: Duration::from_secs(10),
            idle: Duration::from_secs(600),
        }
    }
}

/// What a listener counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that were closed at once, because their address had too many.
    pub refused: AtomicU64,
    /// Connections that have a target now.
    pub active: AtomicU64,
    /// Connections whose first bytes named no server, or no route.
    pub no_hello: AtomicU64,
    /// Connections for a name that nobody has, or a route that isn't there or full.
    pub unknown: AtomicU64,
    /// Connections whose provider or rental couldn't be reached.
    pub unreachable: AtomicU64,
    /// Connections that broke off.
    pub broken: AtomicU64,
    /// Connections that were closed for lack of traffic.
    pub idle: AtomicU64,
    /// Bytes of connections that have ended.
    pub carried: Carried,
}

impl Counters {
    /// Connections that have a target now.
    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// Bytes that clients sent, on connections that have ended.
    pub fn bytes_in(&self) -> u64 {
        self.carried.to_provider.load(Relaxed)
    }

    /// Bytes that clients got, on connections that have ended.
    pub fn bytes_out(&self) -> u64 {
        self.carried.to_client.load(Relaxed)
    }
}

/// A listener and its connections.
pub struct Passthrough<D> {
    directory: Arc<D>,
    limits: Limits,
    counters: Arc<Counters>,
}

impl<D: Directory> Passthrough<D> {
    /// Connections go where `directory` says.
    pub fn new(directory: Arc<D>, limits: Limits) -> Self {
        Self {
            directory,
            limits,
            counters: Arc::default(),
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Accepts, on threads of its own, until `drain` asks for an end. Resolves when the connections that there are then have
    /// ended, or their time is over.
    ///
    /// # Errors
    /// When a thread can't be had.
    pub fn serve(
        self,
        sockets: Sockets,
        admission: Admission,
        drain: Drain,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let this = Arc::new(self);
        let serve = move |listener| {
            let this = this.clone();
            let (admission, drain) = (admission.clone(), drain.clone());
            async move {
                accept(listener, admission, this.counters(), drain, |client| {
                    let this = this.clone();
                    async move { this.connection(client).await }
                })
                .await;
            }
        };
        sockets.each(serve)
    }

    async fn connection(&self, mut client: TcpStream) {
        let counters = &self.counters;
        let hello = match timeout(self.limits.hello, hello::read(&mut client)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(_)) | Err(_) => {
                counters.no_hello.fetch_add(1, Relaxed);
                return;
            }
        };
        let addresses = self.directory.find(&hello.name).await;
        if addresses.is_empty() {
            counters.unknown.fetch_add(1, Relaxed);
            return;
        }
        let Some(mut provider) = dial(&addresses, self.limits.dial).await else {
            counters.unreachable.fetch_add(1, Relaxed);
            return;
        };
        let said = Said {
            client: hello.bytes,
            target: Vec::new(),
        };
        carry(&mut client, &mut provider, said, counters, self.limits.idle).await;
    }
}
