//! What the node knows of its rentals: the chain's view, the engine's list, and notes of its own. All of it can be lost: the
//! chain and the engine have what matters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jeju_attestation::launch::rentals::Rentals;
use jeju_chain::{RentalRecord, RentalStatus};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::order::{self, Order, Refusal, Script};
use super::plan::{Action, Facts, Job, Seen};
use super::watch::{Known, View, time_is_over};
use crate::rentals::backend::{Container, DiskLimit, RentalId, Usage};
use crate::rentals::lease::{Lease, Leases};

/// How long a container is kept after its rental's end, until that is final.
const GRACE: Duration = Duration::from_secs(600);
/// Bytes of all scripts that wait for their containers.
const MAX_SCRIPTS: usize = 64 << 20;

/// Shared by the manager's tasks and the API.
pub struct Board {
    /// What the node rents out.
    pub rules: Rentals,
    /// The chain, as the watch sees it.
    pub view: Mutex<View>,
    /// Who may log in.
    pub leases: Arc<Leases>,
    /// Something changed that shouldn't wait for the next round.
    pub wake: Notify,
    engine: Mutex<Engine>,
    notes: Mutex<HashMap<RentalId, Note>>,
}

/// What is known of the container engine.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    /// The containers, as listed last.
    pub containers: HashMap<RentalId, Container>,
    /// Rentals of which something is left, but no container.
    pub remains: Vec<RentalId>,
    /// Whether the last listing worked.
    pub answers: bool,
    /// Why it didn't.
    pub error: Option<String>,
    /// How the disk's limit holds.
    pub disk_limit: Option<DiskLimit>,
}

/// What this process remembers of a rental.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// What is being done.
    pub job: Option<Job>,
    /// Last line of its image's fetching.
    pub progress: Option<String>,
    /// Why the last try failed.
    pub failure: Option<Refusal>,
    /// Whether there won't be another one.
    pub given_up: bool,
    /// Tries in a row.
    pub tries: u32,
    /// When the next one may be made.
    pub retry: Option<Instant>,
    /// When its container was seen running first, and ever since.
    pub running: Option<Instant>,
    /// Whether it took too much of the disk.
    pub disk_exceeded: bool,
    /// The script that was handed over.
    pub script: Option<Bytes>,
    /// When its end was seen.
    pub ended: Option<Instant>,
    /// What it uses.
    pub measured: Option<Measured>,
    /// What its record orders, so that it is read once.
    order: Option<(Arc<RentalRecord>, Judged)>,
}

/// What a rental orders, or why it isn't run.
type Judged = Arc<Result<Order, Refusal>>;

/// A measurement.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// What the engine said.
    pub usage: Usage,
    /// When.
    pub at: Instant,
    /// Percent of the rented cores since the one before.
    pub cpu_percent: f64,
}

/// A rental, with all that is known of it.
#[derive(Debug, Clone)]
pub struct Rental {
    /// From the chain.
    pub known: Known,
    /// What the texts say.
    order: Judged,
    /// From the engine.
    pub container: Option<Container>,
    /// Ours.
    pub note: Note,
    /// For the plan.
    pub facts: Facts,
}

impl Note {
    fn order(&mut self, record: &Arc<RentalRecord>, rules: &Rentals) -> Judged {
        match &self.order {
            Some((read, order)) if Arc::ptr_eq(read, record) => order.clone(),
            _ => {
                let order = Arc::new(Order::read(record, rules));
                self.order = Some((record.clone(), order.clone()));
                order
            }
        }
    }
}

impl Rental {
    /// What its texts order.
    ///
    /// # Errors
    /// Why this node doesn't run it.
    pub fn order(&self) -> Result<&Order, &Refusal> {
        (*self.order).as_ref()
    }

    /// Why it isn't run, or not yet.
    pub fn refusal(&self, offer: Option<&Refusal>) -> Option<(Refusal, bool)> {
        match (self.order(), &self.note.failure, offer) {
            (Err(refusal), _, _) => Some((refusal.clone(), true)),
            (_, Some(failure), _) => Some((failure.clone(), self.note.given_up)),
            (_, _, Some(refusal)) if self.container.is_none() => Some((refusal.clone(), false)),
            _ => None,
        }
    }
}

