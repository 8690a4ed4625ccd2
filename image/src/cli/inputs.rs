//! `jeju-image inputs`, and where every subcommand that builds takes its inputs from.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jeju_attestation::hash::sha256;
use jeju_image::inputs::{self, Cache, Group, Input, Inputs, Kind, Lock, Mirror, Source};

use super::build::workspace;

/// Where inputs come from.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Take inputs from this folder, by SHA-256 or by name, and use no network
    #[arg(long, value_name = "DIR", conflicts_with = "mirror")]
    input_dir: Option<PathBuf>,
    /// Fetch Debian packages from here alone, instead of https://deb.debian.org and then
    /// https://snapshot.debian.org/archive/{repository}/{time}; {repository} stands for debian or debian-security, {time}
    /// for that of image/lock.toml
    #[arg(long, value_name = "URL")]
    mirror: Option<Mirror>,
    /// Where inputs are kept [default: jeju/inputs in $XDG_CACHE_HOME or ~/.cache, else .jeju/inputs]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl InputArgs {
    /// The inputs that these arguments mean.
    pub fn inputs(&self) -> Inputs {
        let source = match &self.input_dir {
            Some(folder) => Source::Folder(folder.clone()),
            None => Source::Network(self.mirror.clone().unwrap_or_default()),
        };
        Inputs::new(
            Cache::new(self.cache.clone().unwrap_or_else(default_cache)),
            source,
        )
    }
}

fn default_cache() -> PathBuf {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| Some(folder("HOME")?.join(".cache")))
        .map_or_else(
            || PathBuf::from(".jeju/inputs"),
            |cache| cache.join("jeju/inputs"),
        )
}

#[derive(Debug, Args)]
pub struct InputsArgs {
    #[command(subcommand)]
    command: Commands,
    #[command(flatten)]
    from: InputArgs,
    /// Source folder whose locks count [default: the workspace around the current folder]
    #[arg(long, global = true)]
    source: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Commands {
    /// Print every input: kind, group, name, version, size and SHA-256
    List,
    /// Bring every input into the cache
    Fetch {
        /// Only those of one build
        #[arg(long, value_parser = group)]
        group: Option<Group>,
    },
    /// Write every input into one archive, which is the same wherever it is made
    Export {
        /// Archive to write
        archive: PathBuf,
        /// Model to put beside them
        #[arg(long)]
        model: Option<PathBuf>,
    },
    /// Bring the inputs of an archive into the cache
    Import {
        /// Archive to read
        archive: PathBuf,
    },
}

fn group(text: &str) -> Result<Group, String> {
    [Group::Node, Group::Kernel]
        .into_iter()
        .find(|group| group.to_string() == text)
        .ok_or_else(|| "node or kernel".to_owned())
}

/// Lists, fetches, exports or imports inputs.
pub fn run_inputs(args: &InputsArgs) -> anyhow::Result<()> {
    let inputs = args.from.inputs();
    if let Commands::Import { archive } = &args.command {
        let imported = inputs::import(inputs.cache(), archive)?;
        println!(
            "{} inputs in {}",
            imported.len(),
            inputs.cache().folder().display()
        );
        return Ok(());
    }
    let workspace = workspace(args.source.as_deref())?;
    match &args.command {
        Commands::List => list(&workspace)?,
        Commands::Fetch { group } => {
            let all = all(&workspace, *group)?;
            inputs.get(&all)?;
            println!("{} inputs in {}", all.len(), inputs.cache().folder().display());
        }
        Commands::Export { archive, model } => export(&inputs, &workspace, archive, model.as_deref())?,
        Commands::Import { .. } => {}
    }
    Ok(())
}

fn all(workspace: &Path, group: Option<Group>) -> anyhow::Result<Vec<Input>> {
    let lock = Lock::read(workspace)?;
    let mut all = match group {
        Some(group) => lock.packages(group)?,
        None => lock.all_packages(),
    };
    if group != Some(Group::Kernel) {
        all.extend(inputs::read_crates(workspace)?);
    }
    Ok(all)
}

fn list(workspace: &Path) -> anyhow::Result<()> {
    let lock = Lock::read(workspace)?;
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for group in [Group::Node, Group::Kernel] {
        for input in lock.packages(group)? {
            groups.entry(input.name).or_default().push(group.to_string());
        }
    }
    for input in all(workspace, None)? {
        let group = match input.kind {
            Kind::Deb => groups
                .get(&input.name)
                .map(|groups| groups.join(","))
                .unwrap_or_default(),
            _ => Group::Node.to_string(),
        };
        let size = input.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        println!(
            "{:<5} {:<11} {:<32} {:<28} {:>9} {}",
            input.kind.as_str(),
            group,
            input.name,
            input.version,
            size,
            hex::encode(input.sha256)
        );
    }
    Ok(())
}

fn export(inputs: &Inputs, workspace: &Path, archive: &Path, model: Option<&Path>) -> anyhow::Result<()> {
    let mut all = all(workspace, None)?;
    if let Some(model) = model {
        let bytes = fs::read(model).with_context(|| model.display().to_string())?;
        let Some(name) = model.file_name().and_then(|name| name.to_str()) else {
            bail!("{} has no name that an archive can hold", model.display());
        };
        let input = Input::model(name, sha256(&bytes), bytes.len() as u64);
        inputs.cache().insert(&input, &*bytes, model)?;
        all.push(input);
    }
    let files = inputs.get(&all)?;
    let count = all.len();
    inputs::export(&all.into_iter().zip(files).collect::<Vec<_>>(), archive)?;
    let size = File::open(archive)?.metadata()?.len();
    println!("{count} inputs, {size} bytes in {}", archive.display());
    Ok(())
}
