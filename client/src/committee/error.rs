//! Why a committee came to nothing.

use std::io;
use std::path::PathBuf;

use jeju_chain::ReadError;
use jeju_wallet_auth::account::Account;
use thiserror::Error;

use crate::deployment::DeploymentError;
use crate::error::{Class, Error};
use crate::trust::TrustError;
use crate::wallet::{AccountKeyError, SecretFileError};

/// Why there is no key, no signature, or no file.
#[derive(Debug, Error)]
pub enum CommitteeError {
    /// The member's own key.
    #[error(transparent)]
    Key(#[from] AccountKeyError),
    /// What the member trusts.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The chain, or where contracts are.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The evidence isn't accepted.
    #[error(transparent)]
    Evidence(#[from] Error),
    /// The chain can't be read.
    #[error("chain: {0}")]
    Read(#[from] ReadError),
    /// The file of the share is open to others, or can't be read.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is to be written is there: a folder is for one ceremony.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A file of another form.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Members or threshold can't be.
    #[error("{0}")]
    Members(&'static str),
    /// The account isn't a member.
    #[error("{0} is not a member")]
    NotAMember(Account),
    /// A member sent something that isn't of this ceremony, or isn't its own.
    #[error("member {member}: {what}")]
    Message {
        /// Its number.
        member: u16,
        /// What is wrong.
        what: &'static str,
    },
    /// A member sent nothing in time.
    #[error("member {0} has sent nothing in time")]
    Silent(u16),
    /// The share doesn't open by this account's key.
    #[error("the share is locked with another account's key")]
    Locked,
    /// The request asks for what no member says.
    #[error("the request is refused: {0}")]
    Request(&'static str),
    /// No verifier is set for the platform.
    #[error("no verifier is set for quotes of {0}")]
    NoVerifier(&'static str),
    /// The verifier's key isn't this committee's.
    #[error("the verifier of {0} has another key than this committee")]
    OtherKey(&'static str),
    /// Random numbers, or arithmetic that can't fail.
    #[error("{0}")]
    Crypto(&'static str),
}

impl CommitteeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CommitteeError::Key(error) => error.code(),
            CommitteeError::Trust(error) => error.code(),
            CommitteeError::Deployment(error) => error.code(),
            CommitteeError::Evidence(error) => error.code(),
            CommitteeError::Read(error) => error.code(),
            CommitteeError::Secret(SecretFileError::Mode { .. }) => "committee_share_exposed",
            CommitteeError::Secret(SecretFileError::Unreadable { .. }) | CommitteeError::File { .. } => {
                "file_unreadable"
            }
            CommitteeError::Exists(_) => "file_exists",
            CommitteeError::Malformed { .. } => "committee_file_malformed",
            CommitteeError::Members(_) => "committee_members_invalid",
            CommitteeError::NotAMember(_) => "committee_not_a_member",
            CommitteeError::Message { .. } => "committee_message_invalid",
            CommitteeError::Silent(_) => "committee_member_silent",
            CommitteeError::Locked => "committee_share_locked",
            CommitteeError::Request(_) => "key_request_refused",
            CommitteeError::NoVerifier(_) => "key_verifier_missing",
            CommitteeError::OtherKey(_) => "committee_key_differs",
            CommitteeError::Crypto(_) => "failed",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            CommitteeError::Key(error) => error.class(),
            CommitteeError::Trust(error) => error.class(),
            CommitteeError::Deployment(error) => error.class(),
            CommitteeError::Evidence(error) => error.class(),
            CommitteeError::Read(_) | CommitteeError::Silent(_) => Class::Network,
            CommitteeError::Message { .. } => Class::Evidence,
            CommitteeError::Request(_) | CommitteeError::NoVerifier(_) | CommitteeError::OtherKey(_) => {
                Class::Policy
            }
            _ => Class::Usage,
        }
    }
}
