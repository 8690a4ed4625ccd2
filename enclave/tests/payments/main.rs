//! A node that is paid, as processes and on a real chain: who is served, what is owed, and what moves money.
#![cfg(feature = "sim")]

#[path = "../../../contracts/tests/attested_keys/mod.rs"]
mod chain;
#[path = "../host/mod.rs"]
#[allow(unused, reason = "each test uses a part of it")]
mod host;

mod admission;
mod legacy;
mod restart;
mod setting;
mod settlement;
mod streams;
mod vouchers;
mod x402;
