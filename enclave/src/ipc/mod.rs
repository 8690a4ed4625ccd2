//! How the node's processes talk to each other: typed messages over Unix socketpairs that PID 1 makes.
//!
//! [`control`] goes from each role to PID 1, one message a packet. [`quote`] goes from the front to the quote role and
//! back, [`signer`] between the front and the signer, and [`rentals`] between the front and the rentals role, all in
//! length-prefixed frames. [`spawner`] goes from the front to PID 1 and back, for processes that run workers; what those
//! say themselves is `jeju-worker-protocol`'s. A role that is taken over by an attacker can send anything on its sockets,
//! so each message is bounded and parsed in full before it is acted on.

pub mod control;
pub mod frame;
pub mod quote;
pub mod rentals;
pub mod signer;
pub mod spawner;
