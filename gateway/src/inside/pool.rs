//! A route's connections with its rental: made when they are needed, one login at a time, and shared. After a login that failed,
//! requests are answered by what it failed with until a pause is over, so that a flood of them is no flood of logins.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Turn, OwnedSemaphorePermit};
use tokio::time::{sleep, timeout};

use super::channel::Channel;
use super::link::Link;
use super::{Grant, Inside, InsideError};
use crate::routes::Route;

/// Connections of a route at a time.
const LINKS: usize = 4;
/// How long one without channels stays.
const IDLE: Duration = Duration::from_secs(60);
const REAP: Duration = Duration::from_secs(5);
/// First pause after a login that failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long somebody waits for a channel in all.
const PATIENCE: Duration = Duration::from_secs(40);

/// The connections of one route. Dropped, they end.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Whose turn it is to log in.
    turn: Arc<Turn<()>>,
}

#[derive(Default)]
struct State {
    links: Vec<Arc<Link>>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
struct Failure {
    error: InsideError,
    pause: Duration,
    until: Instant,
}

type Place = (Arc<Link>, OwnedSemaphorePermit);

impl Pool {
    /// A connection to the port that the route leads to.
    pub(crate) async fn open(
        self: &Arc<Self>,
        inside: &Arc<Inside>,
        route: &Route,
    ) -> Result<Channel, InsideError> {
        let opening = async {
            // A connection that broke unseen is found out here, and made anew once.
            for _ in 0..2 {
                let grant = route.grant().ok_or(InsideError::Over)?;
                let (link, place) = self.place(inside, route, &grant).await?;
                match link.channel(place).await {
                    Some(opened) => return opened,
                    None => self.state().links.retain(|known| !Arc::ptr_eq(known, &link)),
                }
            }
            Err(InsideError::Unreachable)
        };
        timeout(PATIENCE, opening)
            .await
            .unwrap_or(Err(InsideError::TimedOut))
    }

    /// Forgets what failed: the renter named something else. Connections by what was named before get no further channels.
    pub(crate) fn renewed(&self) {
        self.state().failure = None;
    }

    async fn place(
        self: &Arc<Self>,
        inside: &Arc<Inside>,
        route: &Route,
        grant: &Arc<Grant>,
    ) -> Result<Place, InsideError> {
        if let Some(place) = self.free(grant) {
            return Ok(place);
        }
        let turn = self.turn.clone().lock_owned().await;
        // Somebody may have logged in meanwhile.
        if let Some(place) = self.free(grant) {
            return Ok(place);
        }
        if let Some(error) = self.refuses(grant) {
            return Err(error);
        }
        let (pool, inside, grant) = (self.clone(), inside.clone(), grant.clone());
        let (rental, host) = (route.asked.rental, route.asked.target_host.clone());
        let port = route.asked.target_port;
        // By itself: who asks and leaves again at once must not make the next one begin anew.
        let login = tokio::spawn(async move {
            inside.logins.fetch_add(1, Relaxed);
            let made = Link::open(&inside, &rental, (&host, port), grant).await;
            if made.is_err() {
                inside.failed.fetch_add(1, Relaxed);
            }
            let place = pool.made(made);
            drop(turn);
            place
        });
        login.await.unwrap_or(Err(InsideError::Unreachable))
    }

    /// A place on a connection.
    fn free(&self, grant: &Arc<Grant>) -> Option<Place> {
        let state = self.state();
        let mut links = state.links.iter().filter(|link| link.serves(grant));
        links.find_map(|link| Some((link.clone(), link.place()?)))
    }

    /// Why no further connection is made now, if none is.
    fn refuses(&self, grant: &Arc<Grant>) -> Option<InsideError> {
        let mut state = self.state();
        // Those of before go on with the channels that they have.
        state.links.retain(|link| link.serves(grant));
        if state.links.len() >= LINKS {
            return Some(InsideError::Busy);
        }
        let failure = state.failure?;
        (Instant::now() < failure.until).then_some(failure.error)
    }

    fn made(self: &Arc<Self>, made: Result<Link, InsideError>) -> Result<Place, InsideError> {
        let mut state = self.state();
        match made {
            Ok(link) => {
                let link = Arc::new(link);
                let place = link.place().ok_or(InsideError::Busy)?;
                state.failure = None;
                state.links.push(link.clone());
                tokio::spawn(reap(Arc::downgrade(self), Arc::downgrade(&link)));
                Ok((link, place))
            }
            Err(error) => {
                let before = state.failure.map(|failure| failure.pause * 2);
                let pause = before.unwrap_or(FIRST_PAUSE).min(LONGEST_PAUSE);
                state.failure = Some(Failure {
                    error,
                    pause,
                    until: Instant::now() + pause,
                });
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a connection out of its pool that has had no channels for a while.
async fn reap(pool: Weak<Pool>, link: Weak<Link>) {
    loop {
        sleep(REAP).await;
        let (Some(pool), Some(link)) = (pool.upgrade(), link.upgrade()) else {
            return;
        };
        // Places are given under the same lock.
        let mut state = pool.state();
        if link.is_idle(IDLE) {
            state.links.retain(|known| !Arc::ptr_eq(known, &link));
            return;
        }
    }
}
