//! Compares what the chain asks for with what the engine has, and does what is missing.
//!
//! One task decides; what takes time runs beside it, one job for each rental. The engine's list is asked for after the jobs
//! that have ended were noted, and says nothing about a rental whose job ran meanwhile: so no decision rests on a list that is
//! older than the last thing done.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::board::{Board, Note, Rental, here};
use super::measure::exceeds;
use super::order::{self, Order, Refusal, Script};
use super::plan::{Action, Job};
use crate::rentals::backend::{
    BackendError, Container, ContainerBackend, ContainerSpec, ContainerState, DiskLimit, Progress, RentalId,
};

/// Between two rounds where nothing happens.
const ROUND: Duration = Duration::from_secs(2);
/// Containers that are made at the same time.
const CREATES: usize = 4;
/// How long the engine may take for its list.
const LIST_WAIT: Duration = Duration::from_secs(30);
/// How long a container may take, its image included.
const CREATE_WAIT: Duration = Duration::from_secs(30 * 60);
/// How long anything else may.
const JOB_WAIT: Duration = Duration::from_secs(150);
/// Tries to make a container of a rental that isn't started.
const TRIES: u32 = 8;
/// What a container must run without a break for its former ends to be forgotten.
const SOUND: Duration = Duration::from_secs(600);
/// How long a container must be nobody's before it is removed, or a network have no container: endpoints of the chain fall behind
/// for a moment.
const STRANGER: Duration = Duration::from_secs(30);
/// Longest line of progress and longest message, in characters.
const MAX_TEXT: usize = 240;

/// The deciding task.
pub(super) struct Reconcile {
    board: Arc<Board>,
    backend: Arc<dyn ContainerBackend>,
    jobs: JoinSet<Outcome>,
    running: HashMap<Id, (RentalId, Job)>,
    handles: HashMap<RentalId, AbortHandle>,
    creates: Arc<Semaphore>,
    /// Containers that are nobody's, and what is left without a container; each since when.
    strays: HashMap<RentalId, Instant>,
}

/// How a job ended.
enum Outcome {
    Done,
    Failed(BackendError),
    /// It has too much on disk to be started.
    DiskExceeded,
}

impl Reconcile {
    pub(super) fn new(board: Arc<Board>, backend: Arc<dyn ContainerBackend>) -> Self {
        Self {
            board,
            backend,
            jobs: JoinSet::new(),
            running: HashMap::new(),
            handles: HashMap::new(),
            creates: Arc::new(Semaphore::new(CREATES)),
            strays: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.round().await;
            let board = self.board.clone();
            tokio::select! {
                Some(ended) = self.jobs.join_next_with_id() => self.note_end(ended),
                () = board.wake.notified() => {}
                () = sleep(ROUND) => {}
            }
        }
    }

    async fn round(&mut self) {
        while let Some(ended) = self.jobs.try_join_next_with_id() {
            self.note_end(ended);
        }
        self.list().await;
        for rental in self.board.rentals() {
            let id = rental.known.record.id;
            self.note_running(&rental);
            match rental.facts.action() {
                Action::Wait => {}
                Action::GiveUp => {
                    if let Some(handle) = self.handles.get(&id) {
                        handle.abort();
                    }
                }
                Action::Begin(job) => self.begin(id, job, Some(&rental)),
            }
        }
        self.remove_strays();
    }

