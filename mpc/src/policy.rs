//! Policies that owners changed. A new one is in force when so many members keep it that none is left of any quorum that
//! doesn't; members that didn't hear of it, or lost it, take it over from the others before they sign anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::authority::{Action, Grant, PolicyUpdate};
use crate::member::{Member, Output, Response, Then, TimerFor, Turn};
use crate::message::{ExchangeId, MAX_INDEX, Message};
use crate::network::{KeyId, MemberIndex};
use crate::record::{self, MAX_POLICY};
use crate::refusal::Refusal;

/// Most keys whose policy was ever changed.
pub(crate) const MAX_POLICIES: usize = 64 * 1024;
/// Most bytes of all of them.
const MAX_BYTES: usize = 64 * 1024 * 1024;
const MAX_PENDING: usize = 256;
/// Most pages of a peer's index.
const MAX_PAGES: u32 = (MAX_POLICIES / MAX_INDEX) as u32 + 1;
const PATIENCE: Duration = Duration::from_secs(10);

/// Policies that were set, and those that are being spread.
#[derive(Default)]
pub(crate) struct Policies {
    kept: BTreeMap<KeyId, (u32, Vec<u8>)>,
    bytes: usize,
    pending: HashMap<ExchangeId, Pending>,
}

struct Pending {
    ticket: u64,
    key: KeyId,
    version: u32,
    kept: BTreeSet<MemberIndex>,
    refused: BTreeMap<MemberIndex, Refusal>,
}

/// How far a peer's policies have been taken over.
#[derive(Default)]
pub(crate) struct PolicySync {
    after: Option<KeyId>,
    wanted: VecDeque<KeyId>,
    pages: u32,
    done: bool,
}

impl PolicySync {
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }
}

impl Policies {
    pub(crate) fn restored(&mut self, policy: PolicyUpdate) {
        self.put(policy);
    }

    fn version(&self, key: &KeyId) -> Option<u32> {
        self.kept.get(key).map(|(version, _)| *version)
    }

    fn put(&mut self, policy: PolicyUpdate) {
        self.bytes += policy.document.len();
        let before = self.kept.insert(policy.key, (policy.version, policy.document));
        self.bytes -= before.map_or(0, |(_, document)| document.len());
    }
}

impl Member {
    /// A client's policy was granted here.
    pub(crate) fn start_policy(&mut self, ticket: u64, grant: Grant, request: Vec<u8>, turn: &mut Turn<'_>) {
        let answer = |outcome, turn: &mut Turn<'_>| turn.push(Output::Answer { ticket, outcome });
        let Action::SetPolicy(policy) = grant.action else {
            return;
        };
        let (key, version) = (policy.key, policy.version);
        if self.policies.pending.len() >= MAX_PENDING {
            return answer(Err(Refusal::Busy), turn);
        }
        if let Err(refusal) = self.keep_policy(policy, turn) {
            return answer(Err(refusal), turn);
        }
        let exchange = Self::exchange_id(turn);
        self.policies.pending.insert(
            exchange,
            Pending {
                ticket,
                key,
                version,
                kept: BTreeSet::from([self.me]),
                refused: BTreeMap::new(),
            },
        );
        self.broadcast(&Message::PolicySet { exchange, request }, turn);
        self.after(PATIENCE, TimerFor::Policy(exchange), turn);
        self.policy_settle(exchange, turn);
    }

    /// Keeps a policy, then puts it in force.
    fn keep_policy(&mut self, policy: PolicyUpdate, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let known = self.policies.version(&policy.key);
        if known.is_some_and(|known| known >= policy.version) {
            return Ok(());
        }
        if policy.document.len() > MAX_POLICY
            || self.policies.bytes + policy.document.len() > MAX_BYTES
            || (known.is_none() && self.policies.kept.len() >= MAX_POLICIES)
        {
            return Err(Refusal::Storage);
        }
        turn.push(Output::Persist {
            name: record::policy_name(policy.key),
            record: record::encode_policy(&self.network, &policy),
        });
        self.authority.adopt(&policy);
        self.forget_rounds_of(policy.key);
        self.policies.put(policy);
        Ok(())
    }

    /// A coordinator passes a policy on.
    pub(crate) fn policy_judged(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        judged: Result<Grant, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let kept = judged.and_then(|grant| match grant.action {
            Action::SetPolicy(policy) => self.keep_policy(policy, turn),
            _ => Err(Refusal::Malformed("not a policy")),
        });
        let answer = match kept {
            Ok(()) => Message::PolicyKept { exchange },
            Err(refusal) => Message::PolicyNo { exchange, refusal },
        };
        self.send(from, answer, turn);
    }

    /// Whether this member has taken over the policies of so many peers that it and they are a quorum, of which one at
    /// least has kept every policy that is in force.
    pub(crate) fn knows_policies(&self) -> bool {
        let known = self.peers.values().filter(|peer| peer.sync.done).count();
        known + 1 >= usize::from(self.network.threshold)
    }

