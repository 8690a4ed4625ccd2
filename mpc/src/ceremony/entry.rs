//! How a ceremony begins.

use std::collections::BTreeMap;

use super::dealer::{Dealer, DealerOf};
use super::{Ceremony, Stage, TICK, TestShare};
use crate::authority::{Action, Grant};
use crate::identity::IdentityPublic;
use crate::member::{Member, Root, Then, TimerFor, Turn};
use crate::message::{CeremonyKind, Decline, MAX_ROOTS, Message, Start, Statement};
use crate::network::{KeyPath, MemberIndex, RootId};
use crate::refusal::Refusal;
use crate::suite::for_scheme;

/// Most boots of peers whose attempts are remembered; a member that has seen more of them takes part in nothing new.
const MAX_LED: usize = 4096;

impl Member {
    /// Leads a ceremony for a key. The client's request was granted here; the others judge it themselves.
    pub(crate) fn lead(
        &mut self,
        kind: CeremonyKind,
        path: KeyPath,
        request: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Decline> {
        if self.state_unsure().is_some() {
            return Err(Decline::Busy);
        }
        let root = path.root(&self.network);
        let mut seed = [0; 32];
        turn.rng().fill_bytes(&mut seed);
        self.attempts += 1;
        let mut start = Start {
            kind,
            scheme: path.scheme,
            root,
            generation: self.next_generation(kind, root).ok_or(Decline::Exists)?,
            attempt: self.attempts,
            seed,
            session: [0; 32],
            request: request.to_vec(),
        };
        start.session = self.session_of(&start, self.me).ok_or(Decline::View)?;
        self.broadcast(&Message::Start(start.clone()), turn);
        self.join(self.me, &start, turn)
    }

    /// A peer opens a ceremony: its request is judged first.
    pub(crate) fn start_asked(&mut self, from: MemberIndex, start: Start, turn: &mut Turn<'_>) {
        let session = start.session;
        if let Err(reason) = self.may_join(from, &start) {
            return self.decline(from, &start, reason, turn);
        }
        if self.ceremony_of(&session).is_some() {
            return;
        }
        let request = start.request.clone();
        self.judge(request, Then::Join { from, start }, turn);
    }

    /// The request of a peer's ceremony was judged.
    pub(crate) fn join_judged(
        &mut self,
        from: MemberIndex,
        start: &Start,
        judged: Result<Grant, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let fits = judged.and_then(|grant| match (&grant.action, start.kind) {
            (Action::Keygen(path), CeremonyKind::KeyGeneration)
            | (Action::Refresh(path), CeremonyKind::Refresh)
                if path.root(&self.network) == start.root && path.scheme == start.scheme =>
            {
                Ok(grant)
            }
            _ => Err(Refusal::Malformed("not a request for this key")),
        });
        // Whoever leads: a hostile leader must not get round the limit.
        let joined = fits
            .and_then(|grant| self.limits.count(&grant, turn.now))
            .map_err(Decline::Refused)
            .and_then(|()| self.may_join(from, start))
            .and_then(|()| self.join(from, start, turn));
        if let Err(reason) = joined {
            self.decline(from, start, reason, turn);
        }
    }

    /// The last attempt that a peer led here in one of its boots.
    fn last_led(&self, peer: MemberIndex, identity: IdentityPublic) -> u64 {
        self.led.get(&(peer, identity.to_bytes())).copied().unwrap_or(0)
    }

    fn decline(&mut self, to: MemberIndex, start: &Start, reason: Decline, turn: &mut Turn<'_>) {
        let exists = reason == Decline::Exists;
        let session = start.session;
        self.send(to, Message::Decline { session, reason }, turn);
        if exists {
            self.tell_standing(start.root, Some(to), turn);
        }
    }

    /// Whether a peer's ceremony is one that this member can take part in now.
    fn may_join(&self, from: MemberIndex, start: &Start) -> Result<(), Decline> {
        let Some(peer) = self.peers.get(&from) else {
            return Err(Decline::View);
        };
        if let Some(refusal) = self.state_unsure() {
            return Err(match refusal {
                Refusal::Busy => Decline::Busy,
                refusal => Decline::Refused(refusal),
            });
        }
        // A member that could be led into one session twice would sign two packages in it, and seem to cheat.
        if start.attempt <= self.last_led(from, peer.identity)
            || self.session_of(start, from) != Some(start.session)
        {
            return Err(Decline::View);
        }
        match self.next_generation(start.kind, start.root) {
            Some(generation) if generation == start.generation => {}
            _ => return Err(Decline::Exists),
        }
        match self.ceremonies.get(&start.root) {
            Some(ceremony) if ceremony.leader == from => Ok(()),
            // Of two leaders the first in order goes on, unless the other's ceremony has come too far.
            Some(ceremony) if ceremony.stage > Stage::Echo || ceremony.leader < from => Err(Decline::Busy),
            _ => Ok(()),
        }
    }

    /// The generation that a ceremony would make here; `None` if there is none to make.
    fn next_generation(&self, kind: CeremonyKind, root: RootId) -> Option<u32> {
        let confirmed = self.roots.get(&root).and_then(Root::confirmed);
        match (kind, confirmed) {
            (CeremonyKind::KeyGeneration, None) => Some(0),
            (CeremonyKind::Refresh, Some(confirmed)) => confirmed.generation.checked_add(1),
            _ => None,
        }
    }

    /// The session that a start names by this member's sight of who the members are.
    fn session_of(&self, start: &Start, leader: MemberIndex) -> Option<[u8; 32]> {
        let identities = self
            .network
            .indices()
            .map(|member| match member == self.me {
                true => Some(self.identity.public().to_bytes()),
                false => Some(self.peers.get(&member)?.identity.to_bytes()),
            })
            .collect::<Option<Vec<_>>>()?;
        Some(start.session_id(&self.network.genesis, leader, &identities))
    }

    fn join(&mut self, leader: MemberIndex, start: &Start, turn: &mut Turn<'_>) -> Result<(), Decline> {
        if !self.roots.contains_key(&start.root) {
            if self.roots.len() >= MAX_ROOTS {
                return Err(Decline::Refused(Refusal::Busy));
            }
            self.roots.insert(start.root, Root::new(start.scheme));
        }
        self.leave(start.root, None, turn);
        let root = &self.roots[&start.root];
        if root.scheme != start.scheme {
            return Err(Decline::View);
        }
        let begun: Option<(Box<dyn Dealer>, Vec<u8>)> = for_scheme!(start.scheme, C => {
            let old = match start.kind {
                CeremonyKind::KeyGeneration => None,
                CeremonyKind::Refresh => root.confirmed().and_then(|sharing| sharing.packages::<C>()),
            };
            DealerOf::<C>::begin(&self.network, self.me, old, turn.rng())
                .map(|(dealer, package)| (Box::new(dealer) as Box<dyn Dealer>, package))
        });
        let (dealer, package) = begun.ok_or(Decline::View)?;
        if let Some(peer) = self.peers.get(&leader) {
            let boot = (leader, peer.identity.to_bytes());
            if self.led.len() >= MAX_LED && !self.led.contains_key(&boot) {
                return Err(Decline::View);
            }
            self.led.insert(boot, start.attempt);
        }
        let identities = self
            .peers
            .iter()
            .map(|(member, peer)| (*member, peer.identity))
            .chain([(self.me, self.identity.public())])
            .collect();
        self.distrust_claims(start.root, Some(start.session));
        self.ceremonies.insert(
            start.root,
            Ceremony {
                session: start.session,
                leader,
                scheme: start.scheme,
                generation: start.generation,
                identities,
                dealer,
                stage: Stage::Round1,
                round1: BTreeMap::new(),
                echoes: BTreeMap::new(),
                round2: BTreeMap::new(),
                commits: BTreeMap::new(),
                test_shares: BTreeMap::new(),
                sent: Vec::new(),
                test: None,
                disputed: false,
                shown_commits: false,
                idle: 0,
            },
        );
        let session = start.session;
        self.state(start.root, Statement::Round1 { session, package }, turn);
        self.after(TICK, TimerFor::Ceremony(session), turn);
        let early: Vec<_> = self
            .peers
            .iter_mut()
            .flat_map(|(member, peer)| {
                let member = *member;
                peer.take_early(&session)
                    .into_iter()
                    .map(move |message| (member, message))
            })
            .collect();
        for (from, message) in early {
            match message {
                Message::Signed(signed) => self.statement_made(from, signed, turn),
                Message::TestShare {
                    session,
                    commits,
                    share,
                } => self.test_share_given(from, session, TestShare { commits, share }, turn),
                _ => {}
            }
        }
        self.advance(start.root, turn);
        Ok(())
    }
}
