//! Why there is no key or signature.

use http::StatusCode;
use jeju_mpc::configuration::ConfigurationError;
use thiserror::Error;

use super::signature::SignatureError;
use crate::error::{Class, Error};
use crate::files::FileError;
use crate::trust::TrustError;
use crate::wallet::AccountKeyError;

/// Why there is no key or signature.
#[derive(Debug, Error)]
pub enum MpcError {
    /// No node could be asked, or it isn't what the policy asks for.
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
    /// No node is named.
    #[error("name a node: --node https://host:port")]
    NoNode,
    /// The node is verified, but signs for nobody.
    #[error("{0} is not a member of a network of signers")]
    NotASigner(String),
    /// The node is verified, but of another network.
    #[error("{node} belongs to network {found}, not to {expected}")]
    OtherNetwork {
        /// Which.
        node: String,
        /// Digest of its network.
        found: String,
        /// Digest of the network that was expected.
        expected: String,
    },
    /// The network refuses.
    #[error("{message} ({node})")]
    Refused {
        /// The member that said so.
        node: String,
        /// HTTP's status.
        status: StatusCode,
        /// Stable code, the member's own.
        code: String,
        /// The member's own words.
        message: String,
    },
    /// A member's answer isn't of the form that was asked for, or contradicts what was computed here.
    #[error("answer of {node}: {what}")]
    Answer {
        /// Which member.
        node: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Members name different keys for one id.
    #[error("{node} names the public key {found}, another member {expected}")]
    Disagree {
        /// Which member.
        node: String,
        /// Its key.
        found: String,
        /// The other's.
        expected: String,
    },
    /// Fewer members than must sign named the key: so many could have made it up.
    #[error("{confirmed} members named the key, {needed} are needed{}", because(last.as_deref()))]
    NotConfirmed {
        /// How many did.
        confirmed: usize,
        /// How many must.
        needed: usize,
        /// Why the last of the others didn't.
        last: Option<Box<MpcError>>,
    },
    /// The network's members wouldn't take the configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Members have two configurations of one number in force: governance signed both.
    #[error("{node} has another configuration {number} in force than another member")]
    Conflict {
        /// Which member.
        node: String,
        /// Which number.
        number: u32,
    },
    /// The signature doesn't count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A file that describes a key describes none.
    #[error("{path}: {what}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// What is to be signed is none of the forms.
    #[error("{0}")]
    Payload(String),
    /// A file can't be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The random number generator refuses to work.
    #[error("no random numbers")]
    Random,
}

impl From<TrustError> for MpcError {
    fn from(error: TrustError) -> Self {
        MpcError::Trust(Box::new(error))
    }
}

impl MpcError {
    /// Stable code. Those of the network begin with `mpc_`.
    pub fn code(&self) -> &str {
        match self {
            MpcError::Node { source, .. } => source.code(),
            MpcError::Trust(error) => error.code(),
            MpcError::AccountKey(error) => error.code(),
            MpcError::File(error) => error.code(),
            MpcError::NoNode => "node_missing",
            MpcError::NotASigner(_) => "mpc_not_a_signer",
            MpcError::OtherNetwork { .. } => "mpc_other_network",
            MpcError::Refused { code, .. } => code,
            MpcError::Answer { .. } => "mpc_answer_invalid",
            MpcError::Disagree { .. } => "mpc_members_disagree",
            MpcError::NotConfirmed { .. } => "mpc_not_confirmed",
            MpcError::Configuration(error) => error.code(),
            MpcError::Conflict { .. } => "mpc_configuration_conflict",
            MpcError::Signature(_) => "signature_invalid",
            MpcError::KeyFile { .. } => "key_file_invalid",
            MpcError::Payload(_) => "payload_invalid",
            MpcError::Write { .. } => "file_unwritable",
            MpcError::Random => "crypto_unavailable",
        }
    }

