//! The engine at the other end of a channel.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use anyhow::Context;

/// What makes this program an engine: it serves the channel that is its standard input.
pub const ENGINE: &str = "--engine";

/// In a thread of this process.
pub fn in_thread() -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    std::thread::spawn(move || jeju_workers::serve(theirs));
    Ok(ours)
}

/// In a process of its own, as on a node.
pub fn in_process() -> std::io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(std::env::current_exe()?)
        .arg(ENGINE)
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    Ok((ours, child))
}

/// What such a process does.
pub fn serve() -> anyhow::Result<()> {
    let channel = std::io::stdin().as_fd().try_clone_to_owned()?;
    jeju_workers::serve(UnixStream::from(channel))
        .ok()
        .context("a worker doesn't let go of its thread")
}
