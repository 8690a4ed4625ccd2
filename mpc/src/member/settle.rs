//! What follows from what the peers say of their sharings.

use std::time::Duration;

use super::{Member, TimerFor, Turn};
use crate::message::{Level, Mark};
use crate::network::RootId;

const TEND: Duration = Duration::from_millis(500);
/// So often peers are asked again while nothing changes.
const MAX_ROUNDS: u32 = 12;

impl Member {
    /// Raises levels as far as the claims allow.
    pub(crate) fn settle(&mut self, id: RootId, turn: &mut Turn<'_>) {
        let (others, threshold) = (
            usize::from(self.network.members) - 1,
            usize::from(self.network.threshold),
        );
        let busy = self.ceremonies.contains_key(&id);
        let Some(root) = self.roots.get_mut(&id) else {
            return;
        };
        let mut raised = false;
        if let Some(active) = root.at(Level::Active) {
            let all_have_it = !busy
                && root.at(Level::Pending).is_none()
                && root.claimed(&active.session, |level| level >= Level::Active) == others
                && root
                    .claims
                    .values()
                    .flatten()
                    .all(|mark| mark.level != Level::Pending);
            // As many as must sign: one of them at least is honest, and it has confirmed because all have it.
            let enough_confirmed =
                root.claimed(&active.session, |level| level >= Level::Confirmed) >= threshold;
            if all_have_it || enough_confirmed {
                let mut confirmed = active.clone();
                confirmed.level = Level::Confirmed;
                root.sharings = vec![confirmed];
                raised = true;
            }
        }
        if let Some(confirmed) = root.at(Level::Confirmed)
            && (root.claimed(&confirmed.session, |level| level >= Level::Confirmed) == others
                || root.claimed(&confirmed.session, |level| level == Level::Complete) >= threshold)
        {
            let mut complete = confirmed.clone();
            complete.level = Level::Complete;
            root.put(complete);
            raised = true;
        }
        if raised {
            self.leave(id, None, turn);
            self.signing.forget_keys();
            self.persist(id, turn);
            self.tell_standing(id, None, turn);
            self.rounds = 0;
        }
        self.look_for_loss(id, turn);
    }

    /// A sharing that so many peers have that one of them must be honest, and this member hasn't, was lost here.
    fn look_for_loss(&mut self, id: RootId, turn: &mut Turn<'_>) {
        let threshold = usize::from(self.network.threshold);
        let Some(root) = self.roots.get(&id) else { return };
        let marks: Vec<Mark> = root.claims.values().flatten().copied().collect();
        let newest = root.newest().map(|sharing| sharing.generation);
        // What an old state has begun may be over for everybody else, who then has the next one.
        let nothing_begun = root.at(Level::Pending).is_none() && root.at(Level::Active).is_none();
        let lost = marks
            .iter()
            .filter(|mark| root.named(&mark.session).is_none())
            .filter(|mark| {
                let newer = newest.is_none_or(|newest| mark.generation >= newest);
                let confirmed = root.claimed(&mark.session, |level| level >= Level::Confirmed) >= threshold;
                let active = root.claimed(&mark.session, |level| level >= Level::Active) >= threshold
                    && marks.iter().all(|mark| mark.level != Level::Pending)
                    && (nothing_begun || self.was_rolled_back())
                    && !self.ceremonies.contains_key(&id);
                newer && (confirmed || active)
            })
            .max_by_key(|mark| mark.generation);
        if let Some(lost) = lost {
            self.start_repair(id, lost.session, turn);
        }
    }

    /// Asks all peers for their standing from time to time while something isn't settled.
    pub(crate) fn start_tending(&mut self, turn: &mut Turn<'_>) {
        if !self.tending {
            self.tending = true;
            self.after(TEND, TimerFor::Tend, turn);
        }
    }

    pub(super) fn tend(&mut self, turn: &mut Turn<'_>) {
        self.tending = false;
        let unsettled = !self.jobs.is_empty()
            || self.peers.values().any(|peer| !peer.sync.is_done())
            || self.marks_unsettled()
            || self.configuration_unsettled()
            || self
                .roots
                .values()
                .any(|root| root.sharings.len() != 1 || root.sharings[0].level != Level::Complete);
        if !unsettled || self.rounds >= MAX_ROUNDS {
            return;
        }
        self.rounds += 1;
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.ask_standing(peer, turn);
            self.ask_configuration(peer, turn);
            self.sync_policies(peer, turn);
            self.tend_mark(peer, turn);
        }
        self.tending = true;
        self.after(TEND * self.rounds, TimerFor::Tend, turn);
    }
}
