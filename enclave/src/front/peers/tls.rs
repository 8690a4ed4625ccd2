//! A TLS connection with a peer, shared by who reads, who writes and who exports keying material.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use jeju_attestation::rejection::Rejection;
use jeju_attestation::response::challenge_channel;
use jeju_attested_tls::{exporter, peer_key};
use jeju_chain::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// What is needed of a connection, whichever end this is and whatever carries it.
trait Attested: AsyncRead + AsyncWrite + Send + Unpin {
    fn key(&self) -> Result<[u8; 32], Rejection>;
    fn export(&self, context: &[u8]) -> Result<[u8; 32], rustls::Error>;
}

impl<S: Io> Attested for TlsStream<S> {
    fn key(&self) -> Result<[u8; 32], Rejection> {
        peer_key(self.get_ref().1)
    }

    fn export(&self, context: &[u8]) -> Result<[u8; 32], rustls::Error> {
        match self {
            TlsStream::Client(stream) => exporter(stream.get_ref().1, context),
            TlsStream::Server(stream) => exporter(stream.get_ref().1, context),
        }
    }
}

/// One connection; clones share it.
#[derive(Clone)]
pub(super) struct Tls(Arc<Mutex<Box<dyn Attested>>>);

impl Tls {
    pub(super) fn new<S: Io + 'static>(stream: TlsStream<S>) -> Self {
        Self(Arc::new(Mutex::new(Box::new(stream))))
    }

    /// SHA-256 of the key that the other end proved to hold.
    pub(super) fn peer_key(&self) -> Result<[u8; 32], Rejection> {
        self.with(|tls| tls.key())
    }

    /// `channel` of claims for this nonce: exported from this very connection, never taken from outside.
    pub(super) fn challenge(&self, nonce: &[u8; 32]) -> io::Result<[u8; 32]> {
        let exported = self.with(|tls| tls.export(nonce)).map_err(io::Error::other)?;
        Ok(challenge_channel(&exported))
    }

    fn with<T>(&self, act: impl FnOnce(&mut dyn Attested) -> T) -> T {
        act(&mut **self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|tls| Pin::new(tls).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|tls| Pin::new(tls).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tls| Pin::new(tls).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|tls| Pin::new(tls).poll_shutdown(cx))
    }
}
