//! The coordinator's part: any member can be it for any request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::authority::{Action, Grant};
use crate::configuration::{Configuration, ConfigurationError};
use crate::key::{Package, UserKey};
use crate::member::{Event, KeyInfo, Member, Output, Response, TimerFor, Turn};
use crate::message::{Commitments, ExchangeId, Message};
use crate::network::{KeyPath, MemberIndex};
use crate::refusal::Refusal;

/// How long the signers of the first attempt have; those of a later one have twice as long as those before, up to
/// [`LONGEST`]. So a silent signer costs less than a second, and a slow network its own time.
const ATTEMPT: Duration = Duration::from_millis(750);
const LONGEST: Duration = Duration::from_secs(3);
/// All that a client waits.
const BUDGET: Duration = Duration::from_secs(20);
/// Most attempts at one request: as many as a signer takes part in.
const MAX_TRIES: u8 = 16;
/// Most requests at once.
const MAX_RUNNING: usize = 2048;
/// Most clients that wait for one request.
const MAX_TICKETS: usize = 64;

/// A request that this member coordinates.
pub(super) struct Running {
    tickets: Vec<u64>,
    /// The timer that ends it.
    ends: u64,
    grant: Grant,
    path: KeyPath,
    message: [u8; 32],
    request: Arc<Vec<u8>>,
    tries: u8,
    attempt: Option<ExchangeId>,
    /// Who was late once. Asked again only if there is nobody else.
    late: BTreeSet<MemberIndex>,
    refused: BTreeMap<MemberIndex, Refusal>,
    culprits: BTreeSet<MemberIndex>,
}

/// One try with some signers.
pub(super) struct Attempt {
    /// Of the request.
    nonce: [u8; 32],
    signers: Vec<MemberIndex>,
    info: KeyInfo,
    key: Arc<dyn UserKey>,
    commitments: BTreeMap<MemberIndex, Commitments>,
    package: Option<Package>,
    shares: BTreeMap<MemberIndex, [u8; 32]>,
}

impl Member {
    /// A client's request to sign was granted here.
    pub(crate) fn start_signing(&mut self, ticket: u64, grant: Grant, request: Vec<u8>, turn: &mut Turn<'_>) {
        let Action::Sign { path, message } = grant.action else {
            return;
        };
        let answer = |outcome, turn: &mut Turn<'_>| turn.push(Output::Answer { ticket, outcome });
        if let Some(outcome) = self.signing.answer_to(&grant) {
            return answer(outcome, turn);
        }
        if let Some(running) = self.signing.running.get_mut(&grant.nonce) {
            return match (running.grant.digest == grant.digest, running.tickets.len()) {
                (false, _) => answer(Err(Refusal::NonceUsed), turn),
                (true, MAX_TICKETS..) => answer(Err(Refusal::Busy), turn),
                (true, _) => running.tickets.push(ticket),
            };
        }
        if self.signing.running.len() >= MAX_RUNNING {
            return answer(Err(Refusal::Busy), turn);
        }
        let id = path.root(&self.network);
        if self.roots.get(&id).and_then(|root| root.current()).is_none() {
            return answer(Err(self.no_share(id)), turn);
        }
        let nonce = grant.nonce;
        let ends = self.after(BUDGET, TimerFor::RequestEnds(nonce), turn);
        self.signing.running.insert(
            nonce,
            Running {
                tickets: vec![ticket],
                ends,
                grant,
                path,
                message,
                request: Arc::new(request),
                tries: 0,
                attempt: None,
                late: BTreeSet::new(),
                refused: BTreeMap::new(),
                culprits: BTreeSet::new(),
            },
        );
        if self.network.members == 1 {
            return self.sign_alone(nonce, turn);
        }
        self.next_attempt(nonce, turn);
    }

