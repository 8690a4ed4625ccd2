//! All inputs as one archive that an auditor can keep: the same inputs give the same bytes.
//!
//! `index.json` comes first, one object per input; then the inputs, as `deb/NAME`, `crate/NAME` and `model/NAME`.
//! Unpacked, the archive is a folder that [`super::Source::Folder`] takes.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Cache, EntryError, Input, Kind, Place, digest_from_hex};
use crate::tar::{self, Kind as TarKind, Reader, TarError};

const INDEX: &str = "index.json";
const FORMAT: &str = "jeju-image-inputs/1";
/// Longest index that is read, in bytes.
const MAX_INDEX: u64 = 4 << 20;

/// Why inputs can't be exported or imported.
#[derive(Debug, Error)]
pub enum TarballError {
    /// The archive's file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The archive itself.
    #[error("{}: {error}", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: TarError,
    },
    /// The archive's list of what it holds.
    #[error("{}: {INDEX}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line and key.
        source: serde_json::Error,
    },
    /// Not an archive of inputs.
    #[error("{}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// An input that isn't what the index says.
    #[error("{}: {name} {error}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Name in the archive.
        name: String,
        /// How it differs.
        error: EntryError,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: String,
    inputs: Vec<Listed>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    path: String,
    name: String,
    version: String,
    size: u64,
    sha256: String,
}

/// Writes an archive of inputs, whose verified files are given with them.
///
/// # Errors
/// [`TarballError::Io`] and [`TarballError::Tar`].
pub fn export(inputs: &[(Input, PathBuf)], archive: &Path) -> Result<(), TarballError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| TarballError::Io { path, source }
    };
    let tar_error = |error| TarballError::Tar {
        path: archive.to_owned(),
        error,
    };
    let mut listed = Vec::new();
    for (input, path) in inputs {
        let size = fs::metadata(path).map_err(io_at(path))?.len();
        let name = format!("{}/{}", input.kind.as_str(), input.file_name);
        listed.push((name, input, path, size));
    }
    listed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    listed.dedup_by(|(one, ..), (other, ..)| one == other);
    let index = Index {
        format: FORMAT.to_owned(),
        inputs: listed
            .iter()
            .map(|(path, input, _, size)| Listed {
                path: path.clone(),
                name: input.name.clone(),
                version: input.version.clone(),
                size: *size,
                sha256: hex::encode(input.sha256),
            })
            .collect(),
    };
    let mut json = serde_json::to_vec_pretty(&index).map_err(|source| TarballError::Json {
        path: archive.to_owned(),
        source,
    })?;
    json.push(b'\n');

    let mut out = BufWriter::new(File::create(archive).map_err(io_at(archive))?);
    tar::append(&mut out, INDEX, json.len() as u64, &*json).map_err(tar_error)?;
    for (name, _, path, size) in listed {
        let file = File::open(path).map_err(io_at(path))?;
        tar::append(&mut out, &name, size, file).map_err(tar_error)?;
    }
    tar::finish(&mut out).map_err(tar_error)?;
    out.flush().map_err(io_at(archive))
}

/// Brings the inputs of an archive into a cache, and returns what they are.
///
/// # Errors
/// Any of [`TarballError`]. Inputs before the faulty one stay in the cache: they are what their digests say.
pub fn import(cache: &Cache, archive: &Path) -> Result<Vec<Input>, TarballError> {
    let tar_error = |error| TarballError::Tar {
        path: archive.to_owned(),
        error,
    };
    let fault = |reason| TarballError::Index {
        path: archive.to_owned(),
        reason,
    };
    let file = File::open(archive).map_err(|source| TarballError::Io {
        path: archive.to_owned(),
        source,
    })?;
    let mut reader = Reader::new(BufReader::new(file));

    let first = reader.next_entry().map_err(tar_error)?;
    match first {
        Some(entry)
            if entry.name == INDEX && matches!(entry.kind, TarKind::File(size) if size <= MAX_INDEX) => {}
        _ => return Err(fault(format!("does not begin with {INDEX}"))),
    }
    let mut json = Vec::new();
    reader
        .read_to_end(&mut json)
        .map_err(|error| tar_error(error.into()))?;
    let index: Index = serde_json::from_slice(&json).map_err(|source| TarballError::Json {
        path: archive.to_owned(),
        source,
    })?;
    if index.format != FORMAT {
        return Err(fault(format!("has format {:?}, not {FORMAT:?}", index.format)));
    }

    let mut inputs = Vec::new();
    for listed in index.inputs {
        let input = listed.input().ok_or_else(|| {
            fault(format!(
                "{INDEX} lists {:?}, which can't be an input",
                listed.path
            ))
        })?;
        match reader.next_entry().map_err(tar_error)? {
            Some(entry) if entry.name == listed.path && matches!(entry.kind, TarKind::File(_)) => {}
            Some(entry) => {
                return Err(fault(format!(
                    "holds {:?} where {INDEX} lists {:?}",
                    entry.name, listed.path
                )));
            }
            None => return Err(fault(format!("lacks {:?}, which {INDEX} lists", listed.path))),
        }
        cache
            .insert(&input, &mut reader, archive)
            .map_err(|error| TarballError::Entry {
                path: archive.to_owned(),
                name: listed.path.clone(),
                error,
            })?;
        inputs.push(input);
    }
    match reader.next_entry().map_err(tar_error)? {
        None => Ok(inputs),
        Some(entry) => Err(fault(format!(
            "holds {:?}, which {INDEX} does not list",
            entry.name
        ))),
    }
}

