//! What members say to each other.
//!
//! A message is typed, bounded and has one encoding. Points and scalars are carried as bytes and become curve elements only
//! where the scheme is known. Who sent a message is known from the channel that it came over; what must be provable to
//! others is a [`Statement`] signed by the sender's identity key.

use zeroize::Zeroizing;

use crate::marks::StateMark;
use crate::network::{KeyId, MemberIndex, RootId, Scheme};
use crate::refusal::Refusal;

mod codec;
mod refusal;
mod signed;
mod standing;

pub(crate) use codec::{read_scheme, scheme_number};
pub use signed::{Proof, Signed, Statement};
pub use standing::{Evidence, Level, Mark, Standing};

/// Longest client request that is passed on, in bytes.
pub const MAX_REQUEST: usize = 32 * 1024;
/// Longest public key package: 32 members' verifying shares, and a header.
pub const MAX_PACKAGE: usize = 4 * 1024;
/// Most policies in one [`Message::PolicyIndex`].
pub const MAX_INDEX: usize = 1000;
/// Most roots that a member has shares of.
pub const MAX_ROOTS: usize = 256;

/// Name of a ceremony, and of the sharing of a key that it made.
pub type SessionId = [u8; 32];
/// Name of a signing session or a repair; the one who starts it draws it.
pub type ExchangeId = [u8; 16];
/// SEC1 compressed point.
pub type Point = [u8; 33];

/// 32 secret bytes; wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Which ceremony is meant by [`Message::Start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CeremonyKind {
    /// A new key.
    KeyGeneration,
    /// New shares of a key.
    Refresh,
}

/// Opens a ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What is made.
    pub kind: CeremonyKind,
    /// How the key signs.
    pub scheme: Scheme,
    /// Which key.
    pub root: RootId,
    /// 0 for a new key, one more than the last for a refresh.
    pub generation: u32,
    /// Counts up at the leader, so that no member can be led into one session twice.
    pub attempt: u64,
    /// Drawn by the leader.
    pub seed: [u8; 32],
    /// The session that follows from all of this, the leader, and the identities of all members.
    pub session: SessionId,
    /// The client's request, which each member judges for itself.
    pub request: Vec<u8>,
}

impl Start {
    /// The session that follows from what is started, who leads, and who the members are by the sight of who computes it:
    /// members that see different identities of one member never meet in a ceremony. `identities` are in the order of
    /// the members.
    pub fn session_id(&self, genesis: &[u8; 32], leader: MemberIndex, identities: &[Point]) -> SessionId {
        let kind: &[u8] = match self.kind {
            CeremonyKind::KeyGeneration => b"key-generation",
            CeremonyKind::Refresh => b"refresh",
        };
        jeju_attestation::hash::tagged_sha256(
            "jeju-mpc-session-v1",
            &[
                genesis,
                kind,
                self.scheme.name().as_bytes(),
                &self.root.0,
                &self.generation.to_be_bytes(),
                &leader.0.to_be_bytes(),
                &self.attempt.to_be_bytes(),
                &self.seed,
                &identities.concat(),
            ],
        )
    }
}

/// Why a member takes no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decline {
    /// In another ceremony for the same key.
    Busy,
    /// It has a share of the key already; its standing follows.
    Exists,
    /// It sees other members, identities, or another generation than the leader.
    View,
    /// It refuses the client's request.
    Refused(Refusal),
}

/// Commitments to a signer's two nonces, as in RFC 9591 §5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitments {
    /// To the hiding nonce.
    pub hiding: Point,
    /// To the binding nonce.
    pub binding: Point,
}

