//! Signatures: the coordinator asks as many members as must sign; each judges the request itself, commits to two nonces,
//! and gives its share for one package. Who is late or gives a bad share is left out of the next attempt.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::authority::Grant;
use crate::key::UserKey;
use crate::member::{KeyInfo, Member, Response};
use crate::message::{ExchangeId, SessionId};
use crate::network::{KeyId, KeyPath, MemberIndex};
use crate::refusal::Refusal;
use crate::time::Interval;

mod coordinator;
mod signer;

use coordinator::{Attempt, Running};
use signer::{Round, Seen};

/// Most users' keys that are kept ready.
const MAX_KEYS: usize = 1024;
/// Most requests that are remembered; beyond them nothing new is signed until some have expired.
const MAX_SEEN: usize = 128 * 1024;
/// Most answers that are kept for clients that ask again.
const MAX_ANSWERS: usize = 8 * 1024;

/// All that a member has in memory for signing. Nothing of it is ever kept on a disk.
#[derive(Default)]
pub(crate) struct Signing {
    /// Attempts that this member is a signer of, by who coordinates.
    rounds: HashMap<(MemberIndex, ExchangeId), Round>,
    /// The same, oldest first, for each coordinator.
    order: BTreeMap<MemberIndex, VecDeque<ExchangeId>>,
    /// Requests that this member gave commitments for, by their nonce.
    seen: HashMap<[u8; 32], Seen>,
    /// When expired ones were last removed.
    swept: u64,
    /// Requests that this member coordinates, by their nonce.
    running: HashMap<[u8; 32], Running>,
    /// Sorted: what happens to several at once happens in an order that a run of the simulator can repeat.
    attempts: BTreeMap<ExchangeId, Attempt>,
    /// Answers that this member gave, by the request's nonce.
    answers: HashMap<[u8; 32], Answered>,
    /// Answers by when they expire, so that the first ones go first.
    expiries: VecDeque<(u64, [u8; 32])>,
    keys: HashMap<(SessionId, KeyId), (Arc<dyn UserKey>, u64)>,
    uses: u64,
}

struct Answered {
    digest: [u8; 32],
    expires: u64,
    response: Response,
}

impl Signing {
    /// The stored answer to a request, or the refusal that its nonce earns.
    pub(crate) fn answer_to(&self, grant: &Grant) -> Option<Result<Response, Refusal>> {
        let answered = self.answers.get(&grant.nonce)?;
        Some(match answered.digest == grant.digest {
            true => Ok(answered.response.clone()),
            false => Err(Refusal::NonceUsed),
        })
    }

    pub(crate) fn remember_answer(&mut self, grant: &Grant, response: Response, now: Interval) {
        while let Some((expires, nonce)) = self.expiries.front().copied() {
            if expires > now.lower && self.expiries.len() < MAX_ANSWERS {
                break;
            }
            self.expiries.pop_front();
            if self
                .answers
                .get(&nonce)
                .is_some_and(|answer| answer.expires == expires)
            {
                self.answers.remove(&nonce);
            }
        }
        self.expiries.push_back((grant.expires, grant.nonce));
        self.answers.insert(
            grant.nonce,
            Answered {
                digest: grant.digest,
                expires: grant.expires,
                response,
            },
        );
    }

    /// Keys of a sharing that may be gone are made anew when they are asked for.
    pub(crate) fn forget_keys(&mut self) {
        self.keys.clear();
    }
}

impl Member {
    /// A user's key with this member's share of it, made once and kept ready. `sharing` is which sharing must be used.
    pub(crate) fn user_key(&mut self, path: KeyPath, sharing: &SessionId) -> Option<Arc<dyn UserKey>> {
        self.signing.uses += 1;
        let (name, uses) = ((*sharing, path.key), self.signing.uses);
        let root = self.roots.get(&path.root(&self.network))?;
        let sharing = root.signs(sharing)?;
        if root.scheme != path.scheme {
            return None;
        }
        if let Some((key, used)) = self.signing.keys.get_mut(&name) {
            *used = uses;
            return Some(Arc::clone(key));
        }
        let key = sharing.user_key(&self.network.genesis, path.scheme, path.key, path.dedicated)?;
        if self.signing.keys.len() >= MAX_KEYS {
            let oldest = self
                .signing
                .keys
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(name, _)| *name);
            if let Some(oldest) = oldest {
                self.signing.keys.remove(&oldest);
            }
        }
        self.signing.keys.insert(name, (Arc::clone(&key), uses));
        Some(key)
    }

    /// The sharing in use of a user's key, what clients are told of the key, and the key.
    pub(crate) fn key_in_use(&mut self, path: KeyPath) -> Option<(SessionId, KeyInfo, Arc<dyn UserKey>)> {
        let id = path.root(&self.network);
        let sharing = self.roots.get(&id)?.current()?;
        let (session, generation) = (sharing.session, sharing.generation);
        let key = self.user_key(path, &session)?;
        let info = KeyInfo {
            key: path.key,
            root: id,
            scheme: path.scheme,
            public_key: key.public_key(),
            generation,
        };
        Some((session, info, key))
    }
}
