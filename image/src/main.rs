//! `jeju-image`: builds the image, says what it measures to, boots it.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::audit::{AuditArgs, audit_image};
use cli::build::{BuildArgs, build_image};
use cli::expected::{ExpectedArgs, expected};
use cli::inputs::{InputsArgs, run_inputs};
use cli::kernel::{KernelArgs, run_kernel};
use cli::measure::{MeasureArgs, print_measurement};
use cli::repro::{ReproArgs, repro};
use cli::run::{RunArgs, run};
use cli::statement::{StatementArgs, statement};
use jeju_image::run::RunError;

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
    /// What builds are made from: Debian packages and crates, by SHA-256
    Inputs(InputsArgs),
    /// Build the enclave kernel from source
    Kernel(KernelArgs),
    /// Recompute what an image folder measures to, and refuse a manifest that says something else
    Measure(MeasureArgs),
    /// Print what of an image's measurements doesn't change with the node, or compare it with a file
    Expected(ExpectedArgs),
    /// Compare what is in an image folder with what may be in it, and list what the host chooses
    Audit(AuditArgs),
    /// Boot an image in QEMU, or run the node as a process, with simulated silicon, until interrupted
    Run(RunArgs),
    /// Build twice, as differently as this machine can, and compare every byte
    Repro(ReproArgs),
    /// Sign and verify that an image was built again by somebody else
    Statement(StatementArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Subcommands::Build(args) => build_image(&args),
        Subcommands::Inputs(args) => run_inputs(&args),
        Subcommands::Kernel(args) => run_kernel(&args),
        Subcommands::Measure(args) => print_measurement(&args),
        Subcommands::Expected(args) => expected(&args),
        Subcommands::Audit(args) => match audit_image(&args) {
            // The violations are on standard output.
            Ok(false) => return ExitCode::FAILURE,
            result => result.map(drop),
        },
        Subcommands::Repro(args) => match repro(&args) {
            // The differences are on standard output.
            Ok(false) => return ExitCode::FAILURE,
            result => result.map(drop),
        },
        Subcommands::Run(args) => run(args),
        Subcommands::Statement(args) => statement(&args),
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
