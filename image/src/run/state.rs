//! Folders of a launch: locked while it lasts, gone after it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use jeju_attestation::hash::sha256;

use super::RunError;

/// Longest path of a Unix socket, in bytes (`sockaddr_un` less its NUL).
const MAX_SOCKET_PATH: usize = 107;
/// The longest name that a launch gives to a socket: the vsock device's, for a five-digit port.
const LONGEST_NAME: usize = "/vsock_65535".len();

/// The state folder of a launch.
#[derive(Debug)]
pub(super) struct StateDir {
    root: PathBuf,
    private: PathBuf,
    sockets: PathBuf,
    boundary: Vec<PathBuf>,
    // Held for the lock.
    _lock: File,
}

impl StateDir {
    /// Makes the folder if it isn't there, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let io = |source| RunError::Io {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        let root = path.canonicalize().map_err(io)?;
        let lock = File::open(&root).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RunError::StateInUse(root)),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let private = root.join("run");
        make_private(&private)?;
        let sockets = if private.as_os_str().len() + LONGEST_NAME <= MAX_SOCKET_PATH {
            private.clone()
        } else {
            let short = short_folder(&root);
            make_private(&short)?;
            short
        };
        Ok(Self {
            root,
            private,
            sockets,
            boundary: Vec::new(),
            _lock: lock,
        })
    }

    /// A file in the folder of this launch alone.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.private.join(name)
    }

    /// A socket, whose path is short enough.
    pub(super) fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(name)
    }

    /// The state folder as the boundary's folder of sockets (process mode).
    pub(super) fn boundary(&self) -> Result<&Path, RunError> {
        if self.root.as_os_str().len() + LONGEST_NAME > MAX_SOCKET_PATH {
            return Err(RunError::StatePathTooLong(self.root.clone()));
        }
        Ok(&self.root)
    }

    /// A socket in the boundary's folder, free for a new listener and removed in the end.
    pub(super) fn boundary_socket(&mut self, name: &str) -> Result<PathBuf, RunError> {
        let path = self.boundary()?.join(name);
        remove_socket(&path).map_err(|source| RunError::Io {
            path: path.clone(),
            source,
        })?;
        self.boundary.push(path.clone());
        Ok(path)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.private);
        let _ = fs::remove_dir_all(&self.sockets);
        for socket in &self.boundary {
            let _ = remove_socket(socket);
        }
    }
}

/// A new, empty folder. One that a killed launch left behind is emptied; one that others can reach is refused.
fn make_private(path: &Path) -> Result<(), RunError> {
    let io = |source| RunError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io(source)),
        // SAFETY: takes nothing and can't fail.
        Ok(found) if found.is_dir() && found.uid() == unsafe { libc::geteuid() } => {
            fs::remove_dir_all(path).map_err(io)?;
        }
        Ok(_) => return Err(RunError::SocketFolder(path.to_owned())),
    }
    DirBuilder::new().mode(0o700).create(path).map_err(io)
}

/// The same for each launch with this state folder, so that nothing piles up after kills.
fn short_folder(root: &Path) -> PathBuf {
    let name = hex::encode(&sha256(root.as_os_str().as_bytes())[..8]);
    Path::new("/tmp").join(format!("jeju-{name}"))
}

fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_launch_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(matches!(
            StateDir::open(folder.path()),
            Err(RunError::StateInUse(_))
        ));
        drop(state);
        StateDir::open(folder.path()).unwrap();
    }

    #[test]
    fn nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = StateDir::open(folder.path()).unwrap();
        fs::write(state.file("kernel"), "k").unwrap();
        fs::write(state.socket("vsock"), "").unwrap();
        fs::write(state.boundary_socket("5006.sock").unwrap(), "").unwrap();
        drop(state);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_launch_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        fs::write(folder.path().join("run/kernel"), "old").unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(!state.file("kernel").exists());
    }

    #[test]
    fn long_paths_get_short_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("a".repeat(100));
        let state = StateDir::open(&long).unwrap();
        let socket = state.socket("vsock_65535");
        assert!(socket.as_os_str().len() <= MAX_SOCKET_PATH);
        assert!(matches!(state.boundary(), Err(RunError::StatePathTooLong(_))));
        drop(state);
        assert!(!socket.parent().unwrap().exists());
    }

    #[test]
    fn a_link_in_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("run")).unwrap();
        assert!(matches!(
            StateDir::open(folder.path()),
            Err(RunError::SocketFolder(_))
        ));
    }
}
