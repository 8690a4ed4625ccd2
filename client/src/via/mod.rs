//! Nodes through gateways.
//!
//! A gateway carries bytes to the provider whose server name a ClientHello says. It is trusted with nothing: the name in
//! the node's certificate, the evidence in it and the challenge on the connection are checked as on a direct one, so
//! one that leads elsewhere, changes bytes or drops them is no more than a connection that fails. Then the next is tried.

mod api;
mod gateway;
mod named;
mod route;

pub use api::GatewayApi;
pub use gateway::Gateway;
pub use route::Via;
pub(crate) use route::connect;
