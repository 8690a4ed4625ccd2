//! Where reference values come from, beside the policy's own list: snapshots of the registry that a governance key signed.
//!
//! | mode of the verdict | reference values from | proved by |
//! |---|---|---|
//! | `pinned` | `measurements` of the policy | the policy's file |
//! | `pinned`, with a block | a snapshot, at most [`MAX_LIFE`] old | governance's signature (EIP-712) |
//! | `rpc` | k of n endpoints | nothing: refused unless the policy allows it |
//!
//! ```text
//! registry ── take (k of n) ──▶ Snapshot ── sign ──▶ file ── verify ──▶ SignedSnapshot ── status ──▶ reference value
//!                                                              ▲
//!                       Memory: blocks and policy epoch never go back, however old the file is
//! ```

pub mod arguments;
pub mod command;
mod error;
mod memory;
mod signed;
mod snapshot;
mod take;

pub use error::SnapshotError;
pub use memory::{Memory, Seen};
pub use signed::SignedSnapshot;
pub use snapshot::{Entry, MAX_ENTRIES, MAX_LEN, MAX_LIFE, Snapshot};
pub use take::take;
