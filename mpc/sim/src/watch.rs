//! What must never happen, looked for after every output.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jeju_mpc::member::{Event, KeyInfo, Response};
use jeju_mpc::network::{KeyId, MemberIndex, RootId};
use jeju_mpc::refusal::Refusal;
use thiserror::Error;

use crate::canary::Canary;
use crate::verify;

/// Something that must never happen did.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    /// Two shares for one pair of nonces: the member's share of the key can be computed from them.
    #[error("member {0:?} gave two shares for one pair of nonces")]
    NonceReused(MemberIndex),
    /// The same commitments in two sessions.
    #[error("member {0:?} published one pair of nonces for two sessions")]
    CommitmentsReused(MemberIndex),
    /// A client was given a signature that libsecp256k1 doesn't accept.
    #[error("signature for request {0} is wrong")]
    WrongSignature(String),
    /// Two public keys for one key id.
    #[error("key {key} is {one} and {other}")]
    TwoKeys {
        /// Key id, or root id.
        key: String,
        /// As it was told first.
        one: String,
        /// As it was told later.
        other: String,
    },
    /// Two packages for a root and a generation.
    #[error("root {root} has two confirmed packages of generation {generation}")]
    TwoPackages {
        /// Root id.
        root: String,
        /// Generation.
        generation: u32,
    },
    /// An honest member was said to have broken the protocol.
    #[error("honest member {member:?} was blamed by {by}: {fault}")]
    HonestBlamed {
        /// Who was blamed.
        member: MemberIndex,
        /// Who blames.
        by: String,
        /// For what.
        fault: String,
    },
    /// A share for a message that no owner wants signed, or no longer.
    #[error("member {by:?} gave a share for {message}, which is not authorised")]
    Unauthorised {
        /// Who.
        by: MemberIndex,
        /// What was signed.
        message: String,
    },
    /// Two configurations of one number came into force.
    #[error("member {by:?} has another configuration {number} in force than another member")]
    TwoConfigurations {
        /// Who.
        by: MemberIndex,
        /// Which number.
        number: u32,
    },
    /// A secret in an event, an answer, or a debug print.
    #[error("a secret is printed by {0}")]
    SecretShown(String),
    /// A member asked for what its interface doesn't allow.
    #[error("member {by:?} broke its interface: {what}")]
    Interface {
        /// Who.
        by: MemberIndex,
        /// How.
        what: String,
    },
    /// What must happen in time didn't.
    #[error("not done in time: {0}")]
    TooLate(String),
    /// A culprit wasn't named.
    #[error("no one named member {member:?} for {fault}")]
    NotNamed {
        /// Who did it.
        member: MemberIndex,
        /// What.
        fault: String,
    },
}

/// Who was blamed, by whom, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// The honest member that says so.
    pub by: MemberIndex,
    /// Of whom.
    pub member: MemberIndex,
    /// Its words.
    pub fault: String,
}

/// What was seen so far.
#[derive(Default)]
pub struct Watch {
    /// Secrets that must not be printed.
    pub canary: Canary,
    /// Blame by honest members.
    pub blames: Vec<Blame>,
    /// Roots that came back.
    pub repaired: Vec<(MemberIndex, RootId)>,
    /// Members that found out that they have an old state.
    pub rolled_back: Vec<MemberIndex>,
    /// Requests that honest members refused: who, and by which code.
    pub refusals: Vec<(MemberIndex, &'static str)>,
    /// How many shares honest members gave to clients' requests.
    pub shares_given: u64,
    /// How many signatures clients got.
    pub signatures: u64,
    distrusted: BTreeSet<MemberIndex>,
    /// Shares by commitments.
    shares: HashMap<Vec<u8>, Vec<u8>>,
    /// Sessions by commitments.
    sessions: HashMap<Vec<u8>, Vec<u8>>,
    keys: BTreeMap<KeyId, [u8; 33]>,
    packages: BTreeMap<(RootId, u32), Vec<u8>>,
    /// Messages that an owner wants signed, until when.
    wanted: BTreeMap<[u8; 32], u64>,
    /// Digests of configurations that came into force.
    pub configurations: BTreeMap<u32, [u8; 32]>,
}

impl Watch {
    /// Says that a member is byzantine: it may be blamed, and isn't watched.
    pub fn distrust(&mut self, member: MemberIndex) {
        self.distrusted.insert(member);
    }

    /// Whether a member follows the protocol.
    pub fn is_honest(&self, member: MemberIndex) -> bool {
        !self.distrusted.contains(&member)
    }

    /// An owner wants a message signed, up to a time in seconds since 1970.
    pub fn want(&mut self, message: [u8; 32], expires: u64) {
        let until = self.wanted.entry(message).or_default();
        *until = expires.max(*until);
    }

    /// An honest member published commitments in a session.
    pub fn commitments(
        &mut self,
        by: MemberIndex,
        session: &[u8],
        commitments: &[u8],
    ) -> Result<(), Violation> {
        let first = self
            .sessions
            .entry(commitments.to_vec())
            .or_insert_with(|| session.to_vec());
        if first != session {
            Err(Violation::CommitmentsReused(by))
        } else {
            Ok(())
        }
    }

