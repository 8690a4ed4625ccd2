//! Every byte that crosses between the enclave and its untrusted host, and the sockets that carry it.
//!
//! This crate is the only thing that both sides share. Each protocol is first a pure function over bytes
//! (`parse`, `encode`), where `parse(encode(x)) == x` and no other encoding of `x` is accepted; the async functions
//! only move those bytes, with every length bounded here. Waits are bounded by the caller, who knows the deadline.
//!
//! The formats are in `docs/wire-formats.md` §4–6.

pub mod blob;
pub mod docker;
pub mod document;
pub mod egress;
mod error;
pub mod fatal;
pub mod line;
pub mod log;
mod port;
pub mod public;
pub mod silicon;
pub mod transport;

pub use error::{ExchangeError, ParseError};
pub use port::{HOST_CID, PARENT_CID, Port};
