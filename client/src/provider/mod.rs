//! The provider's side of rentals: registration and offer on chain, and the daemon that sends what a node asks for.
//!
//! A node holds no money: it says in `GET /v1/rentals` which transaction a rental needs next. The provider's wallet, which is
//! elsewhere, asks the verified node, checks each against the chain, and sends it:
//!
//! ```text
//! node ── verified session ──▶ run ── next ──▶ wallet ── reads k of n ──▶ ComputeRental
//!                                                └───── startRental, completeRental ──▶
//! ```

pub mod command;
mod next;
mod register;
pub mod run;
mod wallet;

pub use next::{Next, Operation};
pub use wallet::{ProviderWallet, Step};
