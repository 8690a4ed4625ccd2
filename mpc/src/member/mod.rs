//! One member of the network.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::ceremony::{Ceremony, TestShare};
use crate::configuration::Succession;
use crate::configuration::chain::MAX_CONFIGURATIONS;
use crate::identity::{IdentityKey, IdentityPublic};
use crate::limits::Limits;
use crate::marks::Marks;
use crate::message::{ExchangeId, Message};
use crate::network::{MAX_MEMBERS, MemberIndex, Network, RootId};
use crate::policy::Policies;
use crate::record::{self, Record};
use crate::repair::Repairs;
use crate::signing::Signing;
use crate::time::Interval;
use crate::wire::WireError;

mod io;
mod jobs;
mod judge;
mod peers;
mod roots;
mod settle;
mod turn;

pub use io::{
    Event, Input, KeyInfo, MAX_MESSAGE, Membership, Output, Response, RestoreError, Rollback, RootInfo, Setup,
};
pub(crate) use jobs::Jobs;
pub(crate) use judge::{Question, Then};
pub(crate) use peers::Peer;
pub(crate) use roots::Root;
pub(crate) use turn::{TimerFor, Turn};

/// Most records: roots, policies, configurations, and one each of marks and of a vote.
const MAX_RECORDS: usize = crate::message::MAX_ROOTS + crate::policy::MAX_POLICIES + MAX_CONFIGURATIONS + 2;

/// One member of the network.
pub struct Member {
    pub(crate) network: Network,
    pub(crate) me: MemberIndex,
    pub(crate) identity: IdentityKey,
    pub(crate) authority: Box<dyn Authority + Send>,
    /// When this boot began. What was answered before isn't remembered.
    pub(crate) started: Interval,
    pub(crate) peers: BTreeMap<MemberIndex, Peer>,
    pub(crate) roots: BTreeMap<RootId, Root>,
    /// At most one for a root.
    pub(crate) ceremonies: BTreeMap<RootId, Ceremony>,
    pub(crate) attempts: u64,
    /// Last attempts of peers, by boot.
    pub(crate) led: HashMap<(MemberIndex, [u8; 33]), u64>,
    pub(crate) jobs: Jobs,
    pub(crate) signing: Signing,
    pub(crate) repairs: Repairs,
    pub(crate) policies: Policies,
    pub(crate) marks: Marks,
    pub(crate) limits: Limits,
    pub(crate) succession: Succession,
    pub(crate) questions: BTreeMap<u64, Question>,
    last_question: u64,
    timers: HashMap<u64, TimerFor>,
    last_timer: u64,
    /// How often peers were asked for their standing since something last changed.
    pub(crate) rounds: u32,
    pub(crate) tending: bool,
}

impl Member {
    /// A member that starts with what it kept. `started` is the time now.
    pub fn new<R: RngCore + CryptoRng>(
        setup: Setup,
        authority: Box<dyn Authority + Send>,
        records: Vec<(String, Zeroizing<Vec<u8>>)>,
        started: Interval,
        rng: &mut R,
    ) -> Result<Member, RestoreError> {
        let Setup {
            network,
            me,
            membership,
            identity,
        } = setup;
        let alone = network.members == 1 && network.threshold == 1;
        let several = (2..=MAX_MEMBERS).contains(&network.members)
            && (2..=network.members).contains(&network.threshold);
        if !(alone || several) || !network.has(me) {
            return Err(RestoreError::Network {
                threshold: network.threshold,
                members: network.members,
                me: me.0,
            });
        }
        let Some(succession) = Succession::new(&network, membership) else {
            return Err(RestoreError::Network {
                threshold: network.threshold,
                members: network.members,
                me: me.0,
            });
        };
        if records.len() > MAX_RECORDS {
            return Err(RestoreError::TooMany(records.len()));
        }
        let mut member = Member {
            network,
            me,
            identity,
            authority,
            started,
            peers: BTreeMap::new(),
            roots: BTreeMap::new(),
            ceremonies: BTreeMap::new(),
            attempts: u64::from(rng.next_u32()),
            led: HashMap::new(),
            jobs: Jobs::default(),
            signing: Signing::default(),
            repairs: Repairs::default(),
            policies: Policies::default(),
            marks: Marks::default(),
            limits: Limits::default(),
            succession,
            questions: BTreeMap::new(),
            last_question: 0,
            timers: HashMap::new(),
            last_timer: 0,
            rounds: 0,
            tending: false,
        };
        let mut configurations = BTreeMap::new();
        for (name, bytes) in records {
            match record::decode(&member.network, me, &name, &bytes) {
                Ok(Record::Root {
                    root,
                    scheme,
                    sharings,
                }) => {
                    member.roots.insert(root, Root::restored(scheme, sharings));
                }
                Ok(Record::Policy(policy)) => {
                    member.authority.adopt(&policy);
                    member.policies.restored(policy);
                }
                Ok(Record::Marks(marks)) => member.marks.restored(marks),
                Ok(Record::Configuration(approved)) => {
                    configurations.insert(approved.proposal.configuration.number, (name, approved));
                }
                Ok(Record::Vote(vote)) => member.succession.voted(vote),
                Err(error) => return Err(RestoreError::Record { name, error }),
            }
        }
        // After the roots, whose key approved them.
        let root_key = member.root_key();
        for (name, approved) in configurations.into_values() {
            if !member.succession.restored(approved, root_key) {
                let error = WireError::Value("configuration");
                return Err(RestoreError::Record { name, error });
            }
        }
        Ok(member)
    }

