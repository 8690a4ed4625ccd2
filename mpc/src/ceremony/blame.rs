//! Who broke a ceremony, and what shows it.

use super::Stage;
use crate::member::{Member, Turn};
use crate::message::{Message, Proof, SessionId, Signed, Statement};
use crate::network::{MemberIndex, RootId};

impl Member {
    /// Ends a ceremony with a proof that this member made.
    pub(super) fn accuse(&mut self, id: RootId, proof: Proof, turn: &mut Turn<'_>) {
        self.blame(proof.culprit(), fault(&proof), turn);
        self.note_culprit(id, proof.culprit());
        self.leave(id, Some(proof), turn);
    }

    /// Echoes differ: everybody shows what it got, until somebody's two packages meet.
    pub(super) fn dispute(&mut self, id: RootId, turn: &mut Turn<'_>) {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut ceremony.disputed, true) {
            return;
        }
        let message = Message::Round1Set {
            session: ceremony.session,
            set: ceremony.round1.values().cloned().collect(),
        };
        ceremony.sent.push((None, message.clone()));
        self.broadcast(&message, turn);
    }

    /// Shares of the test signature are for different commits: everybody shows the commits that it got, in the same way.
    pub(super) fn show_commits(&mut self, id: RootId, turn: &mut Turn<'_>) {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut ceremony.shown_commits, true) {
            return;
        }
        let message = Message::Round1Set {
            session: ceremony.session,
            set: ceremony.commits.values().cloned().collect(),
        };
        ceremony.sent.push((None, message.clone()));
        self.broadcast(&message, turn);
    }

    /// What another member got in the first round, or of commits.
    pub(crate) fn set_shown(
        &mut self,
        from: MemberIndex,
        session: SessionId,
        set: Vec<Signed>,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.ceremony_of(&session) else {
            return;
        };
        let commits = matches!(
            set.first().map(|signed| &signed.statement),
            Some(Statement::Commit { .. })
        );
        let ceremony = &self.ceremonies[&id];
        // Only after this member has said the same itself, so that nothing can be made to fit; and whoever shows something
        // is shown this member's, even if nothing that came here differs.
        match commits {
            true if ceremony.stage < Stage::Test => return,
            true => self.show_commits(id, turn),
            false if !ceremony.echoes.contains_key(&self.me) => return,
            false => self.dispute(id, turn),
        }
        let ceremony = &self.ceremonies[&id];
        let mine = match commits {
            true => &ceremony.commits,
            false => &ceremony.round1,
        };
        let equivocation = set.iter().find_map(|other| {
            let mine = mine.get(&other.sender)?;
            let differs = std::mem::discriminant(&other.statement) == std::mem::discriminant(&mine.statement)
                && *other.statement.session() == session
                && other.statement != mine.statement
                && other.verify(ceremony.identities.get(&other.sender)?, &self.network.genesis);
            differs.then(|| Proof::Equivocation(Box::new(mine.clone()), Box::new(other.clone())))
        });
        if let Some(proof) = equivocation {
            return self.accuse(id, proof, turn);
        }
        let same = set.len() == mine.len()
            && set
                .iter()
                .zip(mine.values())
                .all(|(theirs, mine)| theirs.sender == mine.sender && theirs.statement == mine.statement);
        // The sender got what this member got, so what doesn't fit is its own doing.
        let fault = match commits {
            _ if !same => None,
            true => ceremony
                .test_shares
                .get(&from)
                .is_some_and(|given| given.commits != ceremony.commits_digest())
                .then_some("share of the test signature for commits that it did not get"),
            false => ceremony
                .echoes
                .get(&from)
                .is_some_and(|echo| {
                    !matches!(echo.statement, Statement::Echo { digest, .. } if digest == ceremony.round1_digest())
                })
                .then_some("echoed what it did not get"),
        };
        if let Some(fault) = fault {
            self.blame(from, fault, turn);
            self.note_culprit(id, from);
            self.leave(id, None, turn);
        }
    }

    /// A member left a ceremony, perhaps with a proof.
    pub(crate) fn abort_told(
        &mut self,
        from: MemberIndex,
        session: SessionId,
        proof: Option<Proof>,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.ceremony_of(&session) else {
            return;
        };
        if !self.ceremonies[&id].identities.contains_key(&from) {
            return;
        }
        let proof = proof.filter(|proof| self.proves(id, proof));
        if let Some(proof) = &proof {
            self.blame(proof.culprit(), fault(proof), turn);
            self.note_culprit(id, proof.culprit());
        }
        // Without this member's own proof of a proof, nobody hears of it from here again.
        self.leave(id, None, turn);
    }

    /// Whether a proof of this ceremony holds. Each statement must be signed by the one whom it is about.
    fn proves(&self, id: RootId, proof: &Proof) -> bool {
        let ceremony = &self.ceremonies[&id];
        let genuine = |signed: &Signed| {
            *signed.statement.session() == ceremony.session
                && ceremony
                    .identities
                    .get(&signed.sender)
                    .is_some_and(|identity| signed.verify(identity, &self.network.genesis))
        };
        match proof {
            Proof::Equivocation(one, other) => {
                let same_kind = matches!(
                    (&one.statement, &other.statement),
                    (Statement::Round1 { .. }, Statement::Round1 { .. })
                        | (Statement::Echo { .. }, Statement::Echo { .. })
                        | (Statement::Commit { .. }, Statement::Commit { .. })
                ) || matches!(
                    (&one.statement, &other.statement),
                    (Statement::Round2 { to: a, .. }, Statement::Round2 { to: b, .. }) if a == b
                );
                same_kind
                    && one.sender == other.sender
                    && one.statement != other.statement
                    && genuine(one)
                    && genuine(other)
            }
            Proof::BadPackage(signed) => match &signed.statement {
                Statement::Round1 { package, .. } => {
                    genuine(signed) && !ceremony.dealer.is_round1(signed.sender, package)
                }
                _ => false,
            },
            Proof::BadShare { round1, round2 } => match (&round1.statement, &round2.statement) {
                (Statement::Round1 { package, .. }, Statement::Round2 { to, share, .. }) => {
                    round1.sender == round2.sender
                        && genuine(round1)
                        && genuine(round2)
                        && !ceremony.dealer.is_round2(package, *to, share)
                }
                _ => false,
            },
        }
    }
}

fn fault(proof: &Proof) -> &'static str {
    match proof {
        Proof::Equivocation(..) => "signed two different statements",
        Proof::BadPackage(_) => "bad package in the first round",
        Proof::BadShare { .. } => "bad share in the second round",
    }
}
