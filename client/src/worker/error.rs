//! Why nothing came of a command about workers.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use jeju_attestation::rejection::Rejection;
use thiserror::Error;

use super::bundle::BundlingError;
use crate::error::{Class, Error};
use crate::files::FileError;
use crate::trust::TrustError;
use crate::wallet::{AccountKeyError, SecretFileError, WalletError};

/// Why nothing came of a command about workers.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The node couldn't be asked, or isn't what the policy asks for.
    #[error("{node}: {source}")]
    Node {
        /// Which.
        node: String,
        /// Why.
        source: Box<Error>,
    },
    /// There is no policy.
    #[error(transparent)]
    Trust(Box<TrustError>),
    /// There is no account key.
    #[error(transparent)]
    AccountKey(#[from] AccountKeyError),
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file can't be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is there already, and isn't overwritten.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The project's description is none.
    #[error("{}: {words}", path.display())]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        words: String,
    },
    /// There is no bundle.
    #[error(transparent)]
    Bundling(#[from] BundlingError),
    /// An argument makes no sense by itself or with the others.
    #[error("{0}")]
    Usage(&'static str),
    /// A secret's file can be read by others, or can't be read.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// A secret can't be asked for.
    #[error(transparent)]
    Prompt(#[from] WalletError),
    /// Nobody has such a worker.
    #[error("the account has no worker {0:?}")]
    Unknown(String),
    /// The node is verified, but takes no workers.
    #[error("{0} takes no workers")]
    NotTaken(String),
    /// The node's keys have none that secrets are sealed to.
    #[error("{0} has no key for secrets")]
    NoSealingKey(String),
    /// A secret can't be sealed.
    #[error("sealing the secret: {0}")]
    Seal(&'static str),
    /// The node refuses.
    #[error("{message} ({node})")]
    Refused {
        /// Which node.
        node: String,
        /// HTTP's status.
        status: StatusCode,
        /// Stable code, the node's own.
        code: String,
        /// The node's own words.
        message: String,
    },
    /// What the node says that it took is something else than was sent.
    #[error("the node took code with the hash {found}, sent was {sent}")]
    OtherCode {
        /// The node's.
        found: String,
        /// Of what was sent.
        sent: String,
    },
    /// An answer isn't signed as one of this worker.
    #[error("answer of {node}: {source}")]
    Answer {
        /// Which node.
        node: String,
        /// What is wrong.
        source: Rejection,
    },
    /// The node's answer isn't of the form that was asked for.
    #[error("answer of {node}: {what}")]
    Malformed {
        /// Which node.
        node: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The worker's log ended.
    #[error("the log of {node} ended: {why}")]
    LogEnded {
        /// Which node.
        node: String,
        /// Why, as the node signed it.
        why: &'static str,
    },
    /// The local server can't listen.
    #[error("{address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The local engine fails.
    #[error("{message}")]
    Engine {
        /// Stable code.
        code: String,
        /// What the engine says.
        message: String,
    },
    /// The random number generator refuses to work.
    #[error("no random numbers")]
    Random,
    /// The system refuses what is needed.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl From<TrustError> for WorkerError {
    fn from(error: TrustError) -> Self {
        WorkerError::Trust(Box::new(error))
    }
}

impl WorkerError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            WorkerError::Node { source, .. } => source.code(),
            WorkerError::Trust(error) => error.code(),
            WorkerError::AccountKey(error) => error.code(),
            WorkerError::File(error) => error.code(),
            WorkerError::Write { .. } => "file_unwritable",
            WorkerError::Exists(_) => "file_exists",
            WorkerError::Project { .. } => "project_invalid",
            WorkerError::Bundling(error) => error.code(),
            WorkerError::Usage(_) => "arguments_invalid",
            WorkerError::SecretFile(SecretFileError::Unreadable { .. }) => "file_unreadable",
            WorkerError::SecretFile(SecretFileError::Mode { .. }) => "secret_exposed",
            WorkerError::Prompt(error) => error.code(),
            WorkerError::Unknown(_) => "worker_unknown",
            WorkerError::NotTaken(_) => "node_no_workers",
            WorkerError::NoSealingKey(_) => "node_no_sealing_key",
            WorkerError::Seal(_) => "secret_not_sealed",
            WorkerError::Refused { code, .. } | WorkerError::Engine { code, .. } => code,
            WorkerError::OtherCode { .. } => "worker_other_code",
            WorkerError::Answer { source, .. } => source.code(),
            WorkerError::Malformed { .. } => "answer_malformed",
            WorkerError::LogEnded { .. } => "log_ended",
            WorkerError::Listen { .. } => "port_unusable",
            WorkerError::Random => "crypto_unavailable",
            WorkerError::System(_) => "system",
        }
    }

    /// Class, from which the exit code follows: what can't be done now is `Network`, what nobody will do `Policy`.
    pub fn class(&self) -> Class {
        match self {
            WorkerError::Node { source, .. } => source.class(),
            WorkerError::Trust(error) => error.class(),
            WorkerError::AccountKey(error) => error.class(),
            WorkerError::Answer { source, .. } => source.class().into(),
            WorkerError::Malformed { .. } | WorkerError::OtherCode { .. } => Class::Evidence,
            WorkerError::NotTaken(_) | WorkerError::NoSealingKey(_) => Class::Policy,
            WorkerError::LogEnded { .. } => Class::Network,
            WorkerError::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Class::Policy,
                StatusCode::TOO_MANY_REQUESTS => Class::Network,
                status if status.is_server_error() => Class::Network,
                _ => Class::Usage,
            },
            WorkerError::File(_)
            | WorkerError::Write { .. }
            | WorkerError::Exists(_)
            | WorkerError::Project { .. }
            | WorkerError::Bundling(_)
            | WorkerError::Usage(_)
            | WorkerError::SecretFile(_)
            | WorkerError::Prompt(_)
            | WorkerError::Unknown(_)
            | WorkerError::Seal(_)
            | WorkerError::Listen { .. }
            | WorkerError::Engine { .. }
            | WorkerError::Random
            | WorkerError::System(_) => Class::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_means() {
        for (status, class) in [
            (400, Class::Usage),
            (401, Class::Policy),
            (403, Class::Policy),
            (404, Class::Usage),
            (429, Class::Network),
            (503, Class::Network),
        ] {
            let error = WorkerError::Refused {
                node: "https://a:1".into(),
                status: StatusCode::from_u16(status).unwrap(),
                code: "workers_full".into(),
                message: "words".into(),
            };
            assert_eq!((error.code(), error.class()), ("workers_full", class));
        }
    }
}
