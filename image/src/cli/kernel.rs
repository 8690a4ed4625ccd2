//! `jeju-image kernel`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jeju_image::kernel;

use super::build::workspace;
use super::inputs::InputArgs;

#[derive(Debug, Args)]
pub struct KernelArgs {
    #[command(subcommand)]
    command: Commands,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Build the kernel from its locked source and compare it with the committed one (ten minutes of two cores)
    Build {
        /// Replace the committed kernel and configuration with what was built: another measurement of every image
        #[arg(long)]
        accept: bool,
        /// Source folder [default: the workspace around the current folder]
        #[arg(long)]
        source: Option<PathBuf>,
        #[command(flatten)]
        from: InputArgs,
    },
}

/// Builds the kernel.
pub fn run_kernel(args: &KernelArgs) -> anyhow::Result<()> {
    let Commands::Build { accept, source, from } = &args.command;
    let workspace = workspace(source.as_deref())?;
    let digest = kernel::build(&workspace, &from.inputs(), *accept)?;
    let relation = if *accept { "accepted" } else { "as committed" };
    println!("kernel: {}, {relation}", hex::encode(digest));
    Ok(())
}
