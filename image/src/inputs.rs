//! What builds are made from: Debian packages of `image/lock.toml`, crates of `Cargo.lock`, a model. Each is known by
//! its SHA-256 and is the same wherever it comes from.
//!
//! Inputs lie in a [`Cache`], and come there from a folder of files, from cargo's own downloads, or over the network.
//! A build asks for all it needs before it begins: what can't be had is named, all of it at once.

mod cache;
mod crates;
mod fetch;
mod lock;
mod tarball;

use std::env;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use thiserror::Error;

pub use cache::{Cache, EntryError};
pub use crates::{CratesError, read as read_crates};
pub use fetch::{FetchError, Mirror};
pub use lock::{Group, LOCK_FILE, Lock, LockError};
pub use tarball::{TarballError, export, import};

/// How many inputs are fetched at the same time.
const WORKERS: usize = 6;

/// A file that builds are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// What it is.
    pub kind: Kind,
    /// Name of the package or crate.
    pub name: String,
    /// Its version; empty for a model.
    pub version: String,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Length in bytes, where a lock tells it.
    pub size: Option<u64>,
    /// What the file is called where it is published.
    pub file_name: String,
    /// Where it is published.
    pub place: Place,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Debian package.
    Deb,
    /// A Rust crate.
    Crate,
    /// A model.
    Model,
}

/// Where an input is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a Debian archive.
    Debian {
        /// Name of the repository: `debian` or `debian-security`.
        repository: String,
        /// Path in it, from `pool/` on.
        path: String,
        /// A time at which it is there, as snapshot archives name times.
        time: String,
    },
    /// In the registry of Rust crates.
    CratesIo,
    /// Nowhere: it was given.
    Given,
}

impl Input {
    /// A model, by its name and SHA-256.
    #[must_use]
    pub fn model(file_name: &str, sha256: [u8; 32], size: u64) -> Self {
        Self {
            kind: Kind::Model,
            name: file_name.to_owned(),
            version: String::new(),
            sha256,
            size: Some(size),
            file_name: file_name.to_owned(),
            place: Place::Given,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.version.is_empty() { "" } else { " " };
        let (name, version) = (&self.name, &self.version);
        write!(
            out,
            "{name}{space}{version} (sha256 {})",
            hex::encode(self.sha256)
        )
    }
}

impl Kind {
    /// Its word in listings, and its folder in an exported archive.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Crate => "crate",
            Self::Model => "model",
        }
    }
}

/// Why inputs can't be had.
#[derive(Debug, Error)]
pub enum InputsError {
    /// The list of Debian packages.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The list of crates.
    #[error(transparent)]
    Crates(#[from] CratesError),
    /// The cache can't be read or written.
    #[error("cache of inputs: {0}")]
    Cache(EntryError),
    /// These inputs are nowhere to be had, or are others than the lock's.
    #[error("{} of the inputs can't be had, nothing was built:{}", .0.len(), lines(.0))]
    Missing(Vec<Missing>),
}

/// An input that can't be had.
#[derive(Debug)]
pub struct Missing {
    /// The input.
    pub input: Input,
    /// Why not.
    pub reason: MissingReason,
}

/// Why an input can't be had.
#[derive(Debug, Error)]
pub enum MissingReason {
    /// The folder of inputs has neither a file of its digest nor one of its name.
    #[error("not in {}", .0.display())]
    NotInFolder(PathBuf),
    /// The folder's file is another one.
    #[error("{}: {error}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// How it differs.
        error: EntryError,
    },
    /// The network: what each address said.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fetch(Vec<FetchError>),
    /// Nobody publishes it.
    #[error("not in the cache, and published nowhere")]
    Unpublished,
}

fn lines(missing: &[Missing]) -> String {
    missing
        .iter()
        .map(|Missing { input, reason }| format!("\n  {} {input}: {reason}", input.kind.as_str()))
        .collect()
}

/// Where inputs come from that aren't in the cache.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder with files named by SHA-256, or as they are published, in it or in `deb/`, `crate/` and `model/` of it.
    /// Nothing else is looked at, the network included.
    Folder(PathBuf),
    /// For crates cargo's own downloads, else the network.
    Network(Mirror),
}

