//! What a member does when all of a round has come.

use std::collections::BTreeMap;

use super::{Stage, Test, TestShare};
use crate::member::{Member, Turn};
use crate::message::{Commitments, Evidence, Level, Message, Proof, Statement};
use crate::network::{MemberIndex, RootId};
use crate::record::Sharing;
use crate::suite::for_scheme;

/// What comes of looking at a ceremony.
enum Next {
    Wait,
    Abort(Option<Proof>),
    Blame(MemberIndex, &'static str),
    Again,
    Active(Vec<u8>),
}

impl Member {
    /// Goes on as far as what has come allows.
    pub(crate) fn advance(&mut self, id: RootId, turn: &mut Turn<'_>) {
        loop {
            let Some(ceremony) = self.ceremonies.get(&id) else {
                return;
            };
            if ceremony.stage == Stage::Echo && !ceremony.echoes_agree() {
                return self.dispute(id, turn);
            }
            if ceremony.stage == Stage::Test && !ceremony.test_agrees() {
                return self.show_commits(id, turn);
            }
            if !ceremony.has_all(self.network.members) {
                return;
            }
            let next = match self.ceremonies[&id].stage {
                Stage::Round1 => self.after_round1(id, turn),
                Stage::Echo => self.after_echoes(id, turn),
                Stage::Round2 => self.after_round2(id, turn),
                Stage::Commit => self.after_commits(id, turn),
                Stage::Test => self.after_test(id),
            };
            match next {
                Next::Again => continue,
                Next::Wait => return,
                Next::Abort(None) => return self.leave(id, None, turn),
                Next::Abort(Some(proof)) => return self.accuse(id, proof, turn),
                Next::Blame(member, fault) => {
                    self.blame(member, fault, turn);
                    self.note_culprit(id, member);
                    return self.leave(id, None, turn);
                }
                Next::Active(signature) => {
                    let session = self.ceremonies[&id].session;
                    self.activate(id, session, signature, turn);
                    return self.drive_jobs(turn);
                }
            }
        }
    }

    fn after_round1(&mut self, id: RootId, turn: &mut Turn<'_>) -> Next {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return Next::Wait;
        };
        let packages = ceremony.round1_packages();
        let bad = packages
            .into_iter()
            .find(|(member, package)| !ceremony.dealer.is_round1(*member, package))
            .map(|(member, _)| member);
        if let Some(bad) = bad.and_then(|member| ceremony.round1.get(&member)) {
            return Next::Abort(Some(Proof::BadPackage(Box::new(bad.clone()))));
        }
        ceremony.stage = Stage::Echo;
        let statement = Statement::Echo {
            session: ceremony.session,
            digest: ceremony.round1_digest(),
        };
        self.state(id, statement, turn);
        Next::Again
    }

