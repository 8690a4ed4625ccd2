//! The container's first process: it runs the start-up script once, starts the image's own command, takes up what other
//! processes leave behind, and stays until it is told to stop.
//!
//! What the script and the command print goes to the container's log as it is.

mod script;
pub(crate) mod signals;

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::serve::process::lead_session;
use signals::{Everyone, Signals};

/// Time between SIGTERM and SIGKILL. Docker's own is 10 s.
const GRACE: Duration = Duration::from_secs(8);
/// How often it is looked whether anything still runs.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until SIGTERM, SIGINT or SIGQUIT.
pub(crate) fn run(command: &[OsString]) -> ExitCode {
    let signals = Signals::block();
    let mut init = Init {
        signals,
        children: Vec::new(),
    };
    if let Some(script) = script::due() {
        match script.start() {
            Ok(pid) => {
                init.children.push((pid, "the start-up script"));
                if !init.until(|init| !init.runs(pid)) {
                    return init.stop();
                }
            }
            Err(error) => report(format_args!("the start-up script can't be started: {error}")),
        }
    }
    if let Some((program, arguments)) = command.split_first() {
        match start(Command::new(program).args(arguments)) {
            Ok(pid) => init.children.push((pid, "the image's command")),
            Err(error) => report(format_args!(
                "the image's command {} can't be started: {error}",
                program.display()
            )),
        }
    }
    init.until(|_| false);
    init.stop()
}

/// One line of our own for the container's log, or for who ran a command.
pub(crate) fn report(message: impl Display) {
    eprintln!("jeju: {message}");
}

/// Starts a process as the leader of a session of its own, without input.
pub(crate) fn start(command: &mut Command) -> std::io::Result<i32> {
    command.stdin(Stdio::null());
    // SAFETY: the function makes calls that are async-signal-safe and touch no memory.
    unsafe { command.pre_exec(lead_session) };
    let child = command.spawn()?;
    Ok(child.id() as i32)
}

struct Init {
    signals: Signals,
    children: Vec<(i32, &'static str)>,
}

impl Init {
    fn runs(&self, pid: i32) -> bool {
        self.children.iter().any(|(child, _)| *child == pid)
    }

    /// Serves signals until `done`. `false`: it is to stop.
    fn until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            self.reap();
            if done(self) {
                return true;
            }
            match self.signals.wait(None) {
                Some(libc::SIGTERM | libc::SIGINT | libc::SIGQUIT) => return false,
                Some(libc::SIGCHLD) | None => {}
                Some(other) => self.forward(other),
            }
        }
    }

    /// Takes up every process that has ended: children, and those whose parents ended before them.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: waitpid writes one integer, which is ours.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            if let Some(at) = self.children.iter().position(|(child, _)| *child == pid) {
                let (_, what) = self.children.remove(at);
                let status = ExitStatus::from_raw(status);
                if !status.success() {
                    report(format_args!("{what} ended: {status}"));
                }
            }
        }
    }

    fn forward(&self, signal: i32) {
        for (pid, _) in &self.children {
            signals::send(-pid, signal);
        }
    }

    /// Ends whatever runs, first by asking.
    fn stop(mut self) -> ExitCode {
        let everyone = Everyone::here(self.children.iter().map(|(pid, _)| *pid).collect());
        everyone.send(libc::SIGTERM);
        // A stopped process can't end otherwise.
        everyone.send(libc::SIGCONT);
        let deadline = Instant::now() + GRACE;
        loop {
            self.reap();
            if !everyone.is_anyone_left() {
                return ExitCode::SUCCESS;
            }
            if Instant::now() >= deadline {
                break;
            }
            self.signals.wait(Some(LOOK));
        }
        everyone.send(libc::SIGKILL);
        self.reap();
        ExitCode::SUCCESS
    }
}
