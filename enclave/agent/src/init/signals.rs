//! Signals of a first process, which has no default of any.

use std::mem::MaybeUninit;
use std::process;
use std::ptr;
use std::time::Duration;

/// What is waited for. All but the first four are passed on to the image's command.
const WATCHED: [i32; 8] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGCHLD,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

/// The blocked signals. What is started later starts without the block (`lead_session`).
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    pub(crate) fn block() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set, which the others then change and read; nothing else is passed.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in WATCHED {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
            Signals(set.assume_init())
        }
    }

    /// The next signal; `None` after `limit`, or where the wait was interrupted.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Option<i32> {
        // SAFETY: the set is initialised, no information is asked for, and the time outlives the call.
        let found = unsafe {
            match limit {
                None => libc::sigwaitinfo(&self.0, ptr::null_mut()),
                Some(limit) => {
                    let time = libc::timespec {
                        tv_sec: limit.as_secs() as i64,
                        tv_nsec: limit.subsec_nanos().into(),
                    };
                    libc::sigtimedwait(&self.0, ptr::null_mut(), &time)
                }
            }
        };
        (found > 0).then_some(found)
    }
}

/// Sends a signal; to the group of the leader `-pid` where it is negative. Who is gone can't be told.
pub(crate) fn send(pid: i32, signal: i32) -> bool {
    // SAFETY: kill touches no memory.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Who ends with this process.
pub(super) enum Everyone {
    /// The container: this is its first process.
    Container,
    /// The groups of what was started: anybody else on this machine is none of ours.
    Groups(Vec<i32>),
}

impl Everyone {
    pub(super) fn here(groups: Vec<i32>) -> Self {
        match process::id() {
            1 => Everyone::Container,
            _ => Everyone::Groups(groups),
        }
    }

    pub(super) fn send(&self, signal: i32) {
        match self {
            Everyone::Container => {
                send(-1, signal);
            }
            Everyone::Groups(groups) => {
                for group in groups {
                    send(-group, signal);
                }
            }
        }
    }

    pub(super) fn is_anyone_left(&self) -> bool {
        match self {
            Everyone::Container => send(-1, 0),
            Everyone::Groups(groups) => groups.iter().any(|group| send(-group, 0)),
        }
    }
}