    fn sign_alone(&mut self, nonce: [u8; 32], turn: &mut Turn<'_>) {
        let running = &self.signing.running[&nonce];
        let (path, grant) = (running.path, running.grant.clone());
        let message = running.message;
        let outcome = match self.key_in_use(path) {
            None => Err(Refusal::KeyUnknown),
            Some((sharing, info, key)) => self
                .remember_try(&grant, path, &sharing, message, turn)
                .and_then(|()| key.sign_alone(&message, turn.rng()).ok_or(Refusal::KeyUnknown))
                .map(|signature| Response::Signature {
                    key: info,
                    signature,
                    signers: vec![self.me],
                    culprits: Vec::new(),
                }),
        };
        if outcome.is_ok() {
            turn.push(Output::Audit(Event::ShareGiven {
                key: path.key,
                request: grant.digest,
                message,
                coordinator: self.me,
            }));
            self.mark_done(&nonce);
        }
        self.end_request(nonce, outcome, turn);
    }

    /// Tries with the signers that are most likely to answer, or ends the request.
    fn next_attempt(&mut self, nonce: [u8; 32], turn: &mut Turn<'_>) {
        let Some(running) = self.signing.running.get_mut(&nonce) else {
            return;
        };
        if let Some(before) = running.attempt.take() {
            self.signing.attempts.remove(&before);
        }
        let needed = usize::from(self.network.threshold);
        let mut candidates: Vec<(bool, u32, u32, MemberIndex)> = Vec::new();
        for (member, peer) in &self.peers {
            if !running.culprits.contains(member) && !running.refused.contains_key(member) {
                let late = running.late.contains(member);
                candidates.push((late, peer.faults.min(3), turn.below(u32::MAX), *member));
            }
        }
        candidates.sort();
        if candidates.len() + 1 < needed || running.tries >= MAX_TRIES {
            let outcome = self.why_not(nonce, candidates.len());
            return self.end_request(nonce, Err(outcome), turn);
        }
        running.tries += 1;
        let tries = running.tries;
        let mut signers: Vec<MemberIndex> = candidates
            .into_iter()
            .map(|(_, _, _, member)| member)
            .take(needed - 1)
            .chain([self.me])
            .collect();
        signers.sort();
        let (path, request, grant) = (running.path, Arc::clone(&running.request), running.grant.clone());
        let root = path.root(&self.network);
        let Some((sharing, info, key)) = self.key_in_use(path) else {
            let refusal = self.no_share(root);
            return self.end_request(nonce, Err(refusal), turn);
        };
        let exchange = Self::exchange_id(turn);
        let mine = match self.open_round(self.me, exchange, &sharing, &grant, turn) {
            Ok(Some(commitments)) => commitments,
            Ok(None) => return,
            Err(refusal) => return self.end_request(nonce, Err(refusal), turn),
        };
        if let Some(running) = self.signing.running.get_mut(&nonce) {
            running.attempt = Some(exchange);
        }
        let init = Message::SignInit {
            exchange,
            root,
            sharing,
            request: request.to_vec(),
        };
        for signer in &signers {
            if *signer != self.me {
                self.send(*signer, init.clone(), turn);
            }
        }
        self.signing.attempts.insert(
            exchange,
            Attempt {
                nonce,
                signers,
                info,
                key,
                commitments: BTreeMap::from([(self.me, mine)]),
                package: None,
                shares: BTreeMap::new(),
            },
        );
        self.after(patience(tries), TimerFor::Attempt(exchange), turn);
    }

    /// Why there is no signature.
    fn why_not(&self, nonce: [u8; 32], candidates: usize) -> Refusal {
        let Some(running) = self.signing.running.get(&nonce) else {
            return Refusal::Busy;
        };
        let needed = self.network.threshold;
        // What most of those who refuse say; of equals, the first member's.
        let most_said = running
            .refused
            .values()
            .rev()
            .max_by_key(|one| running.refused.values().filter(|other| other == one).count());
        match most_said {
            Some(refusal) if candidates + 1 < usize::from(needed) => refusal.clone(),
            _ if !running.culprits.is_empty() => {
                Refusal::Misbehaved(running.culprits.iter().copied().collect())
            }
            _ if candidates + 1 < usize::from(needed) => Refusal::NoQuorum {
                reachable: candidates as u16 + 1,
                needed,
            },
            _ => Refusal::TimedOut,
        }
    }

