//! Providers as the chain has them, held in memory and replaced as a whole: a request sees one state.
//!
//! | module | what it does |
//! |---|---|
//! | `provider` | one provider |
//! | `snapshot` | one state, and questions to it |
//! | `refresh` | from the chain to the next state |

mod provider;
mod refresh;
mod snapshot;

use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use provider::is_host;

pub use provider::{Endpoint, Provider};
pub use refresh::Refresh;
pub use snapshot::{Listing, MAX_LISTED, ProviderFilter, Snapshot};

/// The newest state.
#[derive(Default)]
pub struct Index(RwLock<Arc<Snapshot>>);

impl Index {
    /// The state as of now; it never changes.
    pub fn now(&self) -> Arc<Snapshot> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another state in its place.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}
