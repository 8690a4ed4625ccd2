//! Why a node was refused, or not reached.

use std::io;
use std::time::Duration;

use http::StatusCode;
use jeju_attestation::policy::PolicyError;
use jeju_attestation::rejection::{self, Rejection};
use jeju_chain::{ConfigError, GuardError, ReadError};
use serde_json::{Value, json};
use thiserror::Error;

/// What an error says, and so what a caller does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The user's own input is wrong; nothing was asked of the node.
    Usage,
    /// Genuine, but not what the policy allows.
    Policy,
    /// Not genuine, not bound to this connection or request, or malformed.
    Evidence,
    /// Genuine once, but too old.
    Stale,
    /// The node or the chain could not be reached, or gave up half-way.
    Network,
}

impl Class {
    /// Name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Usage => "usage",
            Class::Policy => "policy",
            Class::Evidence => "evidence",
            Class::Stale => "stale",
            Class::Network => "network",
        }
    }

    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Class::Usage => 1,
            Class::Policy => 2,
            Class::Evidence => 3,
            Class::Stale => 4,
            Class::Network => 5,
        }
    }
}

impl From<rejection::Class> for Class {
    fn from(class: rejection::Class) -> Self {
        match class {
            rejection::Class::Policy => Class::Policy,
            rejection::Class::Evidence => Class::Evidence,
            rejection::Class::Stale => Class::Stale,
        }
    }
}

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

    /// Not `https://host[:port]`.
    #[error("{0:?} is not a node URL: https://host:port is expected")]
    NodeUrl(String),
    /// The policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy's chain endpoints can't be used.
    #[error("policy, registry.rpc: {0}")]
    ChainConfig(#[from] ConfigError),
    /// The request can't be written as HTTP.
    #[error("request: {0}")]
    Request(#[from] http::Error),
    /// rustls or the random number generator refuses to work.
    #[error("{0}")]
    Crypto(&'static str),

    /// No connection.
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        /// `host:port` of the node.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
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
    #[error("{what} took longer than {}", seconds(*limit))]
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
    /// The chain couldn't be read.
    #[error("chain: {0}")]
    Chain(#[from] ReadError),
    /// The endpoints serve another chain.
    #[error("the RPC endpoints serve chain {found}, the policy names {wanted}")]
    OtherChain {
        /// What they say.
        found: u64,
        /// What the policy says.
        wanted: u64,
    },
    /// The endpoints show a chain that has gone back, or stands still.
    #[error("{0}")]
    ChainRefused(GuardError),
}

impl From<GuardError> for Error {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Read(error) => Error::Chain(error),
            GuardError::OtherChain { found, wanted } => Error::OtherChain { found, wanted },
            other => Error::ChainRefused(other),
        }
    }
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
            Error::NodeUrl(_) => "node_url_invalid",
            Error::Policy(_) | Error::ChainConfig(_) => "policy_invalid",
            Error::Request(_) => "request_invalid",
            Error::Crypto(_) => "crypto_unavailable",
            Error::Connect { .. } => "node_unreachable",
            Error::Handshake(_) => "tls_handshake_failed",
            Error::Http(_) => "connection_broken",
            Error::SessionOver => "session_over",
            Error::Timeout { .. } => "timeout",
            Error::Busy { .. } => "attestation_busy",
            Error::BodyTooLong(_) => "response_too_large",
            Error::Chain(_) => "chain_unreadable",
            Error::OtherChain { .. } => "rpc_other_chain",
            Error::ChainRefused(_) => "chain_refused",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            Error::Rejected(rejection) => rejection.class().into(),
            Error::Resumed | Error::TlsPeer(_) | Error::ChallengeStatus(_) | Error::UnexpectedUpgrade => {
                Class::Evidence
            }
            Error::NodeUrl(_)
            | Error::Policy(_)
            | Error::ChainConfig(_)
            | Error::Request(_)
            | Error::Crypto(_) => Class::Usage,
            Error::Connect { .. }
            | Error::Handshake(_)
            | Error::Http(_)
            | Error::SessionOver
            | Error::Timeout { .. }
            | Error::Busy { .. }
            | Error::BodyTooLong(_)
            | Error::Chain(_)
            | Error::OtherChain { .. }
            | Error::ChainRefused(_) => Class::Network,
        }
    }

    /// The refusal as `--json` prints it.
    pub fn json(&self) -> Value {
        json!({
            "status": "contraindicated",
            "code": self.code(),
            "class": self.class().name(),
            "message": self.to_string(),
        })
    }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let stale = Error::from(Rejection::Stale { age: 2, max: 1 });
        assert_eq!((stale.class().exit_code(), stale.code()), (4, "evidence_stale"));
        assert_eq!(Error::from(Rejection::Nonce).class().exit_code(), 3);
        assert_eq!(Error::from(Rejection::ChannelRequired).class().exit_code(), 2);
        assert_eq!(Error::SessionOver.class().exit_code(), 5);
        assert_eq!(Error::NodeUrl(String::new()).class().exit_code(), 1);
        assert_eq!(stale.json()["class"], "stale");
        assert_eq!(stale.json()["status"], "contraindicated");
    }
}
