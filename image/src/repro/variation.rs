//! The two builds' surroundings: user, folders, umask, time zone, locale, processors.
//!
//! The clock is the system's: the second build runs later, its source looks older, and SOURCE_DATE_EPOCH is another. A
//! preloaded clock would be lost where builds clear their environment, and hangs compilers that bring their own allocator.

use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::io;
use std::mem;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::ReproError;

/// An unprivileged user that nobody is.
const OTHER_USER: u32 = 61_234;
/// How many folders of the second build's path are ours besides the last: `second` and `and`.
const PARENTS: usize = 2;

/// Something that differs between the builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Varied {
    /// What it is.
    pub what: &'static str,
    /// In the first build.
    pub first: String,
    /// In the second.
    pub second: String,
    /// Why it is the same in both, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_varied: Option<String>,
}

impl Varied {
    pub(super) fn new(what: &'static str, first: &str, second: &str) -> Self {
        Self {
            what,
            first: first.to_owned(),
            second: second.to_owned(),
            not_varied: None,
        }
    }
}

/// How many processors this process may run on.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The surroundings of one build.
#[derive(Debug, Clone)]
pub(super) struct Variation {
    folder: PathBuf,
    private: bool,
    umask: u32,
    time_zone: &'static str,
    locale: &'static str,
    epoch: &'static str,
    user_name: &'static str,
    user: User,
    one_processor: bool,
}

/// As whom a build runs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum User {
    Same(String),
    /// Another user for the system.
    Changed,
    /// The same for the system, another for the build: a user namespace.
    Namespace,
}

impl Variation {
    /// The two builds. What the second can have depends on the system, so it is tried with `program --version`.
    pub(super) fn pair(folders: [PathBuf; 2], program: &Path) -> Result<[Self; 2], ReproError> {
        let [first, second] = folders;
        let first = Self {
            folder: first,
            private: false,
            umask: 0o022,
            time_zone: "UTC0",
            locale: "C",
            epoch: "1",
            user_name: "first",
            user: User::Same(String::new()),
            one_processor: false,
        };
        let mut second = Self {
            folder: second,
            private: true,
            umask: 0o077,
            time_zone: "Asia/Tokyo",
            locale: "C.UTF-8",
            epoch: "4000000000",
            user_name: "second",
            one_processor: true,
            ..first.clone()
        };
        fs::create_dir_all(&second.folder).map_err(ReproError::io(&second.folder))?;
        // Whatever this process's umask is, another user must get through to the last folder.
        for folder in second.folder.ancestors().skip(1).take(PARENTS) {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(ReproError::io(folder))?;
        }
        second.user = second.another_user(program);
        Ok([first, second])
    }

    /// What differs, and what doesn't and why.
    pub(super) fn compare(first: &Self, second: &Self) -> Vec<Varied> {
        let path = |path: &Path| path.display().to_string();
        // SAFETY: the call has no arguments and can't fail.
        let own = unsafe { libc::geteuid() }.to_string();
        let mut user = Varied::new("user", &own, &OTHER_USER.to_string());
        if let User::Same(why) = &second.user {
            (user.second, user.not_varied) = (own, Some(why.clone()));
        }
        let all = processors();
        let mut cores = Varied::new("processors", &all.to_string(), "1");
        if all < 2 {
            cores.not_varied = Some("this machine has one".to_owned());
        }
        let mut clock = Varied::new("clock", "the system's", "the system's");
        clock.not_varied = Some("no build can have one of its own; the second is later".to_owned());
        vec![
            Varied::new("folder", &path(&first.folder), &path(&second.folder)),
            user,
            Varied::new(
                "cargo home",
                &path(&first.cargo_home()),
                &path(&second.cargo_home()),
            ),
            Varied::new("cache", &path(&first.cache()), &path(&second.cache())),
            Varied::new(
                "umask",
                &format!("{:03o}", first.umask),
                &format!("{:03o}", second.umask),
            ),
            clock,
            Varied::new("time zone", first.time_zone, second.time_zone),
            Varied::new("SOURCE_DATE_EPOCH", first.epoch, second.epoch),
            Varied::new(
                "modes and times of source files",
                "as they are",
                "0700, 2001-09-09",
            ),
            Varied::new("locale", first.locale, second.locale),
            cores,
        ]
    }

