//! Folders that are made from verified inputs once, and used by many builds.
//!
//! Beside a kept folder lies the SHA-256 of everything in it. It is taken again before each use: what was altered
//! since is made anew.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::RootError;

/// A kept folder.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 over names, modes, contents and link targets of all that is in it.
    pub digest: [u8; 32],
}

/// The folder `key` of `store`: as it was made, or made now. `key` names everything that it is made from.
///
/// # Errors
/// [`RootError::Io`], and what `make` says.
pub fn kept(
    store: &Path,
    key: &str,
    make: impl FnOnce(&Path) -> Result<(), RootError>,
) -> Result<Kept, RootError> {
    let path = store.join(key);
    let digest_file = store.join(format!("{key}.sha256"));
    fs::create_dir_all(store).map_err(RootError::io(store))?;
    // Two builds at the same time make it once.
    let lock_file = store.join(format!("{key}.lock"));
    let lock = File::create(&lock_file).map_err(RootError::io(&lock_file))?;
    lock.lock().map_err(RootError::io(&lock_file))?;

    if let Ok(recorded) = fs::read_to_string(&digest_file) {
        match digest(&path) {
            Ok(digest) if hex::encode(digest) == recorded => return Ok(Kept { path, digest }),
            _ => eprintln!("root: {} is not as it was made: made again", path.display()),
        }
    }
    remove(&digest_file)?;
    remove(&path)?;
    let partial = store.join(format!("{key}.partial"));
    remove(&partial)?;
    fs::create_dir(&partial).map_err(RootError::io(&partial))?;
    make(&partial)?;
    let digest = digest(&partial)?;
    fs::rename(&partial, &path).map_err(RootError::io(&path))?;
    // Last: without it there is no folder.
    fs::write(&digest_file, hex::encode(digest)).map_err(RootError::io(&digest_file))?;
    Ok(Kept { path, digest })
}

fn remove(path: &Path) -> Result<(), RootError> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RootError::io(path)(error)),
        _ => Ok(()),
    }
}

/// SHA-256 over everything in a folder: of each entry, in the order of names, kind, permissions, name and content,
/// with lengths before what has no fixed one.
fn digest(folder: &Path) -> Result<[u8; 32], RootError> {
    let mut hash = Sha256::new();
    walk(folder, &mut hash, &mut vec![0; 1 << 18])?;
    Ok(hash.finalize().into())
}

fn walk(folder: &Path, hash: &mut Sha256, buffer: &mut [u8]) -> Result<(), RootError> {
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(RootError::io(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    hash.update((entries.len() as u64).to_be_bytes());
    for entry in entries {
        let path = entry.path();
        let io = RootError::io(&path);
        let metadata = path.symlink_metadata().map_err(&io)?;
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(entry.file_name().as_bytes());
        if metadata.is_symlink() {
            field(b"link");
            field(fs::read_link(&path).map_err(&io)?.as_os_str().as_bytes());
            continue;
        }
        field(format!("{:o}", metadata.permissions().mode()).as_bytes());
        if metadata.is_dir() {
            walk(&path, hash, buffer)?;
        } else if metadata.is_file() {
            hash.update(metadata.len().to_be_bytes());
            let mut file = File::open(&path).map_err(&io)?;
            loop {
                match file.read(buffer).map_err(&io)? {
                    0 => break,
                    read => hash.update(&buffer[..read]),
                }
            }
        } else {
            return Err(RootError::Foreign(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    use super::*;

    fn make(folder: &Path) -> Result<(), RootError> {
        fs::create_dir(folder.join("a")).unwrap();
        fs::write(folder.join("a/b"), b"content").unwrap();
        symlink("b", folder.join("a/c")).unwrap();
        Ok(())
    }

    #[test]
    fn a_folder_is_made_once_and_again_after_a_change() {
        let store = tempfile::tempdir().unwrap();
        let first = kept(store.path(), "key", make).unwrap();
        let unchanged = kept(store.path(), "key", |_| panic!("it is there")).unwrap();
        assert_eq!(unchanged.digest, first.digest);
        let file = first.path.join("a/b");
        let changes: [&dyn Fn(); 6] = [
            &|| fs::write(&file, b"c0ntent").unwrap(),
            &|| fs::write(first.path.join("d"), b"").unwrap(),
            &|| fs::remove_file(&file).unwrap(),
            &|| fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap(),
            &|| {
                fs::remove_file(first.path.join("a/c")).unwrap();
                symlink("/", first.path.join("a/c")).unwrap();
            },
            &|| fs::remove_dir_all(&first.path).unwrap(),
        ];
        for change in changes {
            change();
            let mut made = false;
            let again = kept(store.path(), "key", |folder| {
                made = true;
                make(folder)
            })
            .unwrap();
            assert!(made);
            assert_eq!(again.digest, first.digest);
        }
    }

    #[test]
    fn what_failed_is_not_kept() {
        let store = tempfile::tempdir().unwrap();
        let failed = kept(store.path(), "key", |folder| {
            make(folder).unwrap();
            Err(RootError::Foreign(folder.to_owned()))
        });
        assert!(failed.is_err());
        let mut made = false;
        kept(store.path(), "key", |folder| {
            made = true;
            make(folder)
        })
        .unwrap();
        assert!(made);
    }
}
