//! Key generations and refreshes that clients asked this member for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Event, Member, Output, Response, TimerFor, Turn};
use crate::authority::{Action, Grant};
use crate::message::{CeremonyKind, Decline, Level, Mark, SessionId};
use crate::network::{KeyPath, MemberIndex, RootId};
use crate::refusal::Refusal;

/// Most jobs at once.
const MAX_JOBS: usize = 1024;
/// Most clients that wait for one job.
const MAX_TICKETS: usize = 64;
/// All that a client waits.
const BUDGET: Duration = Duration::from_secs(20);

/// Jobs by the digest of their request.
#[derive(Default)]
pub(crate) struct Jobs(BTreeMap<[u8; 32], Job>);

impl Jobs {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Job {
    tickets: Vec<u64>,
    /// The timer that ends it.
    ends: u64,
    grant: Grant,
    request: Vec<u8>,
    path: KeyPath,
    kind: CeremonyKind,
    /// Of a refresh: the generation that it makes.
    generation: u32,
    tries: u32,
    /// Waits for its timer before it leads again.
    resting: bool,
    asked: bool,
    /// Who took no part in the last try, and why.
    refused: BTreeMap<MemberIndex, Refusal>,
    culprits: BTreeSet<MemberIndex>,
}

impl Member {
    /// A key is to be made or refreshed.
    pub(super) fn start_job(&mut self, ticket: u64, grant: Grant, request: Vec<u8>, turn: &mut Turn<'_>) {
        let (path, kind) = match &grant.action {
            Action::Keygen(path) => (*path, CeremonyKind::KeyGeneration),
            Action::Refresh(path) => (*path, CeremonyKind::Refresh),
            _ => return,
        };
        let refuse = |refusal, turn: &mut Turn<'_>| {
            turn.push(Output::Answer {
                ticket,
                outcome: Err(refusal),
            });
        };
        if let Some(job) = self.jobs.0.get_mut(&grant.digest) {
            match job.tickets.len() < MAX_TICKETS {
                true => job.tickets.push(ticket),
                false => refuse(Refusal::Busy, turn),
            }
            return;
        }
        let root = path.root(&self.network);
        let confirmed = self.roots.get(&root).and_then(|root| root.confirmed());
        let generation = match (kind, confirmed) {
            (CeremonyKind::KeyGeneration, _) => 0,
            (CeremonyKind::Refresh, Some(confirmed)) => confirmed.generation + 1,
            (CeremonyKind::Refresh, None) => {
                return refuse(self.no_share(root), turn);
            }
        };
        if kind == CeremonyKind::Refresh
            && let Some(answer) = self.signing.answer_to(&grant)
        {
            return turn.push(Output::Answer {
                ticket,
                outcome: answer,
            });
        }
        if let Some(refusal @ (Refusal::StateOld | Refusal::NoPlace)) = self.state_unsure() {
            return refuse(refusal, turn);
        }
        if self.jobs.0.len() >= MAX_JOBS {
            return refuse(Refusal::Busy, turn);
        }
        let name = grant.digest;
        let ends = self.after(BUDGET, TimerFor::JobEnds(name), turn);
        self.jobs.0.insert(
            name,
            Job {
                tickets: vec![ticket],
                ends,
                grant,
                request,
                path,
                kind,
                generation,
                tries: 0,
                resting: false,
                asked: false,
                refused: BTreeMap::new(),
                culprits: BTreeSet::new(),
            },
        );
        self.rounds = 0;
        self.drive_job(name, turn);
        if !self.jobs.is_empty() {
            self.start_tending(turn);
        }
    }

    /// Why this member can't use a key.
    pub(crate) fn no_share(&self, root: RootId) -> Refusal {
        let known = self.roots.get(&root).is_some_and(|root| {
            root.claims
                .values()
                .flatten()
                .any(|mark| mark.level >= Level::Active)
        });
        match known {
            true => Refusal::ShareMissing,
            false => Refusal::KeyUnknown,
        }
    }

    pub(crate) fn drive_jobs(&mut self, turn: &mut Turn<'_>) {
        let jobs: Vec<_> = self.jobs.0.keys().copied().collect();
        for job in jobs {
            self.drive_job(job, turn);
        }
    }

