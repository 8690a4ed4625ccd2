//! The sockets that carry the boundary: AF_VSOCK, Unix sockets in development, or the Unix side of a vhost-user
//! vsock device.
//!
//! [`GuestTransport`] is the enclave's end, [`HostTransport`] the shim's. Both give the same [`Stream`].
//!
//! What isn't the same everywhere is half-close: userspace vhost-user devices turn a host's SHUT_WR into a full close
//! and drop a guest's; see [`HostTransport::carries_half_close`].

mod hybrid;
mod stream;
mod unix;
mod vsock;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

pub use stream::Stream;

use crate::{ParseError, Port};

/// Most bytes that a guest hands to one vsock write: larger packets span two descriptors, which userspace vsock
/// devices drop without a word, and the connection hangs.
pub const GUEST_WRITE_CAP: usize = 32 * 1024;

/// How the enclave reaches its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestTransport {
    /// AF_VSOCK to and from the host only, which is CID 2 or, on AWS Nitro, 3. Text form `vsock`.
    Vsock,
    /// Unix sockets `DIR/<port>.sock`, for development. Text form `unix:DIR`.
    Unix(PathBuf),
}

impl GuestTransport {
    /// Connects to a port of the host. The caller bounds the time.
    ///
    /// # Errors
    /// That of the socket; for Unix sockets also [`io::ErrorKind::InvalidInput`] for a path that is too long.
    pub async fn dial(&self, port: Port) -> io::Result<Stream> {
        match self {
            Self::Vsock => vsock::dial_host(port).await,
            Self::Unix(dir) => unix::dial(&unix::port_path(dir, port)).await,
        }
    }

    /// Listens on a port for the host. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// That of the socket; [`io::ErrorKind::AddrInUse`] when something listens there already.
    pub fn listen(&self, port: Port) -> io::Result<Listener> {
        match self {
            Self::Vsock => vsock::VsockListener::bind(port, vsock::Peer::Host).map(Listener::vsock),
            Self::Unix(dir) => unix::UnixPortListener::bind(unix::port_path(dir, port)).map(Listener::unix),
        }
    }
}

impl FromStr for GuestTransport {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            None if text == "vsock" => Ok(Self::Vsock),
            Some(("unix", dir)) if !dir.is_empty() => Ok(Self::Unix(dir.into())),
            _ => Err(ParseError::UnknownTransport {
                given: text.to_owned(),
                expected: "`vsock` or `unix:DIR`",
            }),
        }
    }
}

impl fmt::Display for GuestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock => f.write_str("vsock"),
            Self::Unix(dir) => write!(f, "unix:{}", dir.display()),
        }
    }
}

/// How the host reaches its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostTransport {
    /// The host kernel's AF_VSOCK (`/dev/vhost-vsock`, Nitro). Text form `vsock:CID`. One shim per host can use it,
    /// because a vsock port has one listener for all guests.
    Vsock {
        /// Context id of the guest, from 3.
        cid: u32,
    },
    /// Unix sockets `DIR/<port>.sock`, for development. Text form `unix:DIR`.
    Unix(PathBuf),
    /// Unix socket of a vhost-user vsock device. Text form `vhost-user:SOCKET`.
    ///
    /// vhost-device-vsock 0.3.0 passes on nothing of what it holds for a slow reader while bytes of the same connection wait
    /// for room in the guest's buffer: a guest that doesn't read while it can't write, as an echo, then stands still for ever.
    VhostUser(PathBuf),
}

impl HostTransport {
    /// Connects to a port of the guest. Each wait for a vhost-user device's answer is bounded; the caller bounds the
    /// rest of the time.
    ///
    /// # Errors
    /// That of the socket; [`io::ErrorKind::ConnectionRefused`] when nothing listens in the guest;
    /// [`io::ErrorKind::InvalidData`] when a vhost-user device answers something else than `OK n`.
    pub async fn dial(&self, port: Port) -> io::Result<Stream> {
        match self {
            Self::Vsock { cid } => vsock::dial_guest(*cid, port).await,
            Self::Unix(dir) => unix::dial(&unix::port_path(dir, port)).await,
            Self::VhostUser(socket) => hybrid::dial(socket, port).await,
        }
    }

