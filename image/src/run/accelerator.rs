//! KVM where it works, else emulation.
//!
//! `/dev/kvm` says little: in nested or container hosts it can be there, make virtual CPUs, and hang on the first
//! instruction. So the probe runs one: a firmware of five bytes that leaves QEMU with an agreed exit status.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use super::child::Child;
use super::qemu::program;
use super::state::StateDir;
use super::{Event, EventSink, RunError};

/// How long the probe may take.
const LIMIT: Duration = Duration::from_secs(3);
/// Firmware is mapped so that it ends at 4 GiB, 16 bytes after the reset vector.
const FIRMWARE_LEN: usize = 64 * 1024;
/// `mov al, 0x10; out 0xf4, al; hlt`: QEMU's debug exit device ends with status 0x10 × 2 + 1.
const PROBE: [u8; 5] = [0xb0, 0x10, 0xe6, 0xf4, 0xf4];
const PROBE_STATUS: i32 = 33;
/// How much of QEMU's complaint is read, in bytes.
const MAX_REASON: u64 = 1024;

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
    state: &StateDir,
    events: &EventSink,
) -> Result<Accelerator, RunError> {
    let (accelerator, reason) = match choice {
        AcceleratorChoice::Tcg => (Accelerator::Tcg, "as asked for".to_owned()),
        AcceleratorChoice::Auto | AcceleratorChoice::Kvm => match probe(state).await? {
            None => (Accelerator::Kvm, "KVM ran an instruction".to_owned()),
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
async fn probe(state: &StateDir) -> Result<Option<String>, RunError> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("/dev/kvm: {error}")));
    }
    let firmware = state.file("probe");
    write_firmware(&firmware)?;
    let (mut qemu, pipes) = Child::spawn(command(&firmware, Accelerator::Kvm)?)?;
    let ended = timeout(LIMIT, qemu.ended()).await;
    qemu.kill().await;
    Ok(match ended {
        Err(_) => Some(format!("KVM ran no instruction within {LIMIT:?}")),
        Ok(Some(status)) if status.code() == Some(PROBE_STATUS) => None,
        Ok(_) => Some(format!(
            "KVM doesn't work: {}",
            pipes.stderr.map(first_line).unwrap_or_default()
        )),
    })
}

/// What QEMU, which has ended, said first.
fn first_line(stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    // Nothing said is as good as an error.
    let _ = stderr.take(MAX_REASON).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("qemu-system-x86_64: ").to_owned()
}

fn write_firmware(path: &Path) -> Result<(), RunError> {
    let mut bytes = vec![0; FIRMWARE_LEN];
    let reset = FIRMWARE_LEN - 16;
    bytes[reset..reset + PROBE.len()].copy_from_slice(&PROBE);
    fs::write(path, bytes).map_err(|source| RunError::Io {
        path: path.to_owned(),
        source,
    })
}

fn command(firmware: &Path, accelerator: Accelerator) -> Result<Command, RunError> {
    let mut command = Command::new(program()?);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "16"]);
    command.args([
        "-machine",
        &format!("q35,accel={}", accelerator.name()),
        "-cpu",
        accelerator.cpu(),
    ]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    command.arg("-bios").arg(firmware);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // A QEMU that aborts may leave a core file: in a folder that is removed.
    command.current_dir(firmware.parent().unwrap_or(firmware));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probe's five bytes do what the probe waits for, on an accelerator that works everywhere.
    #[tokio::test]
    async fn firmware_ends_qemu_with_the_agreed_status() {
        let folder = tempfile::tempdir().unwrap();
        let firmware = folder.path().join("probe");
        write_firmware(&firmware).unwrap();
        let (mut qemu, _) = Child::spawn(command(&firmware, Accelerator::Tcg).unwrap()).unwrap();
        let status = timeout(Duration::from_secs(20), qemu.ended()).await.unwrap();
        assert_eq!(status.unwrap().code(), Some(PROBE_STATUS));
    }

    #[tokio::test]
    async fn the_probe_is_over_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let limit = LIMIT + Duration::from_secs(10);
        timeout(limit, choose(AcceleratorChoice::Auto, &state, &EventSink::none()))
            .await
            .unwrap()
            .unwrap();
    }
}
