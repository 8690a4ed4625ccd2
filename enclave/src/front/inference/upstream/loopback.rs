//! An upstream on the guest's own loopback: TCP without TLS, which nobody outside the guest can listen in on.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use super::connect::{Connect, ConnectError, Connection, speak_http};

/// Connects to a port. The sandbox leaves the front those of the launch document and no others.
pub(super) struct Loopback {
    address: SocketAddr,
}

impl Loopback {
    pub(super) fn new(port: u16) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
        }
    }
}

impl Connect for Loopback {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, ConnectError>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.address).await;
            let stream = stream.map_err(|_| ConnectError::Unreachable)?;
            // A request is one write, and nothing is to wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            let (sender, work) = speak_http(stream).await?;
            Ok(Connection {
                sender,
                work,
                session: None,
            })
        })
    }
}