    pub(crate) fn committed(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        commitments: Commitments,
        turn: &mut Turn<'_>,
    ) {
        let Some(attempt) = self.signing.attempts.get_mut(&exchange) else {
            return;
        };
        if !attempt.signers.contains(&from) || attempt.package.is_some() {
            return;
        }
        attempt.commitments.entry(from).or_insert(commitments);
        if attempt.commitments.len() < attempt.signers.len() {
            return;
        }
        let signers: Vec<_> = attempt
            .commitments
            .iter()
            .map(|(member, commitments)| (*member, *commitments))
            .collect();
        let nonce = attempt.nonce;
        let Some(running) = self.signing.running.get(&nonce) else {
            return;
        };
        let message = running.message;
        match attempt.key.package(&signers, &message) {
            Ok(package) => attempt.package = Some(package),
            Err(bad) => {
                return self.cheated(nonce, &[bad.0], "commitments are no points", turn);
            }
        }
        let package = Message::SignPackage {
            exchange,
            message,
            commitments: signers.clone(),
        };
        for (signer, _) in &signers {
            if *signer != self.me {
                self.send(*signer, package.clone(), turn);
            }
        }
        // This member's own share; the way through the queue keeps one path for all signers.
        self.send(self.me, package, turn);
    }

    pub(crate) fn share_given(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        share: [u8; 32],
        turn: &mut Turn<'_>,
    ) {
        let Some(attempt) = self.signing.attempts.get_mut(&exchange) else {
            return;
        };
        let Some(package) = &attempt.package else { return };
        if !attempt.signers.contains(&from) {
            return;
        }
        attempt.shares.entry(from).or_insert(share);
        if attempt.shares.len() < attempt.signers.len() {
            return;
        }
        let shares: Vec<_> = attempt
            .shares
            .iter()
            .map(|(member, share)| (*member, *share))
            .collect();
        let nonce = attempt.nonce;
        match attempt.key.aggregate(package, &shares) {
            Ok(signature) => self.signed(exchange, signature, turn),
            Err(culprits) => self.cheated(nonce, &culprits, "bad signature share", turn),
        }
    }

    fn signed(&mut self, exchange: ExchangeId, signature: Vec<u8>, turn: &mut Turn<'_>) {
        let Some(attempt) = self.signing.attempts.remove(&exchange) else {
            return;
        };
        let Some(running) = self.signing.running.get(&attempt.nonce) else {
            return;
        };
        let culprits = running.culprits.iter().copied().collect();
        for signer in &attempt.signers {
            if *signer != self.me {
                let done = Message::SignDone {
                    exchange,
                    signature: signature.clone(),
                };
                self.send(*signer, done, turn);
            }
        }
        if self.is_approving(&running.path) {
            let request = Arc::clone(&running.request);
            let outcome = self.approved(&request, &signature, turn);
            return self.end_request(attempt.nonce, outcome, turn);
        }
        self.mark_done(&attempt.nonce);
        let response = Response::Signature {
            key: attempt.info,
            signature,
            signers: attempt.signers,
            culprits,
        };
        self.end_request(attempt.nonce, Ok(response), turn);
    }

    fn cheated(
        &mut self,
        nonce: [u8; 32],
        culprits: &[MemberIndex],
        fault: &'static str,
        turn: &mut Turn<'_>,
    ) {
        for culprit in culprits {
            self.blame(*culprit, fault, turn);
            if let Some(running) = self.signing.running.get_mut(&nonce) {
                running.culprits.insert(*culprit);
            }
        }
        self.next_attempt(nonce, turn);
    }

