//! The source that a build sees: a copy without what version control leaves out, at a fixed place.
//!
//! cargo takes a file that is older than its last build for unchanged. A copy is written only where its content
//! differs, so that this is true, whatever times the files of the workspace have.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::BuildError;

/// Folders of results and of installed packages, wherever they are. What begins with a dot is left out too: cargo's
/// configuration, version control, editors.
const LEFT_OUT: [&str; 2] = ["target", "node_modules"];
/// Deepest folder.
const MAX_DEPTH: u32 = 32;

/// Makes `copy` equal to `source`, files and folders alike.
///
/// # Errors
/// [`BuildError::Io`], [`BuildError::Source`] for what is no file or folder.
pub(crate) fn copy(source: &Path, copy: &Path) -> Result<(), BuildError> {
    copy_folder(source, copy, MAX_DEPTH)
}

fn copy_folder(source: &Path, copy: &Path, depth: u32) -> Result<(), BuildError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Io { path, source }
    };
    if depth == 0 {
        return Err(BuildError::Source(source.to_owned()));
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(source).map_err(io_at(source))? {
        let entry = entry.map_err(io_at(source))?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if hidden || LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        names.insert(name);
    }
    fs::create_dir_all(copy).map_err(io_at(copy))?;
    for entry in fs::read_dir(copy).map_err(io_at(copy))? {
        let entry = entry.map_err(io_at(copy))?;
        if !names.contains(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    for name in names {
        let (from, to) = (source.join(&name), copy.join(&name));
        let metadata = from.symlink_metadata().map_err(io_at(&from))?;
        if metadata.is_dir() {
            if to.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
                remove(&to)?;
            }
            copy_folder(&from, &to, depth - 1)?;
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            copy_file(&from, &to, if executable { 0o755 } else { 0o644 })?;
        } else {
            return Err(BuildError::Source(from));
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<(), BuildError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Io { path, source }
    };
    let content = fs::read(from).map_err(io_at(from))?;
    if to.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        remove(to)?;
    }
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content).map_err(io_at(to))?;
    }
    fs::set_permissions(to, Permissions::from_mode(mode)).map_err(io_at(to))
}

fn remove(path: &Path) -> Result<(), BuildError> {
    let removed = path.symlink_metadata().and_then(|there| {
        if there.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    });
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BuildError::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_copy_has_what_is_source_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for path in ["a/src", ".cargo", "target/debug", "a/node_modules", "gone"] {
            fs::create_dir_all(from.join(path)).unwrap();
        }
        fs::write(from.join("a/src/lib.rs"), "1").unwrap();
        fs::write(from.join(".cargo/config.toml"), "[build]").unwrap();
        fs::write(from.join("gone/x"), "x").unwrap();
        copy(&from, &to).unwrap();
        fs::remove_dir_all(from.join("gone")).unwrap();
        copy(&from, &to).unwrap();
        let names = |path: &Path| -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&to), ["a"]);
        assert_eq!(names(&to.join("a")), ["src"]);
        assert_eq!(fs::read(to.join("a/src/lib.rs")).unwrap(), b"1");
    }

    #[test]
    fn a_file_is_written_when_its_content_changes_whatever_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("f"), "1").unwrap();
        copy(&from, &to).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let set_time = |path: &Path| fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
        let time = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        set_time(&to.join("f"));
        copy(&from, &to).unwrap();
        assert_eq!(time(&to.join("f")), long_ago, "same content");
        fs::write(from.join("f"), "2").unwrap();
        set_time(&from.join("f"));
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("f")).unwrap(), b"2");
        assert!(time(&to.join("f")) > long_ago, "other content");
    }

    #[test]
    fn links_are_refused_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(&from).unwrap();
        symlink("/etc/passwd", from.join("l")).unwrap();
        assert!(matches!(copy(&from, &to), Err(BuildError::Source(path)) if path == from.join("l")));

        fs::remove_file(from.join("l")).unwrap();
        fs::write(from.join("f"), "new").unwrap();
        let beside = folder.path().join("beside");
        fs::write(&beside, "old").unwrap();
        symlink(&beside, to.join("f")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(&beside).unwrap(), b"old");
    }
}
