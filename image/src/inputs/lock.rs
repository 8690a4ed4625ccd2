//! `image/lock.toml`: the Debian packages that builds run in.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{Input, Kind, Place, digest_from_hex};

/// Where the lock is in a workspace.
pub const LOCK_FILE: &str = "image/lock.toml";

const FORMAT: &str = "jeju-image-lock/1";
/// Longest lock that is read, in bytes.
const MAX_LEN: u64 = 4 << 20;
/// Largest package that a lock may name, in bytes: the kernel's source has 153 MB.
const MAX_PACKAGE: u64 = 1 << 30;

/// Why a lock can't be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than any lock.
    #[error("{} has {found} bytes, a lock has at most {MAX_LEN}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
    },
    /// Not the TOML of the format.
    #[error("lock: {0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A format that this software doesn't read.
    #[error("lock format {0:?} is not known, this software reads {FORMAT:?}")]
    Format(String),
    /// A value that can't be what its key says.
    #[error("lock: package {package:?}: {value:?} can't be a {key}")]
    Value {
        /// Name of the package.
        package: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Not when the package lists were read.
    #[error("lock: {0:?} is no time like 20260101T000000Z")]
    Time(String),
    /// A package of a repository that the lock doesn't list.
    #[error("lock: package {package:?} is of the repository {repository:?}, which is not listed")]
    Repository {
        /// Name of the package.
        package: String,
        /// The repository that it names.
        repository: String,
    },
    /// A package twice.
    #[error("lock: package {0:?} is listed twice")]
    Twice(String),
    /// No package for a build.
    #[error("lock: no package is of the group {0}")]
    Empty(Group),
}

/// What packages are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Compiling the node.
    Node,
    /// Building the kernel.
    Kernel,
}

impl fmt::Display for Group {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Node => "node",
            Self::Kernel => "kernel",
        })
    }
}

/// Contents of `image/lock.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: String,
    /// When the package lists were read, as snapshot archives name times: `20260101T000000Z`.
    pub time: String,
    #[serde(rename = "repository")]
    repositories: Vec<Repository>,
    #[serde(rename = "package")]
    packages: Vec<Package>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repository {
    name: String,
    #[serde(rename = "suites")]
    _suites: Vec<String>,
}

/// A Debian package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    version: String,
    architecture: String,
    repository: String,
    path: String,
    size: u64,
    sha256: String,
    groups: Vec<Group>,
}

impl Lock {
    /// The lock of a workspace.
    ///
    /// # Errors
    /// Any of [`LockError`].
    pub fn read(workspace: &Path) -> Result<Self, LockError> {
        let path = workspace.join(LOCK_FILE);
        let io = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let found = fs::metadata(&path).map_err(io)?.len();
        if found > MAX_LEN {
            return Err(LockError::TooLong { path, found });
        }
        Self::parse(&fs::read_to_string(&path).map_err(io)?)
    }

    /// A lock from its text.
    ///
    /// # Errors
    /// Any of [`LockError`] but those of the file.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let lock: Self = toml::from_str(text).map_err(Box::new)?;
        if lock.format != FORMAT {
            return Err(LockError::Format(lock.format));
        }
        let time = lock.time.as_bytes();
        let digits = |range: std::ops::Range<usize>| time[range].iter().all(u8::is_ascii_digit);
        if time.len() != 16 || !digits(0..8) || time[8] != b'T' || !digits(9..15) || time[15] != b'Z' {
            return Err(LockError::Time(lock.time));
        }
        let repositories: BTreeSet<_> = lock
            .repositories
            .iter()
            .map(|repository| &*repository.name)
            .collect();
        let mut names = BTreeSet::new();
        for package in &lock.packages {
            package.check()?;
            if !repositories.contains(&*package.repository) {
                return Err(LockError::Repository {
                    package: package.name.clone(),
                    repository: package.repository.clone(),
                });
            }
            if !names.insert(&package.name) {
                return Err(LockError::Twice(package.name.clone()));
            }
        }
        Ok(lock)
    }

    /// The packages of a group, in the lock's order.
    ///
    /// # Errors
    /// [`LockError::Empty`].
    pub fn packages(&self, group: Group) -> Result<Vec<Input>, LockError> {
        let packages: Vec<_> = self
            .packages
            .iter()
            .filter(|package| package.groups.contains(&group))
            .map(|package| package.input(&self.time))
            .collect();
        if packages.is_empty() {
            return Err(LockError::Empty(group));
        }
        Ok(packages)
    }

    /// All packages.
    #[must_use]
    pub fn all_packages(&self) -> Vec<Input> {
        self.packages
            .iter()
            .map(|package| package.input(&self.time))
            .collect()
    }
}

