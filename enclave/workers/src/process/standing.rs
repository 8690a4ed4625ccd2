//! A thread's standing in line for a CPU. An event that computes for long steps back behind all that don't, of whatever owner,
//! so that a neighbour's short one is answered at once; its thread comes forward again for the next event.

use std::cell::Cell;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// Time on a CPU after which an event has computed for long.
pub(crate) const LONG: Duration = Duration::from_millis(20);
/// How far it steps back, in niceness: it gets a third of what another process's thread gets that computes as well. Far behind,
/// a busy node would keep it from noticing its own limits.
const BACK: libc::c_int = 5;

/// The niceness that threads come forward to. None where the kernel wouldn't let them: they don't step back then.
static FIRST: OnceLock<Option<libc::c_int>> = OnceLock::new();

thread_local! {
    static IS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Finds out whether threads may come forward again: one that has nothing else to do tries.
pub(crate) fn prepare() {
    let tried = thread::spawn(|| {
        // SAFETY: a plain system call.
        let first = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        (put(first + BACK) && put(first)).then_some(first)
    });
    let first = tried.join().unwrap_or_default();
    let _ = FIRST.set(first);
}

/// Puts this thread back, or forward.
pub(crate) fn step(back: bool) {
    let Some(first) = FIRST.get().copied().flatten() else {
        return;
    };
    if IS_BACK.replace(back) != back {
        put(if back { first + BACK } else { first });
    }
}

/// Sets the niceness of this thread: Linux has one for each, whatever POSIX says.
fn put(niceness: libc::c_int) -> bool {
    // SAFETY: a plain system call.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) == 0 }
}
