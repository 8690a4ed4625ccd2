//! Routes: ways to rentals that their renters asked for. A route's id is all that it takes to use it, so ids are random.
//! What lies behind is the rental's own SSH server, which asks for the renter's key, or a port of its container, to which the
//! gateway has the renter's certificate.
//!
//! The API makes and deletes routes; the SSH proxy and the listeners of TCP routes take [`Session`]s on them. A session
//! lasts no longer than its route: who holds one waits for [`Session::over`] beside its bytes.
//!
//! | module | what it does |
//! |---|---|
//! | `id` | ids, which are all that it takes |
//! | `session` | somebody's use of a route |
//! | `ways` | where routes begin |
//! | `route` | what one is |
//! | `review` | asks the chain how their rentals go on |
//! | `keep` | keeps them over a restart |

mod error;
mod id;
mod keep;
mod review;
mod route;
mod session;
mod ways;

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::inside::Grant;

pub use error::RouteError;
pub use id::RouteId;
pub use keep::keep;
pub use review::{once as review_once, review};
pub use route::{KeptRoute, NewRoute, Route, RouteKind};
pub use session::Session;
pub use ways::Ways;

/// Most routes of one account.
pub const MAX_ROUTES_OF_OWNER: usize = 32;
/// Most sessions of one route at a time.
pub const MAX_SESSIONS_OF_ROUTE: u64 = 64;

/// All routes of a gateway, in memory.
#[derive(Debug)]
pub struct Routes {
    capacity: usize,
    ports: Option<RangeInclusive<u16>>,
    table: Mutex<Table>,
    sessions: Arc<AtomicU64>,
    /// Counts what came, went, or got another end.
    changes: watch::Sender<u64>,
    /// Up to which of these changes all is kept; none where nobody keeps anything.
    kept: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct Table {
    routes: HashMap<RouteId, Arc<Route>>,
    /// Ports of TCP routes.
    used: BTreeSet<u16>,
}

impl Routes {
    /// Room for `capacity` routes (about 600 bytes each, 3 KB with a certificate), and these ports for TCP routes.
    pub fn new(capacity: usize, ports: Option<RangeInclusive<u16>>) -> Self {
        Self {
            capacity,
            ports,
            table: Mutex::default(),
            sessions: Arc::default(),
            changes: watch::Sender::new(0),
            kept: watch::Sender::new(None),
        }
    }

    /// Makes a route.
    ///
    /// # Errors
    /// [`RouteError::Expired`] where its time is over already, [`RouteError::TooManyOfOwner`], [`RouteError::Full`],
    /// [`RouteError::NoPort`], [`RouteError::NoRandomness`].
    pub fn create(&self, asked: NewRoute) -> Result<Arc<Route>, RouteError> {
        let now = now_ms();
        let grant_ends = asked.inside.as_ref().map_or(u64::MAX, |grant| grant.ends_at());
        if asked.expires_at.min(grant_ends) <= now {
            return Err(RouteError::Expired);
        }
        let mut table = self.table();
        table.forget_expired(now);
        let mine = table
            .routes
            .values()
            .filter(|route| route.asked.owner == asked.owner);
        if mine.count() >= MAX_ROUTES_OF_OWNER {
            return Err(RouteError::TooManyOfOwner);
        }
        if table.routes.len() >= self.capacity {
            return Err(RouteError::Full);
        }
        let port = match asked.kind {
            RouteKind::Tcp => {
                let mut ports = self.ports.clone().ok_or(RouteError::NoPort)?;
                Some(
                    ports
                        .find(|port| !table.used.contains(port))
                        .ok_or(RouteError::NoPort)?,
                )
            }
            RouteKind::Ssh | RouteKind::Http => None,
        };
        let route = table.insert(KeptRoute {
            id: RouteId::random()?,
            port,
            created_at: now,
            asked,
        });
        drop(table);
        self.changed();
        Ok(route)
    }

    /// Has something else let the gateway into the container of a route of `owner`, whose rental's time ends at `rental_ends`, in
    /// milliseconds since 1970. Connections that there are go on.
    ///
    /// # Errors
    /// [`RouteError::NotFound`], [`RouteError::NotOwner`], [`RouteError::NoContainerPort`].
    pub fn replace(
        &self,
        id: &RouteId,
        owner: &[u8; 20],
        grant: Arc<Grant>,
        rental_ends: u64,
    ) -> Result<Arc<Route>, RouteError> {
        let route = self.owned(id, owner)?;
        if route.grant().is_none() {
            return Err(RouteError::NoContainerPort);
        }
        route.replace(grant, rental_ends);
        self.changed();
        Ok(route)
    }

    /// A route of `owner`.
    ///
    /// # Errors
    /// [`RouteError::NotFound`], [`RouteError::NotOwner`].
    pub fn owned(&self, id: &RouteId, owner: &[u8; 20]) -> Result<Arc<Route>, RouteError> {
        let route = self.table().routes.get(id).cloned().ok_or(RouteError::NotFound)?;
        match route.asked.owner == *owner {
            true => Ok(route),
            false => Err(RouteError::NotOwner),
        }
    }

    /// Deletes a route of `owner`, and ends its sessions.
    ///
    /// # Errors
    /// [`RouteError::NotFound`], [`RouteError::NotOwner`].
    pub fn delete(&self, id: &RouteId, owner: &[u8; 20]) -> Result<(), RouteError> {
        let mut table = self.table();
        let route = table.routes.get(id).ok_or(RouteError::NotFound)?;
        if route.asked.owner != *owner {
            return Err(RouteError::NotOwner);
        }
        table.remove(id);
        drop(table);
        self.changed();
        Ok(())
    }

