//! Why a snapshot is of no use, or the registry is older than what was seen before.

use std::io;
use std::path::PathBuf;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::ReadError;
use jeju_wallet_auth::account::Account;
use thiserror::Error;

use super::snapshot::{MAX_ENTRIES, MAX_LIFE};
use crate::error::Class;

/// Why there is no reference value.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Not what the format says.
    #[error("snapshot: {0}")]
    Form(String),
    /// The registry has more measurements than a snapshot may have.
    #[error("the registry has {0} measurements, a snapshot has at most {MAX_ENTRIES}")]
    TooMany(u32),
    /// The registry couldn't be read.
    #[error("chain: {0}")]
    Read(#[from] ReadError),
    /// Nobody signed it.
    #[error("the snapshot is not signed (jeju policy sign)")]
    Unsigned,
    /// Somebody else signed it, or something else was signed.
    #[error("the snapshot's signature is of {found}, governance is {wanted}")]
    Signer {
        /// Who signed these bytes; the zero account where that is nobody.
        found: Account,
        /// The policy's key.
        wanted: Account,
    },
    /// It is of another registry or chain.
    #[error("the snapshot is of registry {registry} on chain {chain_id}, which the policy does not name")]
    OtherRegistry {
        /// Its chain.
        chain_id: u64,
        /// Its registry.
        registry: HexBytes<20>,
    },
    /// Its time is over.
    #[error("the snapshot meant something until {not_after} (seconds since 1970): take a new one")]
    Expired {
        /// Its last second.
        not_after: u64,
    },
    /// Its block is of the future.
    #[error("the snapshot is of {timestamp} (seconds since 1970), which is yet to come")]
    NotYet {
        /// Time of its block.
        timestamp: u64,
    },
    /// It would mean something for too long.
    #[error("the snapshot would mean something for {0} s, at most {MAX_LIFE} are allowed")]
    Life(u64),
    /// The policy doesn't say who may sign.
    #[error(
        "a snapshot needs the key that signs it: registry.governance of the policy, or --governance ADDRESS"
    )]
    NoGovernance,
    /// The policy says who signs, and no snapshot was named.
    #[error("the policy takes reference values from a signed snapshot: --snapshot FILE")]
    Missing,
    /// It is older than what was seen before: what was revoked since could look as if it weren't.
    #[error("{what} went back from {seen} to {found}: something newer of this registry was seen before")]
    RolledBack {
        /// Block or policy epoch.
        what: &'static str,
        /// The one seen before.
        seen: u64,
        /// The one found.
        found: u64,
    },
    /// Another block of the same number was seen before.
    #[error("block {0} is another one than was seen before")]
    OtherBlock(u64),
    /// What was seen before can't be read or written.
    #[error("{}: {source}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no place for it.
    #[error("there is no folder to remember the registry's state in: --policy-state DIR")]
    NoFolder,
}

impl SnapshotError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SnapshotError::Form(_) => "snapshot_invalid",
            SnapshotError::TooMany(_) => "snapshot_too_large",
            SnapshotError::Read(_) => "chain_unreadable",
            SnapshotError::Unsigned => "snapshot_unsigned",
            SnapshotError::Signer { .. } => "snapshot_signature_invalid",
            SnapshotError::OtherRegistry { .. } => "snapshot_other_registry",
            SnapshotError::Expired { .. } => "snapshot_expired",
            SnapshotError::NotYet { .. } => "snapshot_not_yet",
            SnapshotError::Life(_) => "snapshot_life_too_long",
            SnapshotError::NoGovernance => "snapshot_without_governance",
            SnapshotError::Missing => "snapshot_missing",
            SnapshotError::RolledBack { .. } | SnapshotError::OtherBlock(_) => "policy_rolled_back",
            SnapshotError::Memory { .. } => "policy_state_unusable",
            SnapshotError::NoFolder => "policy_state_missing",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            SnapshotError::Read(_) => Class::Network,
            SnapshotError::Unsigned | SnapshotError::Signer { .. } | SnapshotError::OtherBlock(_) => {
                Class::Evidence
            }
            SnapshotError::OtherRegistry { .. } | SnapshotError::Life(_) => Class::Policy,
            SnapshotError::Expired { .. }
            | SnapshotError::NotYet { .. }
            | SnapshotError::RolledBack { .. } => Class::Stale,
            SnapshotError::Form(_)
            | SnapshotError::TooMany(_)
            | SnapshotError::NoGovernance
            | SnapshotError::Missing
            | SnapshotError::Memory { .. }
            | SnapshotError::NoFolder => Class::Usage,
        }
    }
}
