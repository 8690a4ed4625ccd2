//! Compares two folders byte by byte.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::ReproError;

const BUFFER: usize = 1 << 16;

/// A file of either folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name, relative to the folders.
    pub name: String,
    /// SHA-256 of the first folder's, hexadecimal; empty if it has none.
    pub first: String,
    /// SHA-256 of the second folder's, hexadecimal; empty if it has none.
    pub second: String,
    /// What isn't the same, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// How a file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// One folder has no such file.
    OnlyIn {
        /// `first` or `second`.
        which: &'static str,
    },
    /// Other bytes.
    Content {
        /// Where the first byte differs, or one file ends.
        offset: u64,
        /// Lengths in bytes.
        lengths: [u64; 2],
    },
}

/// Compares every file below two folders.
///
/// # Errors
/// [`ReproError::Io`].
pub fn folders(first: &Path, second: &Path) -> Result<Vec<File>, ReproError> {
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    for (folder, names) in [first, second].into_iter().zip(&mut names) {
        list(folder, "", names)?;
    }
    let [in_first, in_second] = &names;
    in_first
        .union(in_second)
        .map(|name| {
            let [one, other] = [first, second].map(|folder| folder.join(name));
            match (in_first.contains(name), in_second.contains(name)) {
                (true, true) => files(name, &one, &other),
                (true, false) => Ok(File {
                    name: name.clone(),
                    first: files(name, &one, &one)?.first,
                    second: String::new(),
                    difference: Some(Difference::OnlyIn { which: "first" }),
                }),
                _ => Ok(File {
                    name: name.clone(),
                    first: String::new(),
                    second: files(name, &other, &other)?.second,
                    difference: Some(Difference::OnlyIn { which: "second" }),
                }),
            }
        })
        .collect()
}

fn list(folder: &Path, below: &str, names: &mut BTreeSet<String>) -> Result<(), ReproError> {
    let here = folder.join(below);
    for entry in fs::read_dir(&here).map_err(ReproError::io(&here))? {
        let entry = entry.map_err(ReproError::io(&here))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if entry.file_type().map_err(ReproError::io(&here))?.is_dir() {
            list(folder, &name, names)?;
        } else {
            names.insert(name);
        }
    }
    Ok(())
}

fn files(name: &str, first: &Path, second: &Path) -> Result<File, ReproError> {
    let open = |path: &Path| {
        let file = fs::File::open(path).map_err(ReproError::io(path))?;
        Ok(BufReader::with_capacity(BUFFER, file))
    };
    let mut readers = [open(first)?, open(second)?];
    let mut hashes = [Sha256::new(), Sha256::new()];
    let mut lengths = [0_u64; 2];
    let mut differs: Option<u64> = None;
    loop {
        let [one, other] = &mut readers;
        let one_bytes = one.fill_buf().map_err(ReproError::io(first))?;
        let other_bytes = other.fill_buf().map_err(ReproError::io(second))?;
        if one_bytes.is_empty() && other_bytes.is_empty() {
            break;
        }
        // Up to the shorter of both buffers, unless one file has ended.
        let step = match one_bytes.len().min(other_bytes.len()) {
            0 => one_bytes.len().max(other_bytes.len()),
            step => step,
        };
        let one_part = &one_bytes[..step.min(one_bytes.len())];
        let other_part = &other_bytes[..step.min(other_bytes.len())];
        if differs.is_none() && one_part != other_part {
            let same = one_part.iter().zip(other_part).take_while(|(a, b)| a == b);
            differs = Some(lengths[0] + same.count() as u64);
        }
        hashes[0].update(one_part);
        hashes[1].update(other_part);
        let read = [one_part.len(), other_part.len()];
        lengths[0] += read[0] as u64;
        lengths[1] += read[1] as u64;
        one.consume(read[0]);
        other.consume(read[1]);
    }
    let [first, second] = hashes.map(|hash| hex::encode(hash.finalize()));
    Ok(File {
        name: name.to_owned(),
        first,
        second,
        difference: differs.map(|offset| Difference::Content { offset, lengths }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(first: &[u8], second: &[u8]) -> File {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a", first), ("b", second)] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("f"), bytes).unwrap();
        }
        let mut files = folders(&folder.path().join("a"), &folder.path().join("b")).unwrap();
        assert_eq!(files.len(), 1);
        files.remove(0)
    }

    #[test]
    fn finds_the_first_byte_that_differs() {
        let mut long = vec![7; 3 * BUFFER + 5];
        assert_eq!(compare(&long, &long).difference, None);
        let original = long.clone();
        for at in [0, 1, BUFFER - 1, BUFFER, 3 * BUFFER + 4] {
            long[at] = 8;
            let file = compare(&original, &long);
            assert_eq!(
                file.difference,
                Some(Difference::Content {
                    offset: at as u64,
                    lengths: [original.len() as u64; 2]
                })
            );
            assert_ne!(file.first, file.second);
            long[at] = 7;
        }
    }

    #[test]
    fn a_longer_file_differs_where_the_other_ends() {
        for (first, second, offset) in [(&b"ab"[..], &b"abc"[..], 2), (b"abc", b"", 0), (b"", b"x", 0)] {
            let lengths = [first.len() as u64, second.len() as u64];
            assert_eq!(
                compare(first, second).difference,
                Some(Difference::Content { offset, lengths })
            );
        }
        let long = vec![1; 2 * BUFFER];
        let file = compare(&long, &long[..BUFFER]);
        assert_eq!(
            file.difference,
            Some(Difference::Content {
                offset: BUFFER as u64,
                lengths: [2 * BUFFER as u64, BUFFER as u64]
            })
        );
    }

    /// `printf abc | sha256sum`
    #[test]
    fn digests_are_those_of_sha256sum() {
        let file = compare(b"abc", b"abc");
        assert_eq!(
            file.first,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(file.first, file.second);
    }
}
