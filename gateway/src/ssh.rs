//! The SSH proxy: a client names a route, and the gateway carries bytes to the rental's SSH server, which asks for the
//! renter's key. SSH is between client and enclave: a gateway that leads elsewhere gets no further than the host key.
//!
//! A client says `SSH-CONNECT <route id>\r\n` first, as clients of the first Jeju Compute do, and gets `SSH-OK\r\n` or
//! `SSH-ERROR: <reason>\r\n`. What it says behind that line before the answer comes isn't lost.
//!
//! A client that speaks SSH itself logs in as a route instead: `ssh -J <route id>@gateway user@rental`.
//!
//! | module | what it does |
//! |---|---|
//! | `preamble` | the client's first line |
//! | `jump` | `ssh -J` |
//! | `host_key` | the key by which that knows the gateway |
//! | `target` | the rental's SSH server, if that is one |

mod host_key;
mod jump;
mod preamble;
mod target;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::passthrough::{Admission, Counters, Drain, Limits, Said, accept, carry};
use crate::routes::{RouteError, RouteKind, Routes, Session};

pub use host_key::{FILE as HOST_KEY_FILE, HostKey};
pub(crate) use jump::CutOnDrop;
pub use preamble::{Asked, MAX_LINE, read as read_preamble};
pub(crate) use target::Target;
pub use target::{MAX_VERSION, Targets};

use jump::Jump;

/// How long a client that was refused may take to close, and how much of what it says is read meanwhile: a connection that is
/// closed with unread bytes loses the answer.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_LEN: u64 = 64 * 1024;

/// A listener, and its connections.
pub struct SshProxy {
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    limits: Limits,
    counters: Arc<Counters>,
    jump: Jump,
}

impl SshProxy {
    /// Of these routes. `ssh -J` knows it by `key`.
    pub fn new(key: HostKey, routes: Arc<Routes>, targets: Arc<Targets>, limits: Limits) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            jump: Jump::new(key, routes.clone(), targets.clone(), counters.clone()),
            routes,
            targets,
            limits,
            counters,
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Accepts until `drain` asks for an end, and then waits for the connections that there are.
    pub async fn serve(self, listener: TcpListener, admission: Admission, drain: Drain) {
        let this = Arc::new(self);
        let counters = this.counters();
        accept(listener, admission, counters, drain, |client| {
            let this = this.clone();
            async move { this.connection(client).await }
        })
        .await;
    }

    async fn connection(&self, mut client: TcpStream) {
        let asked = match timeout(self.limits.hello, preamble::read(&mut client)).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(_)) | Err(_) => {
                self.counters.no_hello.fetch_add(1, Relaxed);
                return;
            }
        };
        let (route, rest) = match asked {
            Asked::Route(route, rest) => (route, rest),
            Asked::Ssh(first) => {
                // However it ends, it is the client's or the rental's doing.
                let _ = self.jump.serve(client, first).await;
                return;
            }
            Asked::Nothing => {
                self.counters.no_hello.fetch_add(1, Relaxed);
                return refuse(client, "Route ID required").await;
            }
        };
        let session = match route.and_then(|route| self.routes.open(&route, RouteKind::Ssh)) {
            Ok(session) => session,
            Err(error) => {
                self.counters.unknown.fetch_add(1, Relaxed);
                return refuse(client, &said(error).to_string()).await;
            }
        };
        let Some(Target { mut stream, version }) = self.targets.reach(&session).await else {
            self.counters.unreachable.fetch_add(1, Relaxed);
            return refuse(client, "Rental not reachable").await;
        };
        let said = Said {
            client: rest,
            target: [&b"SSH-OK\r\n"[..], &version].concat(),
        };
        within(
            &session,
            carry(&mut client, &mut stream, said, &self.counters, self.limits.idle),
        )
        .await;
    }
}

/// What clients are told: a route of another kind isn't there, for who asks here.
pub(crate) fn said(error: RouteError) -> RouteError {
    match error {
        RouteError::OtherKind => RouteError::NotFound,
        other => other,
    }
}

/// Carries no longer than the route lasts.
pub(crate) async fn within(session: &Session, carry: impl Future<Output = ()>) {
    tokio::select! {
        () = carry => {}
        () = session.over() => {}
    }
}

async fn refuse(mut client: TcpStream, reason: &str) {
    let farewell = async {
        client
            .write_all(format!("SSH-ERROR: {reason}\r\n").as_bytes())
            .await?;
        client.shutdown().await?;
        tokio::io::copy(&mut client.take(FAREWELL_LEN), &mut tokio::io::sink()).await
    };
    let _ = timeout(FAREWELL, farewell).await;
}
