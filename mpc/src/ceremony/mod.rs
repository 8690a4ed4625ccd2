//! Key generation and refresh: one ceremony of all members, who all send to all.
//!
//! 1. *Round 1*: a signed package to everybody.
//! 2. *Echo*: a signed digest of all packages. Only if all digests are the same did everybody get the same packages; if not,
//!    the packages themselves are compared, and who signed two of them is named.
//! 3. *Round 2*: to each member its share, signed, so that a bad one can be shown to others.
//! 4. *Commit*: the share is kept; signed.
//! 5. *Test*: everybody's share of a signature over the new sharing, given only to members that all committed to it.
//!
//! A session is named after what is made, who leads, and the identities of all members, so that messages of one can't be
//! used in another, and a member that restarted is another one.

use std::collections::BTreeMap;
use std::time::Duration;

use jeju_attestation::hash::sha256;

use crate::identity::IdentityPublic;
use crate::key::{Nonces, UserKey};
use crate::member::{Member, TimerFor, Turn};
use crate::message::{Decline, Message, Proof, SessionId, Signed, Statement};
use crate::network::{MemberIndex, RootId, Scheme};

mod blame;
mod dealer;
mod entry;
mod rounds;

pub(crate) use dealer::single;

/// So often a member sends again what another one seems to lack.
const TICK: Duration = Duration::from_secs(1);
/// So many ticks without progress end a ceremony.
const PATIENCE: u32 = 5;

/// This member's part in a ceremony.
pub(crate) struct Ceremony {
    pub(crate) session: SessionId,
    pub(crate) leader: MemberIndex,
    scheme: Scheme,
    generation: u32,
    identities: BTreeMap<MemberIndex, IdentityPublic>,
    dealer: Box<dyn dealer::Dealer>,
    stage: Stage,
    round1: BTreeMap<MemberIndex, Signed>,
    echoes: BTreeMap<MemberIndex, Signed>,
    round2: BTreeMap<MemberIndex, Signed>,
    commits: BTreeMap<MemberIndex, Signed>,
    test_shares: BTreeMap<MemberIndex, TestShare>,
    /// What this member sent, and to whom if not to all.
    sent: Vec<(Option<MemberIndex>, Message)>,
    test: Option<Test>,
    disputed: bool,
    shown_commits: bool,
    idle: u32,
}

/// A share of the test signature.
pub(crate) struct TestShare {
    /// Digest of the commits that it was made for.
    pub(crate) commits: [u8; 32],
    /// Scalar.
    pub(crate) share: [u8; 32],
}

/// The new key at the time of the test signature.
struct Test {
    key: std::sync::Arc<dyn UserKey>,
    digest: [u8; 32],
    nonces: Option<Nonces>,
    package: Option<crate::key::Package>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Round1,
    Echo,
    Round2,
    Commit,
    Test,
}

impl Ceremony {
    fn round1_packages(&self) -> BTreeMap<MemberIndex, &[u8]> {
        self.round1
            .iter()
            .filter_map(|(member, signed)| match &signed.statement {
                Statement::Round1 { package, .. } => Some((*member, package.as_slice())),
                _ => None,
            })
            .collect()
    }

    /// SHA-256 over all first-round packages.
    fn round1_digest(&self) -> [u8; 32] {
        let mut bytes = b"jeju-mpc-round1-v1\0".to_vec();
        bytes.extend_from_slice(&self.session);
        for (member, package) in self.round1_packages() {
            bytes.extend_from_slice(&member.0.to_be_bytes());
            bytes.extend_from_slice(&sha256(package));
        }
        sha256(&bytes)
    }

    /// Whether the echoes that have come are of what this member got.
    fn echoes_agree(&self) -> bool {
        let mine = self.round1_digest();
        self.echoes
            .values()
            .all(|signed| matches!(signed.statement, Statement::Echo { digest, .. } if digest == mine))
    }

    /// SHA-256 over the commitments of all members' commits.
    fn commits_digest(&self) -> [u8; 32] {
        let mut bytes = b"jeju-mpc-commits-v1\0".to_vec();
        bytes.extend_from_slice(&self.session);
        for (member, signed) in &self.commits {
            if let Statement::Commit { commitments, .. } = &signed.statement {
                bytes.extend_from_slice(&member.0.to_be_bytes());
                bytes.extend_from_slice(&commitments.hiding);
                bytes.extend_from_slice(&commitments.binding);
            }
        }
        sha256(&bytes)
    }

    /// Whether the shares of the test signature that have come are for the commits that this member got.
    fn test_agrees(&self) -> bool {
        let mine = self.commits_digest();
        self.test_shares.values().all(|given| given.commits == mine)
    }

    fn has_all(&self, members: u16) -> bool {
        let members = usize::from(members);
        match self.stage {
            Stage::Round1 => self.round1.len() == members,
            Stage::Echo => self.echoes.len() == members,
            Stage::Round2 => self.round2.len() == members - 1,
            Stage::Commit => self.commits.len() == members,
            Stage::Test => self.test_shares.len() == members,
        }
    }

    /// Whether a member's message of the present stage has come, and nothing is disputed that it may not have heard of.
    fn has_of(&self, member: MemberIndex) -> bool {
        match self.stage {
            Stage::Round1 => self.round1.contains_key(&member),
            Stage::Echo => self.echoes.contains_key(&member) && !self.disputed,
            Stage::Round2 => self.round2.contains_key(&member),
            Stage::Commit => self.commits.contains_key(&member),
            Stage::Test => self.test_shares.contains_key(&member) && !self.shown_commits,
        }
    }
}