    async fn list(&mut self) {
        let listed = match timeout(LIST_WAIT, self.backend.list()).await {
            Ok(listed) => listed,
            Err(_) => Err(BackendError::TimedOut),
        };
        let mut remains = Vec::new();
        // An engine that didn't answer isn't waited for again.
        if listed.is_ok()
            && let Ok(Ok(found)) = timeout(LIST_WAIT, self.backend.remains()).await
        {
            remains = found;
        }
        let disk_limit = self.board.engine().disk_limit;
        let disk_limit = match (&listed, disk_limit) {
            (Ok(_), None) => match timeout(LIST_WAIT, self.backend.disk_limit()).await {
                Ok(limit) => limit.ok(),
                Err(_) => None,
            },
            _ => disk_limit,
        };
        let mut engine = self.board.engine();
        engine.disk_limit = disk_limit;
        engine.answers = listed.is_ok();
        match listed {
            Ok(containers) => {
                engine.error = None;
                engine.containers = containers
                    .into_iter()
                    .map(|container| (container.rental, container))
                    .collect();
                remains.retain(|id| !engine.containers.contains_key(id));
            }
            Err(error) => engine.error = Some(text(&error.to_string())),
        }
        engine.remains = remains;
    }

    fn note_running(&self, rental: &Rental) {
        let runs = rental
            .container
            .as_ref()
            .is_some_and(|container| container.state == ContainerState::Running);
        self.board.note(rental.known.record.id, |note| match runs {
            true => {
                let since = *note.running.get_or_insert_with(Instant::now);
                // Whatever the last try looked like.
                note.failure = None;
                if since.elapsed() >= SOUND {
                    (note.tries, note.retry) = (0, None);
                }
            }
            false => note.running = None,
        });
    }

    fn begin(&mut self, id: RentalId, job: Job, rental: Option<&Rental>) {
        let work: futures_util::future::BoxFuture<'static, Outcome> = match (job, rental) {
            (Job::Create, Some(rental)) => match self.spec(rental) {
                Some(spec) => Box::pin(create(
                    self.board.clone(),
                    self.backend.clone(),
                    self.creates.clone(),
                    spec,
                )),
                None => return,
            },
            (Job::Start, Some(rental)) => Box::pin(start(
                self.board.clone(),
                self.backend.clone(),
                id,
                rental.container.clone(),
            )),
            (Job::Stop, _) => Box::pin(stop(self.backend.clone(), id)),
            (Job::Remove, _) => Box::pin(remove(self.backend.clone(), id)),
            (Job::Create | Job::Start, None) => return,
        };
        let handle = self.jobs.spawn(work);
        self.running.insert(handle.id(), (id, job));
        self.handles.insert(id, handle);
        self.board.note(id, |note| {
            note.job = Some(job);
            note.progress = None;
        });
    }

    fn spec(&self, rental: &Rental) -> Option<ContainerSpec> {
        let order = rental.order().ok()?;
        let offer = self.board.view().offer;
        Some(ContainerSpec {
            rental: rental.known.record.id,
            image: order.image.clone(),
            script: script(order, &rental.note)?,
            resources: order::resources(offer.as_ref()).ok()?,
            network: self.board.rules.network,
            address: here(&self.board.rules),
        })
    }

    fn note_end(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            // Given up, or a fault of ours: the next round sees what is there.
            Err(error) => (error.id(), None),
        };
        let Some((rental, job)) = self.running.remove(&id) else {
            return;
        };
        self.handles.remove(&rental);
        let started = self
            .board
            .view()
            .rentals
            .get(&rental)
            .is_some_and(|known| known.record.status == jeju_chain::RentalStatus::Active);
        self.board
            .note(rental, |note| note_outcome(note, job, outcome, started));
    }

    /// Removes containers that no rental asks for, once all rentals are known, and what has lost its container.
    fn remove_strays(&mut self) {
        let engine = self.board.engine().clone();
        if !engine.answers {
            return;
        }
        let stranger = |id: &RentalId| self.board.view().is_stranger(id);
        let strangers = engine.containers.into_keys().filter(stranger);
        let found: Vec<RentalId> = strangers.chain(engine.remains).collect();
        self.strays.retain(|id, _| found.contains(id));
        for id in found {
            let since = *self.strays.entry(id).or_insert_with(Instant::now);
            if since.elapsed() >= STRANGER && !self.handles.contains_key(&id) {
                self.begin(id, Job::Remove, None);
            }
        }
    }
}

