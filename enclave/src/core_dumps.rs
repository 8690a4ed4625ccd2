//! No core dumps, and no debugger: both would show what the process holds to whoever gets the file, or asks.

use std::io;

/// Forbids them for this process, until it executes another program. Its children inherit the limit, not the rest.
///
/// # Errors
/// When the kernel refuses, which it doesn't.
pub fn forbid() -> io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // The limit alone doesn't stop a dump that the kernel hands to a program (core(5)). What isn't dumpable is dumped to
    // nobody, and belongs to root in /proc, whoever runs it.
    // SAFETY: the limit outlives the call; the other is a plain system call.
    let outcome = unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none) | libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
