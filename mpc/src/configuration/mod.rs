//! Who the members of a network are, and how that changes: a chain of configurations, each of which names the one before.
//!
//! The first one is in the launch document and has number 0. Each later one is signed by the governance account that the
//! first one names and approved by as many members as must sign: by a signature of the network's root key over its digest.
//! It keeps the number of members, how many must sign, and all places; what it changes is who has a place. A member
//! that takes a place over gets its share from the others.
//!
//! | module | what it does |
//! |---|---|
//! | [`document`] | a configuration as governance signs it |
//! | [`chain`] | which configurations follow on one another |
//! | `succession` | a member proposes, approves, adopts and passes on |

pub mod chain;
pub mod document;
mod succession;

pub use chain::{Approved, Chain, Founding};
pub use document::{Configuration, Place, Proposal};
pub(crate) use succession::{Succession, Vote};

use thiserror::Error;

/// Why a configuration isn't taken. [`ConfigurationError::code`] is stable; the text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigurationError {
    /// The first configuration names no governance.
    #[error("this network has no governance, so its configuration never changes")]
    Closed,
    /// Not the number after the one in force.
    #[error("the configuration doesn't have the number after the one in force")]
    Number,
    /// Another configuration than the one in force is named as the one before.
    #[error("the configuration doesn't follow on the one in force")]
    Previous,
    /// Another number of members, or of signers.
    #[error("the configuration has another number of members, or of signers, than the network")]
    Shape,
    /// An agent or a machine has two places, or a place isn't well-formed.
    #[error("a place of the configuration has no agent or machine, or one that has another place")]
    Place,
    /// It changes nothing, or so many places that the others couldn't give them their shares.
    #[error("the configuration changes no place, or more than can get their shares from the others")]
    Changes,
    /// Another root key than the network's.
    #[error("the configuration names another root key than the network's")]
    RootKey,
    /// Governance didn't sign it.
    #[error("the configuration isn't signed by the network's governance")]
    Governance,
    /// Too few members stand behind it.
    #[error("the configuration isn't approved by as many members as must sign")]
    Approval,
    /// This member has approved another one of the same number.
    #[error("this member approved another configuration of this number")]
    Voted,
}

impl ConfigurationError {
    /// All of them; the place in the list is the number on the wire.
    pub const ALL: [ConfigurationError; 10] = [
        ConfigurationError::Closed,
        ConfigurationError::Number,
        ConfigurationError::Previous,
        ConfigurationError::Shape,
        ConfigurationError::Place,
        ConfigurationError::Changes,
        ConfigurationError::RootKey,
        ConfigurationError::Governance,
        ConfigurationError::Approval,
        ConfigurationError::Voted,
    ];

    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            ConfigurationError::Closed => "mpc_configuration_closed",
            ConfigurationError::Number => "mpc_configuration_number",
            ConfigurationError::Previous => "mpc_configuration_previous",
            ConfigurationError::Shape => "mpc_configuration_shape",
            ConfigurationError::Place => "mpc_configuration_place",
            ConfigurationError::Changes => "mpc_configuration_changes",
            ConfigurationError::RootKey => "mpc_configuration_root_key",
            ConfigurationError::Governance => "mpc_configuration_governance",
            ConfigurationError::Approval => "mpc_configuration_approval",
            ConfigurationError::Voted => "mpc_configuration_voted",
        }
    }
}
