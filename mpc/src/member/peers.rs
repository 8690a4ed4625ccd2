//! Peers come and go; each is asked for its standing when it comes.

use std::collections::VecDeque;

use super::{Member, Turn};
use crate::identity::IdentityPublic;
use crate::message::{Message, SessionId};
use crate::network::MemberIndex;
use crate::policy::PolicySync;

/// Most bytes of statements that are kept for ceremonies of which the start hasn't come yet.
const EARLY_BYTES: usize = 16 * 1024;

/// An admitted peer.
pub(crate) struct Peer {
    pub(crate) identity: IdentityPublic,
    /// Nonce of the last query; only the answer to it is fresh.
    pub(crate) query: Option<[u8; 16]>,
    /// How often it broke the protocol or was late.
    pub(crate) faults: u32,
    /// Whether it said in this boot which shares it has.
    pub(crate) told: bool,
    /// Number of the configuration that it said is in force.
    pub(crate) configuration: Option<u32>,
    /// How far this member has taken over the peer's policies.
    pub(crate) sync: PolicySync,
    early: VecDeque<(SessionId, usize, Message)>,
}

impl Peer {
    /// Keeps a message of a ceremony that isn't known yet; the oldest ones go first.
    pub(crate) fn keep_early(&mut self, session: SessionId, message: Message) {
        let len = message.encode().len();
        self.early.push_back((session, len, message));
        while self.early.iter().map(|(_, len, _)| len).sum::<usize>() > EARLY_BYTES {
            self.early.pop_front();
        }
    }

    /// Takes what was kept for a ceremony.
    pub(crate) fn take_early(&mut self, session: &SessionId) -> Vec<Message> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|(of, _, _)| of == session);
        self.early = left;
        taken.into_iter().map(|(_, _, message)| message).collect()
    }
}

impl Member {
    pub(super) fn admitted(&mut self, member: MemberIndex, identity: &[u8; 33], turn: &mut Turn<'_>) {
        if member == self.me || !self.network.has(member) {
            return;
        }
        let Some(identity) = IdentityPublic::from_bytes(identity) else {
            return;
        };
        let same_boot = self
            .peers
            .get(&member)
            .is_some_and(|peer| peer.identity == identity);
        if !same_boot {
            self.forget(member, turn);
            self.peers.insert(
                member,
                Peer {
                    identity,
                    query: None,
                    faults: 0,
                    told: false,
                    configuration: None,
                    sync: PolicySync::default(),
                    early: VecDeque::new(),
                },
            );
        }
        self.ask_standing(member, turn);
        self.ask_configuration(member, turn);
        self.sync_policies(member, turn);
        self.tend_mark(member, turn);
        self.rounds = 0;
        self.start_tending(turn);
        self.drive_jobs(turn);
    }

    pub(crate) fn left(&mut self, member: MemberIndex, turn: &mut Turn<'_>) {
        if self.peers.contains_key(&member) {
            self.forget(member, turn);
        }
    }

    /// Nothing that was under way with a peer goes on after it left.
    fn forget(&mut self, member: MemberIndex, turn: &mut Turn<'_>) {
        self.peers.remove(&member);
        for root in self.roots.values_mut() {
            root.claims.remove(&member);
        }
        self.ceremonies_without(turn);
        self.signing_without(member, turn);
        self.repairs.without(member);
        self.marks.without(member);
    }

    /// Asks one peer for its standing.
    pub(crate) fn ask_standing(&mut self, member: MemberIndex, turn: &mut Turn<'_>) {
        let nonce = Self::exchange_id(turn);
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.query = Some(nonce);
            self.send(member, Message::StatusQuery { nonce }, turn);
        }
    }
}
