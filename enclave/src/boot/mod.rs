//! PID 1 of the measured image: from the kernel's first program to a node that serves.
//!
//! The kernel starts it with the initramfs as root and an open console. Nothing of the host is read but the launch
//! document: no arguments, no environment, no kernel command line. Each step that fails ends the machine with its own
//! number.

mod heartbeat;
mod mounts;

use std::path::Path;

use jeju_attestation::tee::Tee;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::GuestTransport;

use crate::fatal::{Ending, fatal, set_ending};
use crate::handover::ModelFile;
use crate::node::{self, Setup};
use crate::supervise::Outcome;

/// Where the image keeps its models.
const MODELS: &str = "/model";

/// Boots and runs the node. The machine powers off when it ends.
pub fn run() -> ! {
    set_ending(Ending::PowerOff);
    let code = match boot() {
        Ok(Outcome::Fatal(code)) => code,
        // Nobody inside an image can ask PID 1 to stop.
        Ok(Outcome::Stopped) => FatalCode::Internal,
        Err(code) => code,
    };
    fatal(code)
}

fn boot() -> Result<Outcome, FatalCode> {
    forbid_core_dumps()?;
    mounts::mount_kernel_filesystems().map_err(|_| FatalCode::MountFailed)?;
    // The models stay in the initramfs's memory, where the kernel has unpacked them, and are reached by descriptor
    // from here on: a copy into the new root would double 100 MB, and no rename crosses file systems. Their names go
    // with the old root, so that the memory is freed when the front has loaded them and closes the files.
    let models = open_models(Path::new(MODELS)).map_err(|_| FatalCode::ModelMissing)?;
    mounts::leave_initramfs().map_err(|_| FatalCode::MountFailed)?;

    let transport = GuestTransport::Vsock;
    let device = node::device_of_image(&transport)?;
    if device.tee() == Tee::Nitro {
        heartbeat::send();
    }
    Ok(node::run(
        Setup {
            image: true,
            transport,
            models,
            state: None,
        },
        device,
    ))
}

/// Turns the machine off.
pub fn power_off() -> ! {
    // Without ACPI (Nitro) Linux can only halt, and a halted machine looks like a running one to its host; a reset
    // ends it there.
    let command = match Path::new("/sys/firmware/acpi").exists() {
        true => libc::RB_POWER_OFF,
        false => libc::RB_AUTOBOOT,
    };
    // SAFETY: a plain system call.
    unsafe { libc::reboot(command) };
    // PID 1 must not end either way; if it does, the kernel panics, which resets the machine as well.
    std::process::abort()
}

fn forbid_core_dumps() -> Result<(), FatalCode> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit outlives the call; the other is a plain system call.
    let outcome = unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none) | libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(FatalCode::Internal)
    }
}

/// Opens all models of the image, by name. An image without models has no directory for them.
fn open_models(directory: &Path) -> std::io::Result<Vec<ModelFile>> {
    let mut paths = match std::fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    paths.iter().map(|path| ModelFile::open(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_opened_in_order_and_must_be_files() {
        let directory = tempfile::tempdir().unwrap();
        assert!(open_models(&directory.path().join("absent")).unwrap().is_empty());
        std::fs::write(directory.path().join("b.gguf"), "b").unwrap();
        std::fs::write(directory.path().join("a.gguf"), "a").unwrap();
        let names: Vec<_> = open_models(directory.path())
            .unwrap()
            .into_iter()
            .map(|model| model.name)
            .collect();
        assert_eq!(names, ["a.gguf", "b.gguf"]);
        std::fs::create_dir(directory.path().join("c.gguf")).unwrap();
        assert!(open_models(directory.path()).is_err());
    }
}
