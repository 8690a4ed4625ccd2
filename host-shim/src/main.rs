//! Command line of the host shim: `run` serves a guest, `doctor` says what this machine can do.

mod doctor;
mod kvm;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use jeju_host_shim::{Config, HostShim, LogFormat};
use jeju_shim_protocol::Port;
use jeju_shim_protocol::egress::EgressRequest;
use jeju_shim_protocol::transport::HostTransport;
use tokio::signal::unix::{SignalKind, signal};

/// The untrusted host side of a Jeju enclave: forwards bytes, and sees ciphertext only.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve one guest until SIGINT or SIGTERM; a second one cuts open connections.
    Run(Box<Run>),
    /// Check devices, vsock, ports, clock, launch document and Docker engine of this machine.
    Doctor(doctor::Doctor),
    /// Run one instruction in a virtual machine; `doctor` starts it as a child, since it may hang.
    #[command(hide = true)]
    KvmProbe,
}

#[derive(Args)]
struct Run {
    /// How the guest is reached: vhost-user:SOCKET, vsock:CID or unix:DIR.
    #[arg(long)]
    transport: HostTransport,
    /// Launch document, at most 256 KiB; its exact bytes are what the guest measures.
    #[arg(long, value_name = "FILE")]
    launch: PathBuf,
    /// TCP address for a port of the guest (2222, 4007, 4010 or 4020), such as 4007=127.0.0.1:4007.
    #[arg(long, value_name = "PORT=ADDRESS", value_parser = listen)]
    listen: Vec<(Port, SocketAddr)>,
    /// Targets that the guest may reach, as host:port; all others are denied.
    #[arg(long, value_name = "HOST:PORT", num_args = 1..)]
    egress_allow: Vec<EgressRequest>,
    /// Let the guest's workers reach every public address; private ones, metadata services and this machine's own
    /// addresses are refused whatever a name leads to.
    #[arg(long)]
    egress_public: bool,
    /// Loopback address of the Prometheus endpoint /metrics.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Directory of collateral files for the guest.
    #[arg(long, value_name = "DIR")]
    collateral_dir: Option<PathBuf>,
    /// Directory for the guest's sealed blobs; without it none are kept, and what the guest must remember is lost when
    /// it stops.
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Most MiB of blobs.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    blobs_limit: u32,
    /// Most blobs.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    blobs_max_count: u32,
    /// Docker engine for rentals, as unix:SOCKET. The guest gets a subset of its API; without it there is none.
    #[arg(long, value_name = "unix:SOCKET", value_parser = engine)]
    docker: Option<PathBuf>,
    /// Agent id (64 hex digits) of this node, where several share a Docker engine: it touches no other's containers.
    #[arg(long, value_name = "HEX", value_parser = agent, requires = "docker")]
    docker_agent: Option<[u8; 32]>,
    /// Most images that were fetched for rentals and aren't used: of more, those used longest ago are removed.
    #[arg(long, value_name = "N", default_value_t = 16, requires = "docker")]
    docker_images: usize,
    /// Hold containers' own networks to the bandwidth that was rented; takes iproute2 and CAP_NET_ADMIN.
    #[arg(long, requires = "docker")]
    docker_bandwidth: bool,
    /// File for the guest's opaque log bytes; without it they are dropped.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Size in MiB at which the log file stops growing.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    log_file_limit: u32,
    /// Most connections on each port at once.
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_connections: usize,
    /// Seconds without a byte after which a connection is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    idle_timeout: u32,
    /// Write log lines as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(run) => run.execute().map(|()| ExitCode::SUCCESS),
        Command::Doctor(doctor) => doctor.execute(),
        Command::KvmProbe => kvm::probe().map(|()| ExitCode::SUCCESS).map_err(Into::into),
    };
    result.unwrap_or_else(|error| {
        eprintln!("jeju-host-shim: {error:#}");
        ExitCode::FAILURE
    })
}

