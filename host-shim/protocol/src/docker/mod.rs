//! The subset of Docker's Engine API that a rental needs (port 5002, HTTP/1.1): requests, answers, archives.
//!
//! A request is parsed into [`Request`] and emitted anew; what goes to the engine is never what came. `parse` accepts
//! what `emit` writes and nothing else, byte by byte: Docker's engine takes keys in any case and with Unicode folding,
//! lets a second key win over the first, decodes percent-encoded paths, and knows a dozen versions of each call, so a
//! filter that only looks at a request can be made to see another one than the engine does.
//!
//! Both sides use it: the enclave to make requests, the shim to see that there are no others.

pub mod answer;
pub mod archive;
mod container;
mod exec;
pub mod frame;
mod image;
mod json;
mod name;
mod network;
mod refusal;
mod request;

pub use container::{ContainerSpec, Labels, Network};
pub use exec::ExecSpec;
pub use image::ImageReference;
pub use name::{ContainerName, ExecId};
pub use network::NetworkSpec;
pub use refusal::Refusal;
pub use request::{Emitted, Request};

/// The only version of the API that is spoken (Docker 20.10 and later).
pub const API_VERSION: &str = "v1.41";
/// Longest JSON body of a request in bytes.
pub const MAX_BODY: usize = 128 * 1024;
/// Longest request target in bytes.
pub const MAX_TARGET: usize = 1024;
/// Program of the rental agent in a container.
pub const AGENT_PATH: &str = "/.jeju/agent";
/// What a container of ours runs, in front of the image's own entrypoint and command. The two dashes keep an image
/// from passing options to the agent.
pub const ENTRYPOINT: [&str; 3] = [AGENT_PATH, "init", "--"];
/// Linux capabilities of a container: Docker's default ones without `AUDIT_WRITE`, `MKNOD` and `NET_RAW`.
pub const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
