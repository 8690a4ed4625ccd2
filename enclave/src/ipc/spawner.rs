//! The front asks PID 1 for processes that run workers, and gets a channel to each.
//!
//! The socket is `SOCK_SEQPACKET`, as the control sockets are. The front numbers the processes that it asks for, and
//! never uses a number twice, so that neither a late answer nor a late request is taken for another process's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

/// Names a process between front and PID 1.
pub type ProcessId = u32;

/// Length of every message, in bytes.
const MESSAGE: usize = 5;
/// How long PID 1 may take to start a process.
const START_WAIT: Duration = Duration::from_secs(20);

const START: u8 = 1;
const KILL: u8 = 2;
const STARTED: u8 = 0x81;
const REFUSED: u8 = 0xff;

/// What the front asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A new process. Answered by an [`Answer`] with the same number.
    Start(ProcessId),
    /// The end of one. Not answered: its channel closes. Nothing happens where it is gone.
    Kill(ProcessId),
}

/// What PID 1 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It runs; the packet carries the front's end of its channel.
    Started(ProcessId),
    /// There are as many as there may be, or it can't be started.
    Refused(ProcessId),
}

impl Request {
    fn encode(self) -> [u8; MESSAGE] {
        match self {
            Request::Start(process) => message(START, process),
            Request::Kill(process) => message(KILL, process),
        }
    }

    /// Parses one packet. `None` for anything that [`Request::encode`] can't have made.
    fn parse(packet: &[u8]) -> Option<Request> {
        match parts(packet)? {
            (START, process) => Some(Request::Start(process)),
            (KILL, process) => Some(Request::Kill(process)),
            _ => None,
        }
    }
}

impl Answer {
    fn encode(self) -> [u8; MESSAGE] {
        match self {
            Answer::Started(process) => message(STARTED, process),
            Answer::Refused(process) => message(REFUSED, process),
        }
    }

    fn parse(packet: &[u8]) -> Option<Answer> {
        match parts(packet)? {
            (STARTED, process) => Some(Answer::Started(process)),
            (REFUSED, process) => Some(Answer::Refused(process)),
            _ => None,
        }
    }
}

fn message(kind: u8, process: ProcessId) -> [u8; MESSAGE] {
    let [a, b, c, d] = process.to_be_bytes();
    [kind, a, b, c, d]
}

fn parts(packet: &[u8]) -> Option<(u8, ProcessId)> {
    let [kind, number @ ..] = packet else {
        return None;
    };
    Some((*kind, u32::from_be_bytes(number.try_into().ok()?)))
}

/// PID 1's end.
#[derive(Debug)]
pub struct Requests {
    socket: OwnedFd,
}

/// What lies in [`Requests`] at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// One request.
    Request(Request),
    /// A packet that is none.
    Malformed,
    /// Nothing now.
    Nothing,
    /// The front closed its end.
    Closed,
}

impl Requests {
    /// Takes one packet without waiting.
    pub fn receive(&self) -> Received {
        match receive(self.socket.as_raw_fd()) {
            Ok((packet, _)) if packet.is_empty() => Received::Closed,
            Ok((packet, descriptor)) => match Request::parse(&packet).filter(|_| descriptor.is_none()) {
                Some(request) => Received::Request(request),
                None => Received::Malformed,
            },
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Received::Nothing
            }
            Err(_) => Received::Closed,
        }
    }

    /// Answers without waiting.
    ///
    /// # Errors
    /// When the front is gone, or doesn't take its answers.
    pub fn answer(&self, answer: Answer, channel: Option<BorrowedFd>) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &answer.encode(), channel)
    }
}

impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Both ends: PID 1's, and the one that the front inherits.
///
/// # Errors
/// When the kernel gives no more sockets.
pub fn pair() -> io::Result<(Requests, OwnedFd)> {
    let (ours, theirs) = super::control::socketpair(libc::SOCK_SEQPACKET)?;
    Ok((Requests { socket: ours }, theirs))
}

/// The front's end.
#[derive(Debug)]
pub struct Spawner {
    socket: AsyncFd<OwnedFd>,
    /// Number of the last process; one start at a time.
    last: Mutex<ProcessId>,
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Names it.
    pub process: ProcessId,
    /// The front's end of its channel.
    pub channel: UnixStream,
}

/// Why there is no process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// PID 1 has as many as it may have, or can't start one.
    #[error("no more processes can be started")]
    Refused,
    /// It didn't answer, or not what it should.
    #[error("the process that starts processes doesn't answer")]
    Broken,
}

