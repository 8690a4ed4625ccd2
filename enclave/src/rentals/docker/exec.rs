//! Commands in a container: to their end, or the agent's, whose standard input and output stay open.

use std::time::Duration;

use bytes::Bytes;
use jeju_shim_protocol::docker::answer::{Created, Exec};
use jeju_shim_protocol::docker::frame::Output;
use jeju_shim_protocol::docker::{AGENT_PATH, ContainerName, ExecId, ExecSpec, Request};
use jeju_shim_protocol::transport::Stream;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::attached::Attached;
use super::client::{CallError, Client};
use super::frames::Frames;
use super::text::printable;
use super::{AGAIN, ANSWER, START};
use crate::rentals::backend::{BackendError, ExecOutput};

/// Time for a command, as the agent holds it to, and what starting and ending it may take besides.
pub(super) const EXEC: Duration = Duration::from_secs(30);
const AROUND: Duration = Duration::from_secs(20);
/// Status with which the agent says that it stopped a command.
const STOPPED: i64 = 124;
/// Most that is kept of each output, in bytes.
const MAX_OUTPUT: usize = 256 * 1024;
/// First byte that the agent says: its protocol begins with the kind of a frame.
const HELLO: u8 = 0;
/// Longest text that is read of an engine that says why the agent doesn't run, and how long.
const MAX_REASON: u64 = 512;
const REASON: Duration = Duration::from_secs(1);

/// Runs a command to its end, or for as long as `limit`, in whole seconds. The agent keeps the time, so that nothing of it goes on
/// if this process, the shim or the connection ends before it.
pub(super) async fn run(
    client: &Client,
    name: ContainerName,
    command: Vec<String>,
    limit: Duration,
) -> Result<ExecOutput, BackendError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(BackendError::Refused("the command names no program".to_owned()));
    }
    let seconds = limit.as_secs().to_string();
    let mut whole = [AGENT_PATH, "run", &seconds, "--"].map(str::to_owned).to_vec();
    whole.extend(command);
    let spec = ExecSpec {
        command: whole,
        stdin: false,
    };
    timeout(limit + AROUND, async {
        let id = prepare(client, name, spec).await?;
        let started = Instant::now();
        let (stream, early) = client.upgrade(id, START).await?;
        let outputs = collect(stream, early).await?;
        let exit_code = ended(client, id).await?;
        // A command's own status may be the same; it isn't as late.
        if exit_code == STOPPED && started.elapsed() >= limit {
            return Err(BackendError::Stopped(limit.as_secs()));
        }
        Ok(ExecOutput {
            exit_code,
            stdout: outputs.kept[0].clone().into(),
            stderr: outputs.kept[1].clone().into(),
            truncated: outputs.truncated,
        })
    })
    .await
    .unwrap_or(Err(BackendError::TimedOut))
}

/// Starts the agent. Waits until it speaks, since an engine hands over the connection before it knows whether the program
/// runs.
pub(super) async fn attach(client: &Client, name: ContainerName) -> Result<Attached<Stream>, BackendError> {
    timeout(START, async {
        let id = prepare(client, name, ExecSpec::agent()).await?;
        let (stream, early) = client.upgrade(id, START).await?;
        let mut attached = Attached::new(stream, early);
        let mut first = [0; 1];
        match attached.read(&mut first).await {
            Ok(1) if first[0] == HELLO => {
                attached.hold(Bytes::from_static(&[HELLO]));
                Ok(attached)
            }
            Ok(1) => {
                let mut reason = first.to_vec();
                let _ = timeout(REASON, attached.take(MAX_REASON).read_to_end(&mut reason)).await;
                Err(BackendError::Agent(printable(
                    &String::from_utf8_lossy(&reason),
                    MAX_REASON as usize,
                )))
            }
            Ok(_) => Err(BackendError::Agent(format!(
                "it ended at once with status {}",
                ended(client, id).await?
            ))),
            Err(error) => Err(BackendError::Unavailable(error.to_string())),
        }
    })
    .await
    .unwrap_or(Err(BackendError::TimedOut))
}

async fn prepare(client: &Client, name: ContainerName, spec: ExecSpec) -> Result<ExecId, BackendError> {
    let created: Result<Created, CallError> = client.read(&Request::CreateExec { name, spec }, ANSWER).await;
    match created {
        Ok(created) => created
            .id
            .parse()
            .map_err(|_| BackendError::Unavailable("an exec has no id".to_owned())),
        Err(error) if error.is_conflict() => Err(BackendError::NotRunning),
        Err(error) => Err(error.into()),
    }
}

/// The exit code, once the engine knows it: it may be a moment behind the end of the output.
async fn ended(client: &Client, id: ExecId) -> Result<i64, BackendError> {
    loop {
        let found: Exec = client.read(&Request::InspectExec { id }, ANSWER).await?;
        if found.id != id.to_string() {
            return Err(BackendError::Unavailable(
                "it answers for another exec".to_owned(),
            ));
        }
        match found.exit_code {
            Some(code) if !found.running => return Ok(code),
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}

#[derive(Default)]
struct Outputs {
    kept: [Vec<u8>; 2],
    truncated: bool,
}

/// Reads both outputs to their end: what isn't kept is read too, so that the command doesn't wait for ever.
async fn collect(mut stream: Stream, early: Bytes) -> Result<Outputs, BackendError> {
    let (mut frames, mut outputs) = (Frames::default(), Outputs::default());
    let mut take = |frames: &mut Frames, bytes: &[u8]| {
        frames.feed(bytes, |output, bytes| {
            let kept = match output {
                Output::Stdout => &mut outputs.kept[0],
                Output::Stderr => &mut outputs.kept[1],
            };
            let room = MAX_OUTPUT - kept.len();
            outputs.truncated |= bytes.len() > room;
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })
    };
    let broken = |what: &dyn ToString| BackendError::Unavailable(what.to_string());
    take(&mut frames, &early).map_err(|error| broken(&error))?;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match stream.read(&mut buffer).await.map_err(|error| broken(&error))? {
            0 => break,
            count => take(&mut frames, &buffer[..count]).map_err(|error| broken(&error))?,
        }
    }
    match frames.is_between() {
        true => Ok(outputs),
        false => Err(broken(&"a command's output ends early")),
    }
}
