//! What a route is.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::RouteId;
use crate::inside::{Grant, Pool};

/// From where a route leads to a rental.
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
    /// The port of the container that the route leads to, and what lets the gateway in; none where it leads to the SSH server.
    pub inside: Option<Arc<Grant>>,
}

/// A route.
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// What was asked for; its expiry and what lets the gateway in are the first ones, see [`Route::expires_at`] and
    /// [`Route::grant`].
    pub asked: NewRoute,
    /// The gateway's port, where the route has one of its own.
    pub port: Option<u16>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
    /// Until when it leads anywhere, in milliseconds since 1970; zero once it was deleted.
    pub(super) until: watch::Sender<u64>,
    pub(super) sessions: AtomicU64,
    terms: Mutex<Terms>,
    pool: Arc<Pool>,
}

/// What a route's end follows from.
struct Terms {
    /// When the rental's time ends, in milliseconds since 1970.
    rental_ends: u64,
    grant: Option<Arc<Grant>>,
}

impl Terms {
    fn end(&self) -> u64 {
        let grant = self.grant.as_ref().map_or(u64::MAX, |grant| grant.ends_at());
        self.rental_ends.min(grant)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

/// What is kept of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoute {
    /// Its id.
    pub id: RouteId,
    /// What was asked for, with the newest expiry.
    pub asked: NewRoute,
    /// The gateway's port, where the route has one of its own.
    pub port: Option<u16>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

impl Route {
    pub(super) fn new(route: KeptRoute) -> Self {
        let terms = Terms {
            rental_ends: route.asked.expires_at,
            grant: route.asked.inside.clone(),
        };
        Self {
            id: route.id,
            port: route.port,
            created_at: route.created_at,
            until: watch::Sender::new(terms.end()),
            sessions: AtomicU64::new(0),
            terms: Mutex::new(terms),
            pool: Arc::default(),
            asked: route.asked,
        }
    }

    pub(super) fn kept(&self) -> KeptRoute {
        let terms = self.terms();
        KeptRoute {
            id: self.id,
            asked: NewRoute {
                expires_at: terms.rental_ends,
                inside: terms.grant.clone(),
                ..self.asked.clone()
            },
            port: self.port,
            created_at: self.created_at,
        }
    }

    /// The rental's time ends then. Whether that is another time than before.
    pub(super) fn rental_ends(&self, at: u64) -> bool {
        let mut terms = self.terms();
        let has_changed = terms.rental_ends != at;
        terms.rental_ends = at;
        self.until.send_replace(terms.end());
        has_changed
    }

    /// Something else lets the gateway in from now on.
    pub(super) fn replace(&self, grant: Arc<Grant>, rental_ends: u64) {
        let mut terms = self.terms();
        *terms = Terms {
            rental_ends,
            grant: Some(grant),
        };
        self.until.send_replace(terms.end());
        drop(terms);
        self.pool.renewed();
    }

    /// The port of the container that it leads to, and what lets the gateway in; none where it leads to the SSH server.
    pub fn grant(&self) -> Option<Arc<Grant>> {
        self.terms().grant.clone()
    }

    /// Until when it leads anywhere, in milliseconds since 1970; zero once it was deleted.
    pub fn expires_at(&self) -> u64 {
        *self.until.borrow()
    }

    /// Sessions that go on now.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