    pub(crate) fn share_refused(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) {
        let Some(attempt) = self.signing.attempts.get(&exchange) else {
            return;
        };
        if !attempt.signers.contains(&from) || attempt.shares.contains_key(&from) {
            return;
        }
        let nonce = attempt.nonce;
        let Some(running) = self.signing.running.get_mut(&nonce) else {
            return;
        };
        let key = running.path.key;
        // Around a refresh two members may use different sharings for a moment, and one may not have heard of a policy. Both
        // learn from each other; then it is tried once more.
        let may_pass = match refusal {
            Refusal::ShareMissing | Refusal::StateOld => true,
            Refusal::PolicyVersion { given, current } => given > current,
            _ => false,
        };
        if !may_pass || !running.late.insert(from) {
            running.refused.insert(from, refusal.clone());
        }
        if let Refusal::PolicyVersion { given, current } = refusal {
            match given > current {
                true => self.policy_wanted(from, key, turn),
                false => self.send(from, Message::PolicyFetch { key }, turn),
            }
        }
        self.next_attempt(nonce, turn);
    }

    pub(crate) fn attempt_late(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        let Some(attempt) = self.signing.attempts.get(&exchange) else {
            return;
        };
        let nonce = attempt.nonce;
        let silent: Vec<MemberIndex> = attempt
            .signers
            .iter()
            .filter(|signer| match attempt.package {
                Some(_) => !attempt.shares.contains_key(signer),
                None => !attempt.commitments.contains_key(signer),
            })
            .copied()
            .collect();
        for member in &silent {
            if let Some(peer) = self.peers.get_mut(member) {
                peer.faults = peer.faults.saturating_add(1);
            }
        }
        if let Some(running) = self.signing.running.get_mut(&nonce) {
            running.late.extend(silent);
        }
        self.next_attempt(nonce, turn);
    }

    pub(crate) fn request_late(&mut self, nonce: [u8; 32], timer: u64, turn: &mut Turn<'_>) {
        let Some(running) = self.signing.running.get(&nonce) else {
            return;
        };
        if running.ends != timer {
            return;
        }
        let outcome = match running.culprits.is_empty() {
            true => Refusal::TimedOut,
            false => Refusal::Misbehaved(running.culprits.iter().copied().collect()),
        };
        self.end_request(nonce, Err(outcome), turn);
    }

    fn end_request(&mut self, nonce: [u8; 32], outcome: Result<Response, Refusal>, turn: &mut Turn<'_>) {
        let Some(running) = self.signing.running.remove(&nonce) else {
            return;
        };
        if let Some(attempt) = running.attempt {
            self.signing.attempts.remove(&attempt);
        }
        if let Ok(response) = &outcome {
            self.signing
                .remember_answer(&running.grant, response.clone(), turn.now);
        }
        for ticket in running.tickets {
            turn.push(Output::Answer {
                ticket,
                outcome: outcome.clone(),
            });
        }
    }

    /// A configuration is in force: proposals that were under way have come true, or can't any more.
    pub(crate) fn end_proposals(
        &mut self,
        adopted: &Configuration,
        response: &Response,
        turn: &mut Turn<'_>,
    ) {
        let digest = adopted.digest();
        let mut approving: Vec<[u8; 32]> = self
            .signing
            .running
            .iter()
            .filter(|(_, running)| self.is_approving(&running.path))
            .map(|(nonce, _)| *nonce)
            .collect();
        approving.sort();
        for nonce in approving {
            let outcome = match nonce == digest {
                true => Ok(response.clone()),
                false => Err(Refusal::Configuration(ConfigurationError::Number)),
            };
            self.end_request(nonce, outcome, turn);
        }
    }

    /// A peer left: nobody waits for it, and its attempts here are over.
    pub(crate) fn signing_without(&mut self, member: MemberIndex, turn: &mut Turn<'_>) {
        for exchange in self.signing.order.remove(&member).unwrap_or_default() {
            self.signing.rounds.remove(&(member, exchange));
        }
        let hit: Vec<[u8; 32]> = self
            .signing
            .attempts
            .values()
            .filter(|attempt| attempt.signers.contains(&member))
            .map(|attempt| attempt.nonce)
            .collect();
        for nonce in hit {
            self.next_attempt(nonce, turn);
        }
    }
}

/// How long the signers of a try have, the first of which is 1.
fn patience(tries: u8) -> Duration {
    (ATTEMPT * (1 << tries.saturating_sub(1).min(4))).min(LONGEST)
}
