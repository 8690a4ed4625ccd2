//! The accept loop that every port shares: connection limit, counters, draining.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::transport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::event::{Events, Field};
use crate::metrics::{Gauge, PortMetrics};

/// Pause after a failed accept; out of descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a port needs to accept.
pub(crate) struct Service<L> {
    pub(crate) listener: L,
    /// For log lines.
    pub(crate) name: String,
    pub(crate) limit: usize,
    pub(crate) metrics: Arc<PortMetrics>,
    pub(crate) events: Arc<Events>,
    /// Changes once the shim shuts down.
    pub(crate) stop: watch::Receiver<()>,
    pub(crate) drain: Duration,
}

impl<L: Accept> Service<L> {
    /// Accepts until told to stop, then waits for open connections until the drain time is over. `refuse` gets the
    /// connections over the limit and must return at once.
    pub(crate) async fn run<H, F, R, G>(self, handle: H, refuse: R)
    where
        H: Fn(L::Connection) -> F,
        F: Future<Output = ()> + Send + 'static,
        R: Fn(L::Connection) -> G,
        G: Future<Output = ()>,
    {
        let mut connections = JoinSet::new();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                // It changes once, or its sender is dropped with the shim.
                _ = stop.changed() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok(connection) if self.metrics.active.get() < self.limit => {
                        self.metrics.connections.one();
                        let entered = Gauge::enter(self.metrics.clone());
                        let handled = handle(connection);
                        connections.spawn(async move {
                            handled.await;
                            drop(entered);
                        });
                    }
                    Ok(connection) => {
                        self.metrics.over_limit.one();
                        self.event("over_limit", &[("limit", &self.limit)]);
                        refuse(connection).await;
                    }
                    Err(error) => {
                        self.event("accept_failed", &[("error", &error)]);
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(self.listener);
        let drained = timeout(self.drain, async {
            while connections.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            connections.shutdown().await;
        }
    }

    fn event(&self, event: &'static str, fields: &[Field<'_>]) {
        let port: Field<'_> = ("port", &self.name);
        self.events.caused(event, &[&[port], fields].concat());
    }
}

/// A listener, of TCP or of the boundary.
pub(crate) trait Accept {
    /// What it accepts.
    type Connection: Send + 'static;

    /// Waits for the next connection. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

impl Accept for TcpListener {
    type Connection = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Accept for transport::Listener {
    type Connection = transport::Stream;

    async fn accept(&self) -> io::Result<transport::Stream> {
        transport::Listener::accept(self).await
    }
}
