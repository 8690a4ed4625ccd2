//! The file of known hosts that one call of OpenSSH is given.
//!
//! OpenSSH takes this process's place, so nobody is left to remove the file when it ends. It is named after the process, and the
//! next call removes those whose process is gone; there is nothing secret in them.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use super::SshError;

const PREFIX: &str = "known-hosts-";

/// A file with one line. Dropped before OpenSSH runs, it is removed.
#[derive(Debug)]
pub(super) struct KnownHostsFile(PathBuf);

impl KnownHostsFile {
    /// Writes the file, readable by this user alone.
    pub(super) fn write(line: &str) -> Result<Self, SshError> {
        Self::write_in(&folder(), line)
    }

    fn write_in(folder: &Path, line: &str) -> Result<Self, SshError> {
        make_private(folder)?;
        sweep(folder);
        let path = folder.join(format!("{PREFIX}{}", process::id()));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SshError::file(path)(source));
            }
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(SshError::file(&path))?;
        let written = Self(path);
        file.write_all(format!("{line}\n").as_bytes())
            .map_err(SshError::file(&written.0))?;
        Ok(written)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for KnownHostsFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// In the session's folder for such files, where there is one.
fn folder() -> PathBuf {
    let session = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match session.filter(|folder| folder.is_absolute() && is_plain(folder) && folder.is_dir()) {
        Some(folder) => folder.join("jeju-ssh"),
        // SAFETY: takes nothing and can't fail.
        None => Path::new("/tmp").join(format!("jeju-ssh-{}", unsafe { libc::geteuid() })),
    }
}

/// Whether a path can stand in an option of OpenSSH as it is: no blanks, quotes, `%` or `$`.
fn is_plain(path: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
    path.as_os_str().as_encoded_bytes().iter().all(plain)
}

fn make_private(folder: &Path) -> Result<(), SshError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(SshError::file(folder)(source));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(SshError::file(folder))?;
    // SAFETY: takes nothing and can't fail.
    let ours = found.is_dir() && found.uid() == unsafe { libc::geteuid() } && found.mode() & 0o077 == 0;
    match ours {
        true => Ok(()),
        false => Err(SshError::Folder(folder.to_owned())),
    }
}

/// Removes the files of processes that have ended. One whose number is another's by now stays a while longer.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if number.is_some_and(has_ended) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn has_ended(number: i32) -> bool {
    // SAFETY: signal 0 is never delivered; the call only says whether the process is there.
    number > 0
        && unsafe { libc::kill(number, 0) } != 0
        && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_and_gone_when_it_is_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("jeju-ssh");
        let file = KnownHostsFile::write_in(&folder, "line").unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "line\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(&folder)), (0o600, 0o700));
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_ended_processes_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut ended = process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let path = |name: String| folder.path().join(name);
        let (stale, other) = (
            path(format!("{PREFIX}{}", ended.id())),
            path("known-hosts".to_owned()),
        );
        let living = path(format!("{PREFIX}1"));
        for file in [&stale, &other, &living] {
            fs::write(file, "").unwrap();
        }
        sweep(folder.path());
        assert!(!stale.exists() && other.exists() && living.exists());
    }

    #[test]
    fn a_folder_that_others_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let refused = KnownHostsFile::write_in(folder.path(), "line").unwrap_err();
        assert_eq!(refused.code(), "folder_not_private");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert_eq!(
            KnownHostsFile::write_in(&link, "line").unwrap_err().code(),
            "folder_not_private"
        );
    }
}
