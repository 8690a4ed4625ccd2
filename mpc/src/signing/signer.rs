//! The signer's part of one signature.

use std::sync::Arc;

use jeju_attestation::hash::sha256;

use super::MAX_SEEN;
use crate::authority::{Action, Grant};
use crate::key::{Nonces, UserKey};
use crate::member::{Event, Member, Output, Turn};
use crate::message::{Commitments, ExchangeId, Message, SessionId};
use crate::network::{KeyId, KeyPath, MemberIndex, RootId};
use crate::refusal::Refusal;
use crate::time::Interval;

/// Most attempts of one coordinator that wait for their package; the oldest one's nonces are dropped for a new one.
const MAX_ROUNDS: usize = 256;
/// So often a member gives commitments for one request.
const MAX_TRIES: u8 = 16;

/// One attempt, as the signer sees it.
pub(super) enum Round {
    /// Nonces wait for their package.
    Open(Box<Open>),
    /// The nonces are gone. By the request's nonce the coordinator's last word finds it.
    Closed([u8; 32]),
}

/// Nonces that wait for their package, and what they may be used for.
pub(super) struct Open {
    nonces: Nonces,
    commitments: Commitments,
    key: Arc<dyn UserKey>,
    name: KeyId,
    message: [u8; 32],
    digest: [u8; 32],
    nonce: [u8; 32],
    expires: u64,
}

/// A request that this member gave commitments for.
pub(super) struct Seen {
    digest: [u8; 32],
    expires: u64,
    tries: u8,
    path: KeyPath,
    sharing: SessionId,
    message: [u8; 32],
    done: Done,
}

enum Done {
    /// No signature has been shown.
    No,
    /// A coordinator said so. It is checked when it matters, which is when the request comes again.
    Said(Vec<u8>),
    Yes,
}

impl Member {
    /// A peer's signing request was judged.
    pub(crate) fn sign_judged(
        &mut self,
        from: MemberIndex,
        (exchange, root, sharing): (ExchangeId, RootId, SessionId),
        request: &[u8],
        judged: Result<Grant, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let granted = judged.is_ok();
        // The peer may have left while a contract was asked.
        if !self.peers.contains_key(&from) {
            return;
        }
        let answer = judged.and_then(|grant| match grant.action {
            Action::Sign { path, .. } if path.root(&self.network) == root => {
                self.open_round(from, exchange, &sharing, &grant, turn)
            }
            _ => Err(Refusal::Malformed("not a request to sign with this key")),
        });
        let answer = match answer {
            Ok(Some(commitments)) => Message::SignCommit {
                exchange,
                commitments,
            },
            Ok(None) => return,
            Err(refusal) => {
                // What the authority refuses has its record.
                if granted {
                    turn.push(Output::Audit(Event::Refused {
                        request: sha256(request),
                        code: refusal.code(),
                        from: Some(from),
                    }));
                }
                if refusal == Refusal::ShareMissing {
                    self.tell_standing(root, Some(from), turn);
                }
                Message::SignNo { exchange, refusal }
            }
        };
        self.send(from, answer, turn);
    }

