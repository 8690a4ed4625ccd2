//! What users of a network of signers do: make keys, have things signed, and check all of it themselves.
//!
//! [`MpcClient`] opens verified sessions to members of one network, asks whichever answers, and believes nothing that it can
//! check: the key's name and the wallet's address are computed here, a new key counts once as many members named it as must
//! sign, and a signature is verified under it by arithmetic of our own ([`signature`]).

mod answer;
mod client;
pub mod command;
mod configurations;
mod error;
mod key;
mod member;
mod members;
pub mod signature;
mod votes;

pub use client::{MpcClient, Signed};
pub use configurations::{Configurations, RootKey, Said};
pub use error::MpcError;
pub use key::Key;
pub use members::{Answer, NetworkFacts};
