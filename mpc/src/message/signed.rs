//! Statements that must be provable to others.

use super::{Commitments, Secret, SessionId};
use crate::identity::{IdentityKey, IdentityPublic};
use crate::network::MemberIndex;
use crate::wire::{Reader, WireError, Writer};

/// Longest first-round package: 32 commitments, a proof of knowledge, and a header.
const MAX_ROUND1: usize = 2 * 1024;

/// Something that a member says in a ceremony and can't take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// First round: commitments to the polynomial, and a proof of knowledge. The same to everybody.
    Round1 {
        /// Which ceremony.
        session: SessionId,
        /// As the library serialises it.
        package: Vec<u8>,
    },
    /// What the sender got from all members in the first round.
    Echo {
        /// Which ceremony.
        session: SessionId,
        /// SHA-256 over all of it.
        digest: [u8; 32],
    },
    /// Second round: one member's value of the polynomial.
    Round2 {
        /// Which ceremony.
        session: SessionId,
        /// For whom.
        to: MemberIndex,
        /// Scalar.
        share: Secret,
    },
    /// The share is kept; and commitments for the test signature.
    Commit {
        /// Which ceremony.
        session: SessionId,
        /// SHA-256 of the public key package.
        digest: [u8; 32],
        /// For the test signature.
        commitments: Commitments,
    },
}

impl Statement {
    /// Which ceremony it belongs to.
    pub fn session(&self) -> &SessionId {
        match self {
            Statement::Round1 { session, .. }
            | Statement::Echo { session, .. }
            | Statement::Round2 { session, .. }
            | Statement::Commit { session, .. } => session,
        }
    }

    fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        match self {
            Statement::Round1 { session, package } => to.u8(0).fixed(session).bytes(package),
            Statement::Echo { session, digest } => to.u8(1).fixed(session).fixed(digest),
            Statement::Round2 {
                session,
                to: member,
                share,
            } => to.u8(2).fixed(session).member(*member).fixed(share.expose()),
            Statement::Commit {
                session,
                digest,
                commitments,
            } => commitments.write(to.u8(3).fixed(session).fixed(digest)),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match from.u8()? {
            0 => Statement::Round1 {
                session: from.fixed()?,
                package: from.bytes("round 1 package", MAX_ROUND1)?.to_vec(),
            },
            1 => Statement::Echo {
                session: from.fixed()?,
                digest: from.fixed()?,
            },
            2 => Statement::Round2 {
                session: from.fixed()?,
                to: from.member()?,
                share: Secret::new(from.fixed()?),
            },
            3 => Statement::Commit {
                session: from.fixed()?,
                digest: from.fixed()?,
                commitments: Commitments::read(from)?,
            },
            _ => return Err(WireError::Value("statement")),
        })
    }
}

/// A statement, who makes it, and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who makes it.
    pub sender: MemberIndex,
    /// What it says.
    pub statement: Statement,
    /// By the sender's identity key.
    pub signature: [u8; 65],
}

impl Signed {
    /// Signs a statement.
    pub fn new<R: rand_core::RngCore + rand_core::CryptoRng>(
        key: &IdentityKey,
        genesis: &[u8; 32],
        sender: MemberIndex,
        statement: Statement,
        rng: &mut R,
    ) -> Self {
        let signature = key.sign(&signed_bytes(genesis, sender, &statement), rng);
        Self {
            sender,
            statement,
            signature,
        }
    }

    /// Whether the key made the signature.
    pub fn verify(&self, key: &IdentityPublic, genesis: &[u8; 32]) -> bool {
        key.verify(
            &signed_bytes(genesis, self.sender, &self.statement),
            &self.signature,
        )
    }

    pub(super) fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        self.statement
            .write(to.member(self.sender))
            .fixed(&self.signature)
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            sender: from.member()?,
            statement: Statement::read(from)?,
            signature: from.fixed()?,
        })
    }
}

fn signed_bytes(
    genesis: &[u8; 32],
    sender: MemberIndex,
    statement: &Statement,
) -> zeroize::Zeroizing<Vec<u8>> {
    let mut to = Writer::with_capacity(512);
    statement.write(to.fixed(b"jeju-mpc-statement-v1\0").fixed(genesis).member(sender));
    to.finish()
}

/// What shows to anybody who knows the members' identity keys that one of them broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Two different first-round packages, echoes or commits of one ceremony.
    Equivocation(Box<Signed>, Box<Signed>),
    /// A first-round package that isn't one: malformed, of another threshold, or without proof of knowledge.
    BadPackage(Box<Signed>),
    /// A second-round share that doesn't fit the first-round package. The ceremony is over, so the share may be shown.
    BadShare {
        /// First round.
        round1: Box<Signed>,
        /// Second round.
        round2: Box<Signed>,
    },
}

impl Proof {
    /// Whom it is about.
    pub fn culprit(&self) -> MemberIndex {
        match self {
            Proof::Equivocation(signed, _)
            | Proof::BadPackage(signed)
            | Proof::BadShare { round1: signed, .. } => signed.sender,
        }
    }

    pub(super) fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        match self {
            Proof::Equivocation(one, other) => other.write(one.write(to.u8(0))),
            Proof::BadPackage(signed) => signed.write(to.u8(1)),
            Proof::BadShare { round1, round2 } => round2.write(round1.write(to.u8(2))),
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        let signed = |from: &mut Reader<'_>| Signed::read(from).map(Box::new);
        Ok(match from.u8()? {
            0 => Proof::Equivocation(signed(from)?, signed(from)?),
            1 => Proof::BadPackage(signed(from)?),
            2 => Proof::BadShare {
                round1: signed(from)?,
                round2: signed(from)?,
            },
            _ => return Err(WireError::Value("proof")),
        })
    }
}
