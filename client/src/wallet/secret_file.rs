//! Files that hold a secret in the clear: nobody else may reach them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// Longest secret that is read, in bytes.
pub(super) const MAX_LEN: usize = 1024;

/// Why such a file isn't read.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read or change it.
    #[error("{} has mode {mode:04o}: others can read or change it; chmod 600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Reads it; of a longer one, [`MAX_LEN`] bytes and one more.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    read_secret(path, MAX_LEN)
}

/// The same of a file of another kind of secret; of one that is longer than `limit` bytes, one byte more than that.
pub(crate) fn read_secret(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // What is checked is the file that is read, not whatever has its name later.
    let mut file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    // A buffer that doesn't grow leaves no copies behind.
    let mut text = Zeroizing::new(vec![0; limit + 1]);
    let mut length = 0;
    while length < text.len() {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    text.truncate(length);
    Ok(text)
}