impl Listed {
    fn input(&self) -> Option<Input> {
        let (folder, file_name) = self.path.split_once('/')?;
        let kind = [Kind::Deb, Kind::Crate, Kind::Model]
            .into_iter()
            .find(|kind| kind.as_str() == folder)?;
        Some(Input {
            kind,
            name: self.name.clone(),
            version: self.version.clone(),
            sha256: digest_from_hex(&self.sha256)?,
            size: Some(self.size),
            file_name: file_name.to_owned(),
            place: Place::Given,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::tests::input;
    use crate::inputs::{Inputs, Source};

    /// A cache with two inputs, and an archive of them.
    fn exported(folder: &Path) -> (Vec<Input>, PathBuf) {
        let cache = Cache::new(folder.join("cache"));
        let given: Vec<_> = [("b", &b"bytes"[..]), ("a", &[1; 700])]
            .into_iter()
            .map(|(name, bytes)| {
                let input = input(name, bytes);
                let path = cache.insert(&input, bytes, Path::new(name)).unwrap();
                (input, path)
            })
            .collect();
        let archive = folder.join("inputs.tar");
        export(&given, &archive).unwrap();
        (given.into_iter().map(|(input, _)| input).collect(), archive)
    }

    #[test]
    fn an_export_is_imported_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (inputs, archive) = exported(folder.path());
        let cache = Cache::new(folder.path().join("other"));
        assert_eq!(import(&cache, &archive).unwrap().len(), 2);
        let nothing = Source::Folder(folder.path().join("nothing"));
        Inputs::new(cache, nothing).get(&inputs).unwrap();
    }

    #[test]
    fn an_export_has_the_same_bytes_whatever_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let (inputs, archive) = exported(folder.path());
        let cache = folder.path().join("cache");
        let mut given: Vec<_> = inputs
            .into_iter()
            .map(|input| {
                let path = cache.join(hex::encode(input.sha256));
                (input, path)
            })
            .collect();
        given.reverse();
        given.push(given[0].clone());
        let again = folder.path().join("again.tar");
        export(&given, &again).unwrap();
        assert_eq!(fs::read(archive).unwrap(), fs::read(again).unwrap());
    }

    #[test]
    fn altered_archives_never_bring_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (inputs, archive) = exported(folder.path());
        let bytes = fs::read(&archive).unwrap();
        let cache = Cache::new(folder.path().join("other"));
        let altered = folder.path().join("altered.tar");
        for at in (0..bytes.len()).step_by(7) {
            for altered_bytes in [
                &bytes[..at],
                &[&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat(),
            ] {
                fs::write(&altered, altered_bytes).unwrap();
                let _ = import(&cache, &altered);
            }
        }
        let digests: Vec<_> = inputs.iter().map(|input| hex::encode(input.sha256)).collect();
        for entry in fs::read_dir(cache.folder()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(digests.contains(&name), "{name}");
        }
    }

    #[test]
    fn faults_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, archive) = exported(folder.path());
        let bytes = fs::read(&archive).unwrap();
        let cache = Cache::new(folder.path().join("other"));
        let import = |bytes: &[u8]| {
            fs::write(&archive, bytes).unwrap();
            import(&cache, &archive).unwrap_err()
        };
        let content = bytes.windows(5).position(|window| window == b"bytes").unwrap();
        let mut other = bytes.clone();
        other[content] = b'B';
        assert!(matches!(
            import(&other),
            TarballError::Entry {
                error: EntryError::Digest { .. },
                ..
            }
        ));
        let first = bytes.windows(6).position(|window| window == b"deb/a_").unwrap();
        let second = bytes[first + 1..]
            .windows(6)
            .position(|window| window == b"deb/a_")
            .unwrap()
            + first
            + 1;
        assert!(
            import(&bytes[second..])
                .to_string()
                .ends_with("does not begin with index.json")
        );
        assert!(matches!(import(&bytes[..600]), TarballError::Tar { .. }));
        let mut more = bytes[..bytes.len() - 1024].to_vec();
        tar::append(&mut more, "deb/c", 0, io::empty()).unwrap();
        tar::finish(&mut more).unwrap();
        assert!(import(&more).to_string().ends_with("does not list"));
    }
}
