//! The providers of a model as a proxy sees them: who is verified, who was refused, who is down, and who is quick.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use super::pool::Pool;
use super::refusal::Refusal;
use super::rules::Rules;
use crate::discover::{DiscoverError, Finder, Offer};
use crate::error::{Class, Error};
use crate::relying_party::RelyingParty;
use crate::session::{Limits, VerifiedBody};

/// Between two looks at the chain, and at nodes of which nothing is known; longer where a look takes long, so that a chain
/// with many providers isn't read all the time.
const REFRESH: Duration = Duration::from_secs(60);
const REFRESH_FACTOR: u32 = 50;
/// How long a node that was refused isn't asked, doubled with each time in a row: what it runs changes rarely, and who
/// registers many that are cheap and not what they should be mustn't keep others from being looked at.
const REFUSED_FOR: Duration = Duration::from_secs(300);
const MAX_REFUSED: Duration = Duration::from_secs(24 * 3600);
/// How long a node that failed isn't asked; doubled with each failure in a row.
const DOWN_FOR: Duration = Duration::from_secs(10);
const MAX_DOWN: Duration = Duration::from_secs(600);
/// How long a node that says that it has no room comes last.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// How long a node comes last that the user has no money with: a deposit becomes final in that time.
const UNPAID_FOR: Duration = Duration::from_secs(60);
/// Nodes that are looked at in one round, the cheapest first, and at a time.
const PROBES: usize = 16;
const PROBES_AT_A_TIME: usize = 4;
/// Nodes that one request may go to, at most.
const MAX_CANDIDATES: usize = 16;

/// The providers of one model.
pub struct Market {
    finder: Finder,
    rules: Rules,
    /// By which of them the seats stand as they do.
    judged: Mutex<Arc<RelyingParty>>,
    limits: Limits,
    seats: Mutex<Vec<Arc<Seat>>>,
}

/// A provider.
pub(super) struct Seat {
    pub(super) offer: Offer,
    pub(super) pool: Arc<Pool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: Standing,
    /// From a small request to its verified answer.
    latency: Option<Duration>,
    /// Failures in a row.
    failures: u32,
}

impl State {
    fn refuse(&mut self, code: &'static str) {
        self.standing = Standing::Refused(code, self.until(REFUSED_FOR, MAX_REFUSED));
        self.failures = self.failures.saturating_add(1);
    }

    fn down(&mut self, code: &'static str) {
        self.standing = Standing::Down(code, self.until(DOWN_FOR, MAX_DOWN));
        self.failures = self.failures.saturating_add(1);
    }

    fn until(&self, once: Duration, most: Duration) -> Instant {
        Instant::now() + once.saturating_mul(1 << self.failures.min(10)).min(most)
    }
}

