//! The image's first program: mounts the kernel's file systems, leaves the initramfs for a root of its own, and becomes
//! the node.
//!
//! It is an archive of its own, so that on AWS Nitro PCR1 (kernel, command line, this program) names the platform and
//! PCR2 the node; and it depends on nothing but libc, so that it seldom changes. What the kernel passes on as arguments and
//! environment is the launcher's text: neither is read, nor handed on.

mod mounts;

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;

/// The node, from the second archive.
const NODE: &str = "/node/jeju-enclave";
/// What the node puts into containers of rentals, from the same archive. An image without it takes no rentals.
const AGENT: &str = "/node/jeju-rental-agent";
/// Where the third archive brings models.
const MODELS: &str = "/model";

/// Why there is no node, by the number that `docs/operating.md` explains. The machine powers off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Fatal {
    MountFailed = 2,
    ModelMissing = 8,
    Internal = 13,
}

fn main() {
    // Nobody else has a use for it.
    if std::process::id() != 1 {
        eprintln!("jeju-init runs only as PID 1 of the image");
        std::process::exit(1);
    }
    let fatal = match start() {
        Ok(never) => match never {},
        Err(fatal) => fatal,
    };
    // A console that can't be written to is no reason to go on differently.
    let _ = writeln!(io::stdout(), "JEJU-FATAL {}", fatal as u16);
    power_off()
}

fn start() -> Result<std::convert::Infallible, Fatal> {
    forbid_core_dumps().map_err(|_| Fatal::Internal)?;
    mounts::mount_kernel_filesystems().map_err(|_| Fatal::MountFailed)?;
    // They stay in the memory into which the kernel unpacked them, and are reached by descriptor from here on: a copy into
    // the new root would double a hundred megabytes. Their names go with the old root, so that the memory is freed once
    // the node has loaded a model and closes its file.
    let node = File::open(NODE).map_err(|_| Fatal::Internal)?;
    let agent = open_if_there(Path::new(AGENT)).map_err(|_| Fatal::Internal)?;
    let models = open_models(Path::new(MODELS)).map_err(|_| Fatal::ModelMissing)?;
    mounts::leave_initramfs().map_err(|_| Fatal::MountFailed)?;
    become_node(&node, models, agent).map_err(|_| Fatal::Internal)
}

fn forbid_core_dumps() -> io::Result<()> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit outlives the call.
    mounts::check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })
}

/// Opens all models of the image, by name. An image without models has no directory for them.
fn open_models(directory: &Path) -> io::Result<Vec<(String, File)>> {
    let mut paths = match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<PathBuf>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    paths.iter().map(|path| open_model(path)).collect()
}

/// Opens a file that an image may lack.
fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_model(path: &Path) -> io::Result<(String, File)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    let file = File::open(path)?;
    match file.metadata()?.is_file() {
        true => Ok((name, file)),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Executes the node in this process, with the other files as open descriptors and an empty environment.
fn become_node(
    node: &File,
    models: Vec<(String, File)>,
    agent: Option<File>,
) -> io::Result<std::convert::Infallible> {
    let mut arguments = vec![c"jeju-enclave".to_owned()];
    for (name, file) in models {
        let descriptor = file.into_raw_fd();
        keep_on_exec(descriptor)?;
        arguments.push(c"--model".to_owned());
        arguments.push(CString::new(format!("{descriptor}:{name}"))?);
    }
    if let Some(file) = agent {
        let descriptor = file.into_raw_fd();
        keep_on_exec(descriptor)?;
        arguments.push(c"--agent".to_owned());
        arguments.push(CString::new(descriptor.to_string())?);
    }
    let mut pointers: Vec<_> = arguments
        .iter()
        .map(|argument| argument.as_ptr().cast_mut())
        .collect();
    pointers.push(ptr::null_mut());
    let environment = [ptr::null_mut()];
    let empty: &CStr = c"";
    // SAFETY: the descriptor is open, the strings are NUL-terminated, both lists end in a null pointer, and all of them
    // outlive the call.
    unsafe {
        libc::execveat(
            node.as_raw_fd(),
            empty.as_ptr(),
            pointers.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(io::Error::last_os_error())
}

fn keep_on_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: a plain system call on an open descriptor.
    mounts::check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) })
}

fn power_off() -> ! {
    // Without ACPI (Nitro) Linux can only halt, and a halted machine looks like a running one to its host; a reset ends it
    // there.
    let command = match Path::new("/sys/firmware/acpi").exists() {
        true => libc::RB_POWER_OFF,
        false => libc::RB_AUTOBOOT,
    };
    // SAFETY: a plain system call.
    unsafe { libc::reboot(command) };
    // PID 1 must not end either way; if it does, the kernel panics, which resets the machine as well.
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jeju_shim_protocol::fatal::{FatalCode, serial_line};

    #[test]
    fn numbers_are_those_of_the_protocol() {
        for (ours, theirs) in [
            (Fatal::MountFailed, FatalCode::MountFailed),
            (Fatal::ModelMissing, FatalCode::ModelMissing),
            (Fatal::Internal, FatalCode::Internal),
        ] {
            assert_eq!(format!("JEJU-FATAL {}", ours as u16), serial_line(theirs));
        }
    }

    #[test]
    fn an_image_may_lack_the_agent_but_not_have_something_else_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jeju-rental-agent");
        assert!(open_if_there(&path).unwrap().is_none());
        fs::write(&path, "agent").unwrap();
        assert!(open_if_there(&path).unwrap().is_some());
        assert!(open_if_there(directory.path()).is_err());
    }

    #[test]
    fn models_are_opened_in_order_and_must_be_files() {
        let directory = tempfile::tempdir().unwrap();
        assert!(open_models(&directory.path().join("absent")).unwrap().is_empty());
        fs::write(directory.path().join("b.gguf"), "b").unwrap();
        fs::write(directory.path().join("a.gguf"), "a").unwrap();
        let models = open_models(directory.path()).unwrap();
        let names: Vec<_> = models.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.gguf", "b.gguf"]);
        fs::create_dir(directory.path().join("c.gguf")).unwrap();
        assert!(open_models(directory.path()).is_err());
    }
}
