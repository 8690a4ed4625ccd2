//! What members remember of each other's stored state, so that a host that brings back an old one is found out.
//!
//! A member's store has a *mark* for the state after each commit; peers keep the newest that they were told. A member that
//! starts with a stored state asks what they keep, and takes part in nothing before as many have answered as it takes to
//! sign with it. One that is found to have an old state takes part in nothing before it has taken over what its peers have.
//!
//! n − t + 1 peers that keep the newest mark are enough to be *protected*: of any t − 1 of the n − 1 peers, one is among
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::member::{Event, Member, Output, Rollback, TimerFor, Turn};
use crate::message::Message;
use crate::network::MemberIndex;
use crate::record;
pub use crate::record::MARKS_NAME;
use crate::refusal::Refusal;

/// Length in bytes of a mark, which means something to its own store alone.
pub const MARK_LEN: usize = 72;
/// Names a state of a member's store.
pub type StateMark = [u8; MARK_LEN];

/// After a commit, so long nothing is told: most come in a row.
const TELL: Duration = Duration::from_secs(1);
/// So long a peer's mark waits for others to be kept in one write.
const KEEP: Duration = Duration::from_millis(500);

/// So long a member with an old state waits for more peers than it takes to sign.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The state that a member started with, as its store knows it.
pub trait StartedState {
    /// Its mark.
    fn mark(&self) -> StateMark;

    /// Whether a mark that a peer remembers is genuine and shows that this state isn't the newest.
    fn is_older_than(&self, remembered: &StateMark) -> bool;
}

/// What a member remembers of the others, and they of it.
#[derive(Default)]
pub(crate) struct Marks {
    started: Option<Box<dyn StartedState + Send>>,
    /// Of the newest state of this member.
    own: Option<StateMark>,
    /// Peers that said what they remembered before this boot.
    heard: BTreeSet<MemberIndex>,
    /// Peers that keep the newest mark.
    keepers: BTreeSet<MemberIndex>,
    /// A timer runs after which peers are told.
    telling: bool,
    /// The state that this member started with was an old one, and it hasn't taken over yet what its peers have.
    behind: bool,
    /// It was an old one, whatever has been taken over since.
    rolled_back: bool,
    /// It has waited long enough for more peers than it needs.
    waited: bool,
    kept: BTreeMap<MemberIndex, StateMark>,
    /// Peers whose marks wait to be kept.
    owed: BTreeSet<MemberIndex>,
}

impl Marks {
    pub(crate) fn restored(&mut self, kept: BTreeMap<MemberIndex, StateMark>) {
        self.kept = kept;
    }

    /// Another machine has a place: it remembers nothing, and what was told of the one before means nothing to it.
    pub(crate) fn replaced(&mut self, member: MemberIndex) {
        self.heard.remove(&member);
        self.kept.remove(&member);
    }

    /// A peer started anew, and may have forgotten.
    pub(crate) fn without(&mut self, member: MemberIndex) {
        self.keepers.remove(&member);
        self.owed.remove(&member);
    }
}

impl Member {
    /// Says that the records came from a store that outlives the boot. To be called before anything is handled.
    pub fn with_state(mut self, state: Box<dyn StartedState + Send>) -> Self {
        self.marks.own = Some(state.mark());
        self.marks.started = Some(state);
        self
    }

    /// Whether an old state of this member would be noticed, or was.
    pub fn rollback(&self) -> Rollback {
        let enough = usize::from(self.network.members - self.network.threshold) + 1;
        match &self.marks.started {
            None => Rollback::Stateless,
            Some(_) if self.marks.behind => Rollback::Detected,
            Some(_) if self.marks.keepers.len() >= enough => Rollback::Protected,
            Some(_) => Rollback::Unprotected,
        }
    }

    /// Why this member takes part in nothing now, if that is so.
    pub(crate) fn state_unsure(&self) -> Option<Refusal> {
        match &self.marks.started {
            _ if !self.has_place() => Some(Refusal::NoPlace),
            Some(_) if self.marks.behind => Some(Refusal::StateOld),
            Some(_) if !self.is_judged() => Some(Refusal::Busy),
            _ => None,
        }
    }

    /// Whether the state that this member started with was an old one.
    pub(crate) fn was_rolled_back(&self) -> bool {
        self.marks.rolled_back
    }

    /// Whether so many peers said what they remember as it takes, with this member, to sign.
    fn is_judged(&self) -> bool {
        self.marks.heard.len() + 1 >= usize::from(self.network.threshold)
    }

    /// What peers are to remember is durable now.
    pub(crate) fn stored(&mut self, mark: StateMark, turn: &mut Turn<'_>) {
        if self.marks.started.is_none() {
            return;
        }
        self.marks.own = Some(mark);
        self.marks.keepers.clear();
        self.tell_marks_soon(turn);
    }

