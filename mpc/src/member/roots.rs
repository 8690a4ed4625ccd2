//! What this member has of each generated key, what the others say they have, and what follows from both.
//!
//! A sharing comes to be in four steps, so that whatever is lost on the way, no two members ever confirm different ones:
//! it is *pending* when this member has kept its share; *active* when a signature of all members' shares shows that all
//! have kept theirs; *confirmed* when all members say that they have it active; *complete* when all say that they have it
//! confirmed. A member never confirms a sharing while it takes part in the making of another or has one pending, never
//! speaks of one as active during that time, and takes part in no making of a generation that it has confirmed. A ceremony
//! needs all members, so one that has confirmed a key stops every other key for the same name; and clients are told a
//! key only when all have confirmed it.

use std::collections::BTreeMap;

use super::{Event, Member, Output, Turn};
use crate::message::{Evidence, Level, MAX_ROOTS, Mark, Message, SessionId, Standing};
use crate::network::{MemberIndex, RootId, Scheme};
use crate::record::{self, Sharing, evidence_holds};

/// A generated key.
pub(crate) struct Root {
    pub(crate) scheme: Scheme,
    /// Sorted by level, and of each level at most one; confirmed and complete count as one.
    pub(super) sharings: Vec<Sharing>,
    /// What the peers say, since this member last took part in a ceremony for the key.
    pub(crate) claims: BTreeMap<MemberIndex, Vec<Mark>>,
    /// The last ceremony for the key that this member took part in.
    joined: Option<SessionId>,
    /// Only answers to queries count, because this member left that ceremony.
    distrust: bool,
}

impl Root {
    pub(crate) fn new(scheme: Scheme) -> Self {
        Self::restored(scheme, Vec::new())
    }

    pub(crate) fn restored(scheme: Scheme, sharings: Vec<Sharing>) -> Self {
        Self {
            scheme,
            sharings,
            claims: BTreeMap::new(),
            joined: None,
            distrust: false,
        }
    }

    pub(crate) fn at(&self, level: Level) -> Option<&Sharing> {
        self.sharings.iter().find(|sharing| sharing.level == level)
    }

    /// Confirmed or complete.
    pub(crate) fn confirmed(&self) -> Option<&Sharing> {
        self.sharings
            .iter()
            .find(|sharing| sharing.level >= Level::Confirmed)
    }

    pub(crate) fn named(&self, session: &SessionId) -> Option<&Sharing> {
        self.sharings.iter().find(|sharing| sharing.session == *session)
    }

    pub(crate) fn newest(&self) -> Option<&Sharing> {
        self.sharings
            .iter()
            .max_by_key(|sharing| (sharing.generation, sharing.level))
    }

    /// A sharing that may sign: a confirmed one, or an active one of a key that was confirmed before.
    pub(crate) fn signs(&self, session: &SessionId) -> Option<&Sharing> {
        self.named(session).filter(|sharing| {
            sharing.level >= Level::Confirmed || (sharing.level == Level::Active && sharing.generation > 0)
        })
    }

    /// The sharing that this member would sign with: the newest that a peer has confirmed too.
    pub(crate) fn current(&self) -> Option<&Sharing> {
        let ahead = self.at(Level::Active).filter(|active| {
            active.generation > 0
                && self
                    .claims
                    .values()
                    .flatten()
                    .any(|mark| mark.session == active.session && mark.level >= Level::Confirmed)
        });
        ahead.or_else(|| self.confirmed())
    }

    /// Puts a sharing in the place of the one of its level.
    pub(super) fn put(&mut self, sharing: Sharing) {
        let same = |level: Level| level.min(Level::Confirmed);
        self.sharings
            .retain(|other| other.session != sharing.session && same(other.level) != same(sharing.level));
        self.sharings.push(sharing);
        self.sharings.sort_by_key(|sharing| sharing.level);
    }

    /// How many of the peers claim something of a sharing.
    pub(super) fn claimed(&self, session: &SessionId, is: impl Fn(Level) -> bool) -> usize {
        self.claims
            .values()
            .filter(|marks| {
                marks
                    .iter()
                    .any(|mark| mark.session == *session && is(mark.level))
            })
            .count()
    }
}