    /// An honest member sent a share, or a package from which its own share follows, for its commitments.
    pub fn share(&mut self, by: MemberIndex, commitments: &[u8], share: &[u8]) -> Result<(), Violation> {
        let first = self
            .shares
            .entry(commitments.to_vec())
            .or_insert_with(|| share.to_vec());
        if first != share {
            Err(Violation::NonceReused(by))
        } else {
            Ok(())
        }
    }

    /// An honest member works with a public key package.
    pub fn package(&mut self, root: RootId, generation: u32, package: &[u8]) -> Result<(), Violation> {
        let first = self
            .packages
            .entry((root, generation))
            .or_insert_with(|| package.to_vec());
        match first == package {
            true => Ok(()),
            false => Err(Violation::TwoPackages {
                root: hex::encode(root.0),
                generation,
            }),
        }
    }

    /// An honest member wrote into its audit log.
    pub fn event(&mut self, by: MemberIndex, event: &Event, now: u64) -> Result<(), Violation> {
        match event {
            Event::ShareGiven { message, .. } => {
                self.shares_given += 1;
                match self.wanted.get(message) {
                    Some(expires) if now <= *expires => Ok(()),
                    _ => Err(Violation::Unauthorised {
                        by,
                        message: hex::encode(message),
                    }),
                }
            }
            Event::Refused { code, .. } => {
                self.refusals.push((by, code));
                Ok(())
            }
            Event::KeyActive { .. } => Ok(()),
            Event::Configured { number, digest } => {
                let first = self.configurations.entry(*number).or_insert(*digest);
                match first == digest {
                    true => Ok(()),
                    false => Err(Violation::TwoConfigurations { by, number: *number }),
                }
            }
            Event::RolledBack { .. } => {
                self.rolled_back.push(by);
                Ok(())
            }
            Event::Blamed { member, fault } => {
                self.blame(*member, &format!("{by:?}"), fault)?;
                self.blames.push(Blame {
                    by,
                    member: *member,
                    fault: (*fault).to_owned(),
                });
                Ok(())
            }
            Event::Repaired { root } => {
                self.repaired.push((by, *root));
                Ok(())
            }
        }
    }

    /// A client got an answer from an honest member. `message` is what it wanted signed.
    pub fn answer(
        &mut self,
        message: Option<&[u8; 32]>,
        outcome: &Result<Response, Refusal>,
    ) -> Result<(), Violation> {
        match outcome {
            Ok(Response::Key(key) | Response::Refreshed(key)) => self.told(key),
            Ok(Response::Signature {
                key,
                signature,
                culprits,
                ..
            }) => {
                self.told(key)?;
                culprits
                    .iter()
                    .try_for_each(|culprit| self.blame(*culprit, "an answer", "culprits"))?;
                self.signatures += 1;
                let message = message.ok_or_else(|| Violation::WrongSignature("of another kind".into()))?;
                match verify::is_valid(key.scheme, &key.public_key, message, signature) {
                    true => Ok(()),
                    false => Err(Violation::WrongSignature(hex::encode(message))),
                }
            }
            Ok(Response::PolicySet { .. } | Response::Configured { .. }) => Ok(()),
            Err(Refusal::Misbehaved(members)) => members
                .iter()
                .try_for_each(|member| self.blame(*member, "an answer", "misbehaved")),
            Err(_) => Ok(()),
        }
    }

    /// A text that a person may read.
    pub fn printed(&self, what: &str, text: &str) -> Result<(), Violation> {
        match self.canary.is_shown_by(text) {
            true => Err(Violation::SecretShown(what.to_owned())),
            false => Ok(()),
        }
    }

    /// The newest confirmed sharing of a root.
    pub fn sharing(&self, root: RootId) -> Option<[u8; 32]> {
        let of_root = self.packages.range((root, 0)..=(root, u32::MAX));
        of_root
            .last()
            .and_then(|(_, session)| session.as_slice().try_into().ok())
    }

    /// Keys that clients were told.
    pub fn keys(&self) -> impl Iterator<Item = (&KeyId, &[u8; 33])> {
        self.keys.iter()
    }

    fn told(&mut self, key: &KeyInfo) -> Result<(), Violation> {
        same_key(&mut self.keys, key.key, key.key.0, &key.public_key)
    }

    fn blame(&self, member: MemberIndex, by: &str, fault: &str) -> Result<(), Violation> {
        match self.is_honest(member) {
            true => Err(Violation::HonestBlamed {
                member,
                by: by.to_owned(),
                fault: fault.to_owned(),
            }),
            false => Ok(()),
        }
    }
}

/// Remembers the first key of a name, and compares every later one with it.
fn same_key<K: Ord>(
    keys: &mut BTreeMap<K, [u8; 33]>,
    name: K,
    printed: [u8; 32],
    key: &[u8; 33],
) -> Result<(), Violation> {
    let first = keys.entry(name).or_insert(*key);
    match first == key {
        true => Ok(()),
        false => Err(Violation::TwoKeys {
            key: hex::encode(printed),
            one: hex::encode(*first),
            other: hex::encode(key),
        }),
    }
}
