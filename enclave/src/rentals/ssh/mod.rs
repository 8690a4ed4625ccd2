//! The tenants' way in: SSH, ended inside the node. The host carries sealed packets and sees who talks to whom, no more.
//!
//! ```text
//! listener ─▶ places ─▶ connection ─▶ handler ─▶ channels ─▶ channel ─▶ attach ─▶ agent in the container
//!             who may    login's and    what is    which are   moves the  one for each
//!             connect    lease's end    asked for  open        bytes      connection
//! ```
//!
//! A user is who has a key in [`Leases`], or a [`certificate`] by one; the name says which of the key's rentals is meant. There are
//! no passwords, and nothing that a tenant types is kept or logged. Flow control goes from the process in the container to the program at
//! the client, channel by channel: who doesn't read holds up nobody else.

mod attach;
mod certificate;
mod channel;
mod channels;
mod config;
mod connection;
mod cut;
mod handler;
mod host_key;
mod inbox;
mod places;
mod rights;
mod touch;
mod window;
mod wire;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::Listener;
use russh::server::Config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

pub use host_key::HostKey;

use super::backend::ContainerBackend;
use super::lease::Leases;
use handler::Requests;
use places::Places;

/// Wait after a failed accept, so that a host that makes accepts fail can't spin this loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Accepts that may fail one after the other before the port counts as lost.
const ACCEPT_FAILURES: u32 = 200;

/// Makes the SSH library's source of random numbers ready. In a static program `getrandom` doesn't find libc's function of
/// its name and reads `/dev/urandom`, which it opens once: that must be before the process may open nothing.
pub fn open_randomness() {
    // Its first use is its seed.
    drop(russh::keys::key::safe_rng());
}

/// Serves SSH until the node ends; returns only the reason for which it can't go on. Who may log in is looked up in `leases`
/// at each login; the end of a lease or a certificate closes its connections within a second.
///
/// # Errors
/// [`FatalCode::ListenerFailed`] once connections can't be accepted any more.
pub async fn serve(
    listener: Listener,
    key: HostKey,
    leases: Arc<Leases>,
    backend: Arc<dyn ContainerBackend>,
) -> Result<Infallible, FatalCode> {
    let server = Server::new(key, leases, backend);
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failures = 0;
                server.connect(stream);
            }
            Err(_) if failures == ACCEPT_FAILURES => return Err(FatalCode::ListenerFailed),
            Err(_) => {
                failures += 1;
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The server, for streams from anywhere.
pub struct Server {
    config: Arc<Config>,
    leases: Arc<Leases>,
    backend: Arc<dyn ContainerBackend>,
    places: Arc<Places>,
}

impl Server {
    /// A server without connections.
    pub fn new(key: HostKey, leases: Arc<Leases>, backend: Arc<dyn ContainerBackend>) -> Self {
        Self {
            config: Arc::new(config::config(key)),
            leases,
            backend,
            places: Arc::default(),
        }
    }

    /// Serves a connection in a task of its own, or drops it where there is no place for it. Must be called in a tokio
    /// runtime.
    pub fn connect<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(place) = self.places.take() else {
            return;
        };
        let (leases, backend) = (self.leases.clone(), self.backend.clone());
        let requests = move |login| Requests::new(leases, backend, login);
        tokio::spawn(connection::serve(stream, self.config.clone(), requests, place));
    }
}