impl Spawner {
    /// Takes the socket that PID 1 gave to the front. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor can't be registered with the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Spawner> {
        // SAFETY: plain system calls on an open descriptor.
        let outcome = unsafe {
            let flags = libc::fcntl(socket.as_raw_fd(), libc::F_GETFL);
            libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
        };
        if outcome < 0 {
            return Err(io::Error::last_os_error());
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        // SAFETY: an `OwnedFd` is the same open descriptor as long as it lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, interest) };
        Ok(Spawner {
            socket: socket.map_err(io::Error::from)?,
            last: Mutex::new(0),
        })
    }

    /// Has a process started. May be dropped half-way: the process is ended then by the next call.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub async fn start(&self) -> Result<Spawned, SpawnError> {
        let mut last = self.last.lock().await;
        let process = last.checked_add(1).ok_or(SpawnError::Refused)?;
        *last = process;
        match tokio::time::timeout(START_WAIT, self.ask(process)).await {
            Ok(Ok(Some(channel))) => Ok(Spawned { process, channel }),
            Ok(Ok(None)) => Err(SpawnError::Refused),
            Ok(Err(_)) | Err(_) => Err(SpawnError::Broken),
        }
    }

    /// Has a process ended.
    pub fn kill(&self, process: ProcessId) {
        // A queue that is full is that of a PID 1 that doesn't read: nothing helps then.
        let _ = send(
            self.socket.get_ref().as_raw_fd(),
            &Request::Kill(process).encode(),
            None,
        );
    }

    async fn ask(&self, process: ProcessId) -> io::Result<Option<UnixStream>> {
        let request = Request::Start(process).encode();
        self.socket
            .async_io(Interest::WRITABLE, |socket| {
                send(socket.as_raw_fd(), &request, None)
            })
            .await?;
        loop {
            let answer = self
                .socket
                .async_io(Interest::READABLE, |socket| receive(socket.as_raw_fd()));
            let (packet, descriptor) = answer.await?;
            match (Answer::parse(&packet), descriptor) {
                (Some(Answer::Started(number)), Some(descriptor)) if number == process => {
                    let channel = StdUnixStream::from(descriptor);
                    channel.set_nonblocking(true)?;
                    return Ok(Some(UnixStream::from_std(channel)?));
                }
                (Some(Answer::Refused(number)), None) if number == process => return Ok(None),
                // Asked for by somebody who didn't wait.
                (Some(Answer::Started(number)), Some(_)) if number < process => self.kill(number),
                (Some(Answer::Refused(number)), None) if number < process => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

/// Room for one descriptor beside a packet, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Beside([u8; 32]);

/// Sends one packet, with a descriptor or without, and without waiting.
fn send(socket: RawFd, packet: &[u8], descriptor: Option<BorrowedFd>) -> io::Result<()> {
    let mut part = libc::iovec {
        iov_base: packet.as_ptr().cast_mut().cast(),
        iov_len: packet.len(),
    };
    let mut beside = Beside([0; 32]);
    // SAFETY: a header of zeros is one without parts.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if let Some(descriptor) = descriptor {
        let len = size_of::<RawFd>() as libc::c_uint;
        header.msg_control = beside.0.as_mut_ptr().cast();
        // SAFETY: the macros compute from the length alone; the first header lies in `beside`, which has room for it and
        // for the descriptor.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(len) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(len) as _;
            libc::CMSG_DATA(first)
                .cast::<RawFd>()
                .write_unaligned(descriptor.as_raw_fd());
        }
    }
    // SAFETY: header, part and packet outlive the call, which writes to none of them.
    let sent = unsafe { libc::sendmsg(socket, &raw const header, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
    match usize::try_from(sent) {
        Ok(sent) if sent == packet.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Takes one packet and the descriptor beside it, without waiting. Empty: the other end is closed.
fn receive(socket: RawFd) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut packet = [0; MESSAGE + 1];
    let mut part = libc::iovec {
        iov_base: packet.as_mut_ptr().cast(),
        iov_len: packet.len(),
    };
    let mut beside = Beside([0; 32]);
    // SAFETY: a header of zeros is one without parts.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = beside.0.as_mut_ptr().cast();
    // Room for one descriptor: the kernel closes what doesn't fit.
    // SAFETY: the macro computes from the length alone.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as libc::c_uint) } as _;
    // SAFETY: all that the header points to outlives the call and has the lengths that it says.
    let len = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        libc::recvmsg(socket, &raw mut header, flags)
    };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel filled header and `beside`; a descriptor in it is new and owned by nobody else.
    let descriptor = unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        let is_descriptor = !first.is_null()
            && (*first).cmsg_level == libc::SOL_SOCKET
            && (*first).cmsg_type == libc::SCM_RIGHTS
            && (*first).cmsg_len as usize == libc::CMSG_LEN(size_of::<RawFd>() as libc::c_uint) as usize;
        is_descriptor.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned()))
    };
    let cut = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    if cut {
        // No message is that long.
        return Ok((packet.to_vec(), None));
    }
    Ok((packet[..len].to_vec(), descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn request(requests: &Requests) -> Request {
        loop {
            match requests.receive() {
                Received::Request(request) => return request,
                Received::Nothing => std::thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_process_is_asked_for_and_its_channel_comes() {
        let (requests, front) = pair().unwrap();
        let spawner = Spawner::new(front).unwrap();
        let pid_1 = std::thread::spawn(move || {
            assert_eq!(request(&requests), Request::Start(1));
            let (mut ours, theirs) = StdUnixStream::pair().unwrap();
            requests.answer(Answer::Started(1), Some(theirs.as_fd())).unwrap();
            assert_eq!(request(&requests), Request::Start(2));
            requests.answer(Answer::Refused(2), None).unwrap();
            assert_eq!(request(&requests), Request::Kill(1));
            ours.write_all(b"x").unwrap();
            requests
        });
        let spawned = spawner.start().await.unwrap();
        assert_eq!(spawned.process, 1);
        assert_eq!(spawner.start().await.unwrap_err(), SpawnError::Refused);
        spawner.kill(1);
        let requests = pid_1.join().unwrap();
        let mut channel = spawned.channel.into_std().unwrap();
        channel.set_nonblocking(false).unwrap();
        let mut byte = [0];
        channel.read_exact(&mut byte).unwrap();
        assert_eq!(requests.receive(), Received::Nothing);
        drop(spawner);
        assert_eq!(requests.receive(), Received::Closed);
    }

    #[tokio::test]
    async fn a_process_that_nobody_waited_for_is_ended() {
        let (requests, front) = pair().unwrap();
        let spawner = Spawner::new(front).unwrap();
        tokio::select! {
            biased;
            _ = spawner.start() => panic!("nobody answered"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(request(&requests), Request::Start(1));
        let (_ours, theirs) = StdUnixStream::pair().unwrap();
        requests.answer(Answer::Started(1), Some(theirs.as_fd())).unwrap();
        requests.answer(Answer::Started(2), Some(theirs.as_fd())).unwrap();
        assert_eq!(spawner.start().await.unwrap().process, 2);
        assert_eq!(request(&requests), Request::Start(2));
        assert_eq!(request(&requests), Request::Kill(1));
    }

    #[tokio::test]
    async fn answers_that_are_none_are_refused() {
        let (_kept, stray) = StdUnixStream::pair().unwrap();
        for (packet, descriptor) in [
            (&[STARTED, 0, 0, 0, 1][..], false),
            (&[STARTED, 0, 0, 0, 2], true),
            (&[REFUSED, 0, 0, 0, 1], true),
            (&[REFUSED, 0, 0, 0, 1, 0], false),
            (&[START, 0, 0, 0, 1], true),
            (&[], false),
        ] {
            let (requests, front) = pair().unwrap();
            let spawner = Spawner::new(front).unwrap();
            let beside = descriptor.then(|| stray.as_fd());
            send(requests.socket.as_raw_fd(), packet, beside).unwrap();
            assert_eq!(
                spawner.start().await.unwrap_err(),
                SpawnError::Broken,
                "{packet:?}"
            );
        }
    }

    #[test]
    fn requests_that_are_none_are_malformed() {
        let (requests, front) = pair().unwrap();
        let (_kept, stray) = StdUnixStream::pair().unwrap();
        for (packet, descriptor) in [
            (&[START, 0, 0, 0][..], false),
            (&[START, 0, 0, 0, 1, 0], false),
            (&[0, 0, 0, 0, 1], false),
            (&[STARTED, 0, 0, 0, 1], false),
            (&[9; 4000], false),
            (&[START, 0, 0, 0, 1], true),
        ] {
            send(front.as_raw_fd(), packet, descriptor.then(|| stray.as_fd())).unwrap();
            assert_eq!(requests.receive(), Received::Malformed, "{packet:?}");
        }
        assert_eq!(requests.receive(), Received::Nothing);
    }
}
