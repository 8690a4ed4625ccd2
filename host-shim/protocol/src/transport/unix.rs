//! Unix sockets: one per port, readable and writable by their owner only.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::Stream;
use crate::Port;

/// `sun_path` of `unix(7)` without its final NUL.
const MAX_PATH: usize = 107;
const BACKLOG: i32 = 256;
const BACKLOG_FULL_PAUSE: Duration = Duration::from_millis(5);
const BACKLOG_FULL_TRIES: u32 = 200;

/// `DIR/<port>.sock`.
pub(super) fn port_path(dir: &Path, port: Port) -> PathBuf {
    dir.join(format!("{port}.sock"))
}

pub(super) async fn dial(path: &Path) -> io::Result<Stream> {
    check_length(path)?;
    let mut tries = 0;
    loop {
        match UnixStream::connect(path).await {
            // Unlike TCP, a full backlog is an error at once; it drains in microseconds unless the peer hangs.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < BACKLOG_FULL_TRIES => {
                tries += 1;
                tokio::time::sleep(BACKLOG_FULL_PAUSE).await;
            }
            other => return other.map(Stream::from),
        }
    }
}

/// A listening Unix socket that removes its path when dropped.
#[derive(Debug)]
pub(super) struct UnixPortListener {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl UnixPortListener {
    pub(super) fn bind(path: PathBuf) -> io::Result<Self> {
        check_length(&path)?;
        remove_stale(&path)?;
        let fd = OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?);
        // Linux makes the path with the mode of the unbound socket, so there is no moment at which others could
        // connect, as there would be with a chmod after bind.
        let file = File::from(fd);
        file.set_permissions(Permissions::from_mode(0o600))?;
        let socket = Socket::from(OwnedFd::from(file));
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(OwnedFd::from(socket).into())?;
        let inode = fs::symlink_metadata(&path)?.ino();
        Ok(Self {
            listener,
            path,
            inode,
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        self.listener.accept().await.map(|(socket, _)| socket.into())
    }
}

impl Drop for UnixPortListener {
    fn drop(&mut self) {
        // Only our own: a successor may have replaced it.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_length(path: &Path) -> io::Result<()> {
    let len = path.as_os_str().as_bytes().len();
    if len <= MAX_PATH {
        return Ok(());
    }
    let message = format!(
        "socket path is {len} bytes, at most {MAX_PATH} are possible: {}",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Removes a socket on which nobody listens, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        let message = format!("{} exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match BlockingUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let message = format!("something listens on {} already", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::transport::{GuestTransport, HostTransport};

    #[tokio::test]
    async fn both_ends_meet_in_a_private_socket() {
        let dir = tempfile::tempdir().unwrap();
        let guest = GuestTransport::Unix(dir.path().into());
        let host = HostTransport::Unix(dir.path().into());
        let listener = guest.listen(Port::Node).unwrap();
        let path = dir.path().join("4007.sock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (dialled, accepted) = tokio::join!(host.dial(Port::Node), listener.accept());
        let (mut dialled, mut accepted) = (dialled.unwrap(), accepted.unwrap());
        dialled.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        accepted.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        drop(listener);
        assert!(!path.exists());
        assert_eq!(
            host.dial(Port::Node).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5000.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = UnixPortListener::bind(path.clone()).unwrap();
        assert_eq!(
            UnixPortListener::bind(path.clone()).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(first);
        fs::write(&path, "precious").unwrap();
        assert_eq!(
            UnixPortListener::bind(path.clone()).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_replaced_socket_outlives_its_predecessor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5000.sock");
        let first = UnixPortListener::bind(path.clone()).unwrap();
        fs::remove_file(&path).unwrap();
        // Keeps the inode number of the removed socket from being used again.
        fs::write(dir.path().join("other"), "").unwrap();
        let _second = UnixPortListener::bind(path.clone()).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn too_long_a_path_says_so() {
        let dir = PathBuf::from("/".to_owned() + &"x".repeat(120));
        let error = GuestTransport::Unix(dir.clone()).listen(Port::Node).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("socket path is 131 bytes, at most 107"),
            "{error}"
        );
        let error = GuestTransport::Unix(dir).dial(Port::Node).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
