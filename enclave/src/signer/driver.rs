//! Drives the member: what the front brings goes in, and what comes out is done in order.
//!
//! One thread, no waiting inside: the member is asked, its outputs are queued, and those that must not be done before a
//! record is durable stay in the queue until it is.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_mpc::marks::MARKS_NAME;
use jeju_mpc::member::{self, Event, Input, Output};
use jeju_mpc::network::Network;
use jeju_mpc::refusal::Refusal;
use jeju_mpc::time::Interval;
use jeju_store::{BlobOp, Change};
use zeroize::Zeroizing;

use super::audit::{AuditLog, SEGMENTS, Segment};
use super::clock::Clock;
use super::outcome::{Configurations, Counters, Known, Outcome, Rollback, Status, Storage};
use super::peers::{PeerEvent, Peers};
use super::vault::{self, Progress, StorageLost, Vault};
use crate::ipc::signer::{FromSigner, ToSigner};

/// Outputs that may wait for a record; with more, the signer takes nothing new until there are fewer.
const MAX_QUEUED: usize = 4096;
/// How long an operation of the store waits before it is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often new entries of the audit log are stored. Nothing waits for them.
const AUDIT_FLUSH: Duration = Duration::from_secs(2);
/// Timers of the member that run at the same time.
const MAX_TIMERS: usize = 1 << 16;

/// The member, as its driver sees it.
pub trait Engine {
    /// Takes an input and says what is to be done.
    fn handle(&mut self, input: Input<'_>, now: Interval) -> Vec<Output>;

    /// How many generated keys it has a share of.
    fn stored_keys(&self) -> usize;

    /// Whether an old state would be noticed, or was.
    fn rollback(&self) -> member::Rollback;

    /// What it knows of the network's configurations.
    fn configurations(&self) -> Known<'_>;
}

/// Everything that the signer is, but for its socket.
pub struct Driver<E> {
    engine: E,
    network: Network,
    peers: Peers,
    clock: Clock,
    audit: AuditLog,
    vault: Vault,
    queue: VecDeque<Output>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Requests without an answer.
    waiting: BTreeSet<u64>,
    counters: Counters,
    frames: Vec<FromSigner>,
    next_blob: u64,
    /// The operation of the store that is asked for, or will be again.
    asked: Option<u64>,
    again: Option<(Instant, BlobOp)>,
    /// The running commit makes a state that peers are to remember.
    tells: bool,
    /// The next commit does, whatever is in it.
    outran: bool,
    audit_due: Instant,
    /// Entries of the audit log that are stored, or will be once the running commit is done.
    audit_stored: u64,
    /// Segments that the log dropped, to be erased with the next commit.
    audit_dropped: Vec<u64>,
}

/// What a driver starts with.
pub struct Parts<E> {
    /// The member.
    pub engine: E,
    /// Its network.
    pub network: Network,
    /// The others.
    pub peers: Peers,
    /// The time.
    pub clock: Clock,
    /// What it did before.
    pub audit: AuditLog,
    /// Where records go.
    pub vault: Vault,
}

impl<E: Engine> Driver<E> {
    /// Starts.
    pub fn new(parts: Parts<E>, now: Instant) -> Driver<E> {
        Driver {
            engine: parts.engine,
            network: parts.network,
            peers: parts.peers,
            clock: parts.clock,
            audit_stored: parts.audit.count(),
            audit: parts.audit,
            vault: parts.vault,
            queue: VecDeque::new(),
            timers: BinaryHeap::new(),
            waiting: BTreeSet::new(),
            counters: Counters::default(),
            frames: Vec::new(),
            next_blob: 0,
            asked: None,
            again: None,
            tells: false,
            outran: false,
            audit_due: now + AUDIT_FLUSH,
            audit_dropped: Vec::new(),
        }
    }

    /// Outputs that the member gave when it was made.
    ///
    /// # Errors
    /// [`StorageLost`].
    pub fn start(&mut self, outputs: Vec<Output>, now: Instant) -> Result<(), StorageLost> {
        self.queue.extend(outputs);
        self.pump(now)
    }

    /// What the front must be told, in order.
    pub fn take_frames(&mut self) -> Vec<FromSigner> {
        std::mem::take(&mut self.frames)
    }

