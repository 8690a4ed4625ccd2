//! Programs that a launch starts: none outlives it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::RunError;

/// How long a program may take to end when asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How long a killed one may take: a program stuck in the kernel is left behind then.
const KILLED: Duration = Duration::from_secs(3);

/// A running program, and all that it started in its process group. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Child {
    id: u32,
    running: Arc<Mutex<Running>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

/// Whether the process id still stands for the program.
#[derive(Debug, PartialEq, Eq)]
enum Running {
    Yes,
    Reaped,
}

/// The read ends of a program's pipes, where it was given any.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: Option<process::ChildStdout>,
    pub(super) stderr: Option<process::ChildStderr>,
}

impl Child {
    /// Starts a program. It dies when this process does, however that ends.
    pub(super) fn spawn(mut command: Command) -> Result<(Self, Pipes), RunError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let launcher = process::id();
        command.process_group(0).stdin(process::Stdio::null());
        // SAFETY: `prctl`, `getppid` and making an error from a number are async-signal-safe and allocate nothing.
        unsafe { command.pre_exec(move || die_with(launcher)) };

        // The kernel sends the death signal when the *thread* that forked ends, so each program has one that lives
        // as long as it does.
        let (to_caller, from_thread) = mpsc::sync_channel(1);
        let (to_waiters, ended) = watch::channel(None);
        let running = Arc::new(Mutex::new(Running::Yes));
        let reaper_running = Arc::clone(&running);
        let reaper = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(source) => {
                    let _ = to_caller.send(Err(source));
                    return;
                }
            };
            let pipes = Pipes {
                stdout: child.stdout.take(),
                stderr: child.stderr.take(),
            };
            let _ = to_caller.send(Ok((child.id(), pipes)));
            await_end(child.id());
            let mut running = reaper_running
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            // What it started and left behind: its group's id is taken until it is reaped below.
            signal_group(child.id(), libc::SIGKILL);
            let status = child.wait();
            *running = Running::Reaped;
            drop(running);
            let _ = to_waiters.send(status.ok());
        };
        let failed = |source| RunError::Spawn {
            program: program.clone(),
            source,
        };
        thread::Builder::new()
            .name(format!("wait for {program}"))
            .spawn(reaper)
            .map_err(failed)?;
        let (id, pipes) = from_thread
            .recv()
            .map_err(|_| failed(io::ErrorKind::BrokenPipe.into()))?
            .map_err(failed)?;
        Ok((Self { id, running, ended }, pipes))
    }

    /// Process id, also of its process group.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits until it ends. `None`: how, nobody knows.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.ended.wait_for(Option::is_some).await;
        status.ok().and_then(|status| *status)
    }

    /// Asks it to end, and after a while makes it.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.signal(libc::SIGTERM);
        if let Ok(status) = timeout(GRACE, self.ended()).await {
            return status;
        }
        self.kill().await
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(libc::SIGKILL);
        timeout(KILLED, self.ended()).await.ok().flatten()
    }

    fn signal(&self, signal: libc::c_int) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if *running == Running::Yes {
            signal_group(self.id, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
    }
}

/// In the child, before it becomes the program.
fn die_with(launcher: u32) -> io::Result<()> {
    // SAFETY: both calls take no pointers.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The launcher may have ended before the line above.
        if u32::try_from(libc::getppid()) != Ok(launcher) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
    }
    Ok(())
}

/// Waits without reaping, so that the process id stays taken.
fn await_end(id: u32) {
    loop {
        // SAFETY: an all-zero siginfo_t is valid, and waitid writes into it alone.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, id, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

fn signal_group(id: u32, signal: libc::c_int) {
    if let Ok(group) = libc::pid_t::try_from(id) {
        // SAFETY: takes no pointers. A group that is gone gives an error that nobody needs.
        unsafe { libc::killpg(group, signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn runs(id: u32) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat"));
        state.is_ok_and(|state| !state.contains(") Z "))
    }

    #[tokio::test]
    async fn tells_how_it_ended() {
        let (mut child, _) = Child::spawn(shell("exit 7")).unwrap();
        assert_eq!(child.ended().await.unwrap().code(), Some(7));
        assert_eq!(child.end().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn ends_one_that_ignores_requests() {
        let (mut child, pipes) = Child::spawn({
            let mut command = shell("trap '' TERM; echo up; while :; do sleep 1; done");
            command.stdout(process::Stdio::piped());
            command
        })
        .unwrap();
        std::io::Read::read_exact(&mut pipes.stdout.unwrap(), &mut [0; 3]).unwrap();
        assert_eq!(child.end().await.unwrap().code(), None);
        assert!(!runs(child.id()));
    }

    #[tokio::test]
    async fn takes_its_own_children_along() {
        let (mut child, pipes) = Child::spawn({
            let mut command = shell("sleep 1000 & echo $!");
            command.stdout(process::Stdio::piped());
            command
        })
        .unwrap();
        let mut grandchild = String::new();
        std::io::Read::read_to_string(&mut pipes.stdout.unwrap(), &mut grandchild).unwrap();
        child.ended().await;
        let grandchild: u32 = grandchild.trim().parse().unwrap();
        for _ in 0..1500 {
            if !runs(grandchild) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{grandchild} still runs");
    }

    #[test]
    fn names_a_program_that_is_not_there() {
        let error = Child::spawn(Command::new("/nonexistent/program")).unwrap_err();
        assert!(matches!(error, RunError::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound));
    }
}
