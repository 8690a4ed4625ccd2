//! Workers from their owner's side: made on this machine, deployed to a verified node, which runs them inside the enclave.
//!
//! ```text
//! project ── bundle ──▶ Bundle ──┬──▶ node ── verified session ──▶ /api/v1/workers… , signed by the owner's wallet
//! template ──▶ project           └──▶ dev: the same engine on this machine
//! ```

pub mod bundle;
pub mod command;
pub mod dev;
mod error;
mod events;
pub mod node;
pub mod project;
pub mod template;

pub use error::WorkerError;
