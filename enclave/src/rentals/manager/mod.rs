//! Makes the containers what the chain asks for, and says who may log in.
//!
//! ```text
//! chain ── watch ──▶ board ◀── reconcile ──▶ container engine
//!                    │   ▲                      ▲
//!                 leases  └─────── measure ─────┘
//! ```
//!
//! The [`watch`] follows the provider's rentals; [`reconcile`] compares them with what the engine really has, asks the [`plan`]
//! and does what that says; [`measure`] holds containers to their disk. All meet at the [`board`]. Nothing is kept elsewhere:
//! a manager that dies at any moment leaves chain and engine, from which the next one comes to the same end.

pub mod board;
mod measure;
pub mod order;
pub mod plan;
mod reconcile;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use self::board::Board;
use self::reconcile::Reconcile;
use self::watch::Watch;
use super::backend::ContainerBackend;
use super::chain::RentalChain;

/// Between two readings of the chain.
const READ_CHAIN: Duration = Duration::from_secs(4);
/// Between two looks at the clock: so long may a session outlast its rental.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(500);

/// Manages until it is dropped.
pub async fn run(board: Arc<Board>, chain: Arc<dyn RentalChain>, backend: Arc<dyn ContainerBackend>) {
    let reconcile = Reconcile::new(board.clone(), backend.clone());
    tokio::join!(
        follow(&board, Watch::new(chain)),
        expire(&board),
        measure::run(&board, &*backend),
        reconcile.run(),
    );
}

async fn follow(board: &Board, watch: Watch) {
    loop {
        let read = watch.read(&board.view).await;
        board.renew_leases();
        board.wake.notify_one();
        // A long list is read in one go.
        if !matches!(read, Ok(true)) {
            sleep(READ_CHAIN).await;
        }
    }
}

async fn expire(board: &Board) {
    loop {
        board.renew_leases();
        sleep(LOOK_AT_CLOCK).await;
    }
}

#[cfg(test)]
pub(in crate::rentals) mod tests;
