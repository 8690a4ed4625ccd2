//! What the node's SSH server and the agent inside a rental's container say to each other: channels over one byte stream,
//! which is the stdio of one `docker exec`.
//!
//! ```text
//! SSH server: Agent::open ──▶ Channel { Input, Output }
//!                   │ frames, credit per channel and direction
//! container:  Requests::next ──▶ Served { Stdin, Control, Reply }
//! ```
//!
//! [`frame`] is the wire format, [`Open`] what a channel is asked for, `state` the rules without I/O, `driver` the loop that
//! moves bytes. Neither end trusts the other: what breaks a rule ends the connection, and what a peer may make an end keep
//! is bounded ([`MAX_CHANNELS`], [`FIRST_WINDOW`], [`SPARE_WINDOW`]).

mod agent;
mod driver;
mod error;
pub mod frame;
mod request;
mod served;
mod state;
mod wire;

pub use agent::{Agent, Channel, Event, Input, Output};
pub use error::{Closed, MuxError, OpenCode, OpenError};
pub use request::{Exit, Open, Pty, Signal, Size};
pub use served::{Control, Controls, Reply, Request, Requests, Served, Stdin, serve};
pub use state::{FIRST_WINDOW, MAX_CHANNELS, MAX_QUEUED, MAX_WINDOW, SPARE_WINDOW};

#[cfg(test)]
mod tests;
