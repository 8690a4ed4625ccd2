//! Who may be connected at a time. Strangers give way to newer strangers, never tenants: neither connections that are
//! opened and left alone nor tenants' own keep anybody out for long.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cut::Cut;

/// Connections in all.
const CONNECTIONS: usize = 512;
/// Of which this many may be without a user.
const STRANGERS: usize = 128;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Oldest first.
    strangers: VecDeque<(u64, Cut)>,
    tenants: usize,
}

/// A connection's place; free again once it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    tenant: bool,
    cut: Cut,
}

impl Places {
    /// A place for a new connection. Where there is none, the oldest stranger is cut off; with tenants alone there is none.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.strangers.len() >= STRANGERS || state.strangers.len() + state.tenants >= CONNECTIONS {
            let (_, oldest) = state.strangers.pop_front()?;
            oldest.cut();
        }
        let (id, cut) = (state.next, Cut::new());
        state.next += 1;
        state.strangers.push_back((id, cut.clone()));
        Some(Place {
            places: self.clone(),
            id,
            tenant: false,
            cut,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the stranger was still among them.
    fn remove_stranger(&mut self, id: u64) -> bool {
        let before = self.strangers.len();
        self.strangers.retain(|(stranger, _)| *stranger != id);
        self.strangers.len() < before
    }
}

impl Place {
    /// Ends the connection.
    pub(super) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The connection has a user now. One that was cut off before stays so.
    pub(super) fn settle(&mut self) {
        let mut state = self.places.state();
        if !self.tenant && state.remove_stranger(self.id) {
            state.tenants += 1;
            self.tenant = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        match self.tenant {
            true => state.tenants -= 1,
            false => drop(state.remove_stranger(self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_stranger_makes_room_and_tenants_stay() {
        let places = Arc::new(Places::default());
        let mut tenant = places.take().unwrap();
        tenant.settle();
        let mut strangers: Vec<_> = (0..STRANGERS).map(|_| places.take().unwrap()).collect();
        assert!(strangers.iter().all(|place| !place.cut().is_cut()));
        let newest = places.take().unwrap();
        assert!(strangers[0].cut().is_cut() && !strangers[1].cut().is_cut());
        assert!(!tenant.cut().is_cut() && !newest.cut().is_cut());
        strangers[0].settle();
        assert!(!strangers[0].tenant, "who was cut off doesn't come back");
        drop(strangers);
        assert_eq!(places.state().strangers.len(), 1);
    }

    #[test]
    fn with_tenants_alone_there_is_no_place() {
        let places = Arc::new(Places::default());
        let mut tenants = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut place = places.take().unwrap();
            place.settle();
            tenants.push(place);
        }
        assert!(places.take().is_none());
        tenants.pop();
        let stranger = places.take().unwrap();
        let other = places.take().unwrap();
        assert!(stranger.cut().is_cut() && !other.cut().is_cut());
        drop(tenants);
        drop((stranger, other));
        let state = places.state();
        assert_eq!((state.tenants, state.strangers.len()), (0, 0));
    }
}
