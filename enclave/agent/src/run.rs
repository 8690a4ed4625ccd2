//! One command to its end, or to its limit: what the node's HTTP API runs in a container.
//!
//! The limit is kept here and not by the node, so that it holds where the node, the shim or the engine is killed meanwhile.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::init::signals::{Signals, send};
use crate::init::{report, start};

/// Status of a command that was stopped at its limit, as of coreutils' `timeout`.
const STOPPED: u8 = 124;
/// Status of a command that can't be started, and of one that isn't there, as of shells.
const NOT_STARTED: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Longest limit, in seconds.
const MAX_LIMIT: u64 = 3600;
/// Rounds in which those that are to end are looked for: a fork bomb makes new ones while it is stopped.
const ROUNDS: usize = 200;
/// Pause between two looks at those that were killed.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `limit` (seconds), `--`, program and arguments. `None`: these aren't such arguments.
pub(crate) fn run(arguments: &[OsString]) -> Option<ExitCode> {
    let [limit, dashes, program, rest @ ..] = arguments else {
        return None;
    };
    let limit: u64 = limit.to_str()?.parse().ok()?;
    if dashes != "--" || !(1..=MAX_LIMIT).contains(&limit) {
        return None;
    }
    Some(within(Duration::from_secs(limit), program, rest))
}

fn within(limit: Duration, program: &OsString, arguments: &[OsString]) -> ExitCode {
    let deadline = Instant::now() + limit;
    let signals = Signals::block();
    // What the command leaves behind becomes this process's child, and so is found at the limit.
    // SAFETY: the call touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let child = match start(Command::new(program).args(arguments)) {
        Ok(child) => child,
        Err(error) => {
            report(format_args!("{} can't be started: {error}", program.display()));
            return ExitCode::from(match error.kind() {
                io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_STARTED,
            });
        }
    };
    loop {
        if let Some(status) = reap(child) {
            return ExitCode::from(status);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A container that is stopped ends its commands, too.
        let told = match signals.wait(Some(left)) {
            Some(libc::SIGTERM | libc::SIGINT | libc::SIGQUIT) => true,
            _ => Instant::now() >= deadline,
        };
        if told {
            end_all();
            report(format_args!(
                "the command was stopped after {} s",
                limit.as_secs()
            ));
            return ExitCode::from(STOPPED);
        }
    }
}

/// Takes up everybody who has ended. The status of `child`, if it is among them.
fn reap(child: i32) -> Option<u8> {
    let mut found = None;
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes one integer, which is ours.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if pid <= 0 {
            return found;
        }
        if pid == child {
            found = Some(match libc::WIFEXITED(status) {
                true => libc::WEXITSTATUS(status) as u8,
                false => 128 + libc::WTERMSIG(status) as u8,
            });
        }
    }
}

/// Ends all that descends from this process: stopped first, so that nobody makes new ones while the others are killed.
fn end_all() {
    let mut stopped = HashSet::new();
    for _ in 0..ROUNDS {
        let found = descendants();
        let new: Vec<i32> = found.into_iter().filter(|pid| stopped.insert(*pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            send(pid, libc::SIGSTOP);
        }
    }
    for _ in 0..ROUNDS {
        let found = descendants();
        if found.is_empty() {
            return;
        }
        for pid in found {
            send(pid, libc::SIGKILL);
        }
        std::thread::sleep(LOOK);
        reap(0);
    }
}

/// Processes that descend from this one, by `/proc`.
fn descendants() -> Vec<i32> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let (Some(pid), Ok(stat)) = (pid, stat)
            && let Some(parent) = parent(&stat)
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![std::process::id() as i32];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found.split_off(1)
}

/// The fourth field of `/proc/PID/stat`, behind a name that may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b) R) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (x) S"), None);
        assert_eq!(parent(""), None);
    }

    #[test]
    fn what_is_no_command_with_a_limit_is_not_run() {
        let run = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            super::run(&words).is_some()
        };
        for words in [
            &[] as &[&str],
            &["5", "--"],
            &["5", "true", "x"],
            &["0", "--", "true"],
            &["3601", "--", "true"],
            &["-1", "--", "true"],
            &["x", "--", "true"],
        ] {
            assert!(!run(words), "{words:?}");
        }
    }
}
