//! Asks the chain how rentals with routes go on: one that was extended keeps its routes, one that is over loses them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jeju_chain::{ChainReader, ReadError, RentalStatus};
use tokio::time::sleep;

use super::Routes;

/// Rentals that are read at a time.
const AT_ONCE: usize = 4;

/// Looks at once and each `interval`, for ever. What can't be read stays as it was: its time runs out by itself.
pub async fn review(routes: Arc<Routes>, chain: Arc<ChainReader>, contract: [u8; 20], interval: Duration) {
    loop {
        routes.forget_expired();
        // The next look tries again.
        let _ = once(&routes, &chain, &contract).await;
        sleep(interval).await;
    }
}

/// Looks once.
///
/// # Errors
/// Where the chain has no newest block that can be read. A rental that can't be read stays as it was.
pub async fn once(routes: &Routes, chain: &ChainReader, contract: &[u8; 20]) -> Result<(), ReadError> {
    let rentals = routes.rentals();
    if rentals.is_empty() {
        return Ok(());
    }
    let block = chain.newest_block().await?;
    let look = |id: [u8; 32]| async move {
        match chain.rental_at(&block, contract, &id).await {
            Ok(Some(rental)) if rental.status == RentalStatus::Active => {
                routes.renew(&id, rental.end_time.saturating_mul(1000));
            }
            Ok(_) => routes.renew(&id, 0),
            Err(_) => {}
        }
    };
    stream::iter(rentals).for_each_concurrent(AT_ONCE, look).await;
    Ok(())
}
