//! Files by their SHA-256. Nothing in the cache is believed: a file is hashed each time that it is asked for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Input;

/// Largest input whose size no lock tells, in bytes: a crate, which the registry bounds at 10 MiB, or a model.
pub(super) const MAX_SIZE: u64 = 4 << 30;

/// Why bytes weren't taken for an input.
#[derive(Debug, Error)]
pub enum EntryError {
    /// Other bytes.
    #[error("has SHA-256 {found}, not {wanted}")]
    Digest {
        /// SHA-256 of the bytes, hexadecimal.
        found: String,
        /// That of the lock.
        wanted: String,
    },
    /// Another length.
    #[error("has {found} bytes, not {wanted}")]
    Size {
        /// Length in bytes.
        found: u64,
        /// That of the lock.
        wanted: u64,
    },
    /// More bytes than wanted; how many more wasn't looked at.
    #[error("has more than {0} bytes")]
    TooLong(u64),
    /// The bytes can't be read, or the cache can't be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder of files named by their SHA-256.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in a folder, which needn't be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where an input is, if it is there. Another file in its place is removed.
    ///
    /// # Errors
    /// [`EntryError::Io`].
    pub fn get(&self, input: &Input) -> Result<Option<PathBuf>, EntryError> {
        let path = self.path(input);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EntryError::Io { path, source }),
        };
        match check(input, file, &path, &mut io::sink()) {
            Ok(()) => Ok(Some(path)),
            Err(error @ EntryError::Io { .. }) => Err(error),
            Err(error) => {
                eprintln!("inputs: {} in the cache {error}: removed", input.name);
                fs::remove_file(&path).map_err(|source| EntryError::Io { path, source })?;
                Ok(None)
            }
        }
    }

    /// Takes an input's bytes from `source`, which errors call `name`.
    ///
    /// # Errors
    /// Any of [`EntryError`]; the cache then is as it was.
    pub fn insert(&self, input: &Input, source: impl Read, name: &Path) -> Result<PathBuf, EntryError> {
        let path = self.path(input);
        let temporary = self.temporary();
        let io = |source| EntryError::Io {
            path: temporary.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(io)?;
        let taken = (|| {
            let mut file = File::create_new(&temporary).map_err(io)?;
            check(input, source, name, &mut file)?;
            fs::rename(&temporary, &path).map_err(io)
        })();
        if taken.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        taken.map(|()| path)
    }

    fn path(&self, input: &Input) -> PathBuf {
        self.folder.join(hex::encode(input.sha256))
    }

    /// A name that no other process or thread uses, in the same file system as the entries.
    fn temporary(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("partial-{}-{number}", process::id()))
    }
}

/// Copies an input's bytes, at most as many as it may have, and compares size and digest.
fn check(input: &Input, source: impl Read, name: &Path, out: &mut impl Write) -> Result<(), EntryError> {
    let limit = input.size.unwrap_or(MAX_SIZE);
    let mut source = source.take(limit + 1);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut found = 0;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(EntryError::Io {
                    path: name.to_owned(),
                    source,
                });
            }
        };
        found += read as u64;
        digest.update(&buffer[..read]);
        out.write_all(&buffer[..read]).map_err(|source| EntryError::Io {
            path: name.to_owned(),
            source,
        })?;
    }
    if found > limit {
        return Err(EntryError::TooLong(limit));
    }
    if let Some(wanted) = input.size.filter(|wanted| *wanted != found) {
        return Err(EntryError::Size { found, wanted });
    }
    let digest: [u8; 32] = digest.finalize().into();
    if digest != input.sha256 {
        return Err(EntryError::Digest {
            found: hex::encode(digest),
            wanted: hex::encode(input.sha256),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::tests::input;

    #[test]
    fn what_was_put_in_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("inputs"));
        let input = input("a", b"bytes");
        assert!(cache.get(&input).unwrap().is_none());
        let path = cache.insert(&input, &b"bytes"[..], Path::new("here")).unwrap();
        assert_eq!(cache.get(&input).unwrap(), Some(path.clone()));
        assert_eq!(fs::read(path).unwrap(), b"bytes");
    }

    #[test]
    fn an_altered_entry_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let input = input("a", b"bytes");
        for altered in [&b"bytez"[..], b"byte", b"bytesbytes", b""] {
            let path = cache.insert(&input, &b"bytes"[..], Path::new("here")).unwrap();
            fs::write(&path, altered).unwrap();
            assert!(cache.get(&input).unwrap().is_none());
            assert!(!path.exists());
        }
    }

    #[test]
    fn other_bytes_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let mut input = input("a", b"bytes");
        let insert = |input: &Input, bytes: &[u8]| cache.insert(input, bytes, Path::new("here"));
        assert!(matches!(
            insert(&input, b"byte"),
            Err(EntryError::Size { found: 4, wanted: 5 })
        ));
        assert!(matches!(insert(&input, b"bytes+"), Err(EntryError::TooLong(5))));
        assert!(matches!(
            insert(&input, &[0; 1 << 20]),
            Err(EntryError::TooLong(5))
        ));
        assert!(matches!(insert(&input, b"bytez"), Err(EntryError::Digest { .. })));
        input.size = None;
        assert!(matches!(insert(&input, b"byte"), Err(EntryError::Digest { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
