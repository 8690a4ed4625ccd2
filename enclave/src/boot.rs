//! PID 1 of the measured image, once `jeju-init` has left the initramfs and executed this program in its place.
//!
//! Nothing of the host is read but the launch document: the arguments are `jeju-init`'s, there is no environment, and the
//! kernel command line isn't looked at. Each step that fails ends the machine with its own number.

mod heartbeat;

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use jeju_attestation::tee::Tee;
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::GuestTransport;

use crate::arguments;
use crate::core_dumps;
use crate::fatal::{Ending, fatal, set_ending};
use crate::handover::ModelFile;
use crate::node::{self, Setup};
use crate::supervise::Outcome;

/// Boots and runs the node, with the arguments after the program's name. The machine powers off when it ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ! {
    set_ending(Ending::PowerOff);
    let code = match boot(arguments) {
        Ok(Outcome::Fatal(code)) => code,
        // Nobody inside an image can ask PID 1 to stop.
        Ok(Outcome::Stopped) => FatalCode::Internal,
        Err(code) => code,
    };
    fatal(code)
}

fn boot(arguments: impl IntoIterator<Item = OsString>) -> Result<Outcome, FatalCode> {
    core_dumps::forbid().map_err(|_| FatalCode::Internal)?;
    let files = arguments::parse_boot(arguments).map_err(|_| FatalCode::BadArguments)?;
    let models = files.models.into_iter().map(|(name, file)| ModelFile {
        name,
        file: file.into(),
    });
    let transport = GuestTransport::Vsock;
    let device = node::device_of_image(&transport)?;
    if device.tee() == Tee::Nitro {
        heartbeat::send();
    }
    Ok(node::run(
        Setup {
            image: true,
            transport,
            models: models.collect(),
            agent: files.agent.map(File::from),
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