    /// The public half of the key that signs what must be provable; peers learn it from this member's evidence.
    pub fn identity(&self) -> IdentityPublic {
        self.identity.public()
    }

    /// Generated keys that this member has a share of, or had.
    pub fn keys(&self) -> Vec<RootInfo> {
        self.roots
            .iter()
            .filter_map(|(root, state)| {
                let sharing = state.confirmed().or_else(|| state.newest())?;
                Some(RootInfo {
                    root: *root,
                    scheme: state.scheme,
                    level: sharing.level,
                    generation: sharing.generation,
                    public_key: sharing.public_key(),
                })
            })
            .collect()
    }

    /// Admitted peers, and this member.
    pub fn reachable(&self) -> Vec<MemberIndex> {
        let mut members: Vec<_> = self.peers.keys().copied().chain([self.me]).collect();
        members.sort();
        members
    }

    /// Takes something that happened; gives what is to be done.
    pub fn handle<R: RngCore + CryptoRng>(
        &mut self,
        input: Input<'_>,
        now: Interval,
        rng: &mut R,
    ) -> Vec<Output> {
        let mut turn = Turn::new(now, rng);
        match input {
            Input::Admitted { member, identity } => self.admitted(member, &identity, &mut turn),
            Input::Left { member } => self.left(member, &mut turn),
            Input::Message { from, bytes } => {
                if from != self.me
                    && self.peers.contains_key(&from)
                    && let Ok(message) = Message::decode(bytes)
                {
                    self.receive(from, message, &mut turn);
                }
            }
            Input::Request { ticket, bytes } => self.requested(ticket, bytes, &mut turn),
            Input::Contract { query, valid } => self.answered(query, valid, &mut turn),
            Input::Stored { mark } => self.stored(mark, &mut turn),
            Input::Timer(id) => {
                if let Some(timer) = self.timers.remove(&id) {
                    self.ran_out(id, timer, &mut turn);
                }
            }
        }
        while let Some(message) = turn.next_local() {
            self.receive(self.me, message, &mut turn);
        }
        self.catch_up(&mut turn);
        turn.finish()
    }

