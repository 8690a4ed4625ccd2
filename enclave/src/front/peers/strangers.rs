//! Places for connections on which nobody was admitted yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::STRANGERS;

/// All of them, oldest first.
#[derive(Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Ends a connection.
    cuts: BTreeMap<u64, oneshot::Sender<()>>,
}

/// Given back when dropped: at the end of the connection, or when its peer is admitted.
pub(super) struct Place {
    number: u64,
    strangers: Strangers,
}

impl Strangers {
    /// A place, if need be the oldest one's. The future is ready when the place is taken away.
    pub(super) fn enter(&self) -> (Place, impl Future<Output = ()> + use<>) {
        let (cut, taken) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.cuts.len() >= STRANGERS
            && let Some((_, oldest)) = waiting.cuts.pop_first()
        {
            let _ = oldest.send(());
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.cuts.insert(number, cut);
        let place = Place {
            number,
            strangers: self.clone(),
        };
        (place, async move {
            // Dropped unused: it was given back.
            if taken.await.is_err() {
                core::future::pending().await
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.cuts.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    #[test]
    fn the_oldest_place_is_taken_and_none_that_was_given_back() {
        let strangers = Strangers::default();
        let enter = || {
            let (place, taken) = strangers.enter();
            (place, taken.boxed())
        };
        let taken = |cut: &mut BoxFuture<'_, ()>| cut.now_or_never().is_some();
        let mut places: Vec<_> = (0..STRANGERS).map(|_| enter()).collect();
        let (admitted, mut kept) = places.remove(0);
        drop(admitted);
        let (_newer, mut newer) = enter();
        assert!(!taken(&mut places[0].1), "there was a free one");
        let (_newest, _) = enter();
        assert!(taken(&mut places[0].1));
        assert!(!taken(&mut places[1].1) && !taken(&mut newer) && !taken(&mut kept));
    }
}
