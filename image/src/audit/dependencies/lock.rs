//! `Cargo.lock` and `image/lock.toml`, as far as an audit needs them.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::AuditError;

/// Longest file that is read, in bytes.
const MAX_LEN: u64 = 16 << 20;
/// Where the Debian packages of builds are listed.
pub const LOCK_FILE: &str = "image/lock.toml";

/// The packages that `Cargo.lock` pins.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CargoLock {
    #[serde(default)]
    package: Vec<LockedCrate>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LockedCrate {
    name: String,
    version: String,
    pub(super) source: Option<String>,
    pub(super) checksum: Option<String>,
}

impl CargoLock {
    pub(super) fn read(source: &Path) -> Result<Self, AuditError> {
        read_toml(&source.join("Cargo.lock"))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.package.iter().any(|package| package.name == name)
    }

    pub(super) fn find(&self, name: &str, version: &str) -> Option<&LockedCrate> {
        let mut packages = self.package.iter();
        packages.find(|package| package.name == name && package.version == version)
    }
}

/// The Debian packages that a build runs in.
#[derive(Debug, Clone, Deserialize)]
pub struct Lock {
    /// Packages by name.
    #[serde(default)]
    pub package: Vec<DebianPackage>,
}

/// A Debian package of the lock.
#[derive(Debug, Clone, Deserialize)]
pub struct DebianPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the package's file, hexadecimal.
    pub sha256: String,
}

impl Lock {
    /// Reads the lock of a source folder, if it has one.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Source`].
    pub fn read(source: &Path) -> Result<Option<Self>, AuditError> {
        let path = source.join(LOCK_FILE);
        path.is_file().then(|| read_toml(&path)).transpose()
    }
}

/// Reads a file of the source folder.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, AuditError> {
    let io = |source| AuditError::Io {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(io)?.len() > MAX_LEN {
        return Err(io(io::ErrorKind::FileTooLarge.into()));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    toml::from_str(&text).map_err(|error| AuditError::Source {
        path: path.to_owned(),
        reason: error.message().to_owned(),
    })
}