    /// Takes the next step in taking over a peer's policies, or the last one again.
    pub(crate) fn sync_policies(&mut self, peer: MemberIndex, turn: &mut Turn<'_>) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if state.sync.done {
            return;
        }
        let message = match state.sync.wanted.front() {
            Some(key) => Message::PolicyFetch { key: *key },
            None => Message::PolicyIndexQuery {
                after: state.sync.after.unwrap_or(KeyId([0; 32])),
            },
        };
        self.send(peer, message, turn);
    }

    pub(crate) fn policies_asked(&mut self, from: MemberIndex, after: KeyId, turn: &mut Turn<'_>) {
        let mut rest = self
            .policies
            .kept
            .range((Bound::Excluded(after), Bound::Unbounded));
        let entries: Vec<_> = rest
            .by_ref()
            .take(MAX_INDEX)
            .map(|(key, (version, _))| (*key, *version))
            .collect();
        let more = rest.next().is_some();
        let index = Message::PolicyIndex { after, entries, more };
        self.send(from, index, turn);
    }

    pub(crate) fn policies_told(
        &mut self,
        from: MemberIndex,
        after: KeyId,
        entries: &[(KeyId, u32)],
        more: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let sync = &mut peer.sync;
        let expected = sync.after.unwrap_or(KeyId([0; 32])) == after;
        if sync.done || !expected || !sync.wanted.is_empty() || sync.pages >= MAX_PAGES {
            return;
        }
        sync.pages += 1;
        sync.wanted = entries
            .iter()
            .filter(|(key, version)| self.policies.version(key).is_none_or(|known| known < *version))
            .map(|(key, _)| *key)
            .collect();
        sync.after = entries.last().map(|(key, _)| *key).or(sync.after);
        sync.done = !more && sync.wanted.is_empty();
        // After the last page the index is asked for once more, and has nothing new.
        self.sync_policies(from, turn);
    }

    pub(crate) fn policy_wanted(&self, from: MemberIndex, key: KeyId, turn: &mut Turn<'_>) {
        if let Some((_, document)) = self.policies.kept.get(&key) {
            let document = document.clone();
            self.send(from, Message::PolicyShown { document }, turn);
        }
    }

    pub(crate) fn policy_shown(&mut self, from: MemberIndex, document: Vec<u8>, turn: &mut Turn<'_>) {
        self.judge(document, Then::Shown { from }, turn);
    }

    /// A policy that a peer showed was judged. One that this member doesn't take over is passed by, since the peer may lie.
    pub(crate) fn shown_judged(
        &mut self,
        from: MemberIndex,
        judged: Result<Grant, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let key = match judged {
            Ok(Grant {
                action: Action::SetPolicy(policy),
                ..
            }) => {
                let key = policy.key;
                // Without room for it nothing is signed that it might forbid.
                if self.keep_policy(policy, turn).is_err() {
                    return;
                }
                Some(key)
            }
            _ => None,
        };
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if !peer.sync.wanted.is_empty() && (key.is_none() || key.as_ref() == peer.sync.wanted.front()) {
            peer.sync.wanted.pop_front();
            self.sync_policies(from, turn);
        }
    }

    pub(crate) fn policy_kept(&mut self, from: MemberIndex, exchange: ExchangeId, turn: &mut Turn<'_>) {
        if let Some(pending) = self.policies.pending.get_mut(&exchange) {
            pending.kept.insert(from);
            self.policy_settle(exchange, turn);
        }
    }

    pub(crate) fn policy_refused(
        &mut self,
        from: MemberIndex,
        exchange: ExchangeId,
        refusal: Refusal,
        turn: &mut Turn<'_>,
    ) {
        if let Some(pending) = self.policies.pending.get_mut(&exchange) {
            pending.refused.insert(from, refusal);
            self.policy_settle(exchange, turn);
        }
    }

    /// n − t + 1 members: every quorum of t has one of them.
    fn policy_settle(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        let Some(pending) = self.policies.pending.get(&exchange) else {
            return;
        };
        let members = usize::from(self.network.members);
        let needed = members - usize::from(self.network.threshold) + 1;
        let outcome = if pending.kept.len() >= needed {
            Ok(Response::PolicySet {
                key: pending.key,
                version: pending.version,
            })
        } else if members - pending.refused.len() < needed {
            Err(pending.refused.values().next().cloned().unwrap_or(Refusal::Busy))
        } else {
            return;
        };
        self.end_policy(exchange, outcome, turn);
    }

    pub(crate) fn policy_late(&mut self, exchange: ExchangeId, turn: &mut Turn<'_>) {
        self.end_policy(exchange, Err(Refusal::TimedOut), turn);
    }

    fn end_policy(&mut self, exchange: ExchangeId, outcome: Result<Response, Refusal>, turn: &mut Turn<'_>) {
        if let Some(pending) = self.policies.pending.remove(&exchange) {
            turn.push(Output::Answer {
                ticket: pending.ticket,
                outcome,
            });
        }
    }
}