impl Member {
    /// What this member says of a key. While it takes part in a ceremony it speaks of no sharing as active, since it may
    /// give it up.
    fn standing(&self, id: RootId, root: &Root) -> Standing {
        let busy = self.ceremonies.contains_key(&id);
        Standing {
            root: id,
            scheme: root.scheme,
            marks: root
                .sharings
                .iter()
                .map(Sharing::mark)
                .filter(|mark| !(busy && mark.level == Level::Active))
                .collect(),
        }
    }

    pub(super) fn status_asked(&mut self, from: MemberIndex, nonce: [u8; 16], turn: &mut Turn<'_>) {
        let roots = self
            .roots
            .iter()
            .map(|(id, root)| self.standing(*id, root))
            .collect();
        self.send(
            from,
            Message::Status {
                nonce,
                all: true,
                roots,
            },
            turn,
        );
    }

    /// Tells all peers, or one, how this member stands with a key.
    pub(crate) fn tell_standing(&self, id: RootId, to: Option<MemberIndex>, turn: &mut Turn<'_>) {
        let Some(root) = self.roots.get(&id) else { return };
        let status = Message::Status {
            nonce: [0; 16],
            all: false,
            roots: vec![self.standing(id, root)],
        };
        match to {
            Some(to) => self.send(to, status, turn),
            None => self.broadcast(&status, turn),
        }
    }

    pub(super) fn status_told(
        &mut self,
        from: MemberIndex,
        nonce: [u8; 16],
        all: bool,
        roots: &[Standing],
        turn: &mut Turn<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let fresh = peer.query == Some(nonce);
        peer.told |= fresh && all;
        if !fresh && nonce != [0; 16] {
            return;
        }
        let mut touched = Vec::new();
        for standing in roots {
            if !self.roots.contains_key(&standing.root) {
                if !self.may_know(standing) || self.roots.len() >= MAX_ROOTS {
                    continue;
                }
                self.roots.insert(standing.root, Root::new(standing.scheme));
            }
            let Some(root) = self.roots.get_mut(&standing.root) else {
                continue;
            };
            let of_the_last = standing
                .marks
                .iter()
                .any(|mark| Some(mark.session) == root.joined && mark.level >= Level::Active);
            if root.scheme == standing.scheme && (fresh || !root.distrust || of_the_last) {
                root.claims.insert(from, standing.marks.clone());
                touched.push(standing.root);
            }
            self.help_up(from, standing, turn);
        }
        if all && fresh {
            for (id, root) in &mut self.roots {
                if !roots.iter().any(|standing| standing.root == *id) {
                    root.claims.insert(from, Vec::new());
                    touched.push(*id);
                }
            }
        }
        for root in touched {
            self.settle(root, turn);
        }
        self.drive_jobs(turn);
    }

    /// A key that this member hears of first from a peer is noted where a place is sure to be its: the network's own
    /// roots. Of others, only so many that a lying peer can't fill the table.
    fn may_know(&self, standing: &Standing) -> bool {
        let own = Scheme::ALL
            .iter()
            .any(|scheme| self.network.root(*scheme) == standing.root && *scheme == standing.scheme);
        let empty = self
            .roots
            .values()
            .filter(|root| root.sharings.is_empty())
            .count();
        own || (!standing.marks.is_empty() && empty < MAX_ROOTS / 4)
    }

    /// Shows the evidence to a peer that has the sharing only pending, and asks for it the other way round.
    fn help_up(&self, peer: MemberIndex, standing: &Standing, turn: &mut Turn<'_>) {
        let Some(root) = self.roots.get(&standing.root) else {
            return;
        };
        for mark in &standing.marks {
            let Some(mine) = root.named(&mark.session) else {
                continue;
            };
            if mark.level == Level::Pending && mine.level >= Level::Active {
                if let Some(evidence) = mine.evidence(root.scheme, standing.root) {
                    self.send(peer, Message::Evidence(evidence), turn);
                }
            } else if mark.level >= Level::Active && mine.level == Level::Pending {
                self.tell_standing(standing.root, Some(peer), turn);
            }
        }
    }