    fn tell_marks_soon(&mut self, turn: &mut Turn<'_>) {
        if !self.marks.telling {
            self.marks.telling = true;
            self.after(TELL, TimerFor::TellMarks, turn);
        }
    }

    /// Tells all peers that said what they remembered. One that didn't yet would overwrite it.
    pub(crate) fn tell_marks(&mut self, turn: &mut Turn<'_>) {
        self.marks.telling = false;
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.tend_mark(peer, turn);
        }
        self.rounds = 0;
        self.start_tending(turn);
    }

    /// A member with an old state has waited for more peers.
    pub(crate) fn stop_waiting(&mut self) {
        self.marks.waited = true;
    }

    /// Whether something is left to be said about marks with the peers that are there.
    pub(crate) fn marks_unsettled(&self) -> bool {
        self.marks.started.is_some()
            && (self.marks.behind
                || self
                    .peers
                    .keys()
                    .any(|peer| !self.marks.heard.contains(peer) || !self.marks.keepers.contains(peer)))
    }

    /// Asks a peer what it remembers, or tells it what to.
    pub(crate) fn tend_mark(&mut self, peer: MemberIndex, turn: &mut Turn<'_>) {
        let Some(own) = self.marks.own else { return };
        if !self.marks.heard.contains(&peer) {
            self.send(peer, Message::MarkQuery, turn);
        } else if self.state_unsure().is_none() && !self.marks.telling && !self.marks.keepers.contains(&peer)
        {
            self.send(peer, Message::MarkTell { mark: own }, turn);
        }
    }

    pub(crate) fn mark_asked(&self, from: MemberIndex, turn: &mut Turn<'_>) {
        let mark = self.marks.kept.get(&from).copied();
        self.send(from, Message::MarkShown { mark }, turn);
    }

    /// A peer says what it remembers of this member.
    pub(crate) fn mark_shown(&mut self, from: MemberIndex, mark: Option<StateMark>, turn: &mut Turn<'_>) {
        let Some(started) = &self.marks.started else {
            return;
        };
        if self.marks.heard.contains(&from) {
            if mark.is_some() && mark == self.marks.own {
                self.marks.keepers.insert(from);
            }
            return;
        }
        let older = mark.filter(|mark| started.is_older_than(mark));
        self.marks.heard.insert(from);
        if let Some(newest) = older {
            // Also where others were told already that all is well: they didn't know.
            self.marks.behind = true;
            // Several peers may notice, but it happened once.
            if !std::mem::replace(&mut self.marks.rolled_back, true) {
                turn.push(Output::Audit(Event::RolledBack { noticed_by: from }));
            }
            self.marks.keepers.clear();
            self.after(CATCH_UP, TimerFor::CatchUp, turn);
            turn.push(Output::Outrun { newest });
            // A commit that is numbered above it, whatever else is to be kept.
            self.keep_marks_record(turn);
        }
        let waiting: Vec<_> = self.marks.heard.iter().copied().collect();
        for peer in waiting {
            self.tend_mark(peer, turn);
        }
        self.drive_jobs(turn);
    }

    /// A peer says what its newest state is.
    pub(crate) fn mark_told(&mut self, from: MemberIndex, mark: StateMark, turn: &mut Turn<'_>) {
        if self.marks.kept.get(&from) == Some(&mark) && !self.marks.owed.contains(&from) {
            return self.mark_asked(from, turn);
        }
        self.marks.kept.insert(from, mark);
        if self.marks.owed.is_empty() {
            self.after(KEEP, TimerFor::KeepMarks, turn);
        }
        self.marks.owed.insert(from);
    }

    /// Keeps what peers told, then tells them so.
    pub(crate) fn keep_marks(&mut self, turn: &mut Turn<'_>) {
        let owed = std::mem::take(&mut self.marks.owed);
        if owed.is_empty() {
            return;
        }
        self.keep_marks_record(turn);
        for peer in owed {
            self.mark_asked(peer, turn);
        }
    }

    fn keep_marks_record(&self, turn: &mut Turn<'_>) {
        if self.marks.started.is_some() {
            turn.push(Output::Persist {
                name: MARKS_NAME.to_owned(),
                record: record::encode_marks(&self.network, &self.marks.kept),
            });
        }
    }

    /// An old state is made up for when peers have said what they have, and what this member lost is repaired: as many
    /// peers as must sign, since so many bring a share back; after a while, as many as it takes to sign with them.
    pub(crate) fn catch_up(&mut self, turn: &mut Turn<'_>) {
        let threshold = usize::from(self.network.threshold);
        let needed = match self.marks.waited {
            true => threshold - 1,
            false => threshold.min(usize::from(self.network.members) - 1),
        };
        let told = self.peers.values().filter(|peer| peer.told).count();
        if self.marks.behind
            && told >= needed
            && self.is_judged()
            && self.knows_policies()
            && !self.repairs.is_repairing()
        {
            self.marks.behind = false;
            self.tell_marks_soon(turn);
            self.drive_jobs(turn);
        }
    }
}
