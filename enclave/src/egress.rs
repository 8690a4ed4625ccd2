//! The way out: streams through the host's egress port. The node's own lead to addresses that the launch document allows
//! and no other; where workers' may lead is for [`crate::front`] to say, and for the host where it is to a public address.

use std::io;

use futures_util::future::BoxFuture;
use jeju_attestation::launch::split_authority;
use jeju_chain::{Dial, Io};
use jeju_shim_protocol::egress::{EgressLine, connect, open};
use jeju_shim_protocol::transport::GuestTransport;
use jeju_shim_protocol::{ExchangeError, Port};

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

/// Opens streams to what workers name.
pub(crate) trait TargetDial: Send + Sync {
    /// Connects as the line says. The caller bounds the time and drops the future when it is over.
    fn dial<'a>(&'a self, line: &'a EgressLine) -> BoxFuture<'a, Result<Box<dyn Io>, ExchangeError>>;
}

/// Dials through the host whatever it is asked to.
pub(crate) struct TargetEgress(pub(crate) GuestTransport);

impl TargetDial for TargetEgress {
    fn dial<'a>(&'a self, line: &'a EgressLine) -> BoxFuture<'a, Result<Box<dyn Io>, ExchangeError>> {
        Box::pin(async move {
            let mut stream = self.0.dial(Port::Egress).await?;
            open(&mut stream, line).await?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
