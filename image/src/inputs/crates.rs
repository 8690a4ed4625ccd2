//! The Rust crates of `Cargo.lock`, which names each by its SHA-256.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{Input, Kind, Place, digest_from_hex};

/// The one registry that crates may be from, as `Cargo.lock` spells it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// The versions of the format that are read: 3 and 4 differ in how git sources are spelt.
const VERSIONS: [u32; 2] = [3, 4];
/// Longest `Cargo.lock` that is read, in bytes.
const MAX_LEN: u64 = 4 << 20;

/// Why `Cargo.lock` can't be used.
#[derive(Debug, Error)]
pub enum CratesError {
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
    #[error("Cargo.lock: {0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A format that this software doesn't read.
    #[error("Cargo.lock has version {0}, this software reads {VERSIONS:?}")]
    Version(u32),
    /// A crate from elsewhere than the registry.
    #[error("Cargo.lock: crate {name:?} is from {source_id:?}, not from {REGISTRY:?}")]
    Source {
        /// Name of the crate.
        name: String,
        /// Where it is from.
        source_id: String,
    },
    /// A crate without a usable digest, name or version.
    #[error("Cargo.lock: crate {name:?}: {value:?} can't be a {key}")]
    Value {
        /// Name of the crate.
        name: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

#[derive(Deserialize)]
struct CargoLock {
    version: u32,
    #[serde(rename = "package", default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// The crates of a workspace's `Cargo.lock` that aren't its own, in the lock's order.
///
/// # Errors
/// Any of [`CratesError`].
pub fn read(workspace: &Path) -> Result<Vec<Input>, CratesError> {
    let path = workspace.join("Cargo.lock");
    let io = |source| CratesError::Io {
        path: path.clone(),
        source,
    };
    let found = fs::metadata(&path).map_err(io)?.len();
    if found > MAX_LEN {
        return Err(CratesError::TooLong { path, found });
    }
    parse(&fs::read_to_string(&path).map_err(io)?)
}

fn parse(text: &str) -> Result<Vec<Input>, CratesError> {
    let lock: CargoLock = toml::from_str(text).map_err(Box::new)?;
    if !VERSIONS.contains(&lock.version) {
        return Err(CratesError::Version(lock.version));
    }
    lock.packages.into_iter().filter_map(Package::input).collect()
}

impl Package {
    /// What to have for it; nothing for a crate of the workspace.
    fn input(self) -> Option<Result<Input, CratesError>> {
        let source_id = self.source?;
        if source_id != REGISTRY {
            return Some(Err(CratesError::Source {
                name: self.name,
                source_id,
            }));
        }
        let value = |key, value: &str| {
            Some(Err(CratesError::Value {
                name: self.name.clone(),
                key,
                value: value.to_owned(),
            }))
        };
        let of = |text: &str, others: &[u8]| {
            !text.is_empty()
                && text.len() <= 128
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
        };
        if !of(&self.name, b"_-") {
            return value("name", &self.name);
        }
        if !of(&self.version, b".+-") || self.version.starts_with('.') {
            return value("version", &self.version);
        }
        let checksum = self.checksum.as_deref().unwrap_or_default();
        let Some(sha256) = digest_from_hex(checksum) else {
            return value("checksum", checksum);
        };
        Some(Ok(Input {
            kind: Kind::Crate,
            file_name: format!("{}-{}.crate", self.name, self.version),
            name: self.name,
            version: self.version,
            sha256,
            size: None,
            place: Place::CratesIo,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(package: &str) -> String {
        format!("version = 4\n\n[[package]]\n{package}")
    }

    #[test]
    fn the_crates_of_this_workspace() {
        let crates = parse(include_str!("../../../Cargo.lock")).unwrap();
        let zstd = crates.iter().find(|input| input.name == "zstd").unwrap();
        assert_eq!(zstd.file_name, format!("zstd-{}.crate", zstd.version));
        assert!(!crates.iter().any(|input| input.name.starts_with("jeju")));
    }

    #[test]
    fn crates_from_elsewhere_are_refused() {
        let text = lock("name = \"a\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/a#0123\"\n");
        assert!(matches!(parse(&text), Err(CratesError::Source { .. })));
    }

    #[test]
    fn crates_without_a_digest_or_with_another_name_are_refused() {
        let source = format!("source = \"{REGISTRY}\"\n");
        let digest = format!("checksum = \"{}\"\n", "0".repeat(64));
        for (name, version, checksum, key) in [
            ("a", "1.0.0", "", "checksum"),
            ("a", "1.0.0", "checksum = \"00\"\n", "checksum"),
            ("../a", "1.0.0", &*digest, "name"),
            ("a", "1/0", &*digest, "version"),
            ("a", "..", &*digest, "version"),
        ] {
            let text = lock(&format!(
                "name = \"{name}\"\nversion = \"{version}\"\n{source}{checksum}"
            ));
            let found = parse(&text);
            assert!(
                matches!(&found, Err(CratesError::Value { key: found, .. }) if *found == key),
                "{found:?}"
            );
        }
    }

    #[test]
    fn other_versions_and_texts_are_refused() {
        assert!(matches!(parse("version = 5\n"), Err(CratesError::Version(5))));
        assert!(matches!(
            parse("version = 4\npackage = 1\n"),
            Err(CratesError::Toml(_))
        ));
        assert!(parse("version = 4\n").unwrap().is_empty());
    }
}