/// A message between two members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Asks for the peer's standing.
    StatusQuery {
        /// Repeated by the answer, which is fresh by that.
        nonce: [u8; 16],
    },
    /// Shares that the sender has.
    Status {
        /// Of the query; zeros where nobody asked.
        nonce: [u8; 16],
        /// Whether these are all its roots.
        all: bool,
        /// At most [`MAX_ROOTS`].
        roots: Vec<Standing>,
    },
    /// Shows that a sharing is active.
    Evidence(Evidence),
    /// Opens a ceremony.
    Start(Start),
    /// The sender takes no part in a ceremony.
    Decline {
        /// Which.
        session: SessionId,
        /// Why.
        reason: Decline,
    },
    /// A signed statement of a ceremony.
    Signed(Signed),
    /// All first-round packages that the sender has, after echoes differed; or all commits, after shares of the test
    /// signature didn't fit.
    Round1Set {
        /// Which ceremony.
        session: SessionId,
        /// At most one for each member.
        set: Vec<Signed>,
    },
    /// Share of the test signature.
    TestShare {
        /// Which ceremony.
        session: SessionId,
        /// Digest of the commits that it was made for: it can be good only together with the same ones.
        commits: [u8; 32],
        /// Scalar.
        share: [u8; 32],
    },
    /// The sender has left a ceremony.
    Abort {
        /// Which.
        session: SessionId,
        /// What it has against somebody.
        proof: Option<Proof>,
    },
    /// Asks a signer for commitments.
    SignInit {
        /// New for each attempt.
        exchange: ExchangeId,
        /// Key behind the user's.
        root: RootId,
        /// Which sharing of it.
        sharing: SessionId,
        /// The client's whole request, at most [`MAX_REQUEST`] bytes.
        request: Vec<u8>,
    },
    /// First round of signing.
    SignCommit {
        /// Of the attempt.
        exchange: ExchangeId,
        /// Of this signer.
        commitments: Commitments,
    },
    /// What is to be signed, and by whom.
    SignPackage {
        /// Of the attempt.
        exchange: ExchangeId,
        /// As the coordinator sees it.
        message: [u8; 32],
        /// All signers, sorted by index.
        commitments: Vec<(MemberIndex, Commitments)>,
    },
    /// Second round of signing.
    SignShare {
        /// Of the attempt.
        exchange: ExchangeId,
        /// Scalar.
        share: [u8; 32],
    },
    /// The signer gives nothing.
    SignNo {
        /// Of the attempt.
        exchange: ExchangeId,
        /// Why.
        refusal: Refusal,
    },
    /// The signature that the shares made.
    SignDone {
        /// Of the attempt.
        exchange: ExchangeId,
        /// As the scheme serialises it.
        signature: Vec<u8>,
    },
    /// The sender has lost its share; who has the sharing answers.
    RepairQuery {
        /// Drawn by the sender.
        exchange: ExchangeId,
        /// Of which key.
        root: RootId,
        /// Of which sharing.
        sharing: SessionId,
    },
    /// What is public of a sharing.
    RepairOffer {
        /// Of the query.
        exchange: ExchangeId,
        /// That the sharing is active.
        evidence: Evidence,
        /// How the sender has it.
        level: Level,
        /// The public key package, at most [`MAX_PACKAGE`] bytes.
        package: Vec<u8>,
    },
    /// Asks for help with these helpers.
    RepairBegin {
        /// Of the query.
        exchange: ExchangeId,
        /// Of which key.
        root: RootId,
        /// Of which sharing.
        sharing: SessionId,
        /// As many as must sign, sorted.
        helpers: Vec<MemberIndex>,
    },
    /// From helper to helper.
    RepairDelta {
        /// Of the query.
        exchange: ExchangeId,
        /// Whose share is lost.
        lost: MemberIndex,
        /// Scalar.
        delta: Secret,
    },
    /// From helper to the one who lost its share.
    RepairSigma {
        /// Of the query.
        exchange: ExchangeId,
        /// Scalar.
        sigma: Secret,
    },
    /// A new policy, as its owner signed it.
    PolicySet {
        /// Drawn by the coordinator.
        exchange: ExchangeId,
        /// The client's whole request.
        request: Vec<u8>,
    },
    /// The policy is kept and in force at the sender.
    PolicyKept {
        /// Of the request.
        exchange: ExchangeId,
    },
    /// The sender refuses it.
    PolicyNo {
        /// Of the request.
        exchange: ExchangeId,
        /// Why.
        refusal: Refusal,
    },
    /// Asks which policies the peer keeps.
    PolicyIndexQuery {
        /// Only of keys after this one.
        after: KeyId,
    },
    /// Policies that the sender keeps.
    PolicyIndex {
        /// Of the query.
        after: KeyId,
        /// Keys and versions, sorted by key; at most [`MAX_INDEX`].
        entries: Vec<(KeyId, u32)>,
        /// Whether there are more.
        more: bool,
    },
    /// Asks for a policy.
    PolicyFetch {
        /// Of which key.
        key: KeyId,
    },
    /// A policy that the sender keeps.
    PolicyShown {
        /// As the owners signed it.
        document: Vec<u8>,
    },
    /// Asks what the peer remembers of the sender's stored state.
    MarkQuery,
    /// What the sender remembers of the peer's.
    MarkShown {
        /// As it was told last.
        mark: Option<StateMark>,
    },
    /// The sender's newest state, for the peer to remember.
    MarkTell {
        /// Means something to the sender alone.
        mark: StateMark,
    },
    /// Which configuration is in force at the sender; asks the peer for its own and for the next one.
    ConfigurationQuery {
        /// Its number.
        number: u32,
    },
    /// Which configuration is in force at the sender.
    ConfigurationAt {
        /// Its number.
        number: u32,
    },
    /// A configuration that is in force at the sender, or was.
    ConfigurationShown {
        /// As governance signed it, at most [`crate::configuration::document::MAX_PROPOSAL`] bytes.
        proposal: Vec<u8>,
        /// By the network's root key.
        approval: [u8; 65],
    },
}

#[cfg(test)]
mod tests;