    /// When [`Driver::tick`] has something to do, at the latest.
    pub fn next_tick(&self) -> Instant {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let again = self.again.as_ref().map(|(at, _)| *at);
        [timer, again, self.peers.next_expiry()]
            .into_iter()
            .flatten()
            .fold(self.audit_due, Instant::min)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// [`StorageLost`].
    pub fn tick(&mut self, now: Instant) -> Result<(), StorageLost> {
        self.peers.expire(now);
        self.take_peer_events(now);
        while self.queue.len() < MAX_QUEUED
            && let Some(Reverse((at, id))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            self.ask(Input::Timer(id), now);
        }
        if self.again.as_ref().is_some_and(|(at, _)| *at <= now)
            && let Some((_, op)) = self.again.take()
        {
            self.ask_host(op);
        }
        if self.audit_due <= now {
            self.audit_due = now + AUDIT_FLUSH;
            self.flush_audit()?;
        }
        self.pump(now)
    }

    /// Takes a message of the front.
    ///
    /// # Errors
    /// [`StorageLost`].
    pub fn take(&mut self, message: ToSigner, now: Instant) -> Result<(), StorageLost> {
        match message {
            ToSigner::Time { lower, upper } => self.clock.tell(Interval { lower, upper }, now),
            ToSigner::PeerOpened { connection } => {
                let frame = match self.peers.challenge(connection, now) {
                    Ok(nonce) => FromSigner::Nonce { connection, nonce },
                    Err(reason) => FromSigner::NotAdmitted {
                        connection,
                        code: reason.code().to_owned(),
                    },
                };
                self.frames.push(frame);
            }
            ToSigner::PeerEvidence { connection, evidence } => {
                let time = self.clock.now(now);
                self.peers.evidence(connection, &evidence, time, now);
                self.take_peer_events(now);
            }
            ToSigner::PeerBytes { connection, bytes } => self.take_peer_bytes(connection, &bytes, now),
            ToSigner::PeerClosed { connection } => {
                self.peers.closed(connection);
                self.take_peer_events(now);
            }
            ToSigner::Request { ticket, bytes } => self.take_request(ticket, &bytes, now),
            ToSigner::ContractAnswer { query, valid } => {
                self.ask(Input::Contract { query, valid }, now);
            }
            ToSigner::BlobAnswer { id, reply } => {
                if self.asked == Some(id) {
                    self.asked = None;
                    match self.vault.answer(reply)? {
                        Progress::Ask(op) => self.ask_host(op),
                        Progress::Again(op) => self.again = Some((now + AGAIN, op)),
                        Progress::Idle => self.committed(now),
                    }
                }
            }
            ToSigner::StatusQuery { ticket } => {
                let document = json(&self.status(now));
                self.frames.push(FromSigner::Status { ticket, document });
            }
            ToSigner::ConfigurationsQuery { ticket, from } => {
                let document = json(&Configurations::of(self.engine.configurations(), from));
                self.frames.push(FromSigner::Status { ticket, document });
            }
        }
        self.pump(now)
    }

    fn ask(&mut self, input: Input<'_>, now: Instant) {
        let time = self.clock.now(now);
        self.queue.extend(self.engine.handle(input, time));
    }

    fn take_peer_bytes(&mut self, connection: u32, bytes: &[u8], now: Instant) {
        // Messages may be lost, so they may be dropped too.
        if self.queue.len() >= MAX_QUEUED {
            return;
        }
        if let Ok((from, text)) = self.peers.open(connection, bytes, now) {
            self.ask(Input::Message { from, bytes: &text }, now);
        }
    }

    fn take_request(&mut self, ticket: u64, bytes: &[u8], now: Instant) {
        if self.queue.len() >= MAX_QUEUED {
            let document = json(&Outcome::refused(&Refusal::Busy));
            self.frames.push(FromSigner::Answer { ticket, document });
            return;
        }
        self.waiting.insert(ticket);
        self.ask(Input::Request { ticket, bytes }, now);
    }

    fn take_peer_events(&mut self, now: Instant) {
        while let Some(event) = self.peers.next_event() {
            match event {
                PeerEvent::Admitted {
                    connection,
                    member,
                    identity,
                    again,
                } => {
                    self.frames.push(FromSigner::Admitted {
                        connection,
                        member: member.0,
                    });
                    if !again {
                        self.counters.peers_admitted += 1;
                        self.ask(Input::Admitted { member, identity }, now);
                    }
                }
                PeerEvent::Refused { connection, reason } => {
                    self.counters.peers_refused += 1;
                    self.frames.push(FromSigner::NotAdmitted {
                        connection,
                        code: reason.code().to_owned(),
                    });
                }
                PeerEvent::Left { member } => self.ask(Input::Left { member }, now),
            }
        }
    }

    /// Does outputs, oldest first, up to one that has to wait.
    fn pump(&mut self, now: Instant) -> Result<(), StorageLost> {
        while !self.vault.is_barrier() {
            match self.queue.front() {
                None => return Ok(()),
                Some(Output::Persist { .. } | Output::Erase { .. }) => {
                    if self.vault.is_busy() {
                        return Ok(());
                    }
                    self.commit()?;
                }
                Some(_) => {
                    if let Some(output) = self.queue.pop_front() {
                        self.perform(output, now);
                    }
                }
            }
        }
        Ok(())
    }

    /// A commit is done.
    fn committed(&mut self, now: Instant) {
        if std::mem::take(&mut self.tells)
            && let Some(mark) = self.vault.mark()
        {
            self.ask(Input::Stored { mark }, now);
        }
    }

    /// Starts a commit of all records at the head of the queue, as one.
    fn commit(&mut self) -> Result<(), StorageLost> {
        let mut changes = Vec::new();
        self.tells = std::mem::take(&mut self.outran);
        while let Some(output) = self.queue.pop_front() {
            changes.push(match output {
                Output::Persist { name, record } => {
                    self.tells |= name != MARKS_NAME;
                    vault::put(&name, record)?
                }
                Output::Erase { name } => {
                    self.tells = true;
                    vault::erase(&name)?
                }
                other => {
                    self.queue.push_front(other);
                    break;
                }
            });
        }
        if let Some(op) = self.vault.begin(changes, true)? {
            self.ask_host(op);
        }
        Ok(())
    }

    fn flush_audit(&mut self) -> Result<(), StorageLost> {
        if self.vault.is_busy() || self.audit.count() == self.audit_stored || !self.vault.is_sealed() {
            return Ok(());
        }
        let stored = self.audit.segments_since(self.audit_stored);
        let mut changes = stored.map(store_segment).collect::<Result<Vec<_>, _>>()?;
        for number in self.audit_dropped.drain(..) {
            changes.push(vault::erase(&segment_name(number))?);
        }
        self.audit_stored = self.audit.count();
        if let Some(op) = self.vault.begin(changes, false)? {
            self.ask_host(op);
        }
        Ok(())
    }

    fn ask_host(&mut self, op: BlobOp) {
        let id = self.next_blob;
        self.next_blob += 1;
        self.asked = Some(id);
        self.frames.push(FromSigner::Blob { id, op });
    }

    fn perform(&mut self, output: Output, now: Instant) {
        match output {
            Output::Send { to, bytes } => {
                // To a peer that left a moment ago: lost.
                if let Ok((connection, bytes)) = self.peers.seal(to, &bytes, now) {
                    self.frames.push(FromSigner::PeerSend { connection, bytes });
                }
            }
            Output::Timer { id, after } => {
                if self.timers.len() < MAX_TIMERS {
                    self.timers.push(Reverse((now + after, id)));
                }
            }
            Output::Answer { ticket, outcome } => {
                self.waiting.remove(&ticket);
                let document = json(&Outcome::new(&outcome));
                self.frames.push(FromSigner::Answer { ticket, document });
            }
            Output::AskContract { query, question } => self.frames.push(FromSigner::AskContract {
                query,
                account: question.account,
                digest: question.digest,
                signature: question.signature,
            }),
            Output::Audit(event) => {
                match &event {
                    Event::KeyActive { .. } => self.counters.keys_active += 1,
                    Event::ShareGiven { .. } => self.counters.shares_given += 1,
                    Event::Refused { .. } => self.counters.refused += 1,
                    Event::Configured { .. } => {}
                    Event::Blamed { .. } => self.counters.blamed += 1,
                    Event::Repaired { .. } => self.counters.repaired += 1,
                    Event::RolledBack { .. } => self.counters.rolled_back += 1,
                }
                let time = self.clock.now(now);
                self.audit_dropped.extend(self.audit.append(time, &event));
                // Nothing is stored where nothing is kept, so nothing is to be erased either.
                self.audit_dropped.truncate(SEGMENTS);
            }
            Output::Configured { places } => {
                self.peers.configured(places);
                self.take_peer_events(now);
            }
            Output::Outrun { newest } => {
                self.vault.outrun(&newest);
                self.outran = true;
            }
            // Taken together by `commit`.
            Output::Persist { .. } | Output::Erase { .. } => {}
        }
    }

    fn status(&self, now: Instant) -> Status {
        let time = self.clock.now(now);
        let sealed = self.vault.is_sealed();
        Status {
            genesis: HexBytes(self.network.genesis),
            member: self.peers.me().0,
            threshold: self.network.threshold,
            members: self.network.members,
            admitted: self.peers.admitted().map(|member| member.0).collect(),
            active_sessions: self.waiting.len() as u64,
            stored_keys: self.engine.stored_keys() as u64,
            storage: if sealed {
                Storage::Sealed
            } else {
                Storage::Volatile
            },
            rollback: match self.engine.rollback() {
                member::Rollback::Stateless => Rollback::Stateless,
                member::Rollback::Unprotected => Rollback::Unprotected,
                member::Rollback::Protected => Rollback::Protected,
                member::Rollback::Detected => Rollback::Detected,
            },
            time_lower: time.lower,
            time_upper: time.upper,
            audit_count: self.audit.count(),
            audit_head: HexBytes(self.audit.head()),
            counters: self.counters,
        }
    }
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("the documents have string keys only")
}

/// Start of the names of the audit log's records.
pub const AUDIT_PREFIX: &str = "audit-";

fn segment_name(number: u64) -> String {
    // Digits of one length, so that names sort as numbers do.
    format!("{AUDIT_PREFIX}{number:016x}")
}

fn store_segment(segment: &Segment) -> Result<Change, StorageLost> {
    vault::put(&segment_name(segment.number), Zeroizing::new(segment.encode()))
}

#[cfg(test)]
mod tests;
