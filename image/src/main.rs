//! `jeju-image`: builds the image, says what it measures to, boots it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jeju_image::build::{self, Parts};
use jeju_image::measure::{self, Report};
use jeju_image::run::{
    AcceleratorChoice, Event, EventSink, Guest, ProcessGuest, QemuGuest, RunConfig, RunError, RunningImage,
};
use tokio::signal::unix::{SignalKind, signal};

/// Exit status when a program isn't installed.
const EXIT_MISSING: u8 = 3;
/// Exit status when the node gave up with a numbered reason.
const EXIT_FATAL: u8 = 4;

#[derive(Debug, Parser)]
#[command(
    name = "jeju-image",
    version,
    about = "Builds, measures and boots the node's immutable image"
)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Build an image folder
    Build(BuildArgs),
    /// Recompute what an image folder measures to, and refuse a manifest that says something else
    Measure(MeasureArgs),
    /// Boot an image in QEMU, or run the node as a process, with simulated silicon, until interrupted
    Run(RunArgs),
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// What will boot it
    #[arg(long, value_enum)]
    platform: BuildPlatform,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
    /// Static node to use instead of compiling one
    #[arg(long)]
    enclave: Option<PathBuf>,
    /// Model (GGUF) to embed
    #[arg(long)]
    model: Option<PathBuf>,
    /// Source folder to compile the node from [default: the workspace around the current folder]
    #[arg(long, conflicts_with = "enclave")]
    source: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BuildPlatform {
    /// QEMU's q35 machine with simulated silicon: development only
    Qemu,
}

#[derive(Debug, Args)]
struct MeasureArgs {
    /// Image folder
    image: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
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

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Subcommands::Build(args) => build_image(&args),
        Subcommands::Measure(args) => print_measurement(&args),
        Subcommands::Run(args) => run(args),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("jeju-image: {error:#}");
    match error.downcast_ref::<RunError>() {
        Some(RunError::Missing { .. }) => ExitCode::from(EXIT_MISSING),
        Some(RunError::Fatal(_) | RunError::UnknownFatal(_)) => ExitCode::from(EXIT_FATAL),
        _ => ExitCode::FAILURE,
    }
}

fn build_image(args: &BuildArgs) -> anyhow::Result<()> {
    let BuildPlatform::Qemu = args.platform;
    let model = args.model.as_deref();
    let parts = match &args.enclave {
        Some(enclave) => Parts::from_files(enclave, model)?,
        None => {
            let source = match &args.source {
                Some(source) => source.clone(),
                None => workspace()?,
            };
            build::compile(&source, model)?
        }
    };
    build::assemble(&parts, &args.out)?;
    print_report(&args.out, &measure::measure(&args.out)?);
    Ok(())
}

/// The workspace around the current folder, as cargo sees it.
fn workspace() -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .context("cargo can't be started")?;
    let manifest = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    match manifest.parent() {
        Some(folder) if output.status.success() && folder.join("enclave/Cargo.toml").is_file() => {
            Ok(folder.to_owned())
        }
        _ => bail!("no source of the node around the current folder: give --source or --enclave"),
    }
}

fn print_measurement(args: &MeasureArgs) -> anyhow::Result<()> {
    let report = measure::measure(&args.image)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_report(&args.image, &report);
    }
    Ok(())
}

fn print_report(folder: &Path, report: &Report) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("image        {}", folder.display());
    for file in &report.files {
        println!("  {:<20} {:>10} {}", file.name, file.size, file.sha256);
    }
    println!("root         {} files", report.root_files);
    for entry in &report.root {
        println!("  {:<20} {:>10} {}", entry.path, entry.size, entry.mode);
    }
    println!(
        "size         {:.1} MiB, {:.1} MiB without the model",
        mib(report.size),
        mib(report.size_without_model)
    );
    println!("image digest {}", report.image_digest);
    println!("measurement  {} (simulated)", report.measurement);
}

#[tokio::main]
async fn run(args: RunArgs) -> anyhow::Result<()> {
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
