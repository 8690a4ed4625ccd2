//! Runs a program with an assembled root for its world: no file of the host, no network, no other process, no
//! privilege. Works for root and for users who may make user namespaces.
//!
//! What happens between fork and exec is [`Plan::steps`]: system calls on memory that was prepared before. The child
//! of a program with threads may do nothing else.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::ptr;

use libc::{c_int, c_long, c_ulong};

use super::RootError;

/// Devices that programs get: none has state that a build could depend on.
const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
const TMP_OPTIONS: &CStr = c"mode=1777,size=4g";
const DEV_OPTIONS: &CStr = c"mode=0755,size=64k";
const HOST_NAME: &[u8] = b"image";
/// Exit status of the processes in between when there is nothing to wait for.
const LOST: c_int = 125;

/// A folder of the host that is seen inside.
#[derive(Debug, Clone)]
pub(super) struct Bind {
    source: CString,
    target: CString,
    writable: bool,
}

impl Bind {
    /// `source` is seen at `target`, an absolute path inside `root`.
    pub fn new(source: &Path, root: &Path, target: &str, writable: bool) -> Result<Self, RootError> {
        Ok(Self {
            source: c_string(source.as_os_str())?,
            target: c_string(root.join(target.trim_start_matches('/')).as_os_str())?,
            writable,
        })
    }
}

/// Starts `command`, whose program is a path inside, with `working` for its folder, waits for its end, and returns what
/// it wrote to pipes.
pub(super) fn run(
    mut command: Command,
    root: &Path,
    binds: Vec<Bind>,
    working: &str,
) -> Result<Output, RootError> {
    let (mut reader, writer) = io::pipe().map_err(RootError::Process)?;
    let plan = Plan::new(root, binds, working, writer)?;
    command.stdin(Stdio::null());
    // SAFETY: `enter` makes system calls only, on memory that `plan` owns.
    unsafe { command.pre_exec(move || plan.enter()) };
    let child = command.spawn();
    // It has the pipe's other end, which would keep the read from ending.
    drop(command);
    match child {
        Ok(child) => child.wait_with_output().map_err(RootError::Process),
        Err(source) => Err(match failed_step(&mut reader) {
            Some(step) => RootError::Enter { step, source },
            None => RootError::Process(source),
        }),
    }
}

fn failed_step(reader: &mut PipeReader) -> Option<&'static str> {
    let mut number = [0];
    (reader.read(&mut number).ok()? == 1).then(|| Step::name(number[0]))
}

/// A step of entering a root, for the error message.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Step {
    Namespaces,
    Users,
    Fork,
    Private,
    Root,
    Bind,
    Memory,
    Device,
    Proc,
    Pivot,
    Name,
    Privileges,
    Folder,
}

impl Step {
    const NAMES: [(Self, &'static str); 13] = [
        (
            Self::Namespaces,
            "making namespaces (user namespaces may be forbidden here: see kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces)",
        ),
        (Self::Users, "mapping the user"),
        (Self::Fork, "starting a process"),
        (Self::Private, "making mounts private"),
        (Self::Root, "mounting the root"),
        (Self::Bind, "mounting a folder"),
        (Self::Memory, "mounting a file system in memory"),
        (Self::Device, "mounting a device"),
        (Self::Proc, "mounting /proc"),
        (Self::Pivot, "leaving the host's root"),
        (Self::Name, "setting the host name"),
        (Self::Privileges, "giving up privileges"),
        (Self::Folder, "entering the working folder"),
    ];

    fn name(number: u8) -> &'static str {
        let found = Self::NAMES.iter().find(|(step, _)| *step as u8 == number);
        found.map_or("an unknown step", |(_, name)| name)
    }
}

struct Plan {
    root: CString,
    binds: Vec<Bind>,
    tmp: CString,
    dev: CString,
    /// Device of the host, and where it is seen.
    devices: Vec<(CString, CString)>,
    /// Link in `/dev`, and its target.
    links: Vec<(CString, CString)>,
    proc: CString,
    working: CString,
    user_map: Vec<u8>,
    group_map: Vec<u8>,
    /// Where the number of the step goes that failed.
    report: PipeWriter,
}

