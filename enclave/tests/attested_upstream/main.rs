//! A node that passes prompts to another node: both as processes, with simulated silicon, attested TLS between them, and a
//! chain that both read.
#![cfg(feature = "sim")]

mod answers;
mod chain;
#[path = "../host/mod.rs"]
mod host;
mod nodes;
mod refusals;
