//! Processes that run workers: started and ended as the front asks, one owner's code in each.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use jeju_shim_protocol::fatal::FatalCode;

use super::child::{Bounds, Confinement, Start};
use super::shares::Shares;
use super::{MESSAGES_AT_ONCE, Role};
use crate::ipc::control::socketpair;
use crate::ipc::spawner::{Answer, ProcessId, Received, Request, Requests};

/// Processes beside those that the front counts: they were ended, and the kernel isn't done with them yet.
const ENDING: u16 = 8;

/// PID 1's list of them.
#[derive(Debug)]
pub struct Workers {
    program: &'static Path,
    requests: Requests,
    confinement: Confinement,
    memory: u64,
    shares: Option<Shares>,
    /// By their place, which decides the user: none has the user of another.
    places: Vec<Option<Running>>,
    /// The front's end is closed: its death follows.
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    process: ProcessId,
    pid: libc::pid_t,
}

impl Workers {
    /// At most `most` processes, and a few that end, with this much memory each, in bytes.
    pub fn new(requests: Requests, most: u16, memory: u64, confinement: Confinement) -> Workers {
        Workers {
            program: Path::new("/proc/self/exe"),
            requests,
            confinement,
            memory,
            shares: None,
            places: vec![None; usize::from(most) + usize::from(ENDING)],
            closed: false,
        }
    }

    /// Gives each a share of the processors, in an image.
    ///
    /// # Errors
    /// When the kernel has none to give.
    pub fn share(&mut self) -> io::Result<()> {
        self.shares = Some(Shares::new(self.places.len())?);
        Ok(())
    }

    /// What to wait for.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then(|| self.requests.as_fd())
    }

    /// Does what the front asks for, some of it at a time.
    ///
    /// # Errors
    /// A front that asks for what isn't there has been taken over.
    pub(super) fn take_requests(&mut self) -> Result<(), FatalCode> {
        for _ in 0..MESSAGES_AT_ONCE {
            match self.requests.receive() {
                Received::Request(Request::Start(process)) => self.start(process),
                Received::Request(Request::Kill(process)) => self.kill(process),
                Received::Malformed => return Err(FatalCode::Internal),
                Received::Nothing => break,
                Received::Closed => {
                    self.closed = true;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The kernel is done with a process.
    pub(super) fn mark_gone(&mut self, pid: libc::pid_t) {
        for place in &mut self.places {
            if place.is_some_and(|running| running.pid == pid) {
                *place = None;
            }
        }
    }

    fn start(&mut self, process: ProcessId) {
        let answered = match self.try_start(process) {
            Ok(channel) => self
                .requests
                .answer(Answer::Started(process), Some(channel.as_fd())),
            Err(_) => self.requests.answer(Answer::Refused(process), None),
        };
        if answered.is_err() {
            self.kill(process);
        }
    }

    /// The front's end of its channel.
    fn try_start(&mut self, process: ProcessId) -> io::Result<OwnedFd> {
        let free = self.places.iter().position(Option::is_none);
        let place = free.ok_or(io::ErrorKind::QuotaExceeded)?;
        let (ours, theirs) = socketpair(libc::SOCK_STREAM)?;
        let arguments = ["--role", Role::Worker.name(), "--channel"].map(Into::into);
        let mut arguments = Vec::from(arguments);
        arguments.push(theirs.as_raw_fd().to_string().into());
        let start = Start {
            program: self.program,
            role: Role::Worker,
            user: Role::Worker.id() + place as u32,
            arguments,
            inherited: &[theirs.as_fd()],
            confinement: self.confinement,
        };
        let shares = self.shares.as_ref();
        let pid = start.spawn_alone(Some(Bounds {
            memory: self.memory,
            share: shares.and_then(|shares| shares.of(place)),
        }))?;
        self.places[place] = Some(Running { process, pid });
        Ok(ours)
    }

    fn kill(&self, process: ProcessId) {
        for running in self.places.iter().flatten() {
            if running.process == process {
                running.kill();
            }
        }
    }
}

impl Running {
    fn kill(self) {
        // SAFETY: a plain system call; the process is our child and not yet waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

impl Drop for Workers {
    /// Ends them all, and waits until they are gone.
    fn drop(&mut self) {
        let running: Vec<Running> = self.places.drain(..).flatten().collect();
        running.iter().for_each(|running| running.kill());
        for running in running {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(running.pid, std::ptr::null_mut(), 0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::spawner::{self, SpawnError, Spawner};

    /// Stands for a worker's process, whatever it is called with.
    const PROGRAM: &str = "#!/bin/sh\nexec sleep 600\n";

    fn program(directory: &Path) -> &'static Path {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.join("program");
        std::fs::write(&path, PROGRAM).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Box::leak(path.into_boxed_path())
    }

    /// What PID 1's loop does with them.
    fn turn(workers: &mut Workers) {
        workers.take_requests().unwrap();
        let pids: Vec<_> = workers
            .places
            .iter()
            .flatten()
            .map(|running| running.pid)
            .collect();
        for pid in pids {
            // SAFETY: no status is asked for; the child is this test's.
            if unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) } == pid {
                workers.mark_gone(pid);
            }
        }
    }

    #[tokio::test]
    async fn processes_are_started_up_to_their_number_and_ended() {
        let directory = tempfile::tempdir().unwrap();
        let (requests, front) = spawner::pair().unwrap();
        let mut workers = Workers::new(requests, 1, 1 << 30, Confinement::SameUser);
        workers.program = program(directory.path());
        let front = Spawner::new(front).unwrap();
        let front = tokio::spawn(async move {
            let mut started = Vec::new();
            for _ in 0..1 + ENDING {
                started.push(front.start().await.unwrap());
            }
            assert_eq!(front.start().await.unwrap_err(), SpawnError::Refused);
            front.kill(started[0].process);
            front.kill(started[1].process);
            front.kill(12_345);
            let mut more = 0;
            while more < 2 {
                match front.start().await {
                    Ok(spawned) => {
                        started.push(spawned);
                        more += 1;
                    }
                    Err(_) => tokio::task::yield_now().await,
                }
            }
            started
        });
        while !front.is_finished() {
            turn(&mut workers);
            tokio::task::yield_now().await;
        }
        let started = front.await.unwrap();
        let pids: Vec<_> = workers
            .places
            .iter()
            .flatten()
            .map(|running| running.pid)
            .collect();
        assert_eq!(pids.len(), 1 + usize::from(ENDING));
        drop(workers);
        for pid in pids {
            // SAFETY: the signal is none: it asks whether the process is there.
            assert_eq!(unsafe { libc::kill(pid, 0) }, -1, "it outlives PID 1's list");
        }
        drop(started);
    }
}