    pub(super) fn evidence_shown(&mut self, evidence: &Evidence, turn: &mut Turn<'_>) {
        let Some(root) = self.roots.get(&evidence.root) else {
            return;
        };
        let Some(pending) = root.at(Level::Pending) else {
            return;
        };
        let same = pending.session == evidence.session
            && pending.generation == evidence.generation
            && root.scheme == evidence.scheme
            && evidence_holds(&self.network, evidence, pending.public());
        if same {
            self.activate(evidence.root, evidence.session, evidence.signature.clone(), turn);
            // Who was ahead won't say again by itself how it stands.
            let peers: Vec<_> = self.peers.keys().copied().collect();
            for peer in peers {
                self.ask_standing(peer, turn);
            }
        }
    }

    /// Keeps a sharing as pending.
    pub(crate) fn keep_pending(&mut self, id: RootId, sharing: Sharing, turn: &mut Turn<'_>) {
        if let Some(root) = self.roots.get_mut(&id) {
            root.put(sharing);
            self.persist(id, turn);
        }
    }

    /// All members have a sharing: `signature` shows it.
    pub(crate) fn activate(
        &mut self,
        id: RootId,
        session: SessionId,
        signature: Vec<u8>,
        turn: &mut Turn<'_>,
    ) {
        let Some(root) = self.roots.get_mut(&id) else {
            return;
        };
        let Some(mut sharing) = root.at(Level::Pending).cloned() else {
            return;
        };
        if sharing.session != session {
            return;
        }
        sharing.level = Level::Active;
        sharing.evidence = signature;
        root.put(sharing.clone());
        match root.joined {
            Some(joined) if joined != session => self.leave(id, None, turn),
            _ => {
                root.distrust = false;
                self.ceremonies.remove(&id);
            }
        }
        self.persist(id, turn);
        turn.push(Output::Audit(Event::KeyActive {
            root: id,
            public_key: sharing.public_key(),
            generation: sharing.generation,
        }));
        if let Some(evidence) = self
            .roots
            .get(&id)
            .and_then(|root| sharing.evidence(root.scheme, id))
        {
            self.broadcast(&Message::Evidence(evidence), turn);
        }
        self.tell_standing(id, None, turn);
        self.settle(id, turn);
        self.start_tending(turn);
    }

    /// A sharing that was made or brought back at once, with no steps in between.
    pub(crate) fn adopt_sharing(&mut self, id: RootId, sharing: Sharing, turn: &mut Turn<'_>) {
        // Governance named the root key to a member that hadn't it, and it isn't what the others have: no key of theirs.
        let named = self.configurations().root_key();
        if id == self.network.root(Scheme::Secp256k1)
            && named.is_some_and(|named| named != sharing.public_key())
        {
            return;
        }
        self.leave(id, None, turn);
        self.signing.forget_keys();
        if let Some(root) = self.roots.get_mut(&id) {
            if sharing.level >= Level::Confirmed {
                root.sharings.clear();
            } else {
                root.sharings.retain(|other| other.level >= Level::Confirmed);
            }
            root.put(sharing);
        }
        self.persist(id, turn);
        self.tell_standing(id, None, turn);
        self.settle(id, turn);
    }

    pub(crate) fn persist(&self, id: RootId, turn: &mut Turn<'_>) {
        if let Some(root) = self.roots.get(&id) {
            turn.push(Output::Persist {
                name: record::root_name(id),
                record: record::encode_root(&self.network, id, root.scheme, &root.sharings),
            });
        }
    }

    /// What peers said of a key before this member joined or left a ceremony for it counts no more.
    pub(crate) fn distrust_claims(&mut self, id: RootId, joined: Option<SessionId>) {
        if let Some(root) = self.roots.get_mut(&id) {
            root.claims.clear();
            root.joined = joined.or(root.joined);
            root.distrust = true;
        }
        for peer in self.peers.values_mut() {
            peer.query = None;
        }
    }
}