    /// Class, from which the exit code follows: what the network can't do now is `Network`, what it won't do `Policy`.
    pub fn class(&self) -> Class {
        match self {
            MpcError::Node { source, .. } => source.class(),
            MpcError::Refused { code, status, .. } => refusal_class(code, *status),
            MpcError::NotASigner(_) | MpcError::OtherNetwork { .. } | MpcError::Configuration(_) => {
                Class::Policy
            }
            MpcError::Answer { .. }
            | MpcError::Disagree { .. }
            | MpcError::Conflict { .. }
            | MpcError::Signature(_) => Class::Evidence,
            MpcError::NotConfirmed { .. } => Class::Network,
            MpcError::Trust(_)
            | MpcError::AccountKey(_)
            | MpcError::File(_)
            | MpcError::NoNode
            | MpcError::KeyFile { .. }
            | MpcError::Payload(_)
            | MpcError::Write { .. }
            | MpcError::Random => Class::Usage,
        }
    }

    /// Whether another member may do what this one didn't.
    pub(super) fn is_of_one_member(&self) -> bool {
        match self {
            MpcError::Node { source, .. } => source.class() != Class::Usage,
            MpcError::NotASigner(_) | MpcError::OtherNetwork { .. } | MpcError::Answer { .. } => true,
            MpcError::Refused { code, status, .. } => {
                status.is_server_error()
                    // One that has just started takes nothing that was issued before.
                    || code == "mpc_request_time"
                    // Another one may know more, or have approved the other one of two.
                    || code == "mpc_configuration_number"
                    || code == "mpc_configuration_previous"
                    || code == "mpc_configuration_voted"
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || refusal_class(code, *status) == Class::Network
            }
            _ => false,
        }
    }
}

fn because(error: Option<&MpcError>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

fn refusal_class(code: &str, status: StatusCode) -> Class {
    match code {
        "mpc_no_quorum"
        | "mpc_timed_out"
        | "mpc_busy"
        | "mpc_share_missing"
        | "mpc_storage_failed"
        | "mpc_member_misbehaved" => Class::Network,
        "mpc_not_allowed"
        | "mpc_policy_refuses"
        | "mpc_policy_version"
        | "mpc_signature_invalid"
        | "mpc_scheme_unknown"
        | "mpc_owners_missing"
        | "mpc_policy_chain"
        | "mpc_payload_unsupported"
        | "mpc_configuration_closed"
        | "mpc_configuration_number"
        | "mpc_configuration_previous"
        | "mpc_configuration_shape"
        | "mpc_configuration_place"
        | "mpc_configuration_changes"
        | "mpc_configuration_root_key"
        | "mpc_configuration_governance"
        | "mpc_configuration_voted" => Class::Policy,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Class::Network,
        _ => Class::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, status: u16) -> MpcError {
        MpcError::Refused {
            node: "https://a:1".into(),
            status: StatusCode::from_u16(status).unwrap(),
            code: code.into(),
            message: "words".into(),
        }
    }

    #[test]
    fn what_a_refusal_means() {
        for (code, status, class, elsewhere) in [
            ("mpc_no_quorum", 503, Class::Network, true),
            ("mpc_busy", 429, Class::Network, true),
            ("mpc_share_missing", 409, Class::Network, true),
            ("mpc_not_allowed", 403, Class::Policy, false),
            ("mpc_policy_refuses", 403, Class::Policy, false),
            ("mpc_request_malformed", 400, Class::Usage, false),
            ("mpc_request_expired", 400, Class::Usage, false),
            ("mpc_configuration_governance", 401, Class::Policy, false),
            ("mpc_configuration_voted", 409, Class::Policy, true),
            ("mpc_configuration_approval", 503, Class::Network, true),
            ("mpc_no_place", 503, Class::Network, true),
            ("something_new", 500, Class::Network, true),
            ("something_new", 400, Class::Usage, false),
        ] {
            let error = refused(code, status);
            assert_eq!(
                (error.code(), error.class(), error.is_of_one_member()),
                (code, class, elsewhere)
            );
        }
    }
}
