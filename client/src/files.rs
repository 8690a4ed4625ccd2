//! Files that a command line names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use jeju_attestation::endorsements::{self, EndorsementError, Endorsements};
use thiserror::Error;

/// What vendors say about their hardware.
#[derive(Debug, Clone, Default, Args)]
pub struct EndorsementArguments {
    /// Folder of endorsements: each file in it is read
    #[arg(long, value_name = "DIR")]
    pub collateral: Option<PathBuf>,
    /// Endorsements: certificates, revocation lists, Intel's collateral, SNP certificate tables, NVIDIA manifests
    #[arg(long = "endorsements", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
}

/// Why a file is of no use.
#[derive(Debug, Error)]
pub enum FileError {
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It isn't an endorsement.
    #[error("{}: {source}", path.display())]
    Endorsement {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EndorsementError,
    },
}

impl FileError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            FileError::Unreadable { .. } => "file_unreadable",
            FileError::Endorsement { .. } => "endorsement_invalid",
        }
    }
}

impl EndorsementArguments {
    /// Reads all of them.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn read(&self) -> Result<Endorsements, FileError> {
        let mut files = self.files.clone();
        if let Some(folder) = &self.collateral {
            files.extend(files_of(folder)?);
        }
        let mut endorsements = Endorsements::default();
        for path in files {
            let bytes = read(&path, endorsements::MAX_LEN)?;
            endorsements
                .add(&bytes)
                .map_err(|source| FileError::Endorsement { path, source })?;
        }
        Ok(endorsements)
    }
}

/// Reads a file; of one that is longer than `limit` bytes, one byte more than that.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

/// The same as text.
pub(crate) fn text(path: &Path, limit: usize) -> Result<String, FileError> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| unreadable(path, io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")))
}

/// The files of a folder, by name. Folders in it are passed over; what can't be read is an error, because a revocation
/// list that is silently left out may be the one that matters.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut files = Vec::new();
    for entry in entries.map_err(|source| unreadable(folder, source))? {
        let path = entry.path();
        let kind = std::fs::metadata(&path).map_err(|source| unreadable(&path, source))?;
        if kind.is_file() {
            files.push(path);
        } else if !kind.is_dir() {
            return Err(unreadable(&path, io::Error::other("not a file")));
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> FileError {
    FileError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