impl Plan {
    fn new(root: &Path, binds: Vec<Bind>, working: &str, report: PipeWriter) -> Result<Self, RootError> {
        let inside = |name: &str| c_string(root.join(name).as_os_str());
        let text = |text: &str| c_string(OsStr::new(text));
        // SAFETY: they take nothing and can't fail.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        Ok(Self {
            root: c_string(root.as_os_str())?,
            binds,
            tmp: inside("tmp")?,
            dev: inside("dev")?,
            devices: DEVICES
                .iter()
                .map(|name| Ok((text(&format!("/dev/{name}"))?, inside(&format!("dev/{name}"))?)))
                .collect::<Result<_, RootError>>()?,
            links: LINKS
                .iter()
                .map(|(name, target)| Ok((inside(&format!("dev/{name}"))?, text(target)?)))
                .collect::<Result<_, RootError>>()?,
            proc: inside("proc")?,
            working: text(working)?,
            user_map: format!("0 {user} 1").into_bytes(),
            group_map: format!("0 {group} 1").into_bytes(),
            report,
        })
    }

    /// In the child, before exec.
    fn enter(&self) -> io::Result<()> {
        // SAFETY: system calls with pointers to what `self` owns, in a process that has one thread.
        unsafe { self.steps() }.map_err(|step| {
            let error = io::Error::last_os_error();
            // SAFETY: one byte of this stack. Were it lost, the message would say less.
            unsafe { libc::write(self.report.as_raw_fd(), (&raw const step).cast(), 1) };
            error
        })
    }

    /// # Safety
    /// Only in a child that has one thread and is about to call exec.
    unsafe fn steps(&self) -> Result<(), Step> {
        let namespaces = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC;
        // SAFETY: as this function; every pointer is to a string of `self` or of the program.
        unsafe {
            done(libc::unshare(namespaces), Step::Namespaces)?;
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/uid_map", &self.user_map)?;
            write_file(c"/proc/self/gid_map", &self.group_map)?;
            // The process namespace begins with the next child. That one waits for orphans; the program is its child.
            fork_and_wait()?;
            fork_and_wait()?;
            self.mounts()?;
            done(
                libc::sethostname(HOST_NAME.as_ptr().cast(), HOST_NAME.len()),
                Step::Name,
            )?;
            give_up_privileges()?;
            libc::umask(0o022);
            done(libc::chdir(self.working.as_ptr()), Step::Folder)
        }
    }

    unsafe fn mounts(&self) -> Result<(), Step> {
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        // SAFETY: as `steps`.
        unsafe {
            // Nothing that is mounted from here on is seen by the host.
            mount(
                None,
                c"/",
                None,
                libc::MS_REC | libc::MS_PRIVATE,
                None,
                Step::Private,
            )?;
            bind(&self.root, &self.root, false, Step::Root)?;
            for one in &self.binds {
                bind(&one.source, &one.target, one.writable, Step::Bind)?;
            }
            mount(
                None,
                &self.tmp,
                Some(c"tmpfs"),
                flags,
                Some(TMP_OPTIONS),
                Step::Memory,
            )?;
            mount(
                None,
                &self.dev,
                Some(c"tmpfs"),
                libc::MS_NOSUID,
                Some(DEV_OPTIONS),
                Step::Memory,
            )?;
            for (device, target) in &self.devices {
                let create = libc::O_CREAT | libc::O_CLOEXEC | libc::O_WRONLY;
                let file = libc::open(target.as_ptr(), create, 0o644);
                done(file, Step::Device)?;
                libc::close(file);
                // Read-only says nothing of what a device does, but its owner and mode stay as they are.
                bind(device, target, false, Step::Device)?;
            }
            for (name, target) in &self.links {
                done(libc::symlink(target.as_ptr(), name.as_ptr()), Step::Device)?;
            }
            // The kernel's settings in it belong to user 0 of the host, who may be the one who builds.
            let flags = flags | libc::MS_NOEXEC | libc::MS_RDONLY;
            mount(Some(c"proc"), &self.proc, Some(c"proc"), flags, None, Step::Proc)?;
            // The host's root comes to lie upon the new one (pivot_root(2), "."), and is taken away.
            done(libc::chdir(self.root.as_ptr()), Step::Pivot)?;
            let here = c".".as_ptr();
            done(libc::syscall(libc::SYS_pivot_root, here, here), Step::Pivot)?;
            done(libc::umount2(here, libc::MNT_DETACH), Step::Pivot)?;
            done(libc::chdir(c"/".as_ptr()), Step::Pivot)
        }
    }
}

