//! Why there is no login.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use thiserror::Error;

use crate::error::{Class, Error};
use crate::trust::TrustError;

/// Why OpenSSH wasn't started, or no host key printed.
#[derive(Debug, Error)]
pub enum SshError {
    /// No policy.
    #[error(transparent)]
    Trust(#[from] Box<TrustError>),
    /// The node was refused, or not reached.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The node's launch document has no rentals.
    #[error("the node rents nothing out: rentals are not among the services of its launch document")]
    NoRentals,
    /// The key list that the node's claims name has no SSH host key.
    #[error("the node's evidence names no SSH host key")]
    NoHostKey,
    /// The node doesn't have the rental.
    #[error("the node has no rental {0}")]
    UnknownRental(String),
    /// Nobody can log in to the rental now.
    #[error("rental {rental} is {status} on chain: one can log in to it while it is active")]
    NotActive {
        /// Its id.
        rental: String,
        /// What the node says of it.
        status: String,
    },
    /// The node doesn't answer about the rental.
    #[error("the node answered the question for the rental with status {0}")]
    Status(StatusCode),
    /// The node's answer about the rental isn't of the form that was asked for.
    #[error("the node's answer about the rental: {0}")]
    Answer(&'static str),
    /// Not an address that OpenSSH could be given.
    #[error("{0:?} is not HOST:PORT, with IPv6 addresses in brackets")]
    Place(String),
    /// Not a name that a line of known hosts could stand for.
    #[error("{0:?} is not a host as ssh names it with %H")]
    KnownName(String),
    /// A value that can't be written into a configuration of OpenSSH.
    #[error("{0:?} can't stand in a configuration of ssh: it has quotes, backslashes or control characters")]
    Unquotable(String),
    /// OpenSSH can't be started.
    #[error("{} can't be started: {source}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// OpenSSH refuses its arguments.
    #[error("ssh does not take these arguments: {0}")]
    Arguments(String),
    /// With the arguments given, OpenSSH would look at the host key in another way, or hand something over.
    #[error("with these arguments ssh would have {option} {found:?}, which {why}")]
    Weakened {
        /// The option.
        option: String,
        /// Its value then.
        found: String,
        /// What that would mean.
        why: &'static str,
    },
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for known hosts is somebody else's, or open to others.
    #[error("{} is not a folder of this user alone", .0.display())]
    Folder(PathBuf),
}

impl SshError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SshError::Trust(error) => error.code(),
            SshError::Refused(error) => error.code(),
            SshError::NoRentals => "node_rents_nothing",
            SshError::NoHostKey => "ssh_host_key_missing",
            SshError::UnknownRental(_) => "rental_unknown",
            SshError::NotActive { .. } => "rental_not_active",
            SshError::Status(_) | SshError::Answer(_) => "rental_answer_unusable",
            SshError::Place(_) => "ssh_address_invalid",
            SshError::KnownName(_) => "ssh_host_invalid",
            SshError::Unquotable(_) => "ssh_config_unquotable",
            SshError::Program { .. } => "ssh_not_started",
            SshError::Arguments(_) => "ssh_arguments_invalid",
            SshError::Weakened { .. } => "ssh_option_refused",
            SshError::File { .. } => "file_unusable",
            SshError::Folder(_) => "folder_not_private",
        }
    }

    /// Class, from which the exit code follows. What a verified node doesn't have is no verdict on it.
    pub fn class(&self) -> Class {
        match self {
            SshError::Trust(error) => error.class(),
            SshError::Refused(error) => error.class(),
            _ => Class::Usage,
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| SshError::File { path, source }
    }
}

impl From<TrustError> for SshError {
    fn from(error: TrustError) -> Self {
        SshError::Trust(Box::new(error))
    }
}
