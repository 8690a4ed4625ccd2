//! The provider's side: registration, stake, services and offers on chain, and the daemons that send what a node asks for.
//!
//! A node holds no money: it says in `GET /v1/rentals` which transaction a rental needs next. The provider's wallet, which is
//! elsewhere, asks the verified node, checks each against the chain, and sends it:
//!
//! ```text
//! node ── verified session ──▶ run ── next ──▶ wallet ── reads k of n ──▶ ComputeRental
//!                                                └───── startRental, completeRental ──▶
//! ```
//!
//! So it is with payments: [`settle`] submits the vouchers that users gave the node.

mod card;
pub mod command;
mod key;
mod next;
mod number;
mod register;
pub mod run;
mod seed;
mod service;
pub mod settle;
mod signer;
mod stake;
mod status;
mod update;
mod wallet;

pub use next::{Next, Operation};
pub use wallet::{ProviderWallet, Step};