impl Member {
    fn ceremony_of(&self, session: &SessionId) -> Option<RootId> {
        self.ceremonies
            .iter()
            .find(|(_, ceremony)| ceremony.session == *session)
            .map(|(root, _)| *root)
    }

    /// A statement of a ceremony came, from its maker.
    pub(crate) fn statement_made(&mut self, from: MemberIndex, signed: Signed, turn: &mut Turn<'_>) {
        if signed.sender != from {
            return;
        }
        let session = *signed.statement.session();
        let Some(id) = self.ceremony_of(&session) else {
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.keep_early(session, Message::Signed(signed));
            }
            return;
        };
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        if matches!(signed.statement, Statement::Round2 { to, .. } if to != self.me) {
            return;
        }
        let kept = match signed.statement {
            Statement::Round1 { .. } => &mut ceremony.round1,
            Statement::Echo { .. } => &mut ceremony.echoes,
            Statement::Round2 { .. } => &mut ceremony.round2,
            Statement::Commit { .. } => &mut ceremony.commits,
        };
        match kept.get(&from) {
            Some(before) if before.statement == signed.statement => return,
            before => {
                let before = before.cloned();
                let Some(identity) = ceremony.identities.get(&from) else {
                    return;
                };
                if !signed.verify(identity, &self.network.genesis) {
                    return;
                }
                if let Some(before) = before {
                    let proof = Proof::Equivocation(Box::new(before), Box::new(signed));
                    self.accuse(id, proof, turn);
                    return;
                }
                kept.insert(from, signed);
            }
        }
        ceremony.idle = 0;
        self.advance(id, turn);
    }

    /// A share of the test signature came.
    pub(crate) fn test_share_given(
        &mut self,
        from: MemberIndex,
        session: SessionId,
        given: TestShare,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.ceremony_of(&session) else {
            if let Some(peer) = self.peers.get_mut(&from) {
                let TestShare { commits, share } = given;
                let message = Message::TestShare {
                    session,
                    commits,
                    share,
                };
                peer.keep_early(session, message);
            }
            return;
        };
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        if ceremony.test_shares.contains_key(&from) {
            return;
        }
        ceremony.test_shares.insert(from, given);
        ceremony.idle = 0;
        self.advance(id, turn);
    }

    /// Signs a statement, counts it as come from this member, and sends it.
    fn state(&mut self, id: RootId, statement: Statement, turn: &mut Turn<'_>) {
        let signed = Signed::new(
            &self.identity,
            &self.network.genesis,
            self.me,
            statement,
            &mut turn.rng(),
        );
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        ceremony.idle = 0;
        let message = Message::Signed(signed.clone());
        let to = match signed.statement {
            Statement::Round1 { .. } => {
                ceremony.round1.insert(self.me, signed);
                None
            }
            Statement::Echo { .. } => {
                ceremony.echoes.insert(self.me, signed);
                None
            }
            Statement::Commit { .. } => {
                ceremony.commits.insert(self.me, signed);
                None
            }
            Statement::Round2 { to, .. } => Some(to),
        };
        ceremony.sent.push((to, message.clone()));
        match to {
            Some(to) => self.send(to, message, turn),
            None => self.broadcast(&message, turn),
        }
    }

    pub(crate) fn ceremony_tick(&mut self, session: SessionId, turn: &mut Turn<'_>) {
        let Some(id) = self.ceremony_of(&session) else {
            return;
        };
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        ceremony.idle += 1;
        if ceremony.idle > PATIENCE {
            return self.leave(id, None, turn);
        }
        // Whoever hasn't come as far as this member may lack what this member sent.
        let ceremony = &self.ceremonies[&id];
        let behind: Vec<MemberIndex> = self
            .network
            .indices()
            .filter(|member| *member != self.me && !ceremony.has_of(*member))
            .collect();
        for (to, message) in &ceremony.sent {
            for member in &behind {
                if to.is_none_or(|to| to == *member) {
                    self.send(*member, message.clone(), turn);
                }
            }
        }
        self.after(TICK, TimerFor::Ceremony(session), turn);
    }

    /// Ends this member's part in the ceremony for a key, if it has one. A share that was kept stays: the others may yet
    /// show that it is active.
    pub(crate) fn leave(&mut self, id: RootId, proof: Option<Proof>, turn: &mut Turn<'_>) {
        let Some(ceremony) = self.ceremonies.remove(&id) else {
            return;
        };
        self.distrust_claims(id, None);
        let abort = Message::Abort {
            session: ceremony.session,
            proof,
        };
        self.broadcast(&abort, turn);
        self.ceremony_ended(id, turn);
        self.rounds = 0;
        self.start_tending(turn);
    }

    /// Ends ceremonies of members that left.
    pub(crate) fn ceremonies_without(&mut self, turn: &mut Turn<'_>) {
        let over: Vec<RootId> = self
            .ceremonies
            .iter()
            .filter(|(_, ceremony)| {
                ceremony.identities.iter().any(|(member, identity)| {
                    *member != self.me
                        && self
                            .peers
                            .get(member)
                            .is_none_or(|peer| peer.identity != *identity)
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.leave(id, None, turn);
        }
    }

    pub(crate) fn declined(
        &mut self,
        from: MemberIndex,
        session: SessionId,
        reason: Decline,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.ceremony_of(&session) else {
            return;
        };
        if self.ceremonies[&id].leader != self.me {
            return;
        }
        let exists = reason == Decline::Exists;
        self.jobs_declined(id, from, reason);
        self.leave(id, None, turn);
        if exists {
            self.ask_standing(from, turn);
        }
    }
}
