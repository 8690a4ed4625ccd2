//! The node as an ordinary process, for development: no guest, but the same boundary, launch document and silicon.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jeju_attestation::measurement::MeasurementId;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::transport::HostTransport;
use jeju_simulated::Chip;
use jeju_simulated::measure::process_digest;

use super::child::{Child, Pipes};
use super::serial::Watched;
use super::state::StateDir;
use super::{EventSink, ProcessGuest, RunError, Started, load, serve_silicon};
use crate::measure::Measured;

const BUSY_PAUSE: Duration = Duration::from_millis(20);
const BUSY_TRIES: u32 = 50;

/// Starts the node on its own copies of its files. `chip` makes the simulated silicon once they are measured.
pub(super) fn start(
    guest: &ProcessGuest,
    state: &mut StateDir,
    events: &EventSink,
    chip: impl FnOnce(&Measured) -> Chip,
) -> Result<Started, RunError> {
    let transport = HostTransport::Unix(state.boundary()?.to_owned());
    let enclave = state.file("jeju-enclave");
    let enclave_digest = load::copy_file(&guest.enclave, &enclave, 0o500)?;
    let copy = |path: &Option<PathBuf>, name: &str| {
        let Some(path) = path else { return Ok(None) };
        let copy = state.file(name);
        let digest = load::copy_file(path, &copy, 0o400)?;
        Ok::<_, RunError>(Some((copy, digest)))
    };
    let model = copy(&guest.model, "model.gguf")?;
    let agent = copy(&guest.agent, "jeju-rental-agent")?;
    let model_digests: Vec<_> = model.iter().map(|(_, digest)| *digest).collect();
    let agent_digest = agent.as_ref().map(|(_, digest)| digest);
    let image_digest = process_digest(&enclave_digest, &model_digests, agent_digest);
    let measured = Measured {
        image_digest,
        measurement: MeasurementId::simulated(&image_digest),
    };
    let silicon = serve_silicon(
        &state.boundary_socket(&format!("{}.sock", Port::Silicon))?,
        chip(&measured),
    )?;

    let command = || {
        let mut command = Command::new(&enclave);
        // As in an image, no environment: nothing unmeasured gets in.
        command.env_clear().current_dir("/");
        command.args(["--platform", "simulated", "--transport", &transport.to_string()]);
        if let Some((path, _)) = &model {
            command.arg("--model").arg(path);
        }
        if let Some((path, _)) = &agent {
            command.arg("--agent").arg(path);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let launched = Instant::now();
    let (node, pipes) = spawn(command)?;
    let serial = Watched::watch(pipes, events, guest.console)?;
    Ok(Started {
        node,
        device: None,
        door: None,
        serial,
        _silicon: silicon,
        measured,
        transport,
        accelerator: None,
        launched,
    })
}

/// A file that was just written is busy while another thread of this process forks: its child holds the file open
/// until it becomes another program.
fn spawn(command: impl Fn() -> Command) -> Result<(Child, Pipes), RunError> {
    let mut tries = 0;
    loop {
        match Child::spawn(command()) {
            Err(RunError::Spawn { source, .. })
                if source.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                thread::sleep(BUSY_PAUSE);
            }
            result => return result,
        }
    }
}
