//! What a statement is about: the image folder that was rebuilt and the source that it was rebuilt from.

use std::fs;
use std::path::Path;

use jeju_attestation::hash::{sha256, tagged_sha256};

use super::StatementError;
use crate::audit::provenance::Commit;
use crate::manifest;
use crate::measure;
use crate::measure::prediction::Circumstances;

const LOCK_TAG: &str = "jeju-lock-v1";
/// The files that say which packages a build takes.
const LOCKS: [&str; 2] = ["Cargo.lock", "image/lock.toml"];

/// The source's two digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// As in [`super::RebuildStatement::source_commit`].
    pub commit: [u8; 32],
    /// As in [`super::RebuildStatement::lock_digest`].
    pub lock_digest: [u8; 32],
}

impl Source {
    /// Reads a source folder in which nothing is changed.
    ///
    /// # Errors
    /// [`StatementError::Source`], [`StatementError::Uncommitted`], [`StatementError::Io`].
    pub fn of(folder: &Path) -> Result<Self, StatementError> {
        let commit = Commit::of(folder)?;
        if !commit.changed.is_empty() {
            return Err(StatementError::Uncommitted {
                commit: commit.id,
                changed: commit.changed,
            });
        }
        Ok(Self {
            commit: commit_word(&commit.id),
            lock_digest: lock_digest(folder)?,
        })
    }
}

/// SHA-256 over the tag `jeju-lock-v1` and SHA-256 of `Cargo.lock` and of `image/lock.toml`, each length-prefixed.
///
/// # Errors
/// [`StatementError::Io`].
pub fn lock_digest(source: &Path) -> Result<[u8; 32], StatementError> {
    let [crates, packages] = LOCKS.map(|name| {
        let path = source.join(name);
        fs::read(&path)
            .map(|text| sha256(&text))
            .map_err(|source| StatementError::Io { path, source })
    });
    Ok(tagged_sha256(LOCK_TAG, &[&crates?, &packages?]))
}

/// Release digest and measurement ids of an image folder that is what its manifest says. `wanted` are the ids to be
/// stated; none: all that the image has.
///
/// # Errors
/// [`StatementError::Image`], [`StatementError::Io`], [`StatementError::NoMeasurement`],
/// [`StatementError::Measurement`].
pub fn image(folder: &Path, wanted: &[[u8; 32]]) -> Result<([u8; 32], Vec<[u8; 32]>), StatementError> {
    let report = measure::measure(folder, &Circumstances::default())?;
    let own: Vec<_> = report.measurements().into_iter().map(|id| id.0).collect();
    if own.is_empty() {
        return Err(StatementError::NoMeasurement);
    }
    if let Some(other) = wanted.iter().find(|id| !own.contains(id)) {
        return Err(StatementError::Measurement {
            actual: own.iter().map(show).collect::<Vec<_>>().join(", "),
            wanted: show(other),
        });
    }
    let ids = if wanted.is_empty() { own } else { wanted.to_vec() };
    Ok((release_digest(folder)?, ids))
}

/// SHA-256 of an image folder's `manifest.json`.
///
/// # Errors
/// [`StatementError::Io`].
pub fn release_digest(folder: &Path) -> Result<[u8; 32], StatementError> {
    let path = folder.join(manifest::FILE_NAME);
    let text = fs::read(&path).map_err(|source| StatementError::Io { path, source })?;
    Ok(sha256(&text))
}

fn show(id: &[u8; 32]) -> String {
    format!("0x{}", hex::encode(id))
}

/// A commit's id in one word: the first bytes, as Solidity widens `bytes20`.
fn commit_word(id: &str) -> [u8; 32] {
    let mut word = [0; 32];
    for (byte, value) in word
        .iter_mut()
        .zip(hex::decode(id).expect("a commit's id is hexadecimal"))
    {
        *byte = value;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_fills_a_word_from_the_left() {
        let word = commit_word(&"ab".repeat(20));
        assert!(word[..20] == [0xab; 20] && word[20..] == [0; 12]);
        assert_eq!(commit_word(&"cd".repeat(32)), [0xcd; 32]);
    }

    /// `printf 'jeju-lock-v1\0\0 …\0 …' | sha256sum`, with the digests of "a" and "b".
    #[test]
    fn each_lock_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("image")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(LOCKS[0], "a");
        assert!(matches!(
            lock_digest(folder.path()),
            Err(StatementError::Io { .. })
        ));
        write(LOCKS[1], "b");
        let digest = lock_digest(folder.path()).unwrap();
        let mut preimage = b"jeju-lock-v1\0\0\x20".to_vec();
        preimage.extend(sha256(b"a"));
        preimage.extend(b"\0\x20");
        preimage.extend(sha256(b"b"));
        assert_eq!(digest, sha256(&preimage));
        write(LOCKS[0], "c");
        assert_ne!(lock_digest(folder.path()).unwrap(), digest);
    }
}