    /// Says until when a rental's time lasts now, in milliseconds since 1970: its routes last as long. Zero where the
    /// rental is over, which deletes them. Those with a certificate that ends before end with it.
    pub fn renew(&self, rental: &[u8; 32], expires_at: u64) {
        let mut table = self.table();
        let of_rental = |route: &&Arc<Route>| route.asked.rental == *rental;
        let found: Vec<_> = table.routes.values().filter(of_rental).cloned().collect();
        let mut has_changed = false;
        for route in &found {
            match expires_at {
                0 => {
                    table.remove(&route.id);
                    has_changed = true;
                }
                later => has_changed |= route.rental_ends(later),
            }
        }
        drop(table);
        if has_changed {
            self.changed();
        }
    }

    /// All routes as they are kept, in no order.
    pub fn all(&self) -> Vec<KeptRoute> {
        let table = self.table();
        table.routes.values().map(|route| route.kept()).collect()
    }

    /// Takes routes back that were kept. Those whose time is over are left out, and TCP routes whose ports aren't this
    /// gateway's any more.
    pub fn restore(&self, kept: Vec<KeptRoute>) {
        let now = now_ms();
        let mut table = self.table();
        for route in kept {
            let has_place = match (route.asked.kind, route.port) {
                (RouteKind::Tcp, Some(port)) => {
                    let ports = self.ports.as_ref();
                    ports.is_some_and(|ports| ports.contains(&port)) && !table.used.contains(&port)
                }
                (kind, port) => kind != RouteKind::Tcp && port.is_none(),
            };
            let has_room = table.routes.len() < self.capacity && !table.routes.contains_key(&route.id);
            let grant_ends = route
                .asked
                .inside
                .as_ref()
                .map_or(u64::MAX, |grant| grant.ends_at());
            if has_place && has_room && route.asked.expires_at.min(grant_ends) > now {
                table.insert(route);
            }
        }
        drop(table);
        self.changed();
    }

    /// Returns once all that has changed so far is kept; at once where nobody keeps routes.
    pub async fn are_kept(&self) {
        let wanted = *self.changes.borrow();
        let mut kept = self.kept.subscribe();
        // The sender is this table's own.
        let _ = kept.wait_for(|kept| kept.is_none_or(|kept| kept >= wanted)).await;
    }

    /// Begins a session on a route.
    ///
    /// # Errors
    /// [`RouteError::NotFound`], [`RouteError::Expired`], [`RouteError::OtherKind`], [`RouteError::TooManySessions`].
    pub fn open(&self, id: &RouteId, kind: RouteKind) -> Result<Session, RouteError> {
        let route = self.table().routes.get(id).cloned().ok_or(RouteError::NotFound)?;
        if route.expires_at() <= now_ms() {
            return Err(RouteError::Expired);
        }
        if route.asked.kind != kind {
            return Err(RouteError::OtherKind);
        }
        // The guard first: it takes back what it counted, whatever follows.
        let before = route.sessions.fetch_add(1, Relaxed);
        self.sessions.fetch_add(1, Relaxed);
        let session = Session {
            route,
            all: self.sessions.clone(),
        };
        match before < MAX_SESSIONS_OF_ROUTE {
            true => Ok(session),
            false => Err(RouteError::TooManySessions),
        }
    }

    /// Routes of an account that haven't expired, oldest first.
    pub fn of_owner(&self, owner: &[u8; 20]) -> Vec<Arc<Route>> {
        self.select(|route| route.asked.owner == *owner)
    }

    /// Routes of a kind that haven't expired, oldest first. Who listens for each of them asks again after [`Routes::watch`]
    /// said that something changed.
    pub fn of_kind(&self, kind: RouteKind) -> Vec<Arc<Route>> {
        self.select(|route| route.asked.kind == kind)
    }

    /// Rentals that have routes.
    pub fn rentals(&self) -> BTreeSet<[u8; 32]> {
        let table = self.table();
        table.routes.values().map(|route| route.asked.rental).collect()
    }

    /// Counts up with each route that comes, goes, or gets another end.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Forgets routes that have expired. The table does so by itself before it refuses one; a caller with a timer frees
    /// ports earlier.
    pub fn forget_expired(&self) {
        if self.table().forget_expired(now_ms()) {
            self.changed();
        }
    }

    /// Whether TCP routes can have ports of their own.
    pub fn has_ports(&self) -> bool {
        self.ports.is_some()
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.table().routes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sessions on all routes that go on now.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }

    fn select(&self, wanted: impl Fn(&Route) -> bool) -> Vec<Arc<Route>> {
        let now = now_ms();
        let mut found: Vec<_> = {
            let table = self.table();
            let live = table.routes.values().filter(|route| route.expires_at() > now);
            live.filter(|route| wanted(route)).cloned().collect()
        };
        found.sort_by_key(|route| (route.created_at, route.id));
        found
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Table {
    fn insert(&mut self, route: KeptRoute) -> Arc<Route> {
        let route = Arc::new(Route::new(route));
        self.used.extend(route.port);
        self.routes.insert(route.id, route.clone());
        route
    }

    fn remove(&mut self, id: &RouteId) {
        if let Some(route) = self.routes.remove(id) {
            route.until.send_replace(0);
            if let Some(port) = route.port {
                self.used.remove(&port);
            }
        }
    }

    /// Whether there were any.
    fn forget_expired(&mut self, now: u64) -> bool {
        let expired = |route: &&Arc<Route>| route.expires_at() <= now;
        let ids: Vec<_> = self
            .routes
            .values()
            .filter(expired)
            .map(|route| route.id)
            .collect();
        ids.iter().for_each(|id| self.remove(id));
        !ids.is_empty()
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
