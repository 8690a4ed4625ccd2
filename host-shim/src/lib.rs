//! The untrusted host side of the boundary: forwards TCP to the guest's ports, and serves egress, the launch
//! document, collateral, a store of blobs, a filtered Docker engine and the log sink to it.
//!
//! It sees ciphertext only, and nothing that it does is trusted by the guest. Towards the host it is a guard: what a
//! guest or a client sends is parsed strictly, every buffer, wait and number of connections is bounded, and egress is
//! denied unless listed. [`HostShim::start`] embeds it; the binary `jeju-host-shim` is a thin command line over it.

mod blobs;
mod config;
mod docker;
mod documents;
mod egress;
mod event;
mod inbound;
mod log_sink;
mod metrics;
mod relay;
mod serve;
mod shim;

pub use blobs::OpenBlobsError;
pub use config::{Config, ConfigError, LogFormat};
pub use shim::{HostShim, RunningShim, StartError};
