//! How a connection to an endpoint is made: by TCP here, by an egress stream in the guest.

use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens byte streams. The caller bounds the time and drops the future when it is over.
pub trait Dial: Send + Sync {
    /// Connects to `authority`, a `host:port` text with IPv6 addresses in brackets. TLS, where the endpoint asks for it,
    /// runs on top and is no business of the implementation.
    fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>>;
}

/// Straight TCP, with the names resolved by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
