//! The Jeju contracts from Rust: typed bindings made of the committed ABI and bytecode, deployment to addresses that
//! follow from the arguments alone, the transactions that connect them, those of governance and revoker, and a local chain for development.
//!
//! `artifacts/` is what the Solidity in `src/` compiles to; `check-artifacts.sh` rebuilds and compares, so that building
//! this crate needs no compiler. Reading a chain is the job of `jeju-chain`.

pub mod agent;
pub mod attested_keys;
pub mod bindings;
pub mod deployment;
pub mod hardware;
pub mod ledger;
pub mod localnet;
pub mod network;
pub mod plan;
pub mod provider;
mod refusal;
pub mod registry;
pub mod rental;
pub mod roles;
pub mod sender;
pub mod serving;
pub mod wiring;
