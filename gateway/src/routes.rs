//! Routes: ways to rentals that their renters asked for. A route's id is all that it takes to use it, so ids are random.
//! What lies behind is the rental's own SSH server, which asks for the renter's key.
//!
//! The API makes and deletes routes; the SSH proxy and the listeners of TCP routes take [`Session`]s on them. A session
//! lasts no longer than its route: who holds one waits for [`Session::over`] beside its bytes.
//!
//! | module | what it does |
//! |---|---|
//! | `id` | ids, which are all that it takes |
//! | `session` | somebody's use of a route |
//! | `ways` | where routes begin |
//! | `review` | asks the chain how their rentals go on |

mod error;
mod id;
mod review;
mod session;
mod ways;

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub use error::RouteError;
pub use id::RouteId;
pub use review::{once as review_once, review};
pub use session::Session;
pub use ways::Ways;

/// Most routes of one account.
pub const MAX_ROUTES_OF_OWNER: usize = 32;
/// Most sessions of one route at a time.
pub const MAX_SESSIONS_OF_ROUTE: u64 = 64;

/// From where a route leads to the rental's SSH server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// The SSH proxy, by its preamble.
    Ssh,
    /// A host name below the gateway's domain.
    Http,
    /// A port of its own.
    Tcp,
}

impl RouteKind {
    /// The API's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            RouteKind::Ssh => "ssh",
            RouteKind::Http => "http",
            RouteKind::Tcp => "tcp",
        }
    }

    /// The kind that the API calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        [RouteKind::Ssh, RouteKind::Http, RouteKind::Tcp]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A route that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoute {
    /// From where it leads.
    pub kind: RouteKind,
    /// Who asks: the rental's user.
    pub owner: [u8; 20],
    /// Which rental.
    pub rental: [u8; 32],
    /// Host of the rental's SSH server as it stands on chain. The provider's text: it may name anything, the gateway's own
    /// network included, so who dials it looks it up as endpoints of providers are.
    pub target_host: String,
    /// Its port.
    pub target_port: u16,
    /// When the rental's time ends, in milliseconds since 1970.
    pub expires_at: u64,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// What was asked for; its expiry is the first one, see [`Route::expires_at`].
    pub asked: NewRoute,
    /// The gateway's port, where the route has one of its own.
    pub port: Option<u16>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
    /// Until when it leads anywhere, in milliseconds since 1970; zero once it was deleted.
    until: watch::Sender<u64>,
    sessions: AtomicU64,
}

impl Route {
    /// Until when it leads anywhere, in milliseconds since 1970; zero once it was deleted.
    pub fn expires_at(&self) -> u64 {
        *self.until.borrow()
    }

    /// Sessions that go on now.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }
}

/// All routes of a gateway, in memory: they end with it.
#[derive(Debug)]
pub struct Routes {
    capacity: usize,
    ports: Option<RangeInclusive<u16>>,
    table: Mutex<Table>,
    sessions: Arc<AtomicU64>,
    /// Counts what came and went.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    routes: HashMap<RouteId, Arc<Route>>,
    /// Ports of TCP routes.
    used: BTreeSet<u16>,
}

