//! The node: PID 1 of the measured image, and ordinary processes for development.
//!
//! One static binary plays every part. The first process ([`boot`] as PID 1, [`process`] in development) finds the
//! platform and binds the launch document to it ([`node`]), then starts the same binary once per role and watches
//! ([`supervise`]). Each role reads its [`handover`], enters its [`sandbox`], and only then takes input: [`quote`] owns
//! the quoting devices, [`front`] serves users. They talk over [`ipc`].

mod anchor;
pub mod arguments;
pub mod blobs;
pub mod boot;
mod core_dumps;
mod egress;
pub mod fatal;
pub mod front;
pub mod handover;
pub mod ipc;
pub mod launch;
mod loopback;
mod newest;
pub mod node;
mod node_policy;
#[cfg(feature = "sim")]
pub mod process;
pub mod quote;
pub mod rentals;
pub mod role;
pub mod sandbox;
pub mod signer;
pub mod supervise;
pub mod wiping;
