//! Time that threads were on a CPU.

use std::time::Duration;

/// A thread's clock, which other threads can read as well.
#[derive(Clone, Copy)]
pub(crate) struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// Of the thread that asks.
    pub(crate) fn of_this_thread() -> Option<Self> {
        let mut clock = 0;
        // SAFETY: the thread is the one that asks, so it lives; the number is written to a place of its size.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
        (failed == 0).then_some(Self(clock))
    }

    /// What it shows; nothing once the thread is gone.
    pub(crate) fn read(self) -> Option<Duration> {
        read(self.0)
    }
}

/// Time that this thread was on a CPU.
pub(crate) fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(Duration::MAX)
}

fn read(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is written to a place of its size.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    (failed == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
