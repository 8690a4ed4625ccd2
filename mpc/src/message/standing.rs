//! What a member has of a key, and the proof that a sharing is active.

use super::{SessionId, read_scheme, scheme_number};
use crate::network::{RootId, Scheme};
use crate::wire::{Reader, WireError, Writer};

/// How far a sharing has come at a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The share is kept, but nobody has shown that all members have theirs.
    Pending,
    /// All members' shares have made a signature.
    Active,
    /// All members have it active.
    Confirmed,
    /// All members have it confirmed: clients may be told.
    Complete,
}

impl Level {
    pub(crate) fn number(self) -> u8 {
        match self {
            Level::Pending => 0,
            Level::Active => 1,
            Level::Confirmed => 2,
            Level::Complete => 3,
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match from.u8()? {
            0 => Level::Pending,
            1 => Level::Active,
            2 => Level::Confirmed,
            3 => Level::Complete,
            _ => return Err(WireError::Value("level")),
        })
    }
}

/// Names a sharing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// How far it has come.
    pub level: Level,
    /// 0 after key generation, one more after each refresh.
    pub generation: u32,
    /// Ceremony that made it.
    pub session: SessionId,
}

/// What a member has of one key: at most one sharing of each level below, and at most three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which key.
    pub root: RootId,
    /// How it signs.
    pub scheme: Scheme,
    /// Sorted by level, lowest first. None means: has nothing of it.
    pub marks: Vec<Mark>,
}

impl Standing {
    pub(super) fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        to.fixed(&self.root.0)
            .u8(scheme_number(self.scheme))
            .count(self.marks.len());
        for mark in &self.marks {
            to.u8(mark.level.number())
                .u32(mark.generation)
                .fixed(&mark.session);
        }
        to
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        let standing = Self {
            root: RootId(from.fixed()?),
            scheme: read_scheme(from)?,
            marks: super::codec::list(from, "marks", 3, |from| {
                Ok(Mark {
                    level: Level::read(from)?,
                    generation: from.u32()?,
                    session: from.fixed()?,
                })
            })?,
        };
        match standing.marks.is_sorted_by(|a, b| a.level < b.level) {
            true => Ok(standing),
            false => Err(WireError::Value("order of marks")),
        }
    }
}

/// A signature of all members' shares over a sharing: whoever is shown it knows that every member has kept its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// How the key signs.
    pub scheme: Scheme,
    /// Which key.
    pub root: RootId,
    /// Of the sharing.
    pub generation: u32,
    /// Ceremony that made it.
    pub session: SessionId,
    /// SHA-256 of its public key package.
    pub digest: [u8; 32],
    /// By the key itself.
    pub signature: Vec<u8>,
}

impl Evidence {
    pub(super) fn write<'a>(&self, to: &'a mut Writer) -> &'a mut Writer {
        to.u8(scheme_number(self.scheme))
            .fixed(&self.root.0)
            .u32(self.generation)
            .fixed(&self.session)
            .fixed(&self.digest)
            .bytes(&self.signature)
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            scheme: read_scheme(from)?,
            root: RootId(from.fixed()?),
            generation: from.u32()?,
            session: from.fixed()?,
            digest: from.fixed()?,
            signature: from.bytes("signature", 65)?.to_vec(),
        })
    }

    /// What is signed. Never 32 bytes long, so no client's message can be it.
    pub fn signed_bytes(
        genesis: &[u8; 32],
        root: RootId,
        generation: u32,
        session: &SessionId,
        digest: &[u8; 32],
    ) -> Vec<u8> {
        let mut bytes = b"jeju-mpc-activation-v1\0".to_vec();
        bytes.extend_from_slice(genesis);
        bytes.extend_from_slice(&root.0);
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(session);
        bytes.extend_from_slice(digest);
        bytes
    }
}
