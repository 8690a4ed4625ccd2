//! `jeju-image expected`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jeju_image::expected::Expected;
use jeju_image::measure::Image;

#[derive(Debug, Args)]
pub struct ExpectedArgs {
    /// Image folder, of any platform
    image: PathBuf,
    /// Compare with this file, and fail when it differs
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    check: Option<PathBuf>,
    /// Write this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What of an image's measurements doesn't change with the node: printed, compared or written.
pub fn expected(args: &ExpectedArgs) -> anyhow::Result<()> {
    let built = Expected::of(&Image::open(&args.image)?)?;
    if let Some(path) = &args.check {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        let committed: Expected =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        let differences = built.differences(&committed);
        if !differences.is_empty() {
            bail!(
                "{} in {} {} not what was built",
                differences.join(", "),
                path.display(),
                if differences.len() == 1 { "is" } else { "are" }
            );
        }
        println!("{} is what was built", path.display());
    } else if let Some(path) = &args.write {
        fs::write(path, built.text()).with_context(|| path.display().to_string())?;
    } else {
        print!("{}", built.text());
    }
    Ok(())
}
