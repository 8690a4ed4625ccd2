//! The real agent as a child process, its stdio as the protocol. What it serves is this machine's.

mod dial;
mod harness;
mod limit;
mod processes;
mod sftp;
mod stream;
mod terminal;
