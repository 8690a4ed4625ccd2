//! The node: its image or binary, the launcher, and the host shim.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::measurement::MeasurementId;
use jeju_simulated::measure::process_digest;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::children::Children;
use super::progress::Progress;
use super::{DevArguments, DevError, programs};

const IMAGE: &str = "jeju-image";
const SHIM: &str = "jeju-host-shim";
const ENCLAVE: &str = "jeju-enclave";
const AGENT: &str = "jeju-rental-agent";
const MANIFEST: &str = "manifest.json";
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
const MEASURE_LIMIT: Duration = Duration::from_secs(300);
/// Hashing an image and probing for KVM come before the start.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Folder of the image that holds models.
const MODELS: &str = "/model/";

/// What will boot.
pub(super) struct Boot {
    /// Arguments of the launcher that name it.
    launcher: Vec<PathBuf>,
    /// What it measures to: as the image's manifest says, or as binary and model hash.
    pub(super) measurement: HexBytes<32>,
    /// Digest that stands for the release on chain.
    pub(super) release: HexBytes<32>,
    /// Digest of the model.
    pub(super) model: HexBytes<32>,
}

impl Boot {
    /// Finds the node, and builds the image if there is none.
    pub(super) async fn prepare(
        arguments: &DevArguments,
        state: &Path,
        progress: &mut Progress,
    ) -> Result<Self, DevError> {
        if let (true, Some(model)) = (arguments.process, &arguments.model) {
            let agent = arguments.agent.as_deref();
            if arguments.docker.is_some() && agent.is_none() {
                return Err(DevError::Missing {
                    program: AGENT,
                    hint: "give --agent FILE, a static build of it".to_owned(),
                });
            }
            return Self::process(arguments.enclave.as_deref(), Some(model), agent);
        }
        let image = match &arguments.image {
            Some(image) => image.clone(),
            None => state.join("image"),
        };
        if !image.join(MANIFEST).is_file() {
            let building = build(arguments, &image);
            progress.step("build", "building the image", building).await?;
        }
        let mut command = Command::new(programs::program(IMAGE)?);
        command.arg("measure").arg("--json").arg(&image);
        let measuring = programs::json(IMAGE, command, MEASURE_LIMIT);
        let report = progress.step("measure", "measuring the image", measuring).await?;
        let manifest = image.join(MANIFEST);
        let manifest = fs::read(&manifest).map_err(DevError::file(&manifest))?;
        Ok(Self {
            launcher: vec!["--image".into(), absolute(&image)?],
            measurement: digest(&report["measurement"], "measurement")?,
            release: HexBytes(sha256(&manifest)),
            model: model_digest(&report)?,
        })
    }

    /// A node as an ordinary process, of this binary or the one next to this program.
    pub(super) fn process(
        enclave: Option<&Path>,
        model: Option<&Path>,
        agent: Option<&Path>,
    ) -> Result<Self, DevError> {
        let enclave = match enclave {
            Some(enclave) => enclave.to_owned(),
            None => programs::program(ENCLAVE)?,
        };
        let mut launcher = vec!["--process".into(), "--enclave".into(), absolute(&enclave)?];
        let mut models = Vec::new();
        if let Some(model) = model {
            launcher.extend(["--model".into(), absolute(model)?]);
            models.push(file_digest(model)?.0);
        }
        let mut agent_digest = None;
        if let Some(agent) = agent {
            launcher.extend(["--agent".into(), absolute(agent)?]);
            agent_digest = Some(file_digest(agent)?.0);
        }
        let release = file_digest(&enclave)?;
        let image_digest = process_digest(&release.0, &models, agent_digest.as_ref());
        Ok(Self {
            launcher,
            measurement: HexBytes(MeasurementId::simulated(&image_digest).0),
            release,
            model: HexBytes(models.first().copied().unwrap_or_default()),
        })
    }
}

async fn build(arguments: &DevArguments, image: &Path) -> Result<(), DevError> {
    let mut command = Command::new(programs::program(IMAGE)?);
    command.args(["build", "--platform", "qemu", "--out"]).arg(image);
    if let Some(model) = &arguments.model {
        command.arg("--model").arg(model);
    }
    programs::output(IMAGE, &mut command, BUILD_LIMIT).await?;
    Ok(())
}

