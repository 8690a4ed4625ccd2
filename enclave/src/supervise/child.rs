//! One role's process: how it is started, and what it keeps of PID 1's rights, which is next to nothing.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Role, signals};
use crate::ipc::control::Inbox;

/// `CAP_DAC_OVERRIDE` (`capability.h`).
const CAP_DAC_OVERRIDE: u32 = 1;

/// What a role's process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// As whoever started the node (process mode): a developer's directories must stay usable.
    SameUser,
    /// As the role's own user with no capability (image).
    OwnUser,
    /// As the role's own user, with `CAP_DAC_OVERRIDE` only: configfs makes its entries root's, whoever asks for them,
    /// so that the quote role could write to none of them. Landlock keeps it to that one directory.
    OwnUserConfigfs,
}

/// How to start a role.
#[derive(Debug)]
pub struct Start<'a> {
    /// The executable: this one.
    pub program: &'a Path,
    /// Which role.
    pub role: Role,
    /// User and group id in an image.
    pub user: u32,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Descriptors that it keeps under the same numbers; all others are closed.
    pub inherited: &'a [BorrowedFd<'a>],
    /// What it runs as.
    pub confinement: Confinement,
}

/// A role's process.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    gone: Cell<bool>,
    pub(super) inbox: Inbox,
    pub(super) ready: bool,
    pub(super) silent: bool,
}

impl Start<'_> {
    /// Starts the process. `inbox` is this process's end of its control socket.
    ///
    /// # Errors
    /// When it can't be started, or can't give up a right.
    pub fn spawn(self, inbox: Inbox) -> io::Result<Child> {
        Ok(Child {
            pid: self.spawn_alone(None)?,
            gone: Cell::new(false),
            inbox,
            ready: false,
            silent: false,
        })
    }

    /// Starts a process that says nothing to this one; `bounds` are those of what isn't ours that runs in it.
    ///
    /// # Errors
    /// As [`Start::spawn`].
    pub(super) fn spawn_alone(self, bounds: Option<Bounds>) -> io::Result<libc::pid_t> {
        let inherited: Vec<RawFd> = self.inherited.iter().map(AsRawFd::as_raw_fd).collect();
        let (role, user, confinement) = (self.role, self.user, self.confinement);
        let parent = std::process::id();
        let mut command = Command::new(self.program);
        command.args(self.arguments).env_clear().stdin(Stdio::null());
        if bounds.is_none() {
            // A group of its own: Ctrl-C in a terminal reaches this process only, which then ends the roles in order.
            command.process_group(0);
        }
        if confinement != Confinement::SameUser || bounds.is_some() {
            // What a role prints is free text, and the console is the host's. A developer's terminal isn't for what
            // strangers' code prints.
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        // SAFETY: between fork and exec `prepare` makes system calls only, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                if let Some(bounds) = &bounds {
                    bounds.apply(confinement)?;
                }
                prepare(role, user, confinement, parent, &inherited)
            });
        }
        Ok(command.spawn()?.id() as libc::pid_t)
    }
}

impl Child {
    /// Process id.
    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    pub(super) fn mark_gone(&self) {
        self.gone.set(true);
    }

    /// Whether the process has ended; takes it off the kernel's list if so.
    pub(super) fn is_gone(&self) -> bool {
        if !self.gone.get() {
            // SAFETY: no status is asked for. Any answer but 0 (still running) means that it is no longer our child.
            let waited = unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) };
            self.gone.set(waited != 0);
        }
        self.gone.get()
    }

    /// Waits for the end of a process that was killed.
    pub(super) fn wait(&self) {
        if !self.gone.get() {
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
            self.gone.set(true);
        }
    }

    /// Sends a signal, unless the process has ended: its number may be another's then.
    pub(super) fn signal(&self, signal: libc::c_int) {
        if !self.gone.get() {
            // SAFETY: a plain system call; the process is our child and not yet waited for.
            unsafe { libc::kill(self.pid, signal) };
        }
    }
}

/// What a process that runs strangers' code may take from the machine.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Memory of its own that it can write to, in bytes.
    pub memory: u64,
    /// Where it writes itself down for a share of the processors; none: the kernel decides.
    pub share: Option<CString>,
}

/// Threads of a process that runs strangers' code.
const MAX_THREADS: u64 = 32;
/// How far behind the node's own roles it stands in the queue for a CPU.
const NICE: libc::c_int = 10;

