//! Why a node was refused, or not reached.

use std::io;

use jeju_attestation::policy::PolicyError;
use jeju_attestation::rejection::{self, Rejection};
use jeju_chain::{ConfigError, GuardError, ReadError};
use jeju_session::Error as SessionError;
use serde_json::{Value, json};
use thiserror::Error;

use crate::policy::SnapshotError;
use crate::via::Gateway;

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
    /// The node isn't what it should be, or the connection with it broke.
    #[error(transparent)]
    Session(#[from] SessionError),

    /// Not `https://host[:port]`.
    #[error("{0:?} is not a node URL: https://host:port is expected")]
    NodeUrl(String),
    /// Not a gateway's API.
    #[error(
        "{0:?} is not the URL of a gateway's API: http(s)://host[:port] is expected, plain http on this machine only"
    )]
    GatewayApi(String),
    /// Not `[DOMAIN@]HOST[:PORT]`.
    #[error("{0:?} is not a gateway: [DOMAIN@]HOST[:PORT] is expected")]
    Gateway(String),
    /// A gateway can't be told which node is meant.
    #[error(
        "{node} is an address, which {gateway} knows by its provider's account below a domain: name it \
         https://0x<account>@host:port, and the gateway DOMAIN@HOST:PORT"
    )]
    NoGatewayName {
        /// The node.
        node: String,
        /// The gateway.
        gateway: String,
    },
    /// No connection with the node through a gateway.
    #[error("through {gateway}: {source}")]
    Through {
        /// The gateway.
        gateway: String,
        /// Why.
        source: Box<Error>,
    },
    /// A genuine node, but not the one of the provider that it was found under.
    #[error("{node} is of {what} {found}, the chain says {expected}")]
    OtherProvider {
        /// The node.
        node: String,
        /// Agent or provider.
        what: &'static str,
        /// The node's.
        found: String,
        /// The chain's.
        expected: String,
    },
    /// The policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy's chain endpoints can't be used.
    #[error("policy, registry.rpc: {0}")]
    ChainConfig(#[from] ConfigError),
    /// No connection.
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        /// `host:port` of the node.
        authority: String,
        /// What the system said.
        source: io::Error,
    },
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
    /// There is no reference value: the snapshot is of no use, or older than what was seen before.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The endpoints show a chain that has gone back, or stands still.
    #[error("{0}")]
    ChainRefused(GuardError),
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        SessionError::from(rejection).into()
    }
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
            Error::Session(error) => error.code(),
            Error::NodeUrl(_) => "node_url_invalid",
            Error::Gateway(_) => "gateway_invalid",
            Error::GatewayApi(_) => "gateway_url_invalid",
            Error::NoGatewayName { .. } => "gateway_name_missing",
            Error::Through { source, .. } => source.code(),
            Error::OtherProvider { .. } => "node_other_provider",
            Error::Policy(_) | Error::ChainConfig(_) => "policy_invalid",
            Error::Connect { .. } => "node_unreachable",
            Error::Chain(_) => "chain_unreadable",
            Error::OtherChain { .. } => "rpc_other_chain",
            Error::ChainRefused(_) => "chain_refused",
            Error::Snapshot(error) => error.code(),
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            Error::Session(error) => session_class(error),
            Error::Through { source, .. } => source.class(),
            Error::Snapshot(error) => error.class(),
            Error::OtherProvider { .. } => Class::Policy,
            Error::NodeUrl(_)
            | Error::Gateway(_)
            | Error::GatewayApi(_)
            | Error::NoGatewayName { .. }
            | Error::Policy(_)
            | Error::ChainConfig(_) => Class::Usage,
            Error::Connect { .. } | Error::Chain(_) | Error::OtherChain { .. } | Error::ChainRefused(_) => {
                Class::Network
            }
        }
    }

    /// The same, as what came of going through a gateway.
    pub(crate) fn through(self, gateway: &Gateway) -> Self {
        Error::Through {
            gateway: gateway.to_string(),
            source: Box::new(self),
        }
    }

    /// Whether this says more of a node than the other: that one was seen that is not right, not only that none was.
    pub(crate) fn is_graver(&self, other: &Self) -> bool {
        let grave = |error: &Self| matches!(error.class(), Class::Policy | Class::Evidence | Class::Stale);
        grave(self) && !grave(other)
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

fn session_class(error: &SessionError) -> Class {
    match error {
        SessionError::Rejected(rejection) => rejection.class().into(),
        SessionError::Resumed
        | SessionError::TlsPeer(_)
        | SessionError::ChallengeStatus(_)
        | SessionError::UnexpectedUpgrade => Class::Evidence,
        SessionError::Request(_) | SessionError::Crypto(_) => Class::Usage,
        SessionError::Handshake(_)
        | SessionError::Http(_)
        | SessionError::SessionOver
        | SessionError::Timeout { .. }
        | SessionError::Busy { .. }
        | SessionError::BodyTooLong(_) => Class::Network,
    }
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
        assert_eq!(Error::from(SessionError::SessionOver).class().exit_code(), 5);
        assert_eq!(Error::NodeUrl(String::new()).class().exit_code(), 1);
        assert_eq!(stale.json()["class"], "stale");
        assert_eq!(stale.json()["status"], "contraindicated");
    }
}