/// A cache and where it is filled from.
#[derive(Debug, Clone)]
pub struct Inputs {
    cache: Cache,
    source: Source,
}

impl Inputs {
    /// Inputs from a cache that is filled from a source.
    #[must_use]
    pub fn new(cache: Cache, source: Source) -> Self {
        Self { cache, source }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Where folders are kept that are made from inputs: beside the cache.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.cache.folder().with_file_name("roots")
    }

    /// The files of all these inputs, in their order: from the cache, which is filled with what it lacks.
    ///
    /// # Errors
    /// [`InputsError::Missing`] with every input that can't be had, and [`InputsError::Cache`].
    pub fn get(&self, inputs: &[Input]) -> Result<Vec<PathBuf>, InputsError> {
        let mut absent = Vec::new();
        for input in inputs {
            if self.cache.get(input).map_err(InputsError::Cache)?.is_none() {
                absent.push(input);
            }
        }
        if !absent.is_empty() {
            eprintln!("inputs: {} of {} to get", absent.len(), inputs.len());
        }
        let missing = self.fill(&absent);
        if !missing.is_empty() {
            return Err(InputsError::Missing(missing));
        }
        Ok(inputs
            .iter()
            .map(|input| self.cache.folder().join(hex::encode(input.sha256)))
            .collect())
    }

    /// Brings inputs into the cache, and returns those that it can't, in their order.
    fn fill(&self, absent: &[&Input]) -> Vec<Missing> {
        let next = Mutex::new(absent.iter().enumerate());
        let missing = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..WORKERS.min(absent.len()) {
                scope.spawn(|| {
                    loop {
                        let Some((index, input)) = next.lock().expect("no worker panics").next() else {
                            break;
                        };
                        if let Err(reason) = self.bring(input) {
                            let input = (*input).clone();
                            let mut missing = missing.lock().expect("no worker panics");
                            missing.push((index, Missing { input, reason }));
                        }
                    }
                });
            }
        });
        let mut missing = missing.into_inner().expect("no worker panics");
        missing.sort_by_key(|(index, _)| *index);
        missing.into_iter().map(|(_, missing)| missing).collect()
    }

    fn bring(&self, input: &Input) -> Result<(), MissingReason> {
        match &self.source {
            Source::Folder(folder) => self.take_from_folder(input, folder),
            Source::Network(mirror) => {
                if self.take_from_cargo(input) {
                    return Ok(());
                }
                let mut refused = Vec::new();
                for url in mirror.urls(input) {
                    match fetch::fetch(&self.cache, input, &url) {
                        Ok(()) => return Ok(()),
                        Err(error) => refused.push(error),
                    }
                }
                Err(if refused.is_empty() {
                    MissingReason::Unpublished
                } else {
                    MissingReason::Fetch(refused)
                })
            }
        }
    }

    fn take_from_folder(&self, input: &Input, folder: &Path) -> Result<(), MissingReason> {
        let kind = folder.join(input.kind.as_str());
        let by_digest = hex::encode(input.sha256);
        let places = [
            folder.join(&by_digest),
            folder.join(&input.file_name),
            kind.join(&input.file_name),
        ];
        let mut refused = None;
        for path in places {
            let taken = match File::open(&path) {
                Ok(file) => self.cache.insert(input, file, &path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => Err(EntryError::Io {
                    path: path.clone(),
                    source,
                }),
            };
            match taken {
                Ok(_) => return Ok(()),
                Err(error) => refused = Some(MissingReason::Entry { path, error }),
            }
        }
        Err(refused.unwrap_or_else(|| MissingReason::NotInFolder(folder.to_owned())))
    }

    /// Whether cargo has downloaded the crate before. Another file of its name there is no error: the network is next.
    fn take_from_cargo(&self, input: &Input) -> bool {
        if input.kind != Kind::Crate {
            return false;
        }
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let Some(registries) = home.and_then(|home| home.join("registry/cache").read_dir().ok()) else {
            return false;
        };
        registries.flatten().any(|registry| {
            let path = registry.path().join(&input.file_name);
            File::open(&path).is_ok_and(|file| self.cache.insert(input, file, &path).is_ok())
        })
    }
}

