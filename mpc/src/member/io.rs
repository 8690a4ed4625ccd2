//! What goes into a member and what comes out of it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::ContractQuery;
use crate::configuration::{Founding, Place};
use crate::identity::IdentityKey;
use crate::marks::StateMark;
use crate::message::Level;
use crate::network::{KeyId, MemberIndex, Network, RootId, Scheme};
use crate::refusal::Refusal;
use crate::wire::WireError;

/// Longest message between two members, in bytes.
pub const MAX_MESSAGE: usize = 48 * 1024;

/// Who a member is.
pub struct Setup {
    /// Its network.
    pub network: Network,
    /// Its own place.
    pub me: MemberIndex,
    /// Who the members are. `None`: nobody says, and it never changes.
    pub membership: Option<Membership>,
    /// Its key of this boot, for what must be provable.
    pub identity: IdentityKey,
}

/// Who the members are, and which of them this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// This member's own agent id. It takes part in nothing while its place is another's.
    pub agent: [u8; 32],
    /// The first configuration.
    pub founding: Founding,
}

/// Something that happened.
pub enum Input<'a> {
    /// A peer's evidence was accepted: messages may go to and come from it. Its identity key signs what must be provable.
    Admitted {
        /// Who.
        member: MemberIndex,
        /// Compressed secp256k1 point of its [`IdentityKey`]'s public half; another one than before means another boot.
        identity: [u8; 33],
    },
    /// A peer is gone, or its evidence expired.
    Left {
        /// Who.
        member: MemberIndex,
    },
    /// A message of an admitted peer, authenticated by its channel.
    Message {
        /// Who sent it.
        from: MemberIndex,
        /// Any bytes at all.
        bytes: &'a [u8],
    },
    /// A client's request, which this member coordinates.
    Request {
        /// Repeated by [`Output::Answer`].
        ticket: u64,
        /// The whole signed request.
        bytes: &'a [u8],
    },
    /// The answer to [`Output::AskContract`].
    Contract {
        /// Which question.
        query: u64,
        /// Whether the contract said yes. No answer is a no.
        valid: bool,
    },
    /// Records that peers are to know of are durable: this member's state has a new mark.
    Stored {
        /// Of the store after the commit.
        mark: StateMark,
    },
    /// A timer of [`Output::Timer`] ran out. Timers can't be cancelled: one that means nothing any more is ignored.
    Timer(u64),
}

/// Something to do. Outputs are done in the order in which they come, over all calls. A [`Output::Persist`] or
/// [`Output::Erase`] must be durable before any later output is done; when it can't be made durable, the member must end.
pub enum Output {
    /// Send a message to an admitted peer. It may be lost.
    Send {
        /// To whom.
        to: MemberIndex,
        /// At most [`MAX_MESSAGE`] bytes; may hold secrets, so only over a channel that encrypts.
        bytes: Zeroizing<Vec<u8>>,
    },
    /// Keep a record, in the place of an older one of the same name. Sealed, since it holds secrets.
    Persist {
        /// At most 80 bytes of `[a-z0-9-]`.
        name: String,
        /// At most 64 KiB.
        record: Zeroizing<Vec<u8>>,
    },
    /// Forget a record for good.
    Erase {
        /// Which.
        name: String,
    },
    /// Call back with [`Input::Timer`].
    Timer {
        /// Any number, never reused.
        id: u64,
        /// From now.
        after: Duration,
    },
    /// Answer a client.
    Answer {
        /// Of [`Input::Request`].
        ticket: u64,
        /// What the client gets.
        outcome: Result<Response, Refusal>,
    },
    /// Ask a contract on the chain.
    AskContract {
        /// Repeated by [`Input::Contract`].
        query: u64,
        /// What to ask.
        question: ContractQuery,
    },
    /// Number all later states of the store above the one that a peer remembers.
    Outrun {
        /// Its mark, which is genuine.
        newest: StateMark,
    },
    /// Another configuration is in force: from now on these have the places.
    Configured {
        /// In the order of their indices.
        places: Vec<Place>,
    },
    /// Append to the audit log. Holds no secret.
    Audit(Event),
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The key exists on all members.
    Key(KeyInfo),
    /// A signature that was verified under the key.
    Signature {
        /// The key.
        key: KeyInfo,
        /// As the scheme's library serialises it: 65 bytes (R compressed, z) for RFC 9591, 64 bytes for BIP-340.
        signature: Vec<u8>,
        /// Who signed.
        signers: Vec<MemberIndex>,
        /// Who was left out after breaking the protocol.
        culprits: Vec<MemberIndex>,
    },
    /// All shares of the key's root have new values.
    Refreshed(KeyInfo),
    /// The configuration is in force.
    Configured {
        /// Its number.
        number: u32,
        /// Its digest.
        digest: [u8; 32],
    },
    /// The policy is in force on so many members that no quorum accepts an older one.
    PolicySet {
        /// Which key.
        key: KeyId,
        /// Its new version.
        version: u32,
    },
}

