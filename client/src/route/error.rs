//! Why there is no way through a gateway.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::Class;
use crate::ssh::SshError;
use crate::trust::TrustError;
use crate::wallet::AccountKeyError;

/// Longest text of a gateway that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Why there is no way through a gateway.
#[derive(Debug, Error)]
pub enum RouteError {
    /// Not a route.
    #[error("{0:?} is not a route: ROUTE@HOST[:PORT] is expected")]
    Route(String),
    /// What a route into a container takes.
    #[error("a route to a port of the container needs {0}")]
    Missing(&'static str),
    /// Arguments that would count for nothing.
    #[error("{0}")]
    Usage(&'static str),
    /// The node was refused, or doesn't have the rental.
    #[error(transparent)]
    Node(#[from] Box<SshError>),
    /// No policy.
    #[error(transparent)]
    Trust(#[from] Box<TrustError>),
    /// The gateway's key isn't one.
    #[error("what the gateway says is its key isn't one line of an Ed25519 public key")]
    GatewayKey,
    /// There is no certificate.
    #[error("no certificate was signed: {0}")]
    Keygen(String),
    /// A file or program.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no key to sign with.
    #[error(transparent)]
    Account(#[from] AccountKeyError),
    /// The system gives no random numbers.
    #[error("this system gives no random numbers")]
    Random,
    /// The gateway doesn't answer, or not what was asked for.
    #[error("{gateway}: {reason}")]
    Gateway {
        /// Which.
        gateway: String,
        /// Why.
        reason: String,
    },
    /// The gateway says no.
    #[error("{gateway} refuses ({code}): {message}")]
    Refused {
        /// Which.
        gateway: String,
        /// Its code.
        code: String,
        /// Its words.
        message: String,
    },
    /// The gateway's SSH proxy says no.
    #[error("the gateway doesn't lead there: {0}")]
    NoWay(String),
    /// The connection with the gateway.
    #[error("{gateway}: {source}")]
    Broken {
        /// Where.
        gateway: String,
        /// What the system said.
        source: io::Error,
    },
}

impl RouteError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            RouteError::Route(_) => "route_invalid",
            RouteError::Missing(_) | RouteError::Usage(_) => "arguments_invalid",
            RouteError::Node(error) => error.code(),
            RouteError::Trust(error) => error.code(),
            RouteError::GatewayKey => "gateway_key_invalid",
            RouteError::Keygen(_) => "ssh_keygen_failed",
            RouteError::File { .. } => "file_unusable",
            RouteError::Account(error) => error.code(),
            RouteError::Random => "crypto_unavailable",
            RouteError::Gateway { .. } => "gateway_failed",
            RouteError::Refused { .. } => "gateway_refused",
            RouteError::NoWay(_) => "route_refused",
            RouteError::Broken { .. } => "route_broken",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            RouteError::Route(_)
            | RouteError::Missing(_)
            | RouteError::Usage(_)
            | RouteError::Keygen(_)
            | RouteError::File { .. }
            | RouteError::Random => Class::Usage,
            RouteError::Node(error) => error.class(),
            RouteError::Trust(error) => error.class(),
            RouteError::Account(error) => error.class(),
            RouteError::GatewayKey
            | RouteError::Gateway { .. }
            | RouteError::Refused { .. }
            | RouteError::NoWay(_)
            | RouteError::Broken { .. } => Class::Network,
        }
    }
}

/// A gateway's words, as a terminal may be given them.
pub(super) fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(MAX_SHOWN).collect()
}
