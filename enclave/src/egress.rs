//! The way out: streams through the host's egress port, to addresses that the launch document allows and no other.

use std::io;

use futures_util::future::BoxFuture;
use jeju_attestation::launch::split_authority;
use jeju_chain::{Dial, Io};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::egress::connect;
use jeju_shim_protocol::transport::GuestTransport;

/// Dials through the host. The host has a list of its own; this one is measured.
pub(crate) struct Egress {
    transport: GuestTransport,
    allow: Vec<String>,
}

impl Egress {
    /// `allow` holds the launch document's `host:port` entries.
    pub(crate) fn new(transport: GuestTransport, allow: Vec<String>) -> Self {
        Self { transport, allow }
    }
}

impl Dial for Egress {
    fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let allowed = self.allow.iter().any(|entry| entry == authority);
            let (host, port) = split_authority(authority)
                .filter(|_| allowed)
                .ok_or(io::ErrorKind::PermissionDenied)?;
            let mut stream = self.transport.dial(Port::Egress).await?;
            connect(&mut stream, host, port)
                .await
                .map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
