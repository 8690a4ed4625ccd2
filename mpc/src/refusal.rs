//! Why a request gets no answer.

use thiserror::Error;

use crate::configuration::ConfigurationError;
use crate::network::MemberIndex;

/// A refusal. [`Refusal::code`] is stable; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not the encoding of a request.
    #[error("request is malformed: {0}")]
    Malformed(&'static str),
    /// Another network's or chain's.
    #[error("request is for another network or chain")]
    OtherNetwork,
    /// Past its expiry, by the latest time that it may be.
    #[error("request expired at {expires}, it may be {now} now")]
    Expired {
        /// Seconds since 1970.
        expires: u64,
        /// Upper end of the member's time.
        now: u64,
    },
    /// Issued in the future, or before this member started.
    #[error("request was issued at {0}, which this member can't accept")]
    IssuedAt(u64),
    /// Valid for longer than any request may be.
    #[error("request is valid for {0} seconds, which is too long")]
    TooLongLived(u64),
    /// Seen and finished before.
    #[error("request was answered before")]
    Replayed,
    /// The same nonce with another content.
    #[error("nonce was used for another request")]
    NonceUsed,
    /// The signature is no signature of the account.
    #[error("signature is not by the account that it names")]
    Signature,
    /// The account has no right to the key.
    #[error("account may not use this key")]
    NotAllowed,
    /// A later policy is in force.
    #[error("policy version {given} is not the one in force, {current}")]
    PolicyVersion {
        /// Of the request.
        given: u32,
        /// In force.
        current: u32,
    },
    /// The key's policy doesn't allow this.
    #[error("policy of the key refuses: {0}")]
    Policy(&'static str),
    /// The policy doesn't follow from one that this member knows.
    #[error("policy doesn't follow from one that this member knows")]
    PolicyChain,
    /// Too few owners signed.
    #[error("{given} owners signed, {needed} are needed")]
    OwnersMissing {
        /// How many did.
        given: usize,
        /// The key's quorum.
        needed: usize,
    },
    /// A key of this scheme can't sign such a thing.
    #[error("payload can't be signed: {0}")]
    PayloadUnsupported(&'static str),
    /// The scheme isn't offered.
    #[error("scheme is not offered here")]
    Scheme,
    /// No such key.
    #[error("no such key on this network yet")]
    KeyUnknown,
    /// Too much at once.
    #[error("busy, ask again")]
    Busy,
    /// Fewer members than needed can be reached.
    #[error("{reachable} members are reachable, {needed} are needed")]
    NoQuorum {
        /// This member included.
        reachable: u16,
        /// How many it takes.
        needed: u16,
    },
    /// Members didn't answer in time.
    #[error("members did not answer in time")]
    TimedOut,
    /// Members broke the protocol; these.
    #[error("members {0:?} broke the protocol")]
    Misbehaved(Vec<MemberIndex>),
    /// This member has no share of the key (yet): it is being repaired.
    #[error("this member's share of the key is being repaired")]
    ShareMissing,
    /// The host brought back an old state of this member.
    #[error("this member's stored state is an old one: it takes over what its peers have")]
    StateOld,
    /// One wallet asks too often for what takes all members.
    #[error("this wallet asked for too many new keys and refreshes, ask again in {seconds} s")]
    TooOften {
        /// When the next one is possible.
        seconds: u32,
    },
    /// Other members take no part in a key generation or refresh.
    #[error("members {members:?} take no part: {why}")]
    MembersRefuse {
        /// Who.
        members: Vec<MemberIndex>,
        /// Code of what the first of them says.
        why: &'static str,
    },
    /// This member has no place in the configuration in force.
    #[error("this node has no place in the network's configuration")]
    NoPlace,
    /// A configuration can't follow on the one in force.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The record could not be kept.
    #[error("state can't be stored")]
    Storage,
}

impl Refusal {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed(_) => "mpc_request_malformed",
            Refusal::OtherNetwork => "mpc_other_network",
            Refusal::Expired { .. } => "mpc_request_expired",
            Refusal::IssuedAt(_) => "mpc_request_time",
            Refusal::TooLongLived(_) => "mpc_request_too_long_lived",
            Refusal::Replayed => "mpc_request_replayed",
            Refusal::NonceUsed => "mpc_nonce_used",
            Refusal::Signature => "mpc_signature_invalid",
            Refusal::NotAllowed => "mpc_not_allowed",
            Refusal::PolicyVersion { .. } => "mpc_policy_version",
            Refusal::Policy(_) => "mpc_policy_refuses",
            Refusal::PolicyChain => "mpc_policy_chain",
            Refusal::OwnersMissing { .. } => "mpc_owners_missing",
            Refusal::PayloadUnsupported(_) => "mpc_payload_unsupported",
            Refusal::Scheme => "mpc_scheme_unknown",
            Refusal::KeyUnknown => "mpc_key_unknown",
            Refusal::Busy => "mpc_busy",
            Refusal::NoQuorum { .. } => "mpc_no_quorum",
            Refusal::TimedOut => "mpc_timed_out",
            Refusal::Misbehaved(_) => "mpc_member_misbehaved",
            Refusal::ShareMissing => "mpc_share_missing",
            Refusal::StateOld => "mpc_state_old",
            Refusal::TooOften { .. } => "mpc_too_often",
            Refusal::MembersRefuse { .. } => "mpc_members_refuse",
            Refusal::NoPlace => "mpc_no_place",
            Refusal::Configuration(error) => error.code(),
            Refusal::Storage => "mpc_storage_failed",
        }
    }
}