impl Package {
    /// Names and paths become parts of URLs and file names.
    fn check(&self) -> Result<(), LockError> {
        let value = |key, value: &str| {
            Err(LockError::Value {
                package: self.name.clone(),
                key,
                value: value.to_owned(),
            })
        };
        let of = |text: &str, others: &[u8]| {
            !text.is_empty()
                && text.len() <= 255
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        if !of(&self.name, b"+-.") || self.name.starts_with(['.', '-']) {
            return value("name", &self.name);
        }
        if !of(&self.version, b".+:~-") {
            return value("version", &self.version);
        }
        if !["amd64", "all"].contains(&&*self.architecture) {
            return value("architecture", &self.architecture);
        }
        let relative = self
            .path
            .split('/')
            .all(|part| of(part, b".+~-_") && part != "." && part != "..");
        if !relative || !self.path.starts_with("pool/") || !self.path.ends_with(".deb") {
            return value("path", &self.path);
        }
        if self.size == 0 || self.size > MAX_PACKAGE {
            return value("size", &self.size.to_string());
        }
        if digest_from_hex(&self.sha256).is_none() {
            return value("sha256", &self.sha256);
        }
        Ok(())
    }

    fn input(&self, time: &str) -> Input {
        Input {
            kind: Kind::Deb,
            name: self.name.clone(),
            version: self.version.clone(),
            sha256: digest_from_hex(&self.sha256).expect("checked when the lock was parsed"),
            size: Some(self.size),
            file_name: self.path.rsplit('/').next().unwrap_or_default().to_owned(),
            place: Place::Debian {
                repository: self.repository.clone(),
                path: self.path.clone(),
                time: time.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
format = "jeju-image-lock/1"
time = "20260101T000000Z"

[[repository]]
name = "debian"
suites = ["bookworm"]

[[package]]
name = "gcc"
version = "4:12.2.0-3"
architecture = "amd64"
repository = "debian"
path = "pool/main/g/gcc-defaults/gcc_12.2.0-3_amd64.deb"
size = 5216
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
groups = ["node"]
"#;

    #[test]
    fn the_committed_lock_has_what_builds_need() {
        let lock = Lock::parse(include_str!("../../lock.toml")).unwrap();
        let names = |group| -> Vec<_> {
            lock.packages(group)
                .unwrap()
                .into_iter()
                .map(|input| input.name)
                .collect()
        };
        let (node, kernel) = (names(Group::Node), names(Group::Kernel));
        for name in ["rustc-web", "cargo-web", "gcc-12", "libc6-dev", "binutils", "tar"] {
            assert!(node.iter().any(|found| found == name), "{name}");
        }
        for name in ["linux-source-6.12", "gcc-12", "flex", "zstd"] {
            assert!(kernel.iter().any(|found| found == name), "{name}");
        }
        assert!(!node.iter().any(|name| name.starts_with("linux-source")));
        assert!(!kernel.iter().any(|name| name.starts_with("rustc")));
    }

    #[test]
    fn a_package_is_an_input() {
        let lock = Lock::parse(LOCK).unwrap();
        let input = &lock.packages(Group::Node).unwrap()[0];
        assert_eq!(
            input.to_string(),
            format!("gcc 4:12.2.0-3 (sha256 {})", "a".repeat(64))
        );
        assert_eq!(input.file_name, "gcc_12.2.0-3_amd64.deb");
        assert!(matches!(
            lock.packages(Group::Kernel),
            Err(LockError::Empty(Group::Kernel))
        ));
    }

    #[test]
    fn values_that_would_lead_elsewhere_are_refused() {
        for (from, to, key) in [
            ("name = \"gcc\"", "name = \"../gcc\"", "name"),
            ("name = \"gcc\"", "name = \"\"", "name"),
            ("4:12.2.0-3", "4:12 2", "version"),
            (
                "architecture = \"amd64\"",
                "architecture = \"arm64\"",
                "architecture",
            ),
            ("pool/main/g", "pool/../g", "path"),
            ("pool/main/g", "/pool/main/g", "path"),
            ("pool/main/g", "pool/main//g", "path"),
            ("pool/main/g", "http://host/pool/main/g", "path"),
            ("_amd64.deb", "_amd64.deb?x", "path"),
            ("5216", "0", "size"),
            ("5216", "1073741825", "size"),
            ("aaaa\"", "aaa\"", "sha256"),
            ("aaaa\"", "aaaA\"", "sha256"),
        ] {
            let text = LOCK.replacen(from, to, 1);
            let found = Lock::parse(&text);
            assert!(
                matches!(&found, Err(LockError::Value { key: found, .. }) if *found == key),
                "{to}: {found:?}"
            );
        }
    }

    #[test]
    fn other_locks_are_refused() {
        let package = &LOCK[LOCK.find("[[package]]").unwrap()..];
        assert!(matches!(
            Lock::parse(&format!("{LOCK}{package}")),
            Err(LockError::Twice(_))
        ));
        assert!(matches!(
            Lock::parse(&LOCK.replace("lock/1", "lock/2")),
            Err(LockError::Format(_))
        ));
        assert!(matches!(
            Lock::parse(&LOCK.replace("repository = \"debian\"", "repository = \"other\"")),
            Err(LockError::Repository { .. })
        ));
        for time in ["2026", "20260101T000000", "2026-01-01T00:00Z", "../../../../../Z"] {
            let text = LOCK.replace("20260101T000000Z", time);
            assert!(matches!(Lock::parse(&text), Err(LockError::Time(_))), "{time}");
        }
        for (from, to) in [
            ("size = 5216", "size = -1"),
            ("groups = [\"node\"]", "groups = [\"shell\"]"),
            ("size = 5216", "size = 5216\nhost = 1"),
        ] {
            assert!(matches!(
                Lock::parse(&LOCK.replace(from, to)),
                Err(LockError::Toml(_))
            ));
        }
        for end in 0..LOCK.len() {
            let _ = Lock::parse(&LOCK[..end]);
        }
    }
}