    /// Listens on a port for the guest. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// That of the socket; [`io::ErrorKind::AddrInUse`] when something listens there already.
    pub fn listen(&self, port: Port) -> io::Result<Listener> {
        match self {
            Self::Vsock { cid } => {
                vsock::VsockListener::bind(port, vsock::Peer::Guest(*cid)).map(Listener::vsock)
            }
            Self::Unix(dir) => unix::UnixPortListener::bind(unix::port_path(dir, port)).map(Listener::unix),
            Self::VhostUser(socket) => {
                unix::UnixPortListener::bind(hybrid::port_path(socket, port)).map(Listener::unix)
            }
        }
    }

    /// Whether a SHUT_WR by the host reaches the guest as just that. vhost-user devices (vhost-device-vsock 0.3.0,
    /// `vsock_conn.rs`) tell the guest that the host will neither send nor receive, which cuts the answer off.
    pub const fn carries_half_close(&self) -> bool {
        !matches!(self, Self::VhostUser(_))
    }
}

impl FromStr for HostTransport {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let unknown = || ParseError::UnknownTransport {
            given: text.to_owned(),
            expected: "`vsock:CID`, `unix:DIR` or `vhost-user:SOCKET`",
        };
        match text.split_once(':') {
            Some(("vsock", cid)) => {
                match crate::line::decimal(cid).ok().and_then(|cid| cid.try_into().ok()) {
                    // 0 to 2 are hypervisor, loopback and host; the highest is the wildcard.
                    Some(cid) if (3..u32::MAX).contains(&cid) => Ok(Self::Vsock { cid }),
                    _ => Err(unknown()),
                }
            }
            Some(("unix", dir)) if !dir.is_empty() => Ok(Self::Unix(dir.into())),
            Some(("vhost-user", socket)) if !socket.is_empty() => Ok(Self::VhostUser(socket.into())),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for HostTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid } => write!(f, "vsock:{cid}"),
            Self::Unix(dir) => write!(f, "unix:{}", dir.display()),
            Self::VhostUser(socket) => write!(f, "vhost-user:{}", socket.display()),
        }
    }
}

/// A listening port. Dropping it closes the port and removes its Unix socket.
#[derive(Debug)]
pub struct Listener(Inner);

#[derive(Debug)]
enum Inner {
    Vsock(vsock::VsockListener),
    Unix(unix::UnixPortListener),
}

impl Listener {
    fn vsock(listener: vsock::VsockListener) -> Self {
        Self(Inner::Vsock(listener))
    }

    fn unix(listener: unix::UnixPortListener) -> Self {
        Self(Inner::Unix(listener))
    }

    /// Waits for the next connection. On vsock, peers with another CID than the expected one are closed unseen.
    /// Cancel-safe.
    ///
    /// # Errors
    /// That of `accept`; running out of descriptors is passing, so the caller waits a little and goes on.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Inner::Vsock(listener) => listener.accept().await,
            Inner::Unix(listener) => listener.accept().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_have_one_text_form() {
        for text in ["vsock", "unix:/run/jeju", "unix:rel/dir"] {
            assert_eq!(text.parse::<GuestTransport>().unwrap().to_string(), text);
        }
        for text in [
            "vsock:3",
            "vsock:4294967294",
            "unix:/run/jeju",
            "vhost-user:/run/v.sock",
        ] {
            assert_eq!(text.parse::<HostTransport>().unwrap().to_string(), text);
        }
        for text in ["", "vsock:3", "VSOCK", "unix", "unix:", "tcp:1", "vhost-user:/x"] {
            assert!(text.parse::<GuestTransport>().is_err(), "{text:?}");
        }
        for text in [
            "",
            "vsock",
            "vsock:",
            "vsock:2",
            "vsock:03",
            "vsock:4294967295",
            "vsock:x",
            "unix:",
            "vhost-user:",
        ] {
            assert!(text.parse::<HostTransport>().is_err(), "{text:?}");
        }
    }
}
