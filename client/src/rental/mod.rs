//! Rentals from the tenant's side: paid for on chain, asked of a verified node.
//!
//! ```text
//!              account's wallet ──▶ market ── transactions ──▶ ComputeRental
//! command ──▶                        └────── k of n ─────────▶ rentals, offers
//!              public_key, image, script: what goes on chain for good
//!              node ── verified session ──▶ /v1/rentals… , signed by the wallet (authority)
//! ```

pub mod amount;
pub mod authority;
pub mod command;
mod error;
pub mod market;
pub mod node;
pub mod public_key;
mod shown;

pub use error::RentalError;
pub use market::{Market, MarketArguments};
pub use node::RentalNode;
