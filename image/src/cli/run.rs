//! `jeju-image run`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jeju_image::run::{
    AcceleratorChoice, Event, EventSink, Guest, ProcessGuest, QemuGuest, RunConfig, RunError, RunningImage,
};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Image folder to boot
    #[arg(long, required_unless_present = "process", conflicts_with = "process")]
    image: Option<PathBuf>,
    /// Run the node as an ordinary process
    #[arg(long, requires = "enclave")]
    process: bool,
    /// Node to run (with --process)
    #[arg(long, requires = "process")]
    enclave: Option<PathBuf>,
    /// Model of the node (with --process)
    #[arg(long, requires = "process")]
    model: Option<PathBuf>,
    /// Program that the node puts into containers of rentals (with --process)
    #[arg(long, requires = "process")]
    agent: Option<PathBuf>,
    /// Launch document
    #[arg(long)]
    launch: PathBuf,
    /// Folder for what the launch needs while it lasts
    #[arg(long)]
    state: PathBuf,
    /// Folder of this machine's simulated silicon
    #[arg(long, default_value = ".jeju/silicon")]
    silicon: PathBuf,
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..))]
    memory: u32,
    /// Virtual CPUs of the guest
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    cpus: u32,
    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value = "auto")]
    accelerator: AcceleratorArg,
    /// Load files that aren't those of the manifest; verifiers refuse what they measure to
    #[arg(long)]
    allow_modified: bool,
    /// How long the node may take until it serves, in seconds
    #[arg(long, default_value_t = 120)]
    ready_within: u64,
    /// Show what the guest writes to its serial line
    #[arg(long)]
    console: bool,
    /// Print one JSON object per event
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AcceleratorArg {
    /// KVM where it works, else emulation
    Auto,
    /// KVM or nothing
    Kvm,
    /// Emulation
    Tcg,
}

/// Runs an image or a process until it ends or is interrupted.
#[tokio::main]
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    // Before anything runs: from here on an interrupt ends the launch in order.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::pin!(stop);

    let ready_within = Duration::from_secs(args.ready_within);
    let mut running = tokio::select! {
        running = RunningImage::start(config(args)) => running?,
        () = &mut stop => return Ok(()),
    };
    let outcome = tokio::select! {
        error = until_it_ends(&mut running, ready_within) => Err(error.into()),
        () = &mut stop => Ok(()),
    };
    running.shutdown().await;
    outcome
}

async fn until_it_ends(running: &mut RunningImage, ready_within: Duration) -> RunError {
    match running.wait_ready(ready_within).await {
        Ok(_) => running.wait_end().await,
        Err(error) => error,
    }
}

fn config(args: RunArgs) -> RunConfig {
    let guest = match (args.image, args.enclave) {
        (Some(image), _) => Guest::Qemu(QemuGuest {
            image,
            memory_mib: args.memory,
            cpus: args.cpus,
            accelerator: match args.accelerator {
                AcceleratorArg::Auto => AcceleratorChoice::Auto,
                AcceleratorArg::Kvm => AcceleratorChoice::Kvm,
                AcceleratorArg::Tcg => AcceleratorChoice::Tcg,
            },
            allow_modified: args.allow_modified,
            console: args.console,
        }),
        (None, enclave) => Guest::Process(ProcessGuest {
            enclave: enclave.unwrap_or_default(),
            model: args.model,
            agent: args.agent,
            console: args.console,
        }),
    };
    let print: fn(Event) = if args.json { print_json } else { print_text };
    RunConfig {
        guest,
        launch: args.launch,
        state: args.state,
        silicon: args.silicon,
        events: EventSink::new(print),
    }
}

// A closed standard output doesn't end the node.
fn print_json(event: Event) {
    if let Ok(line) = serde_json::to_string(&event) {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

fn print_text(event: Event) {
    let _ = writeln!(io::stdout(), "{event}");
}
