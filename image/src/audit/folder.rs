//! An image folder in memory, also one whose archives no launch of ours would take: an audit has to show why.

use std::fs;
use std::io;
use std::path::Path;

use super::AuditError;
use crate::cpio::{CpioError, RawEntry, scan};
use crate::manifest::{File, Manifest};
use crate::measure::{Layout, decompressed};

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 30;

/// What a launch loads, unpacked.
#[derive(Debug)]
pub struct Folder {
    /// The manifest.
    pub manifest: Manifest,
    /// The kernel's file.
    pub kernel: Vec<u8>,
    /// The command line.
    pub cmdline: Vec<u8>,
    /// The archives in load order, not compressed.
    pub archives: Vec<Plain>,
}

/// An archive without its compression.
#[derive(Debug)]
pub struct Plain {
    /// Name of its file.
    pub name: String,
    /// The cpio archive.
    pub bytes: Vec<u8>,
}

impl Folder {
    /// Reads what the manifest names, whether or not digests and archives are right.
    ///
    /// # Errors
    /// [`AuditError::Manifest`], [`AuditError::Layout`], [`AuditError::Io`].
    pub fn read(folder: &Path) -> Result<Self, AuditError> {
        let manifest = Manifest::read(folder)?;
        let layout = Layout::of(&manifest)?;
        let kernel = read(folder, layout.kernel)?;
        let cmdline = read(folder, layout.cmdline)?;
        let unpack = |file: &&File| {
            Ok(Plain {
                name: file.name.clone(),
                bytes: decompressed(&file.name, &read(folder, file)?)?.into_owned(),
            })
        };
        let archives = layout
            .archives
            .iter()
            .map(unpack)
            .collect::<Result<_, AuditError>>()?;
        Ok(Self {
            kernel,
            cmdline,
            archives,
            manifest,
        })
    }

    /// The entries of all archives in load order, with the archive's name; an unreadable archive gives its error.
    pub fn entries(&self) -> Vec<(&str, Result<RawEntry<'_>, CpioError>)> {
        let mut entries = Vec::new();
        for archive in &self.archives {
            let name = archive.name.as_str();
            match scan(&archive.bytes) {
                Ok(found) => entries.extend(found.into_iter().map(|entry| (name, Ok(entry)))),
                Err(error) => entries.push((name, Err(error))),
            }
        }
        entries
    }

    /// Path and content of everything that starts like an ELF file.
    pub fn binaries(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.entries()
            .into_iter()
            .filter_map(|(_, entry)| entry.ok())
            .filter(|entry| entry.data.starts_with(super::elf::MAGIC))
            .map(|entry| (entry.path(), entry.data))
    }
}

fn read(folder: &Path, file: &File) -> Result<Vec<u8>, AuditError> {
    let path = folder.join(&file.name);
    let io = |source| AuditError::Io {
        path: path.clone(),
        source,
    };
    if fs::metadata(&path).map_err(io)?.len() > MAX_FILE {
        return Err(io(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(&path).map_err(io)
}
