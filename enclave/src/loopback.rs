//! The guest's own network, over which the front reaches inference servers beside it. A kernel starts with it down.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// Brings `lo` up where it is down; the kernel then gives it 127.0.0.1.
///
/// # Errors
/// That of the system call: only root may, and the kernel must know IPv4.
pub fn bring_up() -> io::Result<()> {
    // Any socket of the family will do, and this one needs no interface that is up.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: a plain structure, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    ioctl(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the kernel has just written this field of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    if flags & libc::IFF_UP as libc::c_short != 0 {
        return Ok(());
    }
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    ioctl(&socket, libc::SIOCSIFFLAGS, &mut request)
}

fn ioctl(socket: &UdpSocket, command: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: both commands read and write one `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), command, &raw mut *request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Runs in a network of its own, as a guest has it after its kernel has started.
    fn in_a_new_network<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        let apart = move || {
            // SAFETY: a plain system call, which concerns this thread alone.
            let alone = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
            assert!(alone, "a network of one's own is for root");
            act()
        };
        std::thread::spawn(apart).join().unwrap()
    }

    #[test]
    fn what_listens_on_loopback_is_reached_once_it_is_up() {
        let tried = in_a_new_network(|| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            let before = listener.and_then(|listener| TcpStream::connect(listener.local_addr()?));
            // Twice: what is up stays so.
            bring_up().unwrap();
            bring_up().unwrap();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let after = TcpStream::connect(listener.local_addr().unwrap());
            (before.is_err(), after.map(|_| ()).map_err(|error| error.kind()))
        });
        assert_eq!(tried, (true, Ok(())));
    }
}
