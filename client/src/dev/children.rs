//! Child processes that run as long as this one, and end with it, however it ends.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::DevError;
use super::programs::last_words;

const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(200);

/// In the order in which they were started.
#[derive(Default)]
pub(super) struct Children(Vec<Running>);

struct Running {
    name: Cow<'static, str>,
    child: Child,
    log: PathBuf,
}

impl Children {
    /// Starts a program; what it says on standard error, and unless `piped` on standard output, goes to a log file.
    pub(super) fn start(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        mut command: Command,
        state: &Path,
        piped: bool,
    ) -> Result<Option<ChildStdout>, DevError> {
        let name = name.into();
        let log = state.join("logs").join(format!("{name}.log"));
        let file = File::create(&log).map_err(DevError::file(&log))?;
        let output = match piped {
            true => Stdio::piped(),
            false => file.try_clone().map_err(DevError::file(&log))?.into(),
        };
        // In a group of its own: Ctrl-C is for this process, which ends the others in order.
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true);
        // SAFETY: between fork and exec only the one system call is made, which is async-signal-safe.
        unsafe { command.pre_exec(end_with_parent) };
        let mut child = command.spawn().map_err(|source| DevError::Start {
            program: name.clone(),
            source,
        })?;
        let stdout = child.stdout.take();
        self.0.push(Running { name, child, log });
        Ok(stdout)
    }

    /// Whether the one of that name has ended, and why.
    pub(super) fn check(&mut self, name: &str) -> Result<(), DevError> {
        self.0
            .iter_mut()
            .filter(|running| running.name == name)
            .try_for_each(Running::check)
    }

    /// Waits until any of them ends, which none should.
    pub(super) async fn first_to_end(&mut self) -> DevError {
        loop {
            if let Err(error) = self.0.iter_mut().try_for_each(Running::check) {
                return error;
            }
            sleep(POLL).await;
        }
    }

    /// Ends all: asked to, the newest first, and after a while made to. Whether there were any.
    pub(super) async fn end(&mut self) -> bool {
        let any = !self.0.is_empty();
        // All before any is waited for: one may wait for another to close a connection.
        for running in self.0.iter().rev() {
            terminate(&running.child);
        }
        while let Some(mut running) = self.0.pop() {
            if timeout(GRACE, running.child.wait()).await.is_err() {
                // Only a process that can't be killed is left then.
                let _ = running.child.kill().await;
            }
        }
        any
    }
}

impl Running {
    fn check(&mut self) -> Result<(), DevError> {
        let ended = self.child.try_wait().ok().flatten();
        match ended {
            None => Ok(()),
            Some(status) => Err(DevError::Ended {
                program: self.name.clone(),
                words: last_words(&std::fs::read(&self.log).unwrap_or_default()),
                missing: status.code() == Some(3),
            }),
        }
    }
}

fn terminate(child: &Child) {
    // None once it was waited for: then its number may be another's.
    let Some(pid) = child.id().and_then(|pid| libc::pid_t::try_from(pid).ok()) else {
        return;
    };
    // SAFETY: plain system call on a child of this process that was not waited for.
    unsafe { libc::kill(pid, libc::SIGTERM) };
}

/// So that nothing is left even when this process is killed.
fn end_with_parent() -> io::Result<()> {
    // SAFETY: plain system call without pointers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
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

    #[tokio::test]
    async fn children_end_with_us_and_their_last_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        let mut children = Children::default();
        children
            .start("sleeper", shell("exec sleep 100"), dir.path(), false)
            .unwrap();
        assert!(children.check("sleeper").is_ok());
        children
            .start("failing", shell("echo why; exit 1"), dir.path(), false)
            .unwrap();
        let error = timeout(Duration::from_secs(60), children.first_to_end())
            .await
            .unwrap();
        assert_eq!(error.to_string(), "failing ended: why");
        let pid = children.0[0].child.id().unwrap();
        timeout(Duration::from_secs(60), children.end()).await.unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