/// Where a node runs.
pub(super) struct Place<'a> {
    /// What tells its programs and logs from those of other nodes.
    pub(super) name: &'a str,
    /// Launch document.
    pub(super) launch: &'a Path,
    /// The launcher's folder.
    pub(super) state: &'a Path,
    /// Folder of the machine's simulated silicon.
    pub(super) silicon: &'a Path,
    /// The folder that has a folder for logs.
    pub(super) logs: &'a Path,
    /// Port of the guest, and the one on loopback that leads to it.
    pub(super) listen: (u16, u16),
    /// Where tenants of its rentals log in, if it rents anything out.
    pub(super) ssh: Option<SocketAddr>,
    /// Docker engine for rentals, as the shim's option has it, and the agent whose containers the node may touch there.
    pub(super) docker: Option<(&'a str, HexBytes<32>)>,
    /// Where it takes workers, if it takes any.
    pub(super) workers: Option<SocketAddr>,
    /// Folder where the shim keeps what the node seals, if it seals anything.
    pub(super) blobs: Option<&'a Path>,
    /// Where the shim may connect to, as `host:port`.
    pub(super) egress: Vec<String>,
}

/// A node that was started.
pub(super) struct Guest {
    /// Whether its instructions are emulated.
    pub(super) emulated: bool,
    events: mpsc::Receiver<Value>,
}

impl Guest {
    /// Starts the launcher, and the shim as soon as it is known how to reach the node.
    pub(super) async fn start(
        boot: &Boot,
        place: &Place<'_>,
        children: &mut Children,
    ) -> Result<Self, DevError> {
        let launcher = format!("{IMAGE}{}", place.name);
        let mut command = Command::new(programs::program(IMAGE)?);
        command
            .arg("run")
            .args(&boot.launcher)
            .arg("--launch")
            .arg(place.launch);
        command.arg("--state").arg(place.state);
        command.arg("--silicon").arg(place.silicon);
        // The caller of `ready` has the limit.
        command.args(["--json", "--ready-within", "86400"]);
        let shim = programs::program(SHIM)?;
        let output = children.start(launcher.clone(), command, place.logs, true)?;
        let mut guest = Self {
            emulated: false,
            events: events(output),
        };
        let started = guest.expect("started", &launcher, children).await?;
        let transport = started["transport"].as_str().ok_or(DevError::Output {
            program: IMAGE,
            expected: "transport",
        })?;
        let mut command = Command::new(shim);
        command
            .args(["run", "--transport", transport, "--launch"])
            .arg(place.launch);
        let (inner, outer) = place.listen;
        command.arg("--listen").arg(format!("{inner}=127.0.0.1:{outer}"));
        if let Some(ssh) = place.ssh {
            command.arg("--listen").arg(format!("2222={ssh}"));
        }
        if let Some(workers) = place.workers {
            command
                .arg("--listen")
                .arg(format!("4020={workers}"))
                .arg("--egress-public");
        }
        if let Some((engine, agent)) = place.docker {
            command.args(["--docker", engine, "--docker-agent", &agent.to_string()]);
        }
        if let Some(blobs) = place.blobs {
            command.arg("--blobs").arg(blobs);
        }
        command.arg("--egress-allow").args(&place.egress);
        children.start(format!("{SHIM}{}", place.name), command, place.logs, false)?;
        Ok(guest)
    }

    /// Waits until the node serves; returns how many milliseconds after its start that was.
    pub(super) async fn ready(&mut self, limit: Duration) -> Result<Option<u64>, DevError> {
        match timeout(limit, self.next("ready")).await {
            Ok(event) => event.map(|event| event["milliseconds"].as_u64()),
            Err(_) => Err(DevError::Late {
                what: "booting the node",
                seconds: limit.as_secs(),
            }),
        }
    }

