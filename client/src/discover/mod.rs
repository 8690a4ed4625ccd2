//! Providers and models, as the chain has them.
//!
//! What stands there is what providers say of themselves, k endpoints of n agreeing that they do: prices and addresses. Whom
//! to trust with a prompt is another question, which evidence answers. Gateways are asked for hints at most.
//!
//! | module | what it does |
//! |---|---|
//! | `finder` | reads offers |
//! | `known` | what was read before |
//! | `hint` | asks a gateway which providers to look at |
//! | `offer` | one of them, and whether a verified node is its |
//! | `command` | `jeju providers` and `jeju models` |

pub mod command;
mod error;
mod finder;
mod hint;
mod known;
mod offer;

pub use error::DiscoverError;
pub use finder::{Finder, Limits};
pub use offer::{Offer, Price};
