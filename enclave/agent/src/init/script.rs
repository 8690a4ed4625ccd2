//! The start-up script runs once in a container's life, however often the container starts.

use std::fs::{File, OpenOptions, create_dir};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use super::{report, start};
use crate::serve::user::fallback_shell;

const SCRIPT: &str = "/.jeju/script";
const STATE: &str = "/.jeju/state";
const MARKER: &str = "/.jeju/state/script-ran";

/// A script that runs now or never.
pub(super) struct Script(());

/// The script, if there is one that never ran. From here on it has.
pub(super) fn due() -> Option<Script> {
    if !Path::new(SCRIPT).exists() {
        return None;
    }
    match mark() {
        Ok(()) => Some(Script(())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
        Err(error) => {
            report(format_args!(
                "the start-up script isn't run, because {MARKER} can't be made: {error}"
            ));
            None
        }
    }
}

/// Makes the marker, and returns once the disk has it: a script that changed something never runs again.
fn mark() -> io::Result<()> {
    match create_dir(STATE) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut marker = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(MARKER)?;
    marker.write_all(b"the start-up script runs once\n")?;
    marker.sync_all()?;
    File::open(STATE)?.sync_all()?;
    File::open("/.jeju")?.sync_all()
}

impl Script {
    /// Starts it; one without `#!` by a shell.
    pub(super) fn start(self) -> io::Result<i32> {
        match start(&mut Command::new(SCRIPT)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
                let shell = fallback_shell().ok_or(error)?;
                start(shell.command().arg(SCRIPT))
            }
            outcome => outcome,
        }
    }
}
