//! AF_VSOCK (`vsock(7)`).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::{GUEST_WRITE_CAP, Stream};
use crate::{HOST_CID, PARENT_CID, Port};

const BACKLOG: i32 = 256;

/// `linux/vm_sockets.h`; the libc crate lacks them.
const SO_VM_SOCKETS_BUFFER_SIZE: libc::c_int = 0;
const SO_VM_SOCKETS_BUFFER_MAX_SIZE: libc::c_int = 2;

/// Receive buffer of a guest's connection in bytes. Kernels from 6.12.92 on reset a connection whose peer queues many
/// small packets faster than they are read, once their bookkeeping outgrows this; the default is 256 KiB.
const GUEST_BUFFER: u64 = 1024 * 1024;

/// CIDs that a guest's host can have: no platform has both.
const HOSTS: [u32; 2] = [HOST_CID, PARENT_CID];
/// How much longer the other one may take once one of them has failed: there, nobody may ever answer.
const OTHER_HOST: Duration = Duration::from_millis(500);

/// The host's CID, once it has taken a connection; 0 before.
static HOST: AtomicU32 = AtomicU32::new(0);

/// Whom this process dials or serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// The host: this is a guest.
    Host,
    /// A guest, by its CID: this is its host.
    Guest(u32),
}

impl Peer {
    const fn write_cap(self) -> usize {
        match self {
            Peer::Host => GUEST_WRITE_CAP,
            Peer::Guest(_) => usize::MAX,
        }
    }

    /// Whether a connection comes from the peer. In a guest that keeps out processes of the same guest (CID 1, or its own);
    /// on a host, other guests.
    fn admits(self, remote: Option<u32>, local: Option<u32>) -> bool {
        let Some(remote) = remote else { return false };
        match self {
            Peer::Host => HOSTS.contains(&remote) && Some(remote) != local,
            Peer::Guest(cid) => remote == cid,
        }
    }
}

/// Dials the host. Who that is, is found out with the first connection; all candidates are as untrusted.
pub(super) async fn dial_host(port: Port) -> io::Result<Stream> {
    let known = HOST.load(Ordering::Relaxed);
    if known != 0 {
        return dial(known, port, Peer::Host).await;
    }
    let [one, other] = HOSTS.map(|cid| async move { Ok((cid, dial(cid, port, Peer::Host).await?)) });
    let (cid, stream) = either(one, other, OTHER_HOST).await?;
    HOST.store(cid, Ordering::Relaxed);
    Ok(stream)
}

/// Dials a guest.
pub(super) async fn dial_guest(cid: u32, port: Port) -> io::Result<Stream> {
    dial(cid, port, Peer::Guest(cid)).await
}

/// The first success, or the first failure when the other one has none within `grace` of it.
async fn either<T>(
    one: impl Future<Output = io::Result<T>>,
    other: impl Future<Output = io::Result<T>>,
    grace: Duration,
) -> io::Result<T> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (outcome, one_is_left) = tokio::select! {
        outcome = &mut one => (outcome, false),
        outcome = &mut other => (outcome, true),
    };
    let error = match outcome {
        Ok(success) => return Ok(success),
        Err(error) => error,
    };
    let left = match one_is_left {
        true => timeout(grace, one).await,
        false => timeout(grace, other).await,
    };
    match left {
        Ok(Ok(success)) => Ok(success),
        _ => Err(error),
    }
}

/// The kernel gives up after 2 s (SO_VM_SOCKETS_CONNECT_TIMEOUT).
async fn dial(cid: u32, port: Port, peer: Peer) -> io::Result<Stream> {
    let socket = new_socket(peer)?;
    match socket.connect(&SockAddr::vsock(cid, u32::from(port.number()))) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let stream = Stream::from_fd(OwnedFd::from(socket), peer.write_cap())?;
    stream.socket().writable().await?;
    match stream.socket().take_error()? {
        None => Ok(stream),
        Some(error) => Err(error),
    }
}

/// A listening vsock port that serves one peer.
#[derive(Debug)]
pub(super) struct VsockListener {
    socket: AsyncFd<Socket>,
    peer: Peer,
}

