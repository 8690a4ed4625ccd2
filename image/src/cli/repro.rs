//! `jeju-image repro`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jeju_image::build;
use jeju_image::repro::compare::Difference;
use jeju_image::repro::{self, Plan, Report};

use super::build::{BuildPlatform, workspace};
use super::inputs::InputArgs;

#[derive(Debug, Args)]
pub struct ReproArgs {
    /// What will boot the image
    #[arg(long, value_enum)]
    platform: BuildPlatform,
    /// Empty folder for both builds and the report, repro.json
    #[arg(long)]
    work: PathBuf,
    /// Source folder [default: the workspace around the current folder]
    #[arg(long)]
    source: Option<PathBuf>,
    /// Model (GGUF) to embed
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    from: InputArgs,
    /// Leave inputs, copies of the source and what was compiled
    #[arg(long)]
    keep: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// More options of `jeju-image build`; paths must be absolute
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Builds twice and compares; whether both are the same.
pub fn repro(args: &ReproArgs) -> anyhow::Result<bool> {
    let source = workspace(args.source.as_deref())?;
    let inputs = args.from.inputs().get(&build::inputs_of(&source)?)?;
    let mut arguments = Vec::new();
    if let Some(model) = &args.model {
        let model = model
            .canonicalize()
            .with_context(|| model.display().to_string())?;
        arguments.extend(["--model".into(), model.into_os_string()]);
    }
    arguments.extend(args.arguments.iter().cloned());
    let platform = args.platform.to_possible_value().expect("no platform is hidden");
    let report = repro::repro(&Plan {
        program: env::current_exe()?,
        platform: platform.get_name().to_owned(),
        source: source.canonicalize()?,
        work: args.work.clone(),
        arguments,
        inputs,
        keep: args.keep,
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_report(&report);
    }
    Ok(report.identical)
}

fn print_report(report: &Report) {
    for varied in &report.varied {
        match &varied.not_varied {
            None => println!("varied     {}: {}, {}", varied.what, varied.first, varied.second),
            Some(why) => println!("NOT VARIED {}: {why}", varied.what),
        }
    }
    for file in &report.files {
        match &file.difference {
            None => println!("same       {} {}", file.first, file.name),
            Some(Difference::OnlyIn { which }) => {
                println!("DIFFERENT  {}: in the {which} image only", file.name);
            }
            Some(Difference::Content { offset, lengths }) => println!(
                "DIFFERENT  {}: from byte {offset}, {} and {} bytes, {} and {}",
                file.name, lengths[0], lengths[1], file.first, file.second
            ),
        }
    }
    let result = if report.identical {
        "both builds are the same, byte for byte"
    } else {
        "the builds differ"
    };
    println!("{result}");
}
