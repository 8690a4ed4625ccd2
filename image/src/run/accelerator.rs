//! KVM where it works, else emulation.
//!
//! `/dev/kvm` says little: in nested hosts it can be there, make virtual CPUs and run a few instructions, and then
//! refuse or hang in the midst of a boot. So the probe boots: the image's kernel without an image, which ends in a
//! panic that it could only reach by running.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use super::child::Child;
use super::qemu::program;
use super::state::StateDir;
use super::{Event, EventSink, RunError};

/// How long the probe may take: where KVM works, it needs a second.
const LIMIT: Duration = Duration::from_secs(10);
/// What the kernel says last when it has no init. It then resets the machine, which ends QEMU.
const BOOTED: &str = "Unable to mount root fs";
/// Emulated timers may be late on a loaded machine: no reason to give up.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 no_timer_check";
/// How much of the kernel's or QEMU's text is read, in bytes.
const MAX_TEXT: u64 = 64 * 1024;

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The CPU, through the host's kernel.
    Kvm,
    /// QEMU's emulation: ten and more times slower.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }

    /// The CPU that has all that this accelerator can give.
    pub(super) fn cpu(self) -> &'static str {
        match self {
            Accelerator::Kvm => "host",
            Accelerator::Tcg => "max",
        }
    }
}

/// What a user wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AcceleratorChoice {
    /// KVM where it works.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation, without a look at KVM.
    Tcg,
}

/// Settles what runs the guest.
pub(super) async fn choose(
    choice: AcceleratorChoice,
    kernel: &Path,
    state: &StateDir,
    events: &EventSink,
) -> Result<Accelerator, RunError> {
    let (accelerator, reason) = match choice {
        AcceleratorChoice::Tcg => (Accelerator::Tcg, "as asked for".to_owned()),
        AcceleratorChoice::Auto | AcceleratorChoice::Kvm => match probe(kernel, state).await? {
            None => (Accelerator::Kvm, "KVM booted a kernel".to_owned()),
            Some(reason) if choice == AcceleratorChoice::Kvm => return Err(RunError::Kvm(reason)),
            Some(reason) => (Accelerator::Tcg, reason),
        },
    };
    events.send(Event::Accelerator {
        name: accelerator.name(),
        reason,
    });
    Ok(accelerator)
}

/// Why KVM doesn't work; `None` if it does.
async fn probe(kernel: &Path, state: &StateDir) -> Result<Option<String>, RunError> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("/dev/kvm: {error}")));
    }
    let booted = boots(kernel, state, Accelerator::Kvm, LIMIT).await?;
    Ok(booted
        .err()
        .map(|reason| format!("KVM booted no kernel: {reason}")))
}

/// Whether a kernel boots, or why not.
async fn boots(
    kernel: &Path,
    state: &StateDir,
    accelerator: Accelerator,
    limit: Duration,
) -> Result<Result<(), String>, RunError> {
    let mut command = Command::new(program()?);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-m",
        "128",
    ]);
    command.args([
        "-machine",
        &format!("q35,accel={}", accelerator.name()),
        "-cpu",
        accelerator.cpu(),
    ]);
    command.args([
        "-chardev",
        "stdio,id=serial,signal=off",
        "-serial",
        "chardev:serial",
        "-append",
        CMDLINE,
    ]);
    command.arg("-kernel").arg(kernel);
    // Files, because nobody reads while it runs. A QEMU that aborts may leave a core file here, too.
    let (serial, complaints) = (state.file("probe.serial"), state.file("probe.log"));
    let new_file = |path: &Path| {
        File::create(path).map_err(|source| RunError::Io {
            path: path.to_owned(),
            source,
        })
    };
    command
        .current_dir(state.file(""))
        .stdout(new_file(&serial)?)
        .stderr(new_file(&complaints)?);

    let (mut qemu, _) = Child::spawn(command)?;
    let ended = timeout(limit, qemu.ended()).await;
    qemu.kill().await;
    if read(&serial).contains(BOOTED) {
        return Ok(Ok(()));
    }
    let complaint = read(&complaints);
    let complaint = complaint
        .lines()
        .next()
        .map(|line| line.trim_start_matches("qemu-system-x86_64: "));
    Ok(Err(match (complaint, ended) {
        (Some(complaint), _) => complaint.to_owned(),
        (None, Ok(_)) => "it reset the machine".to_owned(),
        (None, Err(_)) => format!("not within {limit:?}"),
    }))
}

/// A file that may be missing or too long: nothing, or its start, serves as well.
fn read(path: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MAX_TEXT).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::build::KERNEL;

    fn kernel(state: &StateDir, bytes: &[u8]) -> PathBuf {
        let path = state.file("kernel");
        fs::write(&path, bytes).unwrap();
        path
    }

    /// On an accelerator that works everywhere.
    #[tokio::test]
    async fn the_kernel_ends_as_the_probe_expects() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let kernel = kernel(&state, KERNEL);
        let limit = Duration::from_secs(60);
        boots(&kernel, &state, Accelerator::Tcg, limit)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_kernel_that_does_not_boot_is_told_from_one_that_does() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let kernel = kernel(&state, &[0; 4096]);
        boots(&kernel, &state, Accelerator::Tcg, Duration::from_secs(2))
            .await
            .unwrap()
            .unwrap_err();
    }

    #[tokio::test]
    async fn the_probe_is_over_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let kernel = kernel(&state, KERNEL);
        let limit = LIMIT + Duration::from_secs(10);
        let events = EventSink::none();
        let choice = choose(AcceleratorChoice::Auto, &kernel, &state, &events);
        timeout(limit, choice).await.unwrap().unwrap();
    }
}
