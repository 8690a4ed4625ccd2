//! What this machine can do for a guest, and what stands in the way.

mod engine;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use jeju_shim_protocol::Port;
use jeju_shim_protocol::document::MAX_LAUNCH;
use jeju_shim_protocol::transport::HostTransport;
use serde::Serialize;
use sha2::{Digest, Sha256};

const KVM_TIME: Duration = Duration::from_secs(3);
/// No clock is right that shows a time before this program was written: 2026-01-01.
const EARLIEST: u64 = 1_767_225_600;
/// Nor one that shows 2100-01-01 or later.
const LATEST: u64 = 4_102_444_800;

#[derive(Args)]
pub(crate) struct Doctor {
    /// Check what this transport needs: vhost-user:SOCKET, vsock:CID or unix:DIR. Else any vsock will do.
    #[arg(long)]
    transport: Option<HostTransport>,
    /// Launch document to check.
    #[arg(long, value_name = "FILE")]
    launch: Option<PathBuf>,
    /// Docker engine to check, as for `run`.
    #[arg(long, value_name = "unix:SOCKET", value_parser = super::engine)]
    docker: Option<PathBuf>,
    /// Addresses that must be free, as for `run`.
    #[arg(long, value_name = "PORT=ADDRESS", value_parser = super::listen, default_value = "4007=127.0.0.1:4007")]
    listen: Vec<(Port, SocketAddr)>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: String,
    status: Status,
    detail: String,
}

/// Only [`Status::Fail`] makes the exit code 1.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Works, but slower or only for development.
    Warn,
    Fail,
}

impl Doctor {
    /// Prints every check; the exit code is 0 when none failed, else 1.
    pub(crate) fn execute(self) -> anyhow::Result<ExitCode> {
        let mut checks = vec![kvm(), tee(), vsock(self.transport.as_ref()), clock()];
        checks.extend(self.listen.iter().map(|(port, address)| free(*port, *address)));
        checks.extend(self.launch.as_deref().map(launch));
        checks.extend(self.docker.as_deref().map(engine::check));
        let report = Report {
            ok: checks.iter().all(|check| check.status != Status::Fail),
            checks,
        };
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            for check in &report.checks {
                let mark = match check.status {
                    Status::Ok => "ok  ",
                    Status::Warn => "warn",
                    Status::Fail => "FAIL",
                };
                println!("{mark}  {:<16} {}", check.name, check.detail);
            }
        }
        Ok(if report.ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Check {
    fn new(name: impl Into<String>, status: Status, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            detail: detail.into(),
        }
    }
}

fn kvm() -> Check {
    let slow = |why: &str| {
        Check::new(
            "kvm",
            Status::Warn,
            format!("{why}; guests run by emulation, which is slow"),
        )
    };
    if !Path::new("/dev/kvm").exists() {
        return slow("no /dev/kvm");
    }
    match run_probe() {
        Ok(Some(message)) if message.is_empty() => Check::new("kvm", Status::Ok, "a virtual CPU ran"),
        Ok(Some(message)) => slow(&message),
        Ok(None) => slow(&format!("/dev/kvm hangs (no answer in {} s)", KVM_TIME.as_secs())),
        Err(error) => slow(&format!("probe did not start: {error}")),
    }
}

/// What the probe said, empty for success; `None` when it hung.
fn run_probe() -> io::Result<Option<String>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("kvm-probe")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + KVM_TIME;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            // Not waited for: a process that is stuck in the kernel doesn't die.
            child.kill()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output()?;
    let message = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace("jeju-host-shim: ", "");
    match (output.status.success(), message.is_empty()) {
        (true, _) => Ok(Some(String::new())),
        (false, true) => Ok(Some(output.status.to_string())),
        (false, false) => Ok(Some(format!("/dev/kvm: {message}"))),
    }
}

