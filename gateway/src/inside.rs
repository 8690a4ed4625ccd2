//! Ways into containers: for a route with a port, the gateway is a client of the rental's SSH server, with a key of its own and
//! a certificate that the renter signed for it. It names the rental, the port and an end, and permits nothing but connections
//! to that port. What goes through such a route, the gateway can read; the renter's key it never has.
//!
//! | module | what it does |
//! |---|---|
//! | `key` | the gateway's key |
//! | `grant` | what a renter permits |
//! | `pool` | a route's connections: when they are made, shared and closed |
//! | `link` | a connection with a rental's SSH server |
//! | `channel`, `queue` | a connection through it to the port |
//! | `carry` | bytes of a TCP connection, or of one that was upgraded |
//! | `error` | why there is no way |

mod carry;
mod channel;
mod error;
mod grant;
mod key;
mod link;
mod pool;
mod queue;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use error::InsideError;
pub use grant::{Grant, GrantError};
pub use key::{FILE as KEY_FILE, RouteKey};

pub(crate) use carry::{Tally, carry};
pub(crate) use channel::Channel;
pub(crate) use pool::Pool;

use crate::routes::Session;
use crate::ssh::Targets;

/// What all routes into containers share.
pub struct Inside {
    key: RouteKey,
    targets: Arc<Targets>,
    /// Logins that were tried.
    pub logins: AtomicU64,
    /// Those that failed.
    pub failed: AtomicU64,
}

impl Inside {
    /// With the key of `state`, or one that ends with the process. `targets` finds rentals' SSH servers.
    ///
    /// # Errors
    /// Where the key can't be had.
    pub fn new(state: Option<&Path>, targets: Arc<Targets>) -> io::Result<Self> {
        let key = match state {
            Some(state) => RouteKey::of(state)?,
            None => RouteKey::generate()?,
        };
        Ok(Self {
            key,
            targets,
            logins: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// The key for which renters sign certificates.
    pub fn key(&self) -> &RouteKey {
        &self.key
    }

    /// A connection to the port of the container that a route leads to.
    ///
    /// # Errors
    /// [`InsideError`].
    pub(crate) async fn open(self: &Arc<Self>, session: &Session) -> Result<Channel, InsideError> {
        session.route().pool().open(self, session.route()).await
    }
}
