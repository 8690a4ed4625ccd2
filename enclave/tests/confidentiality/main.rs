//! Whether anything of a prompt or an answer gets out of the node or stays in it: a real node is sent texts that occur
//! nowhere else, and is then searched for them: all that it printed, all that its host saw, what it measures of itself, its
//! core files, and the memory of each of its processes.
#![cfg(feature = "sim")]

mod client;
mod endings;
mod errors;
mod memory;
mod node;
mod recorder;
mod requests;
#[path = "../host/rpc.rs"]
mod rpc;
mod secrets;
mod tokens;
mod traces;
mod upstream;
