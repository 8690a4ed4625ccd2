//! The SSH server of a rental. Its place stands on chain, where a provider may write any: so only public addresses are dialled,
//! and no byte of a client goes there before the other end has said that it speaks SSH. A gateway that anybody can point
//! anywhere would be a relay for whatever waits to be spoken to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::names::Resolver;
use crate::passthrough::dial;
use crate::routes::Session;

/// Longest version line of a server (RFC 4253 §4.2), in bytes, with its end.
pub const MAX_VERSION: usize = 255;

/// Finds rentals' SSH servers.
pub struct Targets {
    resolver: Arc<Resolver>,
    /// For each address, and for the server's first line.
    patience: Duration,
}

/// A rental's SSH server.
pub(crate) struct Target {
    pub(crate) stream: TcpStream,
    /// What it said already: the version line, and perhaps more.
    pub(crate) version: Vec<u8>,
}

impl Targets {
    /// By addresses that `resolver` lets through; `patience` for each of them, and for the server's first line.
    pub fn new(resolver: Arc<Resolver>, patience: Duration) -> Self {
        Self { resolver, patience }
    }

    /// The SSH server that a route leads to.
    pub(crate) async fn reach(&self, session: &Session) -> Option<Target> {
        let asked = &session.route().asked;
        self.reach_at(&asked.target_host, asked.target_port).await
    }

    /// The SSH server of this host and port, as they stand on chain.
    pub(crate) async fn reach_at(&self, host: &str, port: u16) -> Option<Target> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = self.resolver.addresses(host).await;
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect();
        let mut stream = dial(&addresses, self.patience).await?;
        let version = timeout(self.patience, version(&mut stream)).await.ok()??;
        Some(Target { stream, version })
    }
}

/// Reads until a line is whole that begins as a version does.
async fn version(stream: &mut TcpStream) -> Option<Vec<u8>> {
    const WORD: &[u8] = b"SSH-2.0-";
    let mut said = Vec::with_capacity(MAX_VERSION);
    loop {
        let is_so_far = said.iter().zip(WORD).all(|(found, wanted)| found == wanted);
        if !is_so_far {
            return None;
        }
        if said.len() > WORD.len() && said.contains(&b'\n') {
            return Some(said);
        }
        let left = (MAX_VERSION - said.len()) as u64;
        if left == 0 || stream.take(left).read_buf(&mut said).await.ok()? == 0 {
            return None;
        }
    }
}