/// What the host kernel says about TEEs. Only a quote proves one; this tells an operator what to expect.
fn tee() -> Check {
    let enabled =
        |path: &str| std::fs::read_to_string(path).is_ok_and(|text| matches!(text.trim(), "1" | "Y" | "y"));
    let mut found = Vec::new();
    if enabled("/sys/module/kvm_intel/parameters/tdx") {
        found.push("Intel TDX (kvm_intel.tdx)");
    }
    if enabled("/sys/module/kvm_amd/parameters/sev_snp") {
        found.push("AMD SEV-SNP (kvm_amd.sev_snp)");
    } else if Path::new("/dev/sev").exists() {
        found.push("AMD SEV without SNP (/dev/sev)");
    }
    if Path::new("/dev/nitro_enclaves").exists() {
        found.push("AWS Nitro Enclaves (/dev/nitro_enclaves)");
    }
    match found[..] {
        [] => Check::new(
            "tee",
            Status::Warn,
            "no TDX, SEV-SNP or Nitro host; development images only",
        ),
        _ => Check::new("tee", Status::Ok, found.join(", ")),
    }
}

fn vsock(transport: Option<&HostTransport>) -> Check {
    let kernel = Path::new("/dev/vhost-vsock").exists() || Path::new("/dev/nitro_enclaves").exists();
    let device = on_path("vhost-device-vsock");
    let need_device = "vhost-device-vsock is not on PATH (`cargo install vhost-device-vsock`)";
    let (status, detail) = match (transport, kernel, &device) {
        (Some(HostTransport::Unix(dir)), ..) if dir.is_dir() => {
            (Status::Ok, format!("{} exists", dir.display()))
        }
        (Some(HostTransport::Unix(dir)), ..) => {
            (Status::Fail, format!("{} is not a directory", dir.display()))
        }
        (Some(HostTransport::Vsock { .. }), true, _) | (None, true, _) => {
            (Status::Ok, "the host kernel has a vsock device".to_owned())
        }
        (Some(HostTransport::Vsock { .. }), false, _) => (
            Status::Fail,
            "no /dev/vhost-vsock (`modprobe vhost_vsock`) and no /dev/nitro_enclaves".to_owned(),
        ),
        (_, _, Some(path)) => (Status::Ok, format!("vhost-device-vsock is {}", path.display())),
        (Some(HostTransport::VhostUser(_)), _, None) => (Status::Fail, need_device.to_owned()),
        (None, false, None) => (Status::Fail, format!("no /dev/vhost-vsock, and {need_device}")),
    };
    Check::new("vsock", status, detail)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

fn clock() -> Check {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if !(EARLIEST..LATEST).contains(&now) {
        return Check::new(
            "clock",
            Status::Fail,
            format!("shows {now} seconds since 1970, which cannot be"),
        );
    }
    // SAFETY: all-zero is a valid `timex`, with no mode set the call only reads the clock's state into it.
    let synchronised = unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut state) != -1 && state.status & libc::STA_UNSYNC == 0
    };
    match synchronised {
        true => Check::new("clock", Status::Ok, "synchronised"),
        false => Check::new(
            "clock",
            Status::Warn,
            "plausible, but the kernel does not call it synchronised",
        ),
    }
}

fn free(port: Port, address: SocketAddr) -> Check {
    let name = format!("port {port}");
    match TcpListener::bind(address) {
        Ok(_) => Check::new(name, Status::Ok, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Check::new(name, Status::Fail, format!("{address} is taken"))
        }
        Err(error) => Check::new(name, Status::Fail, format!("{address}: {error}")),
    }
}

/// The shim treats the document as bytes; the guest is who parses it.
fn launch(path: &Path) -> Check {
    let fail = |why: String| {
        Check::new(
            "launch document",
            Status::Fail,
            format!("{}: {why}", path.display()),
        )
    };
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fail("not a file".to_owned()),
        Ok(metadata) if metadata.len() > MAX_LAUNCH as u64 => {
            return fail(format!(
                "{} bytes, at most {MAX_LAUNCH} are allowed",
                metadata.len()
            ));
        }
        Ok(_) => {}
        Err(error) => return fail(error.to_string()),
    }
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => fail("empty".to_owned()),
        Ok(bytes) => {
            let digest = hex::encode(Sha256::digest(&bytes));
            Check::new(
                "launch document",
                Status::Ok,
                format!("{} bytes, SHA-256 {digest}", bytes.len()),
            )
        }
        Err(error) => fail(error.to_string()),
    }
}
