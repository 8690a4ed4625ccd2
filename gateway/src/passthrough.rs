//! TLS connections to providers: the gateway reads the server name of the ClientHello, dials the provider that it means,
//! and carries bytes. It has no key of any of them, so it can cut, delay and miscount, and read nothing.
//!
//! | module | what it does |
//! |---|---|
//! | `hello` | the server name, out of the first bytes |
//! | `pump` | bytes both ways |

mod hello;
mod pump;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use hello::{HelloError, MAX_HELLO};
pub use pump::Carried;

use pump::End;

/// Wait after a failed accept: descriptors may be short.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Where connections for a name go.
pub trait Directory: Send + Sync + 'static {
    /// Addresses to try, in this order, for a server name in lower case; none where nobody has the name.
    fn find(&self, name: &str) -> impl Future<Output = Vec<SocketAddr>> + Send;
}

/// Bounds of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// Time for the ClientHello.
    pub hello: Duration,
    /// Time for each address that is dialled.
    pub dial: Duration,
    /// Time without a byte in either direction, after which a connection is closed: up to twice as long.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
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
    /// Connections that have a provider now.
    pub active: AtomicU64,
    /// Connections whose first bytes named no server.
    pub no_hello: AtomicU64,
    /// Connections for a name that nobody has.
    pub unknown: AtomicU64,
    /// Connections whose provider couldn't be reached.
    pub unreachable: AtomicU64,
    /// Connections that broke off.
    pub broken: AtomicU64,
    /// Connections that were closed for lack of traffic.
    pub idle: AtomicU64,
    /// Bytes of connections that have ended.
    pub carried: Carried,
}

impl Counters {
    /// Connections that have a provider now.
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

    /// Accepts until `drain` says true, and then waits for the connections that there are, `patience` at most.
    pub async fn serve(self, listener: TcpListener, mut drain: watch::Receiver<bool>, patience: Duration) {
        let most = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let places = Arc::new(Semaphore::new(most as usize));
        let this = Arc::new(self);
        let accept = async {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else {
                    return;
                };
                match listener.accept().await {
                    Ok((client, _)) => {
                        this.counters.accepted.fetch_add(1, Relaxed);
                        let this = this.clone();
                        tokio::spawn(async move {
                            this.connection(client).await;
                            drop(place);
                        });
                    }
                    Err(_) => sleep(ACCEPT_RETRY).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            _ = drain.wait_for(|drain| *drain) => {}
        }
        drop(listener);
        let _ = timeout(patience, places.acquire_many(most)).await;
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
        let Some(provider) = self.dial(&addresses).await else {
            counters.unreachable.fetch_add(1, Relaxed);
            return;
        };
        counters.active.fetch_add(1, Relaxed);
        match self.carry(&client, &provider, hello.bytes).await {
            Ok(End::Done) => {}
            Ok(End::Idle) => drop(counters.idle.fetch_add(1, Relaxed)),
            Ok(End::Broken) | Err(_) => drop(counters.broken.fetch_add(1, Relaxed)),
        }
        counters.active.fetch_sub(1, Relaxed);
    }

    async fn dial(&self, addresses: &[SocketAddr]) -> Option<TcpStream> {
        for address in addresses {
            if let Ok(Ok(provider)) = timeout(self.limits.dial, TcpStream::connect(address)).await {
                return Some(provider);
            }
        }
        None
    }

    async fn carry(&self, client: &TcpStream, provider: &TcpStream, first: Vec<u8>) -> io::Result<End> {
        client.set_nodelay(true)?;
        provider.set_nodelay(true)?;
        let carried = Carried::default();
        let told = timeout(self.limits.idle, pump::write(provider, &first)).await;
        told.map_err(|_| io::ErrorKind::TimedOut)??;
        carried.to_provider.fetch_add(first.len() as u64, Relaxed);
        drop(first);
        let end = pump::pump(client, provider, &carried, self.limits.idle).await;
        let all = &self.counters.carried;
        all.to_provider
            .fetch_add(carried.to_provider.load(Relaxed), Relaxed);
        all.to_client.fetch_add(carried.to_client.load(Relaxed), Relaxed);
        Ok(end)
    }
}