impl VsockListener {
    pub(super) fn bind(port: Port, peer: Peer) -> io::Result<Self> {
        let socket = new_socket(peer)?;
        socket.bind(&SockAddr::vsock(libc::VMADDR_CID_ANY, u32::from(port.number())))?;
        socket.listen(BACKLOG)?;
        // SAFETY: the socket owns its descriptor and is never replaced or handed out while it is registered.
        let socket = unsafe { AsyncFd::register(socket)? };
        Ok(Self { socket, peer })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        loop {
            let mut ready = self.socket.readable().await?;
            let Ok(accepted) = ready.try_io(|socket| socket.get_ref().accept()) else {
                continue;
            };
            let (socket, remote) = accepted?;
            let cid = |address: &SockAddr| address.as_vsock_address().map(|(cid, _)| cid);
            if self.peer.admits(cid(&remote), cid(&socket.local_addr()?)) {
                return Stream::from_fd(OwnedFd::from(socket), self.peer.write_cap());
            }
        }
    }
}

fn new_socket(peer: Peer) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if peer == Peer::Host {
        // The maximum first, since the size is clamped to it. Accepted sockets inherit both from their listener.
        set_buffer_option(&socket, SO_VM_SOCKETS_BUFFER_MAX_SIZE)?;
        set_buffer_option(&socket, SO_VM_SOCKETS_BUFFER_SIZE)?;
    }
    Ok(socket)
}

fn set_buffer_option(socket: &Socket, option: libc::c_int) -> io::Result<()> {
    let size = GUEST_BUFFER;
    // SAFETY: the pointer and the length describe `size`, which lives across the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::AF_VSOCK,
            option,
            (&raw const size).cast(),
            size_of::<u64>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_peer_is_admitted() {
        let own = Some(16);
        for host in HOSTS {
            assert!(Peer::Host.admits(Some(host), own), "{host}");
        }
        for stranger in [0, 1, 4, 16, u32::MAX] {
            assert!(!Peer::Host.admits(Some(stranger), own), "{stranger}");
        }
        // A guest that has the parent's CID itself has another host.
        assert!(!Peer::Host.admits(Some(PARENT_CID), Some(PARENT_CID)));
        assert!(!Peer::Host.admits(None, own));
        assert!(Peer::Guest(16).admits(Some(16), Some(HOST_CID)));
        for stranger in [0, 1, 2, 3, 17, u32::MAX] {
            assert!(
                !Peer::Guest(16).admits(Some(stranger), Some(HOST_CID)),
                "{stranger}"
            );
        }
    }

    #[tokio::test]
    async fn whichever_host_answers_is_the_host() {
        const MOMENT: Duration = Duration::from_millis(10);
        let taken = |after: Duration, name: &'static str| async move {
            tokio::time::sleep(after).await;
            Ok(name)
        };
        let refused = |after: Duration| async move {
            tokio::time::sleep(after).await;
            Err(io::ErrorKind::ConnectionReset.into())
        };
        let never = || std::future::pending::<io::Result<&str>>();
        let grace = 20 * MOMENT;
        assert_eq!(
            either(taken(MOMENT, "host"), never(), grace).await.unwrap(),
            "host"
        );
        assert_eq!(
            either(never(), taken(MOMENT, "parent"), grace).await.unwrap(),
            "parent"
        );
        assert_eq!(
            either(refused(MOMENT), taken(2 * MOMENT, "parent"), grace)
                .await
                .unwrap(),
            "parent"
        );
        assert_eq!(
            either(taken(2 * MOMENT, "host"), refused(MOMENT), grace)
                .await
                .unwrap(),
            "host"
        );
        let error = timeout(Duration::from_secs(5), either(refused(MOMENT), never(), grace)).await;
        assert_eq!(error.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_guest_buffer_is_raised() {
        // Machines without the AF_VSOCK module have nothing to test here; booted images exercise this path.
        let Ok(socket) = new_socket(Peer::Host) else {
            return;
        };
        let mut size = 0u64;
        let mut len = size_of::<u64>() as libc::socklen_t;
        // SAFETY: both pointers are to live variables of the sizes given.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::AF_VSOCK,
                SO_VM_SOCKETS_BUFFER_SIZE,
                (&raw mut size).cast(),
                &raw mut len,
            )
        };
        assert_eq!((result, size), (0, GUEST_BUFFER));
    }
}
