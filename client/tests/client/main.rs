//! The client against nodes that are honest and nodes that aren't.

#[path = "../../../contracts/tests/attested_keys/mod.rs"]
mod attested_keys;

mod audit;
mod command;
mod evidence;
mod gateway;
mod hardware;
mod market;
mod money;
mod mpc;
mod node;
mod policy;
mod proxy;
mod receipt;
mod registry;
mod rental;
mod route;
mod rpc;
mod session;
mod silicon;
mod ssh;
mod via;
mod wallet;
mod worker;
mod worker_dev;
