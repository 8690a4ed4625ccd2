//! Tells the Nitro hypervisor that the enclave runs: without it the enclave's start is reported as failed.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The parent instance, as the Nitro CLI's own init calls it.
const PARENT_CID: u32 = 3;
const PORT: u32 = 9000;
const BEAT: u8 = 0xb7;
const WAIT: Duration = Duration::from_secs(1);

/// Sends one heartbeat and waits for its echo, at most a second each. Best effort: emulators don't listen.
pub fn send() {
    let _ = try_send();
}

fn try_send() -> std::io::Result<()> {
    // SAFETY: a plain system call.
    let descriptor = unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // Read, write and timeouts are the same system calls for every stream socket.
    let mut stream = UnixStream::from(socket);
    // On vsock this also bounds the connect.
    stream.set_write_timeout(Some(WAIT))?;
    stream.set_read_timeout(Some(WAIT))?;
    // SAFETY: all zeros is a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = PARENT_CID;
    address.svm_port = PORT;
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: address and length describe `address`, which outlives the call.
    if unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    stream.write_all(&[BEAT])?;
    stream.read_exact(&mut [0])
}