fn script(order: &Order, note: &Note) -> Option<Option<bytes::Bytes>> {
    match &order.script {
        Script::None => Some(None),
        Script::Public(script) => Some(Some(bytes::Bytes::from(script.clone()))),
        Script::Digest(_) => note.script.clone().map(Some),
    }
}

async fn create(
    board: Arc<Board>,
    backend: Arc<dyn ContainerBackend>,
    creates: Arc<Semaphore>,
    spec: ContainerSpec,
) -> Outcome {
    let Ok(_place) = creates.acquire().await else {
        return Outcome::Failed(BackendError::TimedOut);
    };
    let rental = spec.rental;
    let progress: Progress = Box::new(move |line| {
        board.note(rental, |note| note.progress = Some(text(&line)));
    });
    outcome(
        timeout(CREATE_WAIT, backend.create(spec, progress))
            .await
            .map(|made| made.map(|_| ())),
    )
}

async fn start(
    board: Arc<Board>,
    backend: Arc<dyn ContainerBackend>,
    rental: RentalId,
    container: Option<Container>,
) -> Outcome {
    let limit = board.engine().disk_limit;
    if limit != Some(DiskLimit::Quota)
        && let Ok(Ok(usage)) = timeout(JOB_WAIT, backend.usage(rental)).await
        && container.is_some_and(|container| exceeds(&container, &usage, limit))
    {
        return Outcome::DiskExceeded;
    }
    outcome(timeout(JOB_WAIT, backend.start(rental)).await)
}

async fn stop(backend: Arc<dyn ContainerBackend>, rental: RentalId) -> Outcome {
    outcome(timeout(JOB_WAIT, backend.stop(rental)).await)
}

async fn remove(backend: Arc<dyn ContainerBackend>, rental: RentalId) -> Outcome {
    outcome(timeout(JOB_WAIT, backend.remove(rental)).await)
}

fn outcome<E>(done: Result<Result<(), BackendError>, E>) -> Outcome {
    match done {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => Outcome::Failed(BackendError::TimedOut),
    }
}

fn note_outcome(note: &mut Note, job: Job, outcome: Option<Outcome>, started: bool) {
    (note.job, note.progress) = (None, None);
    match outcome {
        None | Some(Outcome::Done) if !matches!(job, Job::Create | Job::Start) => return,
        None => return,
        Some(Outcome::DiskExceeded) => {
            note.disk_exceeded = true;
            return;
        }
        Some(Outcome::Done) => {
            note.failure = None;
            if job == Job::Create {
                (note.script, note.tries) = (None, 0);
            }
        }
        Some(Outcome::Failed(error)) => {
            let passing = matches!(error, BackendError::Unavailable(_));
            note.failure = Some(refusal(&error));
            note.given_up |= job == Job::Create && !passing && !started && note.tries + 1 >= TRIES;
        }
    }
    note.tries = note.tries.saturating_add(1);
    note.retry = Some(Instant::now() + back_off(job, note.tries));
}

/// 5 s to 5 min for a container that can't be made, 1 s to 1 min for one that ends by itself.
fn back_off(job: Job, tries: u32) -> Duration {
    let (first, most) = match job {
        Job::Create => (5, 300),
        _ => (1, 60),
    };
    Duration::from_secs((first << (tries.saturating_sub(1)).min(10)).min(most))
}

fn refusal(error: &BackendError) -> Refusal {
    let code = match error {
        BackendError::Image(_) => "image_unavailable",
        BackendError::Unavailable(_) | BackendError::TimedOut => "docker_unavailable",
        BackendError::Agent(_) => "agent_failed",
        BackendError::Refused(_)
        | BackendError::NotFound
        | BackendError::NotRunning
        | BackendError::Stopped(_) => "container_failed",
    };
    Refusal::new(code, text(&error.to_string()))
}

/// One line that can't be mistaken for anything else.
fn text(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_TEXT).map(printable).collect()
}
