//! The SSH server of rentals: with OpenSSH's client, as tenants have it, and the real agent as a local process in the
//! container's place.

mod access;
mod certificates;
mod channels;
mod files;
mod fixture;
mod forwarding;
mod limits;
mod raw;
mod refused_certificates;
mod security_keys;
mod sessions;
