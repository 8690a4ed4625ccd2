//! The committee that verifies quotes for contracts (`FrostVerifier`): its members verify a node's evidence, each for itself,
//! and t of n of them sign what it says. No member ever has the whole key, and nobody deals it.
//!
//! ```text
//! provider ── request: evidence, until when ──▶ member 1 … n: verify ── statement ──▶ sign ──▶ proof ──▶ provider ──▶ chain
//! ```
//!
//! Members exchange files in a folder that they share, by whatever carries files; what lies there is signed by the members'
//! accounts and holds no secret in the clear. A folder is for one ceremony: nonces live in one process, and are used once.

pub mod command;
mod error;
mod exchange;
mod keygen;
mod member;
mod request;
mod share;
mod signing;
mod statement;

pub use error::CommitteeError;
pub use member::Committee;
pub use request::KeyRequest;
pub use share::Share;
pub use signing::Proof;
pub use statement::Statement;

#[cfg(test)]
mod tests;