impl Bounds {
    /// Applies them to this process, between fork and exec. Async-signal-safe.
    fn apply(&self, confinement: Confinement) -> io::Result<()> {
        if let Some(share) = &self.share {
            write(share, c"0")?;
        }
        limit(libc::RLIMIT_DATA, self.memory)?;
        for resource in [libc::RLIMIT_FSIZE, libc::RLIMIT_MEMLOCK, libc::RLIMIT_MSGQUEUE] {
            limit(resource, 0)?;
        }
        if confinement != Confinement::SameUser {
            // Counted by user, and a developer has other processes.
            limit(libc::RLIMIT_NPROC, MAX_THREADS)?;
        }
        // A session of its own, and so a group: where the kernel shares processors out by session (sched(7), "The autogroup
        // feature"), an owner's threads, however many, have one owner's share.
        // SAFETY: plain system calls.
        unsafe {
            if libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            check(libc::setpriority(libc::PRIO_PROCESS, 0, NICE))?;
        }
        // Best effort: `/proc` may be hidden, and not every kernel has both files.
        let _ = write(c"/proc/self/autogroup", c"10");
        // When the machine has no memory left, this is what goes first.
        let _ = write(c"/proc/self/oom_score_adj", c"1000");
        Ok(())
    }
}

/// Async-signal-safe.
fn write(path: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: plain system calls on NUL-terminated texts; the descriptor is this function's.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(file, text.as_ptr().cast(), text.count_bytes());
        let error = io::Error::last_os_error();
        libc::close(file);
        if written < 0 { Err(error) } else { Ok(()) }
    }
}

fn prepare(
    role: Role,
    user: u32,
    confinement: Confinement,
    parent: u32,
    inherited: &[RawFd],
) -> io::Result<()> {
    signals::unblock_all()?;
    limit(libc::RLIMIT_CORE, 0)?;
    limit(libc::RLIMIT_NOFILE, role.open_files())?;
    match confinement {
        Confinement::SameUser => {}
        Confinement::OwnUser => become_user(user, None)?,
        Confinement::OwnUserConfigfs => become_user(user, Some(CAP_DAC_OVERRIDE))?,
    }
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    // After the change of user, which clears it. No role outlives PID 1's watch, not even when that is killed.
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0)?;
    // SAFETY: a plain system call.
    if unsafe { libc::getppid() } as u32 != parent {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // Also what this process itself was started with, by whoever started it.
    // SAFETY: a plain system call.
    check(unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) })?;
    for descriptor in inherited {
        // SAFETY: a plain system call on a descriptor that the parent holds open.
        check(unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

/// Changes to user and group `id` without other groups, and gives up all capabilities but `kept`.
fn become_user(id: u32, kept: Option<u32>) -> io::Result<()> {
    for capability in 0..64 {
        if kept == Some(capability) {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, capability.into(), 0) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            outcome => outcome?,
        }
    }
    if kept.is_some() {
        prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
    }
    // SAFETY: plain system calls; no group list is passed.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(id, id, id))?;
        check(libc::setresuid(id, id, id))?;
    }
    set_capabilities(kept.map_or(0, |capability| 1 << capability))?;
    if let Some(capability) = kept {
        // The ambient set is what survives the exec of a file without capabilities of its own.
        prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong,
            capability.into(),
        )?;
    }
    Ok(())
}

/// `capset(2)` of exactly `capabilities` (all below 32).
fn set_capabilities(capabilities: u32) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;

    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let low = Data {
        effective: capabilities,
        permitted: capabilities,
        inheritable: capabilities,
    };
    let high = Data {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    };
    let data = [low, high];
    // SAFETY: header and data have the layout of version 3 (`capget(2)`) and outlive the call.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    check(outcome as libc::c_int)
}