    /// Draws nonces for an attempt at a request that is allowed; `None` if the attempt had its share.
    pub(super) fn open_round(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        sharing: &SessionId,
        grant: &Grant,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Commitments>, Refusal> {
        let Action::Sign { path, message } = grant.action else {
            return Err(Refusal::Malformed("not a request to sign"));
        };
        if let Some(refusal) = self.state_unsure() {
            return Err(refusal);
        }
        if !self.knows_policies() || !self.knows_configuration() {
            return Err(Refusal::Busy);
        }
        // The same message twice, perhaps.
        match self.signing.rounds.get(&(from, exchange)) {
            Some(Round::Open(open)) if open.digest == grant.digest => return Ok(Some(open.commitments)),
            Some(_) => return Ok(None),
            None => {}
        }
        self.remember_try(grant, path, sharing, message, turn)?;
        let key = self.user_key(path, sharing).ok_or(Refusal::ShareMissing)?;
        let (nonces, commitments) = key.commit(turn.rng());
        let order = self.signing.order.entry(from).or_default();
        if order.len() >= MAX_ROUNDS
            && let Some(oldest) = order.pop_front()
        {
            self.signing.rounds.remove(&(from, oldest));
        }
        order.push_back(exchange);
        self.signing.rounds.insert(
            (from, exchange),
            Round::Open(Box::new(Open {
                nonces,
                commitments,
                key,
                name: path.key,
                message,
                digest: grant.digest,
                nonce: grant.nonce,
                expires: grant.expires,
            })),
        );
        Ok(Some(commitments))
    }

    /// Counts an attempt, unless the request was finished or its nonce is another's.
    pub(super) fn remember_try(
        &mut self,
        grant: &Grant,
        path: KeyPath,
        sharing: &SessionId,
        message: [u8; 32],
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        // No user's request: it may come again until it is in force.
        if self.is_approving(&path) {
            return self.vote(grant.digest, turn);
        }
        if let Some(seen) = self.signing.seen.get(&grant.nonce) {
            if seen.digest != grant.digest {
                return Err(Refusal::NonceUsed);
            }
            if let Done::Said(signature) = &seen.done {
                let (signature, path, sharing, message) =
                    (signature.clone(), seen.path, seen.sharing, seen.message);
                let key = self.user_key(path, &sharing).or_else(|| self.user_key_now(path));
                let holds = key.is_some_and(|key| key.verify(&message, &signature));
                if let Some(seen) = self.signing.seen.get_mut(&grant.nonce) {
                    seen.done = if holds { Done::Yes } else { Done::No };
                }
            }
        }
        if self.signing.seen.len() >= MAX_SEEN && !self.signing.seen.contains_key(&grant.nonce) {
            let now = turn.now.lower;
            if now > self.signing.swept {
                self.signing.swept = now;
                self.signing.seen.retain(|_, seen| seen.expires > now);
            }
            if self.signing.seen.len() >= MAX_SEEN {
                return Err(Refusal::Busy);
            }
        }
        let seen = self.signing.seen.entry(grant.nonce).or_insert(Seen {
            digest: grant.digest,
            expires: grant.expires,
            tries: 0,
            path,
            sharing: *sharing,
            message,
            done: Done::No,
        });
        if matches!(seen.done, Done::Yes) || seen.tries >= MAX_TRIES {
            return Err(Refusal::Replayed);
        }
        seen.tries += 1;
        seen.sharing = *sharing;
        Ok(())
    }

    /// A user's key by the sharing in use now: the public key is the same for all of them.
    fn user_key_now(&mut self, path: KeyPath) -> Option<Arc<dyn UserKey>> {
        self.key_in_use(path).map(|(_, _, key)| key)
    }

    /// The package for an attempt. The nonces are taken out before anything is looked at, so no other package for them is
    /// ever answered.
    pub(crate) fn package_sent(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        message: [u8; 32],
        commitments: &[(MemberIndex, Commitments)],
        turn: &mut Turn<'_>,
    ) {
        let Some(round) = self.signing.rounds.get_mut(&(from, exchange)) else {
            return;
        };
        let nonce = match round {
            Round::Open(open) => open.nonce,
            Round::Closed(_) => return,
        };
        let Round::Open(open) = std::mem::replace(round, Round::Closed(nonce)) else {
            return;
        };
        let request = open.digest;
        let answer = match self.give_share(*open, message, commitments, turn.now) {
            Ok((share, event)) => {
                turn.push(Output::Audit(event(from)));
                Message::SignShare { exchange, share }
            }
            Err(refusal) => {
                turn.push(Output::Audit(Event::Refused {
                    request,
                    code: refusal.code(),
                    from: Some(from),
                }));
                Message::SignNo { exchange, refusal }
            }
        };
        self.send(from, answer, turn);
    }

    fn give_share(
        &self,
        round: Open,
        message: [u8; 32],
        commitments: &[(MemberIndex, Commitments)],
        now: Interval,
    ) -> Result<([u8; 32], impl FnOnce(MemberIndex) -> Event + use<>), Refusal> {
        // A coordinator may have held the package back since the request was judged.
        if !now.is_before(round.expires) {
            let (expires, now) = (round.expires, now.upper);
            return Err(Refusal::Expired { expires, now });
        }
        if message != round.message {
            return Err(Refusal::Malformed("package is for another message"));
        }
        let mine = commitments
            .iter()
            .find(|(member, _)| *member == self.me)
            .map(|(_, commitments)| *commitments);
        let fits = mine == Some(round.commitments)
            && commitments.len() == usize::from(self.network.threshold)
            && commitments.iter().all(|(member, _)| self.network.has(*member));
        if !fits {
            return Err(Refusal::Malformed("package is not for these commitments"));
        }
        let package = round
            .key
            .package(commitments, &message)
            .map_err(|_| Refusal::Malformed("package has commitments that are no points"))?;
        let share = round
            .key
            .sign(&package, round.nonces)
            .ok_or(Refusal::Malformed("package can't be signed"))?;
        let (key, request) = (round.name, round.digest);
        Ok((share, move |coordinator| Event::ShareGiven {
            key,
            request,
            message,
            coordinator,
        }))
    }

    /// Another policy is in force for a key: what was judged by the one before gets no share.
    pub(crate) fn forget_rounds_of(&mut self, key: KeyId) {
        for round in self.signing.rounds.values_mut() {
            if let Round::Open(open) = round
                && open.name == key
            {
                *round = Round::Closed(open.nonce);
            }
        }
    }

    /// This member lost its place: no attempt gets a share of it any more.
    pub(crate) fn forget_all_rounds(&mut self) {
        for round in self.signing.rounds.values_mut() {
            if let Round::Open(open) = round {
                *round = Round::Closed(open.nonce);
            }
        }
    }

    /// A coordinator says that a request is finished.
    pub(crate) fn signature_told(&mut self, from: MemberIndex, exchange: ExchangeId, signature: Vec<u8>) {
        let Some(Round::Closed(nonce)) = self.signing.rounds.get(&(from, exchange)) else {
            return;
        };
        let nonce = *nonce;
        if let Some(seen) = self.signing.seen.get_mut(&nonce)
            && !matches!(seen.done, Done::Yes)
        {
            seen.done = Done::Said(signature);
        }
    }

    /// This member has made and verified the signature itself.
    pub(super) fn mark_done(&mut self, nonce: &[u8; 32]) {
        if let Some(seen) = self.signing.seen.get_mut(nonce) {
            seen.done = Done::Yes;
        }
    }
}
