//! What a role tells PID 1: that it is ready, or why the node can't go on.
//!
//! The socket is `SOCK_SEQPACKET`: each packet is one whole message, so PID 1 holds no partial input and never waits
//! for the rest of one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use jeju_shim_protocol::fatal::FatalCode;

/// Longest message in bytes.
const MAX_MESSAGE: usize = 3;

const READY: u8 = 1;
const FATAL: u8 = 2;

/// A message of a role to PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The role serves requests.
    Ready,
    /// The role can't go on, and so the node can't.
    Fatal(FatalCode),
}

impl Control {
    /// The bytes of one packet.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Control::Ready => vec![READY],
            Control::Fatal(code) => {
                let code = code.as_u16().to_be_bytes();
                vec![FATAL, code[0], code[1]]
            }
        }
    }

    /// Parses one packet. `None` for anything that [`Control::encode`] can't have made.
    pub fn parse(packet: &[u8]) -> Option<Control> {
        match *packet {
            [READY] => Some(Control::Ready),
            [FATAL, high, low] => FatalCode::from_u16(u16::from_be_bytes([high, low])).map(Control::Fatal),
            _ => None,
        }
    }
}

/// A role's end of its control socket.
#[derive(Debug)]
pub struct Reporter {
    socket: OwnedFd,
}

impl Reporter {
    /// Takes the socket that PID 1 gave to this role.
    pub fn new(socket: OwnedFd) -> Reporter {
        Reporter { socket }
    }

    /// Says that the role serves requests.
    ///
    /// # Errors
    /// When PID 1 is gone.
    pub fn ready(&self) -> io::Result<()> {
        self.send(Control::Ready)
    }

    /// Says why the role ends. The role exits right after, so a failure to send is no matter: PID 1 sees the death.
    pub fn fatal(&self, code: FatalCode) {
        let _ = self.send(Control::Fatal(code));
    }

    fn send(&self, message: Control) -> io::Result<()> {
        let packet = message.encode();
        // SAFETY: the pointer and the length are those of `packet`, which outlives the call.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_NOSIGNAL,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// PID 1's end of a role's control socket.
#[derive(Debug)]
pub struct Inbox {
    socket: OwnedFd,
}

/// What lies in an [`Inbox`] at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// One message.
    Message(Control),
    /// A packet that isn't a message.
    Malformed,
    /// Nothing now.
    Nothing,
    /// The role closed its end.
    Closed,
}

impl Inbox {
    /// Takes one packet without waiting.
    pub fn receive(&self) -> Received {
        let mut packet = [0u8; MAX_MESSAGE + 1];
        // MSG_TRUNC makes the answer the packet's true length, so an overlong one can't pass for its own beginning.
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the pointer and the length are those of `packet`, which outlives the call.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                packet.as_mut_ptr().cast(),
                packet.len(),
                flags,
            )
        };
        match usize::try_from(length) {
            // An empty packet looks like a closed socket; both end the conversation.
            Ok(0) => Received::Closed,
            Ok(length) => match packet.get(..length).and_then(Control::parse) {
                Some(message) => Received::Message(message),
                None => Received::Malformed,
            },
            Err(_) => match io::Error::last_os_error().kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Received::Nothing,
                _ => Received::Closed,
            },
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A control socket: PID 1's end, and the end that the role inherits.
///
/// # Errors
/// When the kernel gives no more sockets.
pub fn pair() -> io::Result<(Inbox, OwnedFd)> {
    let (ours, theirs) = socketpair(libc::SOCK_SEQPACKET)?;
    Ok((Inbox { socket: ours }, theirs))
}

/// A connected pair of Unix sockets, closed on exec until a role's start says otherwise.
pub(crate) fn socketpair(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for the two descriptors that the call writes.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        let (inbox, theirs) = pair().unwrap();
        let reporter = Reporter::new(theirs);
        assert_eq!(inbox.receive(), Received::Nothing);
        reporter.ready().unwrap();
        reporter.fatal(FatalCode::ModelMissing);
        assert_eq!(inbox.receive(), Received::Message(Control::Ready));
        assert_eq!(
            inbox.receive(),
            Received::Message(Control::Fatal(FatalCode::ModelMissing))
        );
        drop(reporter);
        assert_eq!(inbox.receive(), Received::Closed);
    }

    #[test]
    fn anything_else_is_malformed() {
        for packet in [
            &[][..],
            &[0],
            &[3],
            &[READY, 0],
            &[FATAL],
            &[FATAL, 0],
            &[FATAL, 0, 0],
            &[FATAL, 1, 0],
            &[FATAL, 0, 8, 0],
        ] {
            assert_eq!(Control::parse(packet), None, "{packet:?}");
        }
    }

    #[test]
    fn an_overlong_packet_is_malformed() {
        let (inbox, theirs) = pair().unwrap();
        let mut packet = vec![READY];
        packet.resize(4000, 0);
        // SAFETY: the pointer and the length are those of `packet`.
        let sent = unsafe { libc::send(theirs.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0) };
        assert_eq!(sent, 4000);
        assert_eq!(inbox.receive(), Received::Malformed);
    }
}