    /// Where the copy of the source lies.
    pub(super) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Where the image is written.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    fn cargo_home(&self) -> PathBuf {
        self.folder.join("cargo")
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Whether files of the source are readable by their owner alone.
    pub(super) fn private(&self) -> bool {
        self.private
    }

    /// Makes the folders that a build expects, and gives all to its user.
    pub(super) fn prepare(&self) -> Result<(), ReproError> {
        for folder in [self.folder.join("home"), self.cargo_home(), self.cache()] {
            fs::create_dir_all(&folder).map_err(ReproError::io(&folder))?;
        }
        if self.user == User::Changed {
            give(&self.folder)?;
        }
        Ok(())
    }

    /// Removes all but the image.
    pub(super) fn remove(&self) -> Result<(), ReproError> {
        for folder in [
            self.source(),
            self.folder.join("home"),
            self.cargo_home(),
            self.cache(),
        ] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ReproError::io(&folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives a command these surroundings.
    pub(super) fn apply(&self, command: &mut Command) {
        self.environment(command);
        let umask = self.umask;
        let one_processor = self.one_processor;
        let maps = (self.user == User::Namespace).then(Maps::new);
        if self.user == User::Changed {
            command.uid(OTHER_USER).gid(OTHER_USER);
        }
        let set_up = move || {
            // SAFETY: umask can't fail, and takes a number.
            unsafe { libc::umask(umask) };
            if one_processor {
                keep_one_processor()?;
            }
            maps.as_ref().map_or(Ok(()), Maps::enter)
        };
        // SAFETY: the closure runs in the child before exec and makes system calls only: no allocation, no lock.
        unsafe { command.pre_exec(set_up) };
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("HOME", self.folder.join("home"))
            .env("USER", self.user_name)
            .env("LOGNAME", self.user_name)
            .env("TZ", self.time_zone)
            .env("LC_ALL", self.locale)
            .env("LANG", self.locale)
            .env("SOURCE_DATE_EPOCH", self.epoch)
            .env("CARGO_HOME", self.cargo_home())
            .env("XDG_CACHE_HOME", self.cache());
        if self.folder.is_dir() {
            command.current_dir(&self.folder);
        }
    }

    /// Tries to be somebody else: a user of the system where this is root, else one of a namespace.
    fn another_user(&self, program: &Path) -> User {
        let tries = |user: User| {
            let candidate = Self { user, ..self.clone() };
            let mut command = Command::new(program);
            candidate.apply(&mut command);
            // Builds run in namespaces of their own: that user must be able to make one.
            // SAFETY: the closure makes one system call on numbers.
            unsafe {
                command.pre_exec(|| match libc::unshare(libc::CLONE_NEWUSER) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                });
            }
            let status = command
                .arg("--version")
                .current_dir(&self.folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            status
                .is_ok_and(|status| status.success())
                .then_some(candidate.user)
        };
        // SAFETY: the call has no arguments and can't fail.
        let root = unsafe { libc::geteuid() } == 0;
        root.then(|| tries(User::Changed))
            .flatten()
            .or_else(|| tries(User::Namespace))
            .unwrap_or_else(|| {
                User::Same(
                    "neither another user nor one of a user namespace can run the program in the work folder"
                        .to_owned(),
                )
            })
    }
}

/// What a user namespace maps: the user of this process, under another number.
struct Maps {
    users: CString,
    groups: CString,
}

impl Maps {
    fn new() -> Self {
        // SAFETY: the calls have no arguments and can't fail.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let line = |id: u32| CString::new(format!("{OTHER_USER} {id} 1")).expect("digits hold no NUL");
        Self {
            users: line(user),
            groups: line(group),
        }
    }

    fn enter(&self) -> io::Result<()> {
        // SAFETY: the call takes flags.
        if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
            return Err(io::Error::last_os_error());
        }
        write_to(c"/proc/self/setgroups", c"deny")?;
        write_to(c"/proc/self/uid_map", &self.users)?;
        write_to(c"/proc/self/gid_map", &self.groups)
    }
}

fn write_to(path: &CStr, text: &CStr) -> io::Result<()> {
    // SAFETY: both are strings that end in NUL and live through the calls; the descriptor is closed once.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        let length = text.to_bytes().len();
        let written = libc::write(file, text.as_ptr().cast(), length);
        let error = io::Error::last_os_error();
        libc::close(file);
        if usize::try_from(written) == Ok(length) {
            Ok(())
        } else {
            Err(error)
        }
    }
}

/// Leaves the first of the processors that this process may run on.
fn keep_one_processor() -> io::Result<()> {
    // SAFETY: the set is plain memory of the size that is named, and the macros index within it.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        let count = usize::try_from(libc::CPU_SETSIZE).unwrap_or_default();
        let first = (0..count).find(|at| libc::CPU_ISSET(*at, &set));
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(first.unwrap_or_default(), &mut set);
        if libc::sched_setaffinity(0, size, &raw const set) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives a folder and all below it to the other user.
fn give(folder: &Path) -> Result<(), ReproError> {
    let change = |path: &Path| lchown(path, Some(OTHER_USER), Some(OTHER_USER)).map_err(ReproError::io(path));
    change(folder)?;
    for entry in fs::read_dir(folder).map_err(ReproError::io(folder))? {
        let entry = entry.map_err(ReproError::io(folder))?;
        let path = entry.path();
        if entry.file_type().map_err(ReproError::io(&path))?.is_dir() {
            give(&path)?;
        } else {
            change(&path)?;
        }
    }
    Ok(())
}