/// Shows a folder in another place, read-only unless it is to be written.
unsafe fn bind(source: &CStr, target: &CStr, writable: bool, step: Step) -> Result<(), Step> {
    // SAFETY: as `Plan::steps`; `statvfs` is a plain structure that the call fills.
    unsafe {
        mount(Some(source), target, None, libc::MS_BIND, None, step)?;
        let mut status: libc::statvfs = mem::zeroed();
        done(libc::statvfs(target.as_ptr(), &raw mut status), step)?;
        // What the host's mount forbids stays forbidden: a user namespace may not take it away. These bits are the
        // same in both calls.
        let kept = status.f_flag & (libc::MS_RDONLY | libc::MS_NODEV | libc::MS_NOEXEC);
        let access = if writable { 0 } else { libc::MS_RDONLY };
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID | kept | access;
        mount(None, target, None, flags, None, step)
    }
}

unsafe fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: c_ulong,
    options: Option<&CStr>,
    step: Step,
) -> Result<(), Step> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: as `Plan::steps`.
    let status = unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags,
            pointer(options).cast(),
        )
    };
    done(status, step)
}

unsafe fn write_file(path: &CStr, content: &[u8]) -> Result<(), Step> {
    // SAFETY: as `Plan::steps`.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        done(file, Step::Users)?;
        done(
            libc::write(file, content.as_ptr().cast(), content.len()) as c_long,
            Step::Users,
        )?;
        libc::close(file);
    }
    Ok(())
}

/// Goes on in a child. The parent waits for it and for orphans, and ends as it does; it dies with its own parent, and
/// the child with it: whoever is waiting for a build can end it.
unsafe fn fork_and_wait() -> Result<(), Step> {
    // SAFETY: as `Plan::steps`; `_exit` runs nothing of the program that was forked.
    unsafe {
        done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), Step::Fork)?;
        let child = libc::fork();
        done(child, Step::Fork)?;
        if child == 0 {
            return done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), Step::Fork);
        }
        // Pipes whose end somebody waits for are the child's alone.
        libc::syscall(libc::SYS_close_range, 3, c_long::from(u32::MAX), 0);
        loop {
            let mut status = 0;
            let ended = libc::waitpid(-1, &raw mut status, 0);
            if ended == child {
                libc::_exit(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
            if ended < 0 && *libc::__errno_location() != libc::EINTR {
                libc::_exit(LOST);
            }
        }
    }
}

/// User 0 of a user namespace could undo the mounts. An ordinary user, as 0, can't.
unsafe fn give_up_privileges() -> Result<(), Step> {
    /// Exec gives user 0 no capabilities, and this can't be changed: SECBIT_NOROOT and its lock.
    const SECURE_BITS: c_ulong = 0b11;
    /// Version 3 of the structures of capset(2).
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: as `Plan::steps`; header and data are as long as version 3 has them.
    unsafe {
        done(
            libc::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS),
            Step::Privileges,
        )?;
        done(
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            Step::Privileges,
        )?;
        let status = libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr());
        done(status, Step::Privileges)
    }
}

/// Whether a system call succeeded.
fn done(status: impl Into<c_long>, step: Step) -> Result<(), Step> {
    if status.into() < 0 { Err(step) } else { Ok(()) }
}

fn c_string(text: &OsStr) -> Result<CString, RootError> {
    CString::new(text.as_bytes()).map_err(|_| RootError::ZeroByte(text.to_owned()))
}
