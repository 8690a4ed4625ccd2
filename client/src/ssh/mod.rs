//! SSH to a rental: the node is verified first, and OpenSSH then takes no host key but the one of its evidence.
//!
//! The node makes its SSH host key in the enclave and names it in the key list, whose digest is in the claims that the quote
//! vouches for. Whoever stands between, the host of the machine too, has no such key: he can drop connections, and nothing else.
//! What runs in the container is another matter: with `isolation: host` the host sees and can change all of it, and every command
//! here says so.
//!
//! [`command`] has the commands, [`node`] what a verified node says, [`host_key`] the key and its known-hosts line, [`openssh`]
//! the call of OpenSSH.

pub mod command;
mod error;
pub mod host_key;
mod known_hosts;
pub mod node;
mod openssh;
pub mod place;

pub use error::SshError;
