//! Why there is no attested connection, or no answer on it.

use std::io;
use std::time::Duration;

use http::StatusCode;
use jeju_attestation::rejection::Rejection;
use thiserror::Error;

/// Why there is no session, or no response.
#[derive(Debug, Error)]
pub enum Error {
    /// A check failed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The TLS session was resumed, so that no certificate was shown.
    #[error("the TLS session was resumed, which shows no evidence")]
    Resumed,
    /// The TLS handshake failed over the peer's proof of its key, or over its protocol.
    #[error("TLS: {0}")]
    TlsPeer(#[source] rustls::Error),
    /// The node refused to make a fresh quote.
    #[error("node answered the attestation challenge with status {0}")]
    ChallengeStatus(StatusCode),
    /// The node answered with a protocol that wasn't asked for.
    #[error("node switched protocols, which nobody asked for")]
    UnexpectedUpgrade,

    /// The request can't be written as HTTP.
    #[error("request: {0}")]
    Request(#[from] http::Error),
    /// rustls or the random number generator refuses to work.
    #[error("{0}")]
    Crypto(&'static str),

    /// The TLS handshake broke off.
    #[error("TLS handshake: {0}")]
    Handshake(#[source] io::Error),
    /// HTTP broke off.
    #[error("connection to the node: {0}")]
    Http(#[source] hyper::Error),
    /// The connection was closed, or its attestation too old, before anything of this request was sent: it may be
    /// sent again on another session.
    #[error("session is over")]
    SessionOver,
    /// A wait came to its end.
    #[error("{what} took longer than {} s", limit.as_secs_f32())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The node makes no fresh quotes now.
    #[error("node makes no fresh quote now, as it said {attempts} times")]
    Busy {
        /// How often it was asked.
        attempts: u32,
    },
    /// A body that is longer than is held.
    #[error("response body is longer than {0} bytes")]
    BodyTooLong(usize),
}

impl Error {
    /// Stable code, as JSON and error bodies show it.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Rejected(rejection) => rejection.code(),
            Error::Resumed => "session_resumed",
            Error::TlsPeer(_) => "tls_peer_refused",
            Error::ChallengeStatus(_) => "challenge_refused",
            Error::UnexpectedUpgrade => "unexpected_upgrade",
            Error::Request(_) => "request_invalid",
            Error::Crypto(_) => "crypto_unavailable",
            Error::Handshake(_) => "tls_handshake_failed",
            Error::Http(_) => "connection_broken",
            Error::SessionOver => "session_over",
            Error::Timeout { .. } => "timeout",
            Error::Busy { .. } => "attestation_busy",
            Error::BodyTooLong(_) => "response_too_large",
        }
    }
}

/// Waits no longer than `limit`.
///
/// # Errors
/// [`Error::Timeout`].
pub async fn within<T>(
    what: &'static str,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Error::Timeout { what, limit })
}
