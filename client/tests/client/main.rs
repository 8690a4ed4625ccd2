//! The client against nodes that are honest and nodes that aren't.

mod audit;
mod command;
mod evidence;
mod hardware;
mod mpc;
mod node;
mod proxy;
mod registry;
mod rental;
mod rpc;
mod session;
mod silicon;
mod ssh;
mod wallet;
mod worker;
mod worker_dev;
