//! Why a launch fails.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use jeju_attestation::launch::LaunchError;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_simulated::SiliconError;
use thiserror::Error;

use crate::measure::MeasureError;

/// Why a node can't be launched, or ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// A file or socket.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is longer than what is read of its kind.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How much is read.
        limit: u64,
    },
    /// The image.
    #[error(transparent)]
    Image(#[from] MeasureError),
    /// The launch document.
    #[error("{}: {source}", path.display())]
    Launch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LaunchError,
    },
    /// The machine's simulated silicon.
    #[error(transparent)]
    Silicon(#[from] SiliconError),
    /// Another launch uses the state folder.
    #[error("{} is in use by another launch", .0.display())]
    StateInUse(PathBuf),
    /// The folder for sockets belongs to somebody else, or is open to others.
    #[error("{} is not a folder of this user alone", .0.display())]
    SocketFolder(PathBuf),
    /// Socket paths in the state folder would be longer than the system takes.
    #[error("{} is too long for Unix sockets in it: use a shorter path", .0.display())]
    StatePathTooLong(PathBuf),
    /// A program that a launch needs isn't installed.
    #[error("{program} is not installed: {install}")]
    Missing {
        /// The program.
        program: &'static str,
        /// How to get it.
        install: &'static str,
    },
    /// A program can't be started.
    #[error("{program} can't be started: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// KVM was asked for and doesn't work.
    #[error("KVM can't be used: {0}")]
    Kvm(String),
    /// The vsock device didn't come up.
    #[error("the vsock device ended or made no socket within {0:?}")]
    Device(Duration),
    /// The vsock device ended, and cut the guest off.
    #[error("the vsock device ended")]
    DeviceEnded,
    /// The guest isn't ready in time.
    #[error("the node was not ready within {0:?}")]
    NotReady(Duration),
    /// The guest gave up for a numbered reason.
    #[error("the node powered off with code {}: {}", .0.as_u16(), .0.meaning())]
    Fatal(FatalCode),
    /// The guest gave up for a reason that this software doesn't know.
    #[error("the node powered off with the unknown code {0}")]
    UnknownFatal(u16),
    /// The guest ended without a reason.
    #[error("the node ended ({}){last_words}", status.map_or("unknown status".to_owned(), |status| status.to_string()))]
    Ended {
        /// Of QEMU or the process, where it is known.
        status: Option<ExitStatus>,
        /// What it wrote last, printable ASCII, on lines of their own.
        last_words: String,
    },
}
