//! The image in QEMU's q35 machine, with a vsock device that needs neither root nor kernel support on the host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::HostTransport;
use jeju_simulated::Chip;

use super::accelerator::{self, Accelerator};
use super::child::Child;
use super::load::{self, Loaded};
use super::serial::Watched;
use super::state::StateDir;
use super::{EventSink, QemuGuest, RunError, Started, serve_silicon};
use crate::measure::Measured;

/// Context id of the guest. Each launch has a vsock device of its own, so all guests can have the same; but not 3, at which
/// guests look for a Nitro instance.
const GUEST_CID: &str = "4";
/// How long the vsock device may take to listen.
const DEVICE_LIMIT: Duration = Duration::from_secs(10);
const DEVICE_POLL: Duration = Duration::from_millis(10);

/// Starts QEMU on an image. `chip` makes the simulated silicon once the image is measured.
pub(super) async fn start(
    guest: &QemuGuest,
    state: &StateDir,
    events: &EventSink,
    chip: impl FnOnce(&Measured) -> Chip,
) -> Result<Started, RunError> {
    // Before the work: what is missing is told at once.
    let (qemu, device) = (program()?, vsock_device()?);
    let loaded = load::load(&guest.image, state, guest.allow_modified)?;
    let chip = chip(&loaded.measured);
    let accelerator = accelerator::choose(guest.accelerator, &loaded.kernel, state, events).await?;

    let uds = state.socket("vsock");
    let mut silicon_socket = OsString::from(&uds);
    silicon_socket.push(format!("_{}", Port::Silicon));
    let silicon = serve_silicon(Path::new(&silicon_socket), chip)?;

    let device_socket = state.socket("device");
    let mut command = Command::new(device);
    command.args(["--guest-cid", GUEST_CID]);
    command
        .arg("--uds-path")
        .arg(&uds)
        .arg("--socket")
        .arg(&device_socket);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(state.file(""));
    let (mut device, _) = Child::spawn(command)?;
    await_socket(&device_socket, &mut device).await?;
    let door = Door::shut(state, &uds)?;

    let mut command = Command::new(qemu);
    command.args(arguments(guest, &loaded, accelerator, &device_socket));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir(state.file(""));
    let launched = Instant::now();
    let (node, pipes) = Child::spawn(command)?;
    let serial = Watched::watch(pipes, events, guest.console)?;
    Ok(Started {
        node,
        device: Some(device),
        door: Some(door),
        serial,
        _silicon: silicon,
        measured: loaded.measured,
        transport: HostTransport::VhostUser(uds),
        accelerator: Some(accelerator),
        launched,
    })
}

/// The device's socket for the host, under another name until the guest is ready.
///
/// vhost-device-vsock 0.3.0 must not be dialled while the guest's driver starts: a connection that it sees after it got the
/// guest's memory and before it got the queues ends its event loop, which isn't told to anybody, and the guest is unreachable
/// for good (`vhu_vsock.rs`, `handle_event`: `process_tx` fails).
#[derive(Debug)]
pub(super) struct Door {
    shut: PathBuf,
    open: PathBuf,
}

impl Door {
    fn shut(state: &StateDir, socket: &Path) -> Result<Self, RunError> {
        let (shut, open) = (state.socket("shut"), socket.to_owned());
        rename(&open, &shut)?;
        Ok(Self { shut, open })
    }

    pub(super) fn open(self) -> Result<(), RunError> {
        rename(&self.shut, &self.open)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), RunError> {
    fs::rename(from, to).map_err(|source| RunError::Io {
        path: from.to_owned(),
        source,
    })
}

/// QEMU: `JEJU_QEMU`, or from the search path.
pub(super) fn program() -> Result<PathBuf, RunError> {
    find(
        "JEJU_QEMU",
        "qemu-system-x86_64",
        "apt-get install qemu-system-x86",
    )
}

/// The vsock device: `JEJU_VSOCK_DEVICE`, or from the search path.
fn vsock_device() -> Result<PathBuf, RunError> {
    let install = "cargo install vhost-device-vsock --version 0.3.0 --locked";
    find("JEJU_VSOCK_DEVICE", "vhost-device-vsock", install)
}

fn find(variable: &str, program: &'static str, install: &'static str) -> Result<PathBuf, RunError> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.ok_or(RunError::Missing { program, install })
}

/// QEMU connects to the vsock device once, so the device must listen before.
async fn await_socket(socket: &Path, device: &mut Child) -> Result<(), RunError> {
    let listening = async {
        while fs::symlink_metadata(socket).is_err() {
            tokio::time::sleep(DEVICE_POLL).await;
        }
    };
    tokio::select! {
        () = listening => Ok(()),
        _ = device.ended() => Err(RunError::Device(DEVICE_LIMIT)),
        () = tokio::time::sleep(DEVICE_LIMIT) => Err(RunError::Device(DEVICE_LIMIT)),
    }
}

fn arguments(guest: &QemuGuest, loaded: &Loaded, accelerator: Accelerator, device: &Path) -> Vec<OsString> {
    let memory = guest.memory_mib;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    option(
        "-machine",
        format!("q35,accel={},memory-backend=memory", accelerator.name()).into(),
    );
    option("-cpu", accelerator.cpu().into());
    option("-smp", guest.cpus.to_string().into());
    option("-m", format!("{memory}M").into());
    // Shared, because the vsock device reads and writes the guest's buffers.
    option(
        "-object",
        format!("memory-backend-memfd,id=memory,size={memory}M,share=on").into(),
    );
    option("-display", "none".into());
    option("-monitor", "none".into());
    option("-chardev", "stdio,id=serial,signal=off".into());
    option("-serial", "chardev:serial".into());
    option("-chardev", with_path("socket,id=vsock,path=", device));
    option("-device", "vhost-user-vsock-pci,chardev=vsock".into());
    option("-kernel", loaded.kernel.clone().into());
    option("-initrd", loaded.initrd.clone().into());
    option("-append", loaded.cmdline.clone().into());
    arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    arguments
}

/// A comma in the value of a QEMU option is written twice.
fn with_path(option: &str, path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = option.as_bytes().to_vec();
    for byte in path.as_os_str().as_bytes() {
        bytes.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(
            with_path("socket,path=", Path::new("/a,b/c")),
            "socket,path=/a,,b/c"
        );
    }

    #[test]
    fn a_missing_program_is_named_with_what_installs_it() {
        let error = find("JEJU_NO_SUCH_VARIABLE", "no-such-program", "apt-get install it").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed: apt-get install it"
        );
    }
}
