//! Builds the enclave kernel: `image/kernel/build.sh` in a root of locked packages, among which is the source.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;
use thiserror::Error;

use crate::build::enclave::lock;
use crate::build::{BuildError, source};
use crate::inputs::{Group, Inputs, InputsError, Lock, LockError};
use crate::root::{Root, RootError};

/// Where the kernel is in a workspace.
const FOLDER: &str = "image/kernel";
/// What a build leaves, and `--accept` takes.
const RESULTS: [&str; 4] = ["bzImage.sha256", "config", "record.sha256", KERNEL];
const KERNEL: &str = "bzImage";

/// Why there is no kernel, or another one.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The list of packages.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What it is built from can't be had.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The root that it is built in, or the build.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the kernel can't be copied, or another build waited for.
    #[error(transparent)]
    Folder(#[from] BuildError),
}

/// Builds the kernel of a workspace and returns its SHA-256. What was built must be what is committed, or replaces it
/// with `accept`.
///
/// # Errors
/// Any of [`KernelError`].
pub fn build(workspace: &Path, inputs: &Inputs, accept: bool) -> Result<[u8; 32], KernelError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| KernelError::Io { path, source }
    };
    let packages = Lock::read(workspace)?.packages(Group::Kernel)?;
    let files = inputs.get(&packages)?;
    let packages: Vec<_> = packages.into_iter().zip(files).collect();
    let root = Root::assemble(&inputs.store(), "kernel", &packages)?;

    let committed = workspace.join(FOLDER);
    let builds = workspace.join("target/image-build");
    fs::create_dir_all(&builds).map_err(io_at(&builds))?;
    let _lock = lock(&builds.join("kernel.lock"))?;
    let work = builds.join("kernel");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(io_at(&work))?;
    }
    fs::create_dir_all(work.join("home")).map_err(io_at(&work))?;
    let copy = work.join("kernel");
    source::copy(&committed, &copy)?;
    let mut script = vec!["/build/kernel/build.sh"];
    if accept {
        script.push("--accept");
    }
    root.program("/bin/sh")
        .args(script)
        .writes(&work, "/build")
        .current_dir("/build")
        .env("WORK", "/build/work")
        .run()?;

    if accept {
        for file in RESULTS {
            let (from, to) = (copy.join(file), committed.join(file));
            fs::copy(&from, &to).map_err(io_at(&to))?;
        }
    }
    let kernel = fs::read(copy.join(KERNEL)).map_err(io_at(&copy))?;
    fs::remove_dir_all(&work).map_err(io_at(&work))?;
    Ok(sha256(&kernel))
}