    fn receive(&mut self, from: MemberIndex, message: Message, turn: &mut Turn<'_>) {
        match message {
            Message::StatusQuery { nonce } => self.status_asked(from, nonce, turn),
            Message::Status { nonce, all, roots } => self.status_told(from, nonce, all, &roots, turn),
            Message::Evidence(evidence) => self.evidence_shown(&evidence, turn),
            Message::Start(start) => self.start_asked(from, start, turn),
            Message::Decline { session, reason } => self.declined(from, session, reason, turn),
            Message::Signed(signed) => self.statement_made(from, signed, turn),
            Message::Round1Set { session, set } => self.set_shown(from, session, set, turn),
            Message::TestShare {
                session,
                commits,
                share,
            } => self.test_share_given(from, session, TestShare { commits, share }, turn),
            Message::Abort { session, proof } => self.abort_told(from, session, proof, turn),
            Message::SignInit {
                exchange,
                root,
                sharing,
                request,
            } => {
                let then = Then::Sign {
                    from,
                    exchange,
                    root,
                    sharing,
                };
                self.judge(request, then, turn);
            }
            Message::SignCommit {
                exchange,
                commitments,
            } => self.committed(from, exchange, commitments, turn),
            Message::SignPackage {
                exchange,
                message,
                commitments,
            } => self.package_sent(from, exchange, message, &commitments, turn),
            Message::SignShare { exchange, share } => self.share_given(from, exchange, share, turn),
            Message::SignNo { exchange, refusal } => self.share_refused(from, exchange, refusal, turn),
            Message::SignDone { exchange, signature } => self.signature_told(from, exchange, signature),
            Message::RepairQuery {
                exchange,
                root,
                sharing,
            } => self.repair_asked(from, exchange, root, sharing, turn),
            Message::RepairOffer {
                exchange,
                evidence,
                level,
                package,
            } => self.repair_offered(from, exchange, evidence, level, package, turn),
            Message::RepairBegin {
                exchange,
                root,
                sharing,
                helpers,
            } => self.repair_begun(from, exchange, root, sharing, helpers, turn),
            Message::RepairDelta {
                exchange,
                lost,
                delta,
            } => self.delta_given(from, exchange, lost, delta, turn),
            Message::RepairSigma { exchange, sigma } => self.sigma_given(from, exchange, sigma, turn),
            Message::PolicySet { exchange, request } => {
                self.judge(request, Then::Policy { from, exchange }, turn);
            }
            Message::PolicyKept { exchange } => self.policy_kept(from, exchange, turn),
            Message::PolicyNo { exchange, refusal } => self.policy_refused(from, exchange, refusal, turn),
            Message::PolicyIndexQuery { after } => self.policies_asked(from, after, turn),
            Message::PolicyIndex { after, entries, more } => {
                self.policies_told(from, after, &entries, more, turn)
            }
            Message::PolicyFetch { key } => self.policy_wanted(from, key, turn),
            Message::PolicyShown { document } => self.policy_shown(from, document, turn),
            Message::MarkQuery => self.mark_asked(from, turn),
            Message::MarkShown { mark } => self.mark_shown(from, mark, turn),
            Message::MarkTell { mark } => self.mark_told(from, mark, turn),
            Message::ConfigurationQuery { number } => self.configuration_asked(from, number, turn),
            Message::ConfigurationAt { number } => self.configuration_told(from, number, turn),
            Message::ConfigurationShown { proposal, approval } => {
                self.configuration_shown(from, &proposal, approval, turn)
            }
        }
    }

    fn ran_out(&mut self, id: u64, timer: TimerFor, turn: &mut Turn<'_>) {
        match timer {
            TimerFor::Tend => self.tend(turn),
            TimerFor::Ceremony(session) => self.ceremony_tick(session, turn),
            TimerFor::Job(job) => self.job_tick(job, turn),
            TimerFor::JobEnds(job) => self.job_late(job, id, turn),
            TimerFor::Attempt(exchange) => self.attempt_late(exchange, turn),
            TimerFor::RequestEnds(nonce) => self.request_late(nonce, id, turn),
            TimerFor::Repair(exchange) => self.repair_late(exchange, turn),
            TimerFor::Policy(exchange) => self.policy_late(exchange, turn),
            TimerFor::TellMarks => self.tell_marks(turn),
            TimerFor::KeepMarks => self.keep_marks(turn),
            TimerFor::CatchUp => self.stop_waiting(),
        }
    }

    /// Sets a timer; its number tells it from an older one for the same thing.
    pub(crate) fn after(&mut self, after: Duration, timer: TimerFor, turn: &mut Turn<'_>) -> u64 {
        self.last_timer += 1;
        self.timers.insert(self.last_timer, timer);
        turn.push(Output::Timer {
            id: self.last_timer,
            after,
        });
        self.last_timer
    }

    /// Sends to one member, itself included; to a peer that isn't admitted nothing goes.
    pub(crate) fn send(&self, to: MemberIndex, message: Message, turn: &mut Turn<'_>) {
        if to == self.me {
            turn.local(message);
        } else if self.peers.contains_key(&to) {
            turn.push(Output::Send {
                to,
                bytes: message.encode(),
            });
        }
    }

    /// Sends to all peers that are admitted.
    pub(crate) fn broadcast(&self, message: &Message, turn: &mut Turn<'_>) {
        let bytes = message.encode();
        for to in self.peers.keys() {
            turn.push(Output::Send {
                to: *to,
                bytes: bytes.clone(),
            });
        }
    }

    /// Notes that a member broke the protocol.
    pub(crate) fn blame(&mut self, member: MemberIndex, fault: &'static str, turn: &mut Turn<'_>) {
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.faults = peer.faults.saturating_add(1);
        }
        turn.push(Output::Audit(Event::Blamed { member, fault }));
    }

    pub(crate) fn exchange_id(turn: &mut Turn<'_>) -> ExchangeId {
        let mut id = [0; 16];
        turn.rng().fill_bytes(&mut id);
        id
    }
}