impl Run {
    fn execute(self) -> anyhow::Result<()> {
        let config = self.into_config()?;
        // On each connection a socket on either side, on five ports of the guest's and those listened on.
        let descriptors = (config.listen.len() + 5) * config.max_connections * 2 + 64;
        raise_descriptor_limit(descriptors as u64).context("limit of open files")?;
        // Small stacks and few threads: a shim per guest should cost next to nothing while idle.
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(16)
            .thread_stack_size(512 * 1024)
            .enable_all()
            .build()?
            .block_on(serve(config))
    }

    fn into_config(self) -> anyhow::Result<Config> {
        let mut listen = BTreeMap::new();
        for (port, address) in self.listen {
            if listen.insert(port, address).is_some() {
                bail!("--listen names port {port} twice");
            }
        }
        let mut config = Config::new(self.transport, self.launch);
        config.listen = listen;
        config.egress_allow = HashSet::from_iter(self.egress_allow);
        config.egress_public = self.egress_public;
        config.metrics = self.metrics;
        config.collateral_dir = self.collateral_dir;
        config.blobs = self.blobs;
        config.blobs_limit = u64::from(self.blobs_limit) << 20;
        config.blobs_max_count = self.blobs_max_count.into();
        config.docker = self.docker;
        config.docker_agent = self.docker_agent;
        config.docker_images = self.docker_images;
        config.docker_bandwidth = self.docker_bandwidth;
        config.log_file = self.log_file;
        config.log_file_limit = u64::from(self.log_file_limit) << 20;
        config.max_connections = self.max_connections;
        config.idle_timeout = Duration::from_secs(self.idle_timeout.into());
        config.log = if self.json {
            LogFormat::Json
        } else {
            LogFormat::Text
        };
        Ok(config)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shim = HostShim::start(config).await?;
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    tokio::select! {
        () = shim.shutdown() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn listen(text: &str) -> Result<(Port, SocketAddr), String> {
    let (port, address) = text
        .split_once('=')
        .ok_or("expected PORT=ADDRESS, such as 4007=127.0.0.1:4007")?;
    let number: u32 = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port number"))?;
    let port = Port::try_from(number).map_err(|error| error.to_string())?;
    if !port.host_dials() {
        return Err(format!(
            "the guest dials port {port}; 2222, 4007, 4010 and 4020 can be listened on"
        ));
    }
    Ok((
        port,
        address
            .parse()
            .map_err(|_| format!("`{address}` is not IP:PORT"))?,
    ))
}

fn engine(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("unix:") {
        Some(socket) if !socket.is_empty() => Ok(socket.into()),
        _ => Err("expected unix:SOCKET, such as unix:/run/docker.sock".to_owned()),
    }
}

fn agent(text: &str) -> Result<[u8; 32], String> {
    let mut agent = [0; 32];
    match hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut agent) {
        Ok(()) => Ok(agent),
        Err(_) => Err("expected 64 hex digits".to_owned()),
    }
}

/// Raises the soft limit of open files to `wanted`, or as far as the hard limit allows.
fn raise_descriptor_limit(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live variable of the type that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: the pointer is to a live, filled variable that the call only reads.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn engines_and_agents_have_one_form() {
        assert_eq!(engine("unix:/run/docker.sock"), Ok("/run/docker.sock".into()));
        for bad in ["", "unix:", "/run/docker.sock", "tcp://127.0.0.1:2375"] {
            assert!(engine(bad).is_err(), "{bad}");
        }
        assert_eq!(agent(&"ab".repeat(32)), Ok([0xab; 32]));
        assert_eq!(agent(&format!("0x{}", "ab".repeat(32))), Ok([0xab; 32]));
        assert!(agent("ab").is_err() && agent("").is_err());
    }

    #[test]
    fn listen_takes_services_only() {
        assert_eq!(
            listen("4007=127.0.0.1:0"),
            Ok((Port::Node, ([127, 0, 0, 1], 0).into()))
        );
        for bad in [
            "4007",
            "4007=",
            "4007=localhost:1",
            "5000=127.0.0.1:1",
            "4008=127.0.0.1:1",
            "x=127.0.0.1:1",
        ] {
            assert!(listen(bad).is_err(), "{bad}");
        }
    }
}