/// A key as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The user's name for it.
    pub key: KeyId,
    /// The generated key behind it.
    pub root: RootId,
    /// How it signs.
    pub scheme: Scheme,
    /// SEC1 compressed point.
    pub public_key: [u8; 33],
    /// How often the shares got new values.
    pub generation: u32,
}

/// What the audit log is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A key is active.
    KeyActive {
        /// Which.
        root: RootId,
        /// Its public key.
        public_key: [u8; 33],
        /// 0 after key generation, one more after each refresh.
        generation: u32,
    },
    /// This member gave a share of a signature.
    ShareGiven {
        /// The user's key.
        key: KeyId,
        /// Digest of the request.
        request: [u8; 32],
        /// What was signed.
        message: [u8; 32],
        /// Who coordinated.
        coordinator: MemberIndex,
    },
    /// A request got no share.
    Refused {
        /// SHA-256 of the request's bytes; where it was allowed before and its package came too late or wrong, its digest.
        request: [u8; 32],
        /// Code of the refusal.
        code: &'static str,
        /// Who passed it on; `None` for a client.
        from: Option<MemberIndex>,
    },
    /// Another configuration is in force.
    Configured {
        /// Its number.
        number: u32,
        /// Its digest.
        digest: [u8; 32],
    },
    /// A member broke the protocol.
    Blamed {
        /// Who.
        member: MemberIndex,
        /// What it did.
        fault: &'static str,
    },
    /// A lost share came back.
    Repaired {
        /// Of which key.
        root: RootId,
    },
    /// The state that this member started with was an old one.
    RolledBack {
        /// Who remembers a newer one.
        noticed_by: MemberIndex,
    },
}

/// Whether an old state of a member would be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollback {
    /// There is no state that outlives the boot.
    Stateless,
    /// Too few peers remember the newest state.
    Unprotected,
    /// So many peers remember the newest state that as many as it takes to sign can't all have forgotten it.
    Protected,
    /// The state was an old one, and this member hasn't taken over yet what its peers have.
    Detected,
}

/// Why a member can't start from its records.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The network is none: too few or too many members, or a threshold that FROST doesn't have.
    #[error("{threshold} of {members} is no network, or member {me} isn't in it")]
    Network {
        /// How many must sign.
        threshold: u16,
        /// How many there are.
        members: u16,
        /// This member.
        me: u16,
    },
    /// A record is damaged or another member's.
    #[error("record {name}: {error}")]
    Record {
        /// Which.
        name: String,
        /// What is wrong with it.
        error: WireError,
    },
    /// More records than a member keeps.
    #[error("{0} records are more than a member keeps")]
    TooMany(usize),
}

/// A generated key as this member has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootInfo {
    /// Which.
    pub root: RootId,
    /// How it signs.
    pub scheme: Scheme,
    /// How far the sharing in use has come here; the newest one where none is.
    pub level: Level,
    /// Of that sharing.
    pub generation: u32,
    /// SEC1 compressed point.
    pub public_key: [u8; 33],
}

/// Messages hold shares, so their bytes aren't printed.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Admitted { member, .. } => write!(f, "Admitted({})", member.0),
            Input::Left { member } => write!(f, "Left({})", member.0),
            Input::Message { from, bytes } => write!(f, "Message({}, {} bytes)", from.0, bytes.len()),
            Input::Request { ticket, bytes } => write!(f, "Request({ticket}, {} bytes)", bytes.len()),
            Input::Contract { query, valid } => write!(f, "Contract({query}, {valid})"),
            Input::Stored { .. } => f.write_str("Stored"),
            Input::Timer(id) => write!(f, "Timer({id})"),
        }
    }
}

/// Messages and records hold shares, so their bytes aren't printed.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Send { to, bytes } => write!(f, "Send({}, {} bytes)", to.0, bytes.len()),
            Output::Persist { name, record } => write!(f, "Persist({name}, {} bytes)", record.len()),
            Output::Erase { name } => write!(f, "Erase({name})"),
            Output::Timer { id, after } => write!(f, "Timer({id}, {after:?})"),
            Output::Answer { ticket, outcome } => write!(f, "Answer({ticket}, {outcome:?})"),
            Output::AskContract { query, question } => write!(f, "AskContract({query}, {question:?})"),
            Output::Configured { .. } => f.write_str("Configured"),
            Output::Outrun { .. } => f.write_str("Outrun"),
            Output::Audit(event) => write!(f, "Audit({event:?})"),
        }
    }
}