/// 32 bytes from 64 lower-case hexadecimal digits.
fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    let lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
    let mut digest = [0; 32];
    (lower && hex::decode_to_slice(text, &mut digest).is_ok()).then_some(digest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha2::{Digest, Sha256};

    use super::*;

    pub fn input(name: &str, bytes: &[u8]) -> Input {
        Input {
            kind: Kind::Deb,
            name: name.to_owned(),
            version: "1.0-1".to_owned(),
            sha256: Sha256::digest(bytes).into(),
            size: Some(bytes.len() as u64),
            file_name: format!("{name}_1.0-1_amd64.deb"),
            place: Place::Debian {
                repository: "debian".to_owned(),
                path: format!("pool/main/{name}_1.0-1_amd64.deb"),
                time: "20260101T000000Z".to_owned(),
            },
        }
    }

    #[test]
    fn a_folder_gives_files_by_digest_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (by_digest, by_name, by_kind) = (input("a", b"1"), input("b", b"2"), input("c", b"3"));
        fs::write(folder.path().join(hex::encode(by_digest.sha256)), b"1").unwrap();
        fs::write(folder.path().join("b_1.0-1_amd64.deb"), b"2").unwrap();
        fs::create_dir(folder.path().join("deb")).unwrap();
        fs::write(folder.path().join("deb/c_1.0-1_amd64.deb"), b"3").unwrap();
        let inputs = Inputs::new(
            Cache::new(folder.path().join("cache")),
            Source::Folder(folder.path().to_owned()),
        );
        let paths = inputs.get(&[by_digest, by_name, by_kind]).unwrap();
        let bytes: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(bytes, [b"1", b"2", b"3"]);
    }

    #[test]
    fn every_missing_input_is_named_with_version_and_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (absent, there, other) = (input("a", b"1"), input("b", b"2"), input("c", b"3"));
        fs::write(folder.path().join("b_1.0-1_amd64.deb"), b"2").unwrap();
        fs::write(folder.path().join("c_1.0-1_amd64.deb"), b"4").unwrap();
        let inputs = Inputs::new(
            Cache::new(folder.path().join("cache")),
            Source::Folder(folder.path().to_owned()),
        );
        let error = inputs
            .get(&[absent.clone(), there, other.clone()])
            .unwrap_err()
            .to_string();
        let path = folder.path().display();
        let (absent, other) = (hex::encode(absent.sha256), hex::encode(other.sha256));
        let found = hex::encode(Sha256::digest(b"4"));
        assert_eq!(
            error,
            format!(
                "2 of the inputs can't be had, nothing was built:\n  \
                 deb a 1.0-1 (sha256 {absent}): not in {path}\n  \
                 deb c 1.0-1 (sha256 {other}): {path}/c_1.0-1_amd64.deb: has SHA-256 {found}, not {other}"
            )
        );
    }

    #[test]
    fn a_damaged_cache_is_filled_again() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = input("a", b"1");
        fs::write(folder.path().join("a_1.0-1_amd64.deb"), b"1").unwrap();
        let inputs = Inputs::new(
            Cache::new(folder.path().join("cache")),
            Source::Folder(folder.path().to_owned()),
        );
        for _ in 0..2 {
            let path = inputs.get(std::slice::from_ref(&wanted)).unwrap().remove(0);
            assert_eq!(fs::read(&path).unwrap(), b"1");
            fs::write(&path, b"2").unwrap();
        }
    }

    #[test]
    fn digests_are_64_lower_case_digits() {
        assert_eq!(digest_from_hex(&"0a".repeat(32)), Some([10; 32]));
        for other in ["0A".repeat(32), "0a".repeat(31), "0a".repeat(33), "0g".repeat(32)] {
            assert_eq!(digest_from_hex(&other), None, "{other}");
        }
    }
}