#[derive(Debug, Clone, Default)]
enum Standing {
    /// It wasn't looked at.
    #[default]
    Unknown,
    /// It passed.
    Verified,
    /// It said that it has no room.
    Busy(Instant),
    /// It said that it isn't paid.
    Unpaid(Instant),
    /// It isn't what it should be.
    Refused(&'static str, Instant),
    /// It isn't there, or breaks off.
    Down(&'static str, Instant),
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// Of a caller's request.
#[derive(Deserialize)]
struct Asked {
    model: String,
}

impl Market {
    /// The providers that `finder` finds, of which nothing is known yet.
    pub fn new(finder: Finder, rules: impl Into<Rules>, limits: Limits) -> Self {
        let rules = rules.into();
        Self {
            finder,
            judged: Mutex::new(rules.now()),
            rules,
            limits,
            seats: Mutex::default(),
        }
    }

    /// The model.
    pub fn model(&self) -> &str {
        self.finder.model()
    }

    /// Looks at the chain, and at the cheapest nodes of which nothing is known. Who is known stays so.
    ///
    /// # Errors
    /// Where the chain can't be read: those from before stay then.
    pub async fn refresh(&self) -> Result<(), DiscoverError> {
        let offers = self.finder.offers().await?;
        self.replace(offers);
        self.judge_anew();
        self.probe().await;
        Ok(())
    }

    /// Keeps up with the chain, and with nodes that come and go.
    pub(super) async fn follow(&self) {
        let mut wait = REFRESH;
        loop {
            tokio::time::sleep(wait).await;
            let started = Instant::now();
            if let Err(error) = self.refresh().await {
                eprintln!(
                    "jeju proxy: providers are not read anew: {error} ({})",
                    error.code()
                );
            }
            wait = REFRESH.max(started.elapsed().saturating_mul(REFRESH_FACTOR));
        }
    }

    fn replace(&self, offers: Vec<Offer>) {
        let mut seats = self.lock();
        let seat = |offer: Offer| {
            let known = seats.iter().find(|seat| seat.offer == offer).cloned();
            known.unwrap_or_else(|| {
                let pool = Pool::of(offer.clone(), self.rules.clone(), self.limits);
                Arc::new(Seat {
                    offer,
                    pool: Arc::new(pool),
                    state: Mutex::default(),
                })
            })
        };
        *seats = offers.into_iter().map(seat).collect();
    }

    /// What was found by other rules isn't known any more.
    fn judge_anew(&self) {
        let party = self.rules.now();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&judged, &party) {
            *judged = party;
            self.all()
                .iter()
                .for_each(|seat| *seat.state() = State::default());
        }
    }

    async fn probe(&self) {
        let now = Instant::now();
        let mut unknown = self.all();
        unknown.retain(|seat| seat.is_open(now) && !seat.is_verified(now));
        unknown.sort_by_key(|seat| seat.offer.price.both());
        unknown.truncate(PROBES);
        let model = self.model();
        stream::iter(unknown)
            .for_each_concurrent(PROBES_AT_A_TIME, |seat| async move { seat.probe(model).await })
            .await;
    }

    /// Who may be asked, the best first: who is verified before whom nothing is known of, of those the cheapest, then the
    /// quickest. Who was refused isn't among them, who is down or busy only behind the others.
    pub(super) fn seats(&self) -> Vec<Arc<Seat>> {
        let now = Instant::now();
        let mut seats = self.all();
        seats.retain(|seat| !seat.is_refused(now));
        seats.sort_by_cached_key(|seat| {
            let latency = seat.state().latency.unwrap_or(Duration::MAX);
            let is_known = seat.is_verified(now);
            (!seat.is_open(now), !is_known, seat.offer.price.both(), latency)
        });
        seats.truncate(MAX_CANDIDATES);
        seats
    }

    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        self.lock().clone()
    }

    /// Whether a request is for this model: another would have another price.
    pub(super) fn check(&self, body: &Bytes) -> Result<(), Refusal> {
        match serde_json::from_slice::<Asked>(body) {
            Ok(asked) if asked.model != self.model() => Err(Refusal::OtherModel(self.model().to_owned())),
            _ => Ok(()),
        }
    }

    /// How many providers there are, and what became of them: codes, no names.
    pub fn summary(&self) -> String {
        let seats = self.all();
        let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
        for seat in &seats {
            let reason = match seat.state().standing {
                Standing::Unknown => "not asked",
                Standing::Verified => "verified",
                Standing::Busy(_) => "busy",
                Standing::Unpaid(_) => "not paid",
                Standing::Refused(code, _) | Standing::Down(code, _) => code,
            };
            *reasons.entry(reason).or_default() += 1;
        }
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        match seats.len() {
            0 => format!("no provider on chain offers {} within the limits", self.model()),
            count => format!("{count} on chain: {}", reasons.join(", ")),
        }
    }

    /// A line for each provider that passed, the best first.
    pub fn lines(&self) -> Vec<String> {
        let now = Instant::now();
        let seats = self.seats().into_iter().filter(|seat| seat.is_verified(now));
        seats
            .map(|seat| {
                let latency = seat.state().latency.unwrap_or_default().as_millis();
                let price = &seat.offer.price;
                format!(
                    "{}  {}+{} wei  {latency} ms",
                    seat.offer.node, price.input, price.output
                )
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Verifies the node, and measures how quickly it says that it has the model.
    async fn probe(&self, model: &str) {
        let mut lease = match self.pool.lease().await {
            Ok(lease) => lease,
            Err(error) => return self.failed(&error),
        };
        let started = Instant::now();
        let asked = lease
            .session
            .request(Method::GET, "/v1/models", HeaderMap::new(), Bytes::new());
        match asked.await {
            Err(error) => self.failed(&error),
            Ok(answer) => {
                let has_model = match &answer.body {
                    VerifiedBody::Whole(body) if answer.status == StatusCode::OK => {
                        serde_json::from_slice::<Models>(body)
                            .is_ok_and(|models| models.data.iter().any(|found| found.id == model))
                    }
                    _ => false,
                };
                lease.give_back();
                self.state().latency = Some(started.elapsed());
                match has_model {
                    true => self.served(),
                    false => self.state().refuse("model_not_served"),
                }
            }
        }
    }

    pub(super) fn failed(&self, error: &Error) {
        let mut state = self.state();
        match error.class() {
            Class::Policy | Class::Evidence | Class::Stale => state.refuse(error.code()),
            Class::Network | Class::Usage => state.down(error.code()),
        }
    }

    pub(super) fn turned_away(&self, status: StatusCode) {
        let now = Instant::now();
        self.state().standing = match status {
            StatusCode::PAYMENT_REQUIRED => Standing::Unpaid(now + UNPAID_FOR),
            _ => Standing::Busy(now + BUSY_FOR),
        };
    }

    pub(super) fn served(&self) {
        let mut state = self.state();
        (state.standing, state.failures) = (Standing::Verified, 0);
    }

    /// Whether it passed, and has room as far as is known.
    fn is_verified(&self, now: Instant) -> bool {
        match self.state().standing {
            Standing::Verified => true,
            Standing::Busy(until) | Standing::Unpaid(until) => now >= until,
            _ => false,
        }
    }

    fn is_refused(&self, now: Instant) -> bool {
        matches!(self.state().standing, Standing::Refused(_, until) if now < until)
    }

    /// Whether nothing is against asking it now.
    fn is_open(&self, now: Instant) -> bool {
        match self.state().standing {
            Standing::Unknown | Standing::Verified => true,
            Standing::Busy(until)
            | Standing::Unpaid(until)
            | Standing::Refused(_, until)
            | Standing::Down(_, until) => now >= until,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
