//! `jeju-image build`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use jeju_image::build::{self, Parts};
use jeju_image::inputs::LOCK_FILE;
use jeju_image::manifest::Platform;
use jeju_image::measure;
use jeju_image::measure::prediction::Circumstances;

use super::inputs::InputArgs;
use super::measure::print_report;

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// What will boot it
    #[arg(long, value_enum)]
    platform: BuildPlatform,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
    /// Static node to use instead of compiling one
    #[arg(long, requires = "init")]
    enclave: Option<PathBuf>,
    /// Static first program to use with it
    #[arg(long, requires = "enclave")]
    init: Option<PathBuf>,
    /// Static program for containers of rentals to use with both [default: none, so that the node takes no rentals]
    #[arg(long, requires = "enclave")]
    agent: Option<PathBuf>,
    /// Model (GGUF) to embed
    #[arg(long)]
    model: Option<PathBuf>,
    /// Source folder to compile the node from [default: the workspace around the current folder]
    #[arg(long, conflicts_with = "enclave")]
    source: Option<PathBuf>,
    #[command(flatten)]
    from: InputArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BuildPlatform {
    /// QEMU's q35 machine with simulated silicon: development only
    Qemu,
    /// Intel TDX
    Tdx,
    /// AMD SEV-SNP
    Snp,
    /// AWS Nitro
    Nitro,
}

impl From<BuildPlatform> for Platform {
    fn from(platform: BuildPlatform) -> Self {
        match platform {
            BuildPlatform::Qemu => Platform::Qemu,
            BuildPlatform::Tdx => Platform::Tdx,
            BuildPlatform::Snp => Platform::Snp,
            BuildPlatform::Nitro => Platform::Nitro,
        }
    }
}

/// Builds an image folder and prints what it measures to.
pub fn build_image(args: &BuildArgs) -> anyhow::Result<()> {
    let platform = Platform::from(args.platform);
    let model = args.model.as_deref();
    let parts = match (&args.init, &args.enclave) {
        (Some(init), Some(enclave)) => {
            Parts::from_files(platform, init, enclave, args.agent.as_deref(), model)?
        }
        _ => {
            let workspace = workspace(args.source.as_deref())?;
            let binaries = build::compile(&workspace, &args.from.inputs(), !platform.development())?;
            Parts::from_binaries(platform, binaries, model)?
        }
    };
    build::assemble(&parts, &args.out)?;
    print_report(
        &args.out,
        &measure::measure(&args.out, &Circumstances::default())?,
    );
    Ok(())
}

/// The given source folder, or the one around the current folder.
pub fn workspace(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let is_workspace =
        |folder: &&Path| folder.join(LOCK_FILE).is_file() && folder.join("Cargo.lock").is_file();
    let current = env::current_dir()?;
    match given {
        Some(folder) if is_workspace(&folder) => Ok(folder.to_owned()),
        Some(folder) => bail!(
            "{} is no source of the node: it has no {LOCK_FILE}",
            folder.display()
        ),
        None => match current.ancestors().find(is_workspace) {
            Some(folder) => Ok(folder.to_owned()),
            None => bail!("no source of the node around the current folder: give --source"),
        },
    }
}