    /// Goes on with a job as far as it can.
    fn drive_job(&mut self, name: [u8; 32], turn: &mut Turn<'_>) {
        let Some(job) = self.jobs.0.get(&name) else { return };
        let id = job.path.root(&self.network);
        if let Some(root) = self.roots.get(&id) {
            let done = root.at(Level::Complete).filter(|complete| match job.kind {
                CeremonyKind::KeyGeneration => true,
                CeremonyKind::Refresh => complete.generation >= job.generation,
            });
            if done.is_some() {
                let (path, kind) = (job.path, job.kind);
                let info = self.key_in_use(path).map(|(_, info, _)| info);
                let outcome = info.ok_or(Refusal::KeyUnknown).map(|info| match kind {
                    CeremonyKind::KeyGeneration => Response::Key(info),
                    CeremonyKind::Refresh => Response::Refreshed(info),
                });
                return self.end_job(name, outcome, turn);
            }
        }
        if self.ceremonies.contains_key(&id) || job.resting {
            return;
        }
        if self.network.members == 1 {
            return self.make_alone(name, id, turn);
        }
        let needed = self.network.members;
        let reachable = self.peers.len() as u16 + 1;
        let has_any = self.roots.get(&id).is_some_and(|root| root.newest().is_some());
        if reachable < needed {
            // With a sharing under way the missing one may come back in time; without, nothing can begin.
            if !has_any || job.kind == CeremonyKind::Refresh {
                self.end_job(name, Err(Refusal::NoQuorum { reachable, needed }), turn);
            }
            return;
        }
        match self.should_lead(id, job.kind, job.generation) {
            Some(true) if job.tries >= 3 && (!job.refused.is_empty() || !job.culprits.is_empty()) => {
                // All members are needed, so another try would end as the last ones did.
                self.give_up(name, turn);
            }
            Some(true) => {
                if let Err(refusal) = self.limits.count(&job.grant, turn.now) {
                    return self.end_job(name, Err(refusal), turn);
                }
                let (path, kind, request) = (job.path, job.kind, job.request.clone());
                if let Some(job) = self.jobs.0.get_mut(&name) {
                    job.tries += 1;
                    job.refused.clear();
                }
                if self.lead(kind, path, &request, turn).is_err() {
                    self.rest(name, turn);
                }
            }
            Some(false) => {}
            None if job.asked => {}
            None => {
                if let Some(job) = self.jobs.0.get_mut(&name) {
                    job.asked = true;
                }
                if !self.roots.contains_key(&id) {
                    if self.roots.len() >= crate::message::MAX_ROOTS {
                        return self.end_job(name, Err(Refusal::Busy), turn);
                    }
                    let scheme = self.jobs.0[&name].path.scheme;
                    self.roots.insert(id, super::Root::new(scheme));
                }
                let peers: Vec<_> = self.peers.keys().copied().collect();
                for peer in peers {
                    self.ask_standing(peer, turn);
                }
            }
        }
    }

    /// Whether a ceremony is what a key needs now, by what all members say they have of it; `None` if not all have said.
    fn should_lead(&self, id: RootId, kind: CeremonyKind, generation: u32) -> Option<bool> {
        let root = self.roots.get(&id)?;
        let threshold = usize::from(self.network.threshold);
        if root.claims.len() + 1 < usize::from(self.network.members) {
            return None;
        }
        let mine: Vec<Mark> = [Level::Pending, Level::Active]
            .into_iter()
            .filter_map(|level| root.at(level))
            .chain(root.confirmed())
            .map(|sharing| sharing.mark())
            .collect();
        let all: Vec<&[Mark]> = root
            .claims
            .values()
            .map(Vec::as_slice)
            .chain([mine.as_slice()])
            .collect();
        let at_least = |session: &SessionId, least: Level| {
            all.iter()
                .filter(|marks| {
                    marks
                        .iter()
                        .any(|mark| mark.session == *session && mark.level >= least)
                })
                .count()
        };
        let under_way = all.iter().flat_map(|marks| marks.iter()).any(|mark| {
            if mark.generation < generation || mark.level < Level::Active {
                return false;
            }
            // Somebody has confirmed it; or nobody has begun another, and all can still come to have it active, or those who
            // lost it can be helped.
            let nothing_else = all.iter().all(|marks| {
                marks
                    .iter()
                    .all(|other| other.level != Level::Pending || other.session == mark.session)
            });
            mark.level >= Level::Confirmed
                || (nothing_else
                    && (at_least(&mark.session, Level::Pending) == all.len()
                        || at_least(&mark.session, Level::Active) >= threshold))
        });
        let has_base = kind == CeremonyKind::KeyGeneration
            || root.confirmed().is_some_and(|confirmed| {
                confirmed.generation + 1 == generation
                    && at_least(&confirmed.session, Level::Confirmed) == all.len()
            });
        Some(!under_way && has_base)
    }