impl Board {
    /// Nothing is known yet.
    pub fn new(rules: Rentals, leases: Arc<Leases>) -> Self {
        Self {
            rules,
            view: Mutex::default(),
            leases,
            wake: Notify::new(),
            engine: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// The chain's view.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered of a rental.
    pub fn note<T>(&self, rental: RentalId, change: impl FnOnce(&mut Note) -> T) -> T {
        change(self.notes().entry(rental).or_default())
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<RentalId, Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most containers at a time.
    pub fn places(&self) -> usize {
        let offered = self
            .view()
            .offer
            .map_or(u32::from(u16::MAX), |offer| offer.max_concurrent);
        usize::from(self.rules.max).min(offered as usize)
    }

    /// All rentals, in the order of the provider's list.
    pub fn rentals(&self) -> Vec<Rental> {
        let places = self.places();
        let view = self.view().clone();
        let engine = self.engine().clone();
        let mut notes = self.notes();
        notes.retain(|id, note| view.rentals.contains_key(id) || note.job.is_some());
        let unmakeable = order::resources(view.offer.as_ref()).is_err();
        let mut listed: Vec<(&RentalId, &Known)> = view.rentals.iter().collect();
        listed.sort_by_key(|(_, known)| known.place);
        let here = here(&self.rules);
        let rentals = listed.into_iter().map(|(id, known)| {
            let note = notes.entry(*id).or_default();
            let order = note.order(&known.record, &self.rules);
            let container = engine.containers.get(id).cloned();
            let elsewhere = elsewhere(&known.record, &here, container.as_ref());
            let facts = Facts {
                elsewhere,
                ..facts(
                    &view,
                    known,
                    &order,
                    &engine,
                    container.as_ref(),
                    note,
                    unmakeable,
                )
            };
            Rental {
                known: known.clone(),
                order,
                container,
                note: note.clone(),
                facts,
            }
        });
        let mut rentals: Vec<Rental> = rentals.collect();
        let taken = rentals.iter().filter(|rental| rental.facts.takes_place()).count();
        let mut free = places.saturating_sub(taken);
        for rental in &mut rentals {
            let has = rental.facts.takes_place();
            // The one that was paid first, of those that could begin.
            let could = !has && facts_with_place(&rental.facts);
            rental.facts.place = has || free > 0;
            if could && free > 0 {
                free -= 1;
            }
        }
        rentals
    }

    /// One rental.
    pub fn rental(&self, id: &RentalId) -> Option<Rental> {
        self.rentals()
            .into_iter()
            .find(|rental| rental.known.record.id == *id)
    }

    /// Writes anew who may log in, and how late it is. Nothing in it waits, so that no slow chain or engine keeps anybody in.
    pub fn renew_leases(&self) {
        let here = here(&self.rules);
        // Held to the end: of two writers at a time, the later one knows what the earlier knew.
        let view = self.view();
        let engine = self.engine();
        let now = view.now();
        if view.time.is_some() {
            self.leases.set_time(now);
        }
        let offered = view.offer.map_or(0, |offer| offer.resources.bandwidth_mbps);
        let leases = view.rentals.iter().filter_map(|(id, known)| {
            let container = engine.containers.get(id);
            let rented = container.map_or(offered, |container| container.resources.bandwidth_mbps);
            match elsewhere(&known.record, &here, container) {
                true => None,
                false => lease(*id, known, now, rented),
            }
        });
        self.leases.set(leases.collect());
    }

    /// Keeps a script for the container that is to be made. `false`: there is no room.
    pub fn keep_script(&self, rental: RentalId, script: Bytes) -> bool {
        let mut notes = self.notes();
        let of_others = notes.iter().filter(|(id, _)| **id != rental);
        let kept: usize = of_others
            .filter_map(|(_, note)| note.script.as_ref().map(Bytes::len))
            .sum();
        if kept + script.len() > MAX_SCRIPTS {
            return false;
        }
        notes.entry(rental).or_default().script = Some(script);
        self.wake.notify_one();
        true
    }
}

fn facts(
    view: &View,
    known: &Known,
    order: &Result<Order, Refusal>,
    engine: &Engine,
    container: Option<&Container>,
    note: &mut Note,
    unmakeable: bool,
) -> Facts {
    let time_over = time_is_over(&known.record, view.now());
    let started = known.record.status == RentalStatus::Active;
    match time_over {
        true => {
            note.ended.get_or_insert_with(Instant::now);
            // Nothing more is made of it.
            (note.script, note.progress) = (None, None);
        }
        false => note.ended = None,
    }
    let script = match order {
        Ok(Order {
            script: Script::Digest(_),
            ..
        }) => note.script.is_some(),
        _ => true,
    };
    Facts {
        status: known.record.status,
        created_final: known.created_final,
        end_final: known.end_final,
        time_over,
        seen_over: known.seen_over,
        fresh: view.is_fresh() && known.is_fresh(),
        // For a tenant whose time runs, it is tried to the end.
        refused: order.is_err() || unmakeable || note.given_up && !started,
        elsewhere: false,
        script,
        place: false,
        backing_off: note.retry.is_some_and(|retry| retry > Instant::now()),
        disk_exceeded: note.disk_exceeded,
        grace_over: note.ended.is_some_and(|ended| ended.elapsed() >= GRACE),
        container: match container {
            _ if !engine.answers => Seen::Unknown,
            None => Seen::Absent,
            Some(container) => Seen::Here(container.state),
        },
        job: note.job,
    }
}

/// Whether nothing but a place keeps a rental from being made.
fn facts_with_place(facts: &Facts) -> bool {
    let placed = Facts {
        place: true,
        backing_off: false,
        ..*facts
    };
    placed.action() == Action::Begin(Job::Create)
}

/// Where this node's tenants log in, as containers' labels and the chain have it.
pub(super) fn here(rules: &Rentals) -> String {
    format!("{}:{}", rules.host, rules.port)
}

/// Whether a rental was started by another node of the provider's: one whose address its wallet published. What this node's
/// container was made under counts as its own, even where the node's address has become another since.
fn elsewhere(record: &RentalRecord, here: &str, container: Option<&Container>) -> bool {
    if record.status != RentalStatus::Active {
        return false;
    }
    let own = container.and_then(|container| container.address.as_deref());
    let published = format!("{}:{}", record.ssh_host, record.ssh_port);
    published != own.unwrap_or(here)
}

fn lease(rental: RentalId, known: &Known, now: u64, bandwidth_mbps: u32) -> Option<Lease> {
    let record = &known.record;
    let usable = known.created_final && record.status == RentalStatus::Active && now < record.end_time;
    if !usable {
        return None;
    }
    Some(Lease {
        rental,
        key: order::key(record)?,
        started: record.start_time,
        notice: notice(&rental, record.end_time),
        bandwidth_mbps,
    })
}

/// What a tenant reads at login.
fn notice(rental: &RentalId, end: u64) -> String {
    let end = i64::try_from(end)
        .ok()
        .and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok())
        .and_then(|end| end.format(&Rfc3339).ok())
        .unwrap_or_default();
    format!(
        "Jeju rental 0x{}, paid until {end}.\n\
         isolation: host. The container runs on the provider's Docker host, which can see and change everything in it.\n",
        hex::encode(rental)
    )
}