    fn after_echoes(&mut self, id: RootId, turn: &mut Turn<'_>) -> Next {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return Next::Wait;
        };
        let packages: BTreeMap<MemberIndex, Vec<u8>> = ceremony
            .round1_packages()
            .into_iter()
            .map(|(member, package)| (member, package.to_vec()))
            .collect();
        let packages = packages
            .iter()
            .map(|(member, package)| (*member, package.as_slice()))
            .collect();
        let Some(shares) = ceremony.dealer.round2(&packages) else {
            return Next::Abort(None);
        };
        ceremony.stage = Stage::Round2;
        let session = ceremony.session;
        for (to, share) in shares {
            self.state(id, Statement::Round2 { session, to, share }, turn);
        }
        Next::Again
    }

    fn after_round2(&mut self, id: RootId, turn: &mut Turn<'_>) -> Next {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return Next::Wait;
        };
        let packages: BTreeMap<MemberIndex, Vec<u8>> = ceremony
            .round1_packages()
            .into_iter()
            .map(|(member, package)| (member, package.to_vec()))
            .collect();
        let packages: BTreeMap<MemberIndex, &[u8]> = packages
            .iter()
            .map(|(member, package)| (*member, package.as_slice()))
            .collect();
        let mut shares = BTreeMap::new();
        for (member, signed) in &ceremony.round2 {
            let Statement::Round2 { share, .. } = &signed.statement else {
                continue;
            };
            if !ceremony.dealer.is_round2(packages[member], self.me, share) {
                return Next::Abort(Some(Proof::BadShare {
                    round1: Box::new(ceremony.round1[member].clone()),
                    round2: Box::new(signed.clone()),
                }));
            }
            shares.insert(*member, share);
        }
        let Some((key, public)) = ceremony.dealer.finish(&packages, &shares) else {
            return Next::Abort(None);
        };
        // A member that has confirmed a sharing of this generation never commits to another.
        let may_commit = self.roots.get(&id).is_some_and(|root| {
            root.confirmed()
                .is_none_or(|confirmed| confirmed.generation < ceremony.generation)
        });
        let name = (Level::Pending, ceremony.generation, ceremony.session);
        let sharing = for_scheme!(ceremony.scheme, C => {
            Sharing::new::<C>(&self.network, self.me, name, key, public, Vec::new())
        });
        let (true, Some(sharing)) = (may_commit, sharing) else {
            return Next::Abort(None);
        };
        let Some(key) = sharing.root_key(ceremony.scheme) else {
            return Next::Abort(None);
        };
        let (nonces, commitments) = key.commit(turn.rng());
        ceremony.stage = Stage::Commit;
        ceremony.test = Some(Test {
            key,
            digest: sharing.digest(),
            nonces: Some(nonces),
            package: None,
        });
        let statement = Statement::Commit {
            session: ceremony.session,
            digest: sharing.digest(),
            commitments,
        };
        self.keep_pending(id, sharing, turn);
        self.state(id, statement, turn);
        Next::Again
    }

    fn after_commits(&mut self, id: RootId, turn: &mut Turn<'_>) -> Next {
        let Some(ceremony) = self.ceremonies.get_mut(&id) else {
            return Next::Wait;
        };
        let Some(test) = &mut ceremony.test else {
            return Next::Wait;
        };
        let mut signers: Vec<(MemberIndex, Commitments)> = Vec::new();
        for (member, signed) in &ceremony.commits {
            match &signed.statement {
                // The package follows from the first round alone, on which all agree.
                Statement::Commit { digest, .. } if *digest != test.digest => {
                    return Next::Blame(*member, "committed to another public key package");
                }
                Statement::Commit { commitments, .. } => signers.push((*member, *commitments)),
                _ => return Next::Wait,
            }
        }
        let message = Evidence::signed_bytes(
            &self.network.genesis,
            id,
            ceremony.generation,
            &ceremony.session,
            &test.digest,
        );
        let package = match test.key.package(&signers, &message) {
            Ok(package) => package,
            Err(bad) => return Next::Blame(bad.0, "commitments are no points"),
        };
        let Some(share) = test
            .nonces
            .take()
            .and_then(|nonces| test.key.sign(&package, nonces))
        else {
            return Next::Abort(None);
        };
        test.package = Some(package);
        ceremony.stage = Stage::Test;
        let commits = ceremony.commits_digest();
        ceremony.test_shares.insert(self.me, TestShare { commits, share });
        let message = Message::TestShare {
            session: ceremony.session,
            commits,
            share,
        };
        ceremony.sent.push((None, message.clone()));
        self.broadcast(&message, turn);
        Next::Again
    }

    fn after_test(&self, id: RootId) -> Next {
        let Some(ceremony) = self.ceremonies.get(&id) else {
            return Next::Wait;
        };
        let Some(test) = &ceremony.test else {
            return Next::Wait;
        };
        let Some(package) = &test.package else {
            return Next::Wait;
        };
        let shares: Vec<_> = ceremony
            .test_shares
            .iter()
            .map(|(member, given)| (*member, given.share))
            .collect();
        match test.key.aggregate(package, &shares) {
            Ok(signature) => Next::Active(signature),
            // All shares are for the same commits, so a bad one is its giver's doing.
            Err(culprits) => match culprits.first() {
                Some(culprit) => Next::Blame(*culprit, "bad share of the test signature"),
                None => Next::Abort(None),
            },
        }
    }
}
