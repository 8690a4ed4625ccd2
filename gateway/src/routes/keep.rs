//! Keeps routes in the gateway's folder: clients hold ids that go on leading to their rentals after a restart.

use std::sync::Arc;

use super::Routes;
use crate::store::{Chain, Store};

/// Keeps all routes and each change of them, for ever. A store that fails costs a restart some routes, and nothing else:
/// `failed` is told.
pub fn keep(
    routes: Arc<Routes>,
    store: Arc<Store>,
    chain: Chain,
    mut failed: impl FnMut(&str),
) -> impl Future<Output = ()> {
    // From here on, whoever waits for a change to be kept waits for this.
    routes.kept.send_replace(Some(0));
    async move {
        let mut changes = routes.changes.subscribe();
        loop {
            // What changes while it is written is written next.
            let change = *changes.borrow_and_update();
            let (all, to) = (routes.all(), store.clone());
            let saved = tokio::task::spawn_blocking(move || to.save_routes(&chain, &all)).await;
            if let Ok(Err(error)) = saved {
                failed(&error.to_string());
            }
            routes.kept.send_replace(Some(change));
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