    /// The key of a network that has one member.
    fn make_alone(&mut self, name: [u8; 32], id: RootId, turn: &mut Turn<'_>) {
        let scheme = self.jobs.0[&name].path.scheme;
        if self.jobs.0[&name].kind == CeremonyKind::Refresh {
            return self.end_job(name, Err(Refusal::Policy("a single key has no shares")), turn);
        }
        let mut session = [0; 32];
        turn.rng().fill_bytes(&mut session);
        let sharing = crate::suite::for_scheme!(scheme, C => {
            crate::ceremony::single::<C>(self.me, turn.rng()).and_then(|(key, public)| {
                let name = (Level::Complete, 0, session);
                crate::record::Sharing::new::<C>(&self.network, self.me, name, key, public, Vec::new())
            })
        });
        let Some(sharing) = sharing else {
            return self.end_job(name, Err(Refusal::Busy), turn);
        };
        if self.roots.len() >= crate::message::MAX_ROOTS {
            return self.end_job(name, Err(Refusal::Busy), turn);
        }
        self.roots.entry(id).or_insert_with(|| super::Root::new(scheme));
        let active = Event::KeyActive {
            root: id,
            public_key: sharing.public_key(),
            generation: 0,
        };
        self.adopt_sharing(id, sharing, turn);
        turn.push(Output::Audit(active));
        self.drive_job(name, turn);
    }

    fn end_job(&mut self, name: [u8; 32], outcome: Result<Response, Refusal>, turn: &mut Turn<'_>) {
        let Some(job) = self.jobs.0.remove(&name) else {
            return;
        };
        if job.kind == CeremonyKind::Refresh
            && let Ok(response) = &outcome
        {
            self.signing
                .remember_answer(&job.grant, response.clone(), turn.now);
        }
        for ticket in job.tickets {
            turn.push(Output::Answer {
                ticket,
                outcome: outcome.clone(),
            });
        }
    }

    /// Waits a while that nobody can foresee, so that two leaders don't meet again and again.
    fn rest(&mut self, name: [u8; 32], turn: &mut Turn<'_>) {
        let Some(job) = self.jobs.0.get_mut(&name) else {
            return;
        };
        job.resting = true;
        let most = 100 << job.tries.min(4);
        let wait = 30 + turn.below(most);
        self.after(Duration::from_millis(u64::from(wait)), TimerFor::Job(name), turn);
    }

    pub(super) fn job_tick(&mut self, name: [u8; 32], turn: &mut Turn<'_>) {
        if let Some(job) = self.jobs.0.get_mut(&name) {
            job.resting = false;
            job.asked = false;
        }
        self.drive_job(name, turn);
    }

    pub(super) fn job_late(&mut self, name: [u8; 32], timer: u64, turn: &mut Turn<'_>) {
        if self.jobs.0.get(&name).is_some_and(|job| job.ends == timer) {
            self.give_up(name, turn);
        }
    }

    fn give_up(&mut self, name: [u8; 32], turn: &mut Turn<'_>) {
        let Some(job) = self.jobs.0.get(&name) else { return };
        let outcome = match job.refused.first_key_value() {
            _ if !job.culprits.is_empty() => Refusal::Misbehaved(job.culprits.iter().copied().collect()),
            Some((_, first)) => Refusal::MembersRefuse {
                members: job.refused.keys().copied().collect(),
                why: first.code(),
            },
            None => Refusal::TimedOut,
        };
        self.end_job(name, Err(outcome), turn);
    }

    /// A ceremony for a key is over without a result here.
    pub(crate) fn ceremony_ended(&mut self, id: RootId, turn: &mut Turn<'_>) {
        let waiting: Vec<_> = self
            .jobs
            .0
            .iter()
            .filter(|(_, job)| job.path.root(&self.network) == id && !job.resting)
            .map(|(name, _)| *name)
            .collect();
        for name in waiting {
            self.rest(name, turn);
        }
    }

    pub(crate) fn jobs_declined(&mut self, id: RootId, from: MemberIndex, reason: Decline) {
        let Decline::Refused(refusal) = reason else {
            return;
        };
        for job in self.jobs.0.values_mut() {
            if job.path.root(&self.network) == id {
                job.refused.insert(from, refusal.clone());
            }
        }
    }

    pub(crate) fn note_culprit(&mut self, id: RootId, culprit: MemberIndex) {
        for job in self.jobs.0.values_mut() {
            if job.path.root(&self.network) == id {
                job.culprits.insert(culprit);
            }
        }
    }
}