    /// Waits until the node gives up with a reason. A launcher that just ends is its children's keeper's to notice,
    /// who has its last words.
    pub(super) async fn gave_up(&mut self) -> DevError {
        while let Some(event) = self.events.recv().await {
            if event["event"] == "fatal" {
                return gave_up(event["meaning"].as_str().unwrap_or("no reason"));
            }
        }
        std::future::pending().await
    }

    async fn expect(
        &mut self,
        name: &'static str,
        launcher: &str,
        children: &mut Children,
    ) -> Result<Value, DevError> {
        match timeout(START_LIMIT, self.next(name)).await {
            Ok(Ok(event)) => Ok(event),
            // Its own words say more, once it has ended.
            Ok(Err(error)) => {
                for _ in 0..25 {
                    children.check(launcher)?;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error)
            }
            Err(_) => Err(DevError::Late {
                what: "starting the node",
                seconds: START_LIMIT.as_secs(),
            }),
        }
    }

    async fn next(&mut self, name: &str) -> Result<Value, DevError> {
        while let Some(event) = self.events.recv().await {
            match event["event"].as_str() {
                Some(found) if found == name => return Ok(event),
                Some("accelerator") => {
                    let (name, reason) = (event["name"].as_str(), event["reason"].as_str());
                    self.emulated = name == Some("tcg");
                    let (name, reason) = (name.unwrap_or_default(), reason.unwrap_or_default());
                    eprintln!("  accelerator: {name} ({reason})");
                }
                Some("fatal") => return Err(gave_up(event["meaning"].as_str().unwrap_or("no reason"))),
                _ => {}
            }
        }
        Err(gave_up("see logs/jeju-image.log in the state folder"))
    }
}

/// The public key of this machine's simulated silicon, which the launcher made.
pub(super) fn root_public(silicon: &Path) -> Result<HexBytes<65>, DevError> {
    let path = silicon.join("root.pub");
    let text = fs::read_to_string(&path).map_err(DevError::file(&path))?;
    HexBytes::parse(&format!("0x{}", text.trim())).ok_or(DevError::Output {
        program: IMAGE,
        expected: "public key of simulated silicon",
    })
}

/// Reads events for as long as the launcher writes them, so that it never waits for a reader.
fn events(output: Option<ChildStdout>) -> mpsc::Receiver<Value> {
    let (sender, receiver) = mpsc::channel(1024);
    tokio::spawn(async move {
        let Some(output) = output else { return };
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(event) = serde_json::from_str(&line) {
                // Full only if nobody listens; then the event is nobody's.
                let _ = sender.try_send(event);
            }
        }
    });
    receiver
}

fn gave_up(words: &str) -> DevError {
    DevError::Ended {
        program: "the node".into(),
        words: words.to_owned(),
        missing: false,
    }
}

fn digest(value: &Value, expected: &'static str) -> Result<HexBytes<32>, DevError> {
    value.as_str().and_then(HexBytes::parse).ok_or(DevError::Output {
        program: IMAGE,
        expected,
    })
}

fn model_digest(report: &Value) -> Result<HexBytes<32>, DevError> {
    let entries = report["root"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .find(|entry| {
            entry["path"]
                .as_str()
                .is_some_and(|path| path.starts_with(MODELS))
        })
        .and_then(|entry| HexBytes::parse(&format!("0x{}", entry["sha256"].as_str()?)))
        .ok_or(DevError::Output {
            program: IMAGE,
            expected: "model in the image: build it with --model FILE",
        })
}

fn file_digest(path: &Path) -> Result<HexBytes<32>, DevError> {
    let bytes = fs::read(path).map_err(DevError::file(path))?;
    Ok(HexBytes(sha256(&bytes)))
}

fn absolute(path: &Path) -> Result<PathBuf, DevError> {
    path.canonicalize().map_err(DevError::file(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_model_is_the_one_in_the_image() {
        let digest = "07".repeat(32);
        let report = json!({ "root": [
            { "path": "/init", "sha256": "00".repeat(32) },
            { "path": "/model" },
            { "path": "/model/model.gguf", "sha256": digest },
        ]});
        assert_eq!(model_digest(&report).unwrap(), HexBytes([7; 32]));
        assert_eq!(model_digest(&json!({})).unwrap_err().code(), "program_output");
    }
}