impl Routes {
    /// Room for `capacity` routes (about 600 bytes each), and these ports for TCP routes.
    pub fn new(capacity: usize, ports: Option<RangeInclusive<u16>>) -> Self {
        Self {
            capacity,
            ports,
            table: Mutex::default(),
            sessions: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Makes a route.
    ///
    /// # Errors
    /// [`RouteError::Expired`] where its time is over already, [`RouteError::TooManyOfOwner`], [`RouteError::Full`],
    /// [`RouteError::NoPort`], [`RouteError::NoRandomness`].
    pub fn create(&self, asked: NewRoute) -> Result<Arc<Route>, RouteError> {
        let now = now_ms();
        if asked.expires_at <= now {
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
        let route = Arc::new(Route {
            id: RouteId::random()?,
            port,
            created_at: now,
            until: watch::Sender::new(asked.expires_at),
            sessions: AtomicU64::new(0),
            asked,
        });
        table.used.extend(port);
        table.routes.insert(route.id, route.clone());
        drop(table);
        self.changed();
        Ok(route)
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
    /// rental is over, which deletes them.
    pub fn renew(&self, rental: &[u8; 32], expires_at: u64) {
        let mut table = self.table();
        let of_rental = |route: &&Arc<Route>| route.asked.rental == *rental;
        let found: Vec<_> = table.routes.values().filter(of_rental).cloned().collect();
        for route in &found {
            match expires_at {
                0 => table.remove(&route.id),
                later => {
                    route.until.send_replace(later);
                }
            }
        }
        drop(table);
        if expires_at == 0 && !found.is_empty() {
            self.changed();
        }
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

    /// Counts up with each route that comes or goes.
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
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(kind: RouteKind, owner: u8) -> NewRoute {
        NewRoute {
            kind,
            owner: [owner; 20],
            rental: [owner; 32],
            target_host: "node.example".to_owned(),
            target_port: 22,
            expires_at: now_ms() + 3_600_000,
        }
    }

    #[test]
    fn only_its_owner_deletes_a_route() {
        let routes = Routes::new(10, None);
        let id = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
        assert_eq!(routes.delete(&id, &[2; 20]), Err(RouteError::NotOwner));
        assert_eq!(routes.of_owner(&[1; 20]).len(), 1);
        assert!(routes.of_owner(&[2; 20]).is_empty());
        assert_eq!(routes.delete(&id, &[1; 20]), Ok(()));
        assert_eq!(routes.delete(&id, &[1; 20]), Err(RouteError::NotFound));
        assert_eq!(
            routes.open(&id, RouteKind::Ssh).unwrap_err(),
            RouteError::NotFound
        );
    }

    #[test]
    fn the_table_is_bounded_for_each_account_and_in_all() {
        let routes = Routes::new(MAX_ROUTES_OF_OWNER + 1, None);
        for _ in 0..MAX_ROUTES_OF_OWNER {
            routes.create(asked(RouteKind::Ssh, 1)).unwrap();
        }
        let refused = |owner| routes.create(asked(RouteKind::Ssh, owner)).unwrap_err();
        assert_eq!(refused(1), RouteError::TooManyOfOwner);
        routes.create(asked(RouteKind::Ssh, 2)).unwrap();
        assert_eq!(refused(3), RouteError::Full);
        // What is over makes room.
        routes.renew(&[1; 32], 1);
        routes.create(asked(RouteKind::Ssh, 3)).unwrap();
        assert_eq!(routes.len(), 2);
        let over = NewRoute {
            expires_at: now_ms(),
            ..asked(RouteKind::Ssh, 4)
        };
        assert_eq!(routes.create(over).unwrap_err(), RouteError::Expired);
    }

    #[test]
    fn each_tcp_route_has_a_port_of_its_own() {
        let none = Routes::new(10, None);
        assert_eq!(
            none.create(asked(RouteKind::Tcp, 1)).unwrap_err(),
            RouteError::NoPort
        );
        let routes = Routes::new(10, Some(30_000..=30_001));
        let first = routes.create(asked(RouteKind::Tcp, 1)).unwrap();
        let second = routes.create(asked(RouteKind::Tcp, 1)).unwrap();
        assert_eq!((first.port, second.port), (Some(30_000), Some(30_001)));
        assert_eq!(
            routes.create(asked(RouteKind::Tcp, 2)).unwrap_err(),
            RouteError::NoPort
        );
        assert_eq!(routes.create(asked(RouteKind::Ssh, 2)).unwrap().port, None);
        assert_eq!(routes.of_kind(RouteKind::Tcp).len(), 2);
        routes.delete(&first.id, &[1; 20]).unwrap();
        assert_eq!(
            routes.create(asked(RouteKind::Tcp, 2)).unwrap().port,
            Some(30_000)
        );
    }

    #[test]
    fn sessions_are_counted_and_bounded() {
        let routes = Routes::new(10, None);
        let id = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
        assert_eq!(
            routes.open(&id, RouteKind::Http).unwrap_err(),
            RouteError::OtherKind
        );
        let mut sessions: Vec<_> = (0..MAX_SESSIONS_OF_ROUTE)
            .map(|_| routes.open(&id, RouteKind::Ssh).unwrap())
            .collect();
        assert_eq!(
            routes.open(&id, RouteKind::Ssh).unwrap_err(),
            RouteError::TooManySessions
        );
        assert_eq!(routes.sessions(), MAX_SESSIONS_OF_ROUTE);
        sessions.pop();
        assert!(routes.open(&id, RouteKind::Ssh).is_ok());
        drop(sessions);
        assert_eq!(
            (routes.sessions(), routes.of_owner(&[1; 20])[0].sessions()),
            (0, 0)
        );
    }

    #[tokio::test]
    async fn a_session_ends_when_its_route_is_deleted_or_its_rental_is_over() {
        let routes = Routes::new(10, None);
        let mut changes = routes.watch();
        let by_hand = routes.create(asked(RouteKind::Ssh, 1)).unwrap().id;
        let by_chain = routes.create(asked(RouteKind::Ssh, 2)).unwrap().id;
        let by_time = routes.create(asked(RouteKind::Ssh, 3)).unwrap().id;
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let sessions = [by_hand, by_chain, by_time].map(|id| routes.open(&id, RouteKind::Ssh).unwrap());
        for session in &sessions {
            let goes_on = tokio::time::timeout(Duration::from_millis(20), session.over());
            assert!(goes_on.await.is_err());
        }
        routes.delete(&by_hand, &[1; 20]).unwrap();
        sessions[0].over().await;
        // An extension first, then the end.
        routes.renew(&[2; 32], now_ms() + 7_200_000);
        let goes_on = tokio::time::timeout(Duration::from_millis(20), sessions[1].over());
        assert!(goes_on.await.is_err());
        routes.renew(&[2; 32], 0);
        sessions[1].over().await;
        routes.renew(&[3; 32], now_ms() + 30);
        sessions[2].over().await;
        assert_eq!(
            routes.open(&by_time, RouteKind::Ssh).unwrap_err(),
            RouteError::Expired
        );
        assert!(routes.of_owner(&[3; 20]).is_empty());
        assert!(changes.has_changed().unwrap());
        assert_eq!(routes.rentals().len(), 1);
        routes.forget_expired();
        assert!(routes.is_empty());
    }
}
