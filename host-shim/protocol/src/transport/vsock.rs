//! AF_VSOCK (`vsock(7)`).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::{GUEST_WRITE_CAP, Stream};
use crate::Port;

const BACKLOG: i32 = 256;

/// `linux/vm_sockets.h`; the libc crate lacks them.
const SO_VM_SOCKETS_BUFFER_SIZE: libc::c_int = 0;
const SO_VM_SOCKETS_BUFFER_MAX_SIZE: libc::c_int = 2;

/// Receive buffer of a guest's connection in bytes. Kernels from 6.12.92 on reset a connection whose peer queues many
/// small packets faster than they are read, once their bookkeeping outgrows this; the default is 256 KiB.
const GUEST_BUFFER: u64 = 1024 * 1024;

/// Which end this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Guest,
    Host,
}

impl Side {
    const fn write_cap(self) -> usize {
        match self {
            Side::Guest => GUEST_WRITE_CAP,
            Side::Host => usize::MAX,
        }
    }
}

/// The kernel gives up after 2 s (SO_VM_SOCKETS_CONNECT_TIMEOUT).
pub(super) async fn dial(cid: u32, port: Port, side: Side) -> io::Result<Stream> {
    let socket = new_socket(side)?;
    match socket.connect(&SockAddr::vsock(cid, u32::from(port.number()))) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let stream = Stream::from_fd(OwnedFd::from(socket), side.write_cap())?;
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
    peer: u32,
    side: Side,
}

impl VsockListener {
    pub(super) fn bind(port: Port, peer: u32, side: Side) -> io::Result<Self> {
        let socket = new_socket(side)?;
        socket.bind(&SockAddr::vsock(libc::VMADDR_CID_ANY, u32::from(port.number())))?;
        socket.listen(BACKLOG)?;
        // SAFETY: the socket owns its descriptor and is never replaced or handed out while it is registered.
        let socket = unsafe { AsyncFd::register(socket)? };
        Ok(Self { socket, peer, side })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        loop {
            let mut ready = self.socket.readable().await?;
            let Ok(accepted) = ready.try_io(|socket| socket.get_ref().accept()) else {
                continue;
            };
            let (socket, address) = accepted?;
            if admits(self.peer, &address) {
                return Stream::from_fd(OwnedFd::from(socket), self.side.write_cap());
            }
        }
    }
}

/// Whether a connection comes from the one CID that this listener serves. In a guest that keeps out processes of the
/// same guest (CID 1, or its own); on a host, other guests.
fn admits(peer: u32, address: &SockAddr) -> bool {
    address.as_vsock_address().is_some_and(|(cid, _)| cid == peer)
}

fn new_socket(side: Side) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if side == Side::Guest {
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
        assert!(admits(2, &SockAddr::vsock(2, 1234)));
        for cid in [0, 1, 3, u32::MAX] {
            assert!(!admits(2, &SockAddr::vsock(cid, 1234)), "{cid}");
        }
        assert!(!admits(2, &SockAddr::unix("/x").unwrap()));
    }

    #[tokio::test]
    async fn the_guest_buffer_is_raised() {
        // Machines without the AF_VSOCK module have nothing to test here; booted images exercise this path.
        let Ok(socket) = new_socket(Side::Guest) else {
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
