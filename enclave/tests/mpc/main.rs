//! The MPC service on 4010, with real processes: one node alone, and three with each other.
#![cfg(feature = "sim")]

mod alone;
mod fixture;
#[path = "../host/mod.rs"]
mod host;
mod rollback;
mod secrets;
mod succession;
mod three;
