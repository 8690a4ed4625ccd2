//! Roots: folders that Debian packages are unpacked into, in which builds then run with nothing else to be seen.
//!
//! A root has fixed paths, so that none of the host's ends up in what is built:
//!
//! | path | what |
//! |---|---|
//! | `/src` | what is built, read-only |
//! | `/cargo` | crates, read-only |
//! | `/build` | what is written; `/build/home` is HOME |
//! | `/tmp`, `/dev`, `/proc` | made for each program |
//!
//! No maintainer script of a package runs. What they would do and builds need, [`Root::assemble`] does by name.

mod deb;
mod kept;
mod sandbox;
mod tree;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jeju_attestation::hash::sha256;
use thiserror::Error;

use crate::inputs::Input;
use sandbox::Bind;

pub use deb::DebError;
pub use kept::{Kept, kept};
pub use tree::TreeError;

/// Seconds since 1970 that builds take for the time: 2026-01-01, as the kernel's.
pub const SOURCE_DATE_EPOCH: &str = "1767225600";

/// Part of a root's key: another layout is another root.
const LAYOUT: &str = "jeju-image-root/1";
const PROGRAMS: &str = "/usr/sbin:/usr/bin";
/// Folders that are mounted upon.
const MOUNT_POINTS: [&str; 6] = ["build", "cargo", "dev", "proc", "src", "tmp"];
/// What `update-alternatives` and gcc's packages would choose: name, target.
const CHOICES: [(&str, &str); 2] = [("usr/bin/awk", "mawk"), ("usr/bin/cc", "gcc")];
/// Files that programs look for: name, content.
const FILES: [(&str, &str); 2] = [
    ("etc/passwd", "root:x:0:0:root:/build/home:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
];

/// Why there is no root, or nothing can run in it.
#[derive(Debug, Error)]
pub enum RootError {
    /// A package can't be unpacked.
    #[error("{package}: {error}")]
    Package {
        /// Name, version and digest of the package.
        package: String,
        /// What is wrong.
        error: TreeError,
    },
    /// What the root has besides packages can't be made.
    #[error("root: {0}")]
    Layout(#[from] TreeError),
    /// Something that no kept folder holds.
    #[error("{} is no file, folder or link", .0.display())]
    Foreign(PathBuf),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path or argument that no program can be given.
    #[error("{0:?} holds a zero byte")]
    ZeroByte(OsString),
    /// The root can't be entered.
    #[error("entering a root: {step}: {source}")]
    Enter {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program isn't there, or can't be waited for.
    #[error("starting a program in a root: {0}")]
    Process(io::Error),
    /// A program that failed, after it said why.
    #[error("{program} failed in its root: {status}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

impl RootError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }
}

/// An assembled root.
#[derive(Debug, Clone)]
pub struct Root {
    kept: Kept,
}

impl Root {
    /// The root of these packages, whose verified files are given with them, in a folder of `store`.
    ///
    /// # Errors
    /// [`RootError::Package`], [`RootError::Layout`], [`RootError::Foreign`] and [`RootError::Io`].
    pub fn assemble(store: &Path, name: &str, packages: &[(Input, PathBuf)]) -> Result<Self, RootError> {
        let mut all = LAYOUT.as_bytes().to_vec();
        for (package, _) in packages {
            all.extend(package.sha256);
        }
        let key = format!("{name}-{}", &hex::encode(sha256(&all))[..16]);
        let kept = kept(store, &key, |folder| unpack(folder, packages))?;
        Ok(Self { kept })
    }

    /// SHA-256 of everything in it: equal wherever the same packages were unpacked.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.kept.digest
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.kept.path
    }

    /// A program to run inside, by its path there.
    #[must_use]
    pub fn program(&self, program: &str) -> RootCommand<'_> {
        let mut command = Command::new(program);
        command.env_clear().envs([
            ("PATH", PROGRAMS),
            ("HOME", "/build/home"),
            ("LC_ALL", "C"),
            ("TZ", "UTC0"),
            ("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH),
        ]);
        RootCommand {
            root: self,
            name: program.to_owned(),
            command,
            binds: Vec::new(),
            working: "/".to_owned(),
        }
    }
}

fn unpack(folder: &Path, packages: &[(Input, PathBuf)]) -> Result<(), RootError> {
    let mut tree = tree::Tree::new(folder)?;
    for (package, path) in packages {
        let file = File::open(path).map_err(RootError::io(path))?;
        tree.unpack(&package.name, file)
            .map_err(|error| RootError::Package {
                package: package.to_string(),
                error,
            })?;
    }
    for name in MOUNT_POINTS {
        tree.folder(name)?;
    }
    for (name, target) in CHOICES {
        let beside = format!("usr/bin/{target}");
        if tree.has(&beside) && !tree.has(name) {
            tree.link(name, target, LAYOUT)?;
        }
    }
    for (name, content) in FILES {
        tree.file(name, content.as_bytes(), false, LAYOUT)?;
    }
    Ok(())
}

/// A program that runs in a root.
#[derive(Debug)]
pub struct RootCommand<'a> {
    root: &'a Root,
    name: String,
    command: Command,
    binds: Vec<(PathBuf, &'static str, bool)>,
    working: String,
}

impl RootCommand<'_> {
    /// Appends arguments.
    #[must_use]
    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable. Those of the caller aren't seen inside.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Shows a folder of the host, read-only: at `/src` or `/cargo`.
    #[must_use]
    pub fn reads(mut self, folder: &Path, inside: &'static str) -> Self {
        self.binds.push((folder.to_owned(), inside, false));
        self
    }

    /// Shows a folder of the host that is written into: at `/build`.
    #[must_use]
    pub fn writes(mut self, folder: &Path, inside: &'static str) -> Self {
        self.binds.push((folder.to_owned(), inside, true));
        self
    }

    /// The folder that it starts in.
    #[must_use]
    pub fn current_dir(mut self, inside: &str) -> Self {
        inside.clone_into(&mut self.working);
        self
    }

    /// Runs it. What it writes goes to standard error.
    ///
    /// # Errors
    /// [`RootError::Failed`], [`RootError::Enter`], [`RootError::Process`] and [`RootError::Io`].
    pub fn run(mut self) -> Result<(), RootError> {
        self.command.stdout(io::stderr()).stderr(Stdio::inherit());
        self.finish().map(drop)
    }

    /// Runs it and returns what it writes to standard output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn output(mut self) -> Result<Vec<u8>, RootError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        self.finish()
    }

    fn finish(self) -> Result<Vec<u8>, RootError> {
        let absolute = |path: &Path| path.canonicalize().map_err(RootError::io(path));
        let root = absolute(self.root.path())?;
        let binds = self
            .binds
            .iter()
            .map(|(folder, inside, writable)| Bind::new(&absolute(folder)?, &root, inside, *writable))
            .collect::<Result<Vec<_>, _>>()?;
        let output = sandbox::run(self.command, &root, binds, &self.working)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(RootError::Failed {
            program: self.name,
            status: output.status,
        })
    }
}