/// Sets the soft and the hard limit of a resource.
fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let mut current = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `current` outlives the call.
    check(unsafe { libc::getrlimit(resource, &raw mut current) })?;
    // Never above what this process was given: only root may raise the hard limit.
    let value = value.min(current.rlim_max);
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn prctl(option: libc::c_int, second: libc::c_ulong, third: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: none of the options used here takes a pointer.
    check(unsafe { libc::prctl(option, second, third, zero, zero) })
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;
    use crate::ipc::control;

    /// Starts `sleep` as a role and reads what the kernel says of it.
    fn started(confinement: Confinement) -> (HashMap<String, String>, Vec<String>) {
        let (inbox, theirs) = control::pair().unwrap();
        // Open without close-on-exec, as whoever started this process may have left one.
        let stray = File::open("/dev/null").unwrap();
        // SAFETY: a plain system call on an open descriptor.
        unsafe { libc::fcntl(stray.as_raw_fd(), libc::F_SETFD, 0) };
        let child = Start {
            program: Path::new("/bin/sleep"),
            role: Role::Quote,
            user: Role::Quote.id(),
            arguments: vec!["60".into()],
            inherited: &[theirs.as_fd()],
            confinement,
        }
        .spawn(inbox)
        .unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid())).unwrap();
        let status = status.lines().filter_map(|line| line.split_once(":\t"));
        let status = status
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let folder = format!("/proc/{}/fd", child.pid());
        let list = || {
            let open = std::fs::read_dir(&folder).unwrap();
            let open = open.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut open: Vec<String> = open
                .filter(|number| *number != theirs.as_raw_fd().to_string())
                .collect();
            open.sort();
            open
        };
        // The program may still be loading its libraries.
        let mut open = list();
        for _ in 0..100 {
            if open.len() <= 3 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            open = list();
        }
        super::super::stop(&[child], Duration::ZERO);
        (status, open)
    }

    fn is_root() -> bool {
        // SAFETY: a plain system call.
        unsafe { libc::geteuid() == 0 }
    }

    #[test]
    fn a_role_keeps_no_descriptor_that_it_was_not_given() {
        let (status, open) = started(Confinement::SameUser);
        assert_eq!(open, ["0", "1", "2"]);
        assert_eq!(status["NoNewPrivs"], "1");
    }

    #[test]
    fn a_role_of_an_image_is_its_own_user_without_capabilities() {
        if !is_root() {
            eprintln!("skipped: only root can change users");
            return;
        }
        let nothing = "0000000000000000";
        for (confinement, capabilities) in [
            (Confinement::OwnUser, nothing),
            (Confinement::OwnUserConfigfs, "0000000000000002"),
        ] {
            let (status, open) = started(confinement);
            assert_eq!(open, ["0", "1", "2"]);
            assert_eq!(status["Uid"], "100\t100\t100\t100");
            assert_eq!(status["Gid"], "100\t100\t100\t100");
            assert_eq!(status["Groups"], "");
            assert_eq!(status["NoNewPrivs"], "1");
            assert_eq!(status["SigBlk"], nothing);
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(status[set], capabilities, "{set} of {confinement:?}");
            }
        }
    }

    #[test]
    fn what_runs_strangers_code_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut confinements = vec![Confinement::SameUser];
        if is_root() {
            confinements.push(Confinement::OwnUser);
        }
        for confinement in confinements {
            let start = Start {
                program: Path::new("/bin/sleep"),
                role: Role::Worker,
                user: 1007,
                arguments: vec!["60".into()],
                inherited: &[],
                confinement,
            };
            let share = directory.path().join("share");
            std::fs::write(&share, "").unwrap();
            let bounds = Bounds {
                memory: 300 << 20,
                share: Some(CString::new(share.as_os_str().as_encoded_bytes()).unwrap()),
            };
            let pid = start.spawn_alone(Some(bounds)).unwrap();
            assert_eq!(std::fs::read_to_string(&share).unwrap(), "0", "itself");
            let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
            let limits = read("limits");
            let soft_and_hard = |name: &str| {
                let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                let mut numbers = line.split_whitespace().map(str::to_owned);
                (numbers.next().unwrap(), numbers.next().unwrap())
            };
            let both = |number: u64| (number.to_string(), number.to_string());
            assert_eq!(soft_and_hard("Max data size"), both(300 << 20));
            assert_eq!(soft_and_hard("Max open files"), both(16));
            for name in [
                "Max file size",
                "Max locked memory",
                "Max msgqueue size",
                "Max core file size",
            ] {
                assert_eq!(soft_and_hard(name), both(0), "{name}");
            }
            assert_eq!(read("oom_score_adj").trim(), "1000");
            // Fields after the name in parentheses: the 17th is the niceness (proc(5)).
            let stat = read("stat");
            let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            assert_eq!(fields[16], "10");
            if confinement == Confinement::OwnUser {
                assert_eq!(soft_and_hard("Max processes"), both(MAX_THREADS));
                assert!(read("status").contains("Uid:\t1007\t1007\t1007\t1007"));
            }
            // SAFETY: plain system calls on a child that nobody has waited for.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error() {
        let (inbox, _theirs) = control::pair().unwrap();
        let start = Start {
            program: Path::new("/no/such/program"),
            role: Role::Front,
            user: Role::Front.id(),
            arguments: vec![],
            inherited: &[],
            confinement: Confinement::SameUser,
        };
        assert!(start.spawn(inbox).is_err());
    }
}
