//! What a route is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::watch;

use super::RouteId;

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
    pub(super) until: watch::Sender<u64>,
    pub(super) sessions: AtomicU64,
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
        Self {
            id: route.id,
            port: route.port,
            created_at: route.created_at,
            until: watch::Sender::new(route.asked.expires_at),
            sessions: AtomicU64::new(0),
            asked: route.asked,
        }
    }

    pub(super) fn kept(&self) -> KeptRoute {
        KeptRoute {
            id: self.id,
            asked: NewRoute {
                expires_at: self.expires_at(),
                ..self.asked.clone()
            },
            port: self.port,
            created_at: self.created_at,
        }
    }

    /// Until when it leads anywhere, in milliseconds since 1970; zero once it was deleted.
    pub fn expires_at(&self) -> u64 {
        *self.until.borrow()
    }

    /// Sessions that go on now.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Relaxed)
    }
}
