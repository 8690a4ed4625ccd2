//! `jeju-image audit`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use jeju_image::audit::folder::Folder;
use jeju_image::audit::host_inputs::Answer;
use jeju_image::audit::provenance::{self, Commit};
use jeju_image::audit::{self, Finding, Report, sbom};

use super::build::workspace;

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Image folder
    image: PathBuf,
    /// Source folder that it is built from [default: the workspace around the current folder]
    #[arg(long)]
    source: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the packages as a bill of materials, CycloneDX 1.6
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// Write where the image comes from as an in-toto statement with SLSA provenance
    #[arg(long, value_name = "FILE", requires = "builder")]
    provenance: Option<PathBuf>,
    /// Who built it: the URI that the provenance names
    #[arg(long, value_name = "URI")]
    builder: Option<String>,
}

/// Audits an image folder; whether nothing is against it.
pub fn audit_image(args: &AuditArgs) -> anyhow::Result<bool> {
    let source = workspace(args.source.as_deref())?;
    let (mut report, packages) = audit::audit(&args.image, &source)?;

    let sbom_text = document(&sbom::document(&report, &packages))?;
    if let Some(path) = &args.sbom {
        write(path, &sbom_text)?;
    }
    if let (Some(path), Some(builder)) = (&args.provenance, &args.builder) {
        let commit = Commit::of(&source)?;
        report.add(commit.check(report.development));
        let folder = Folder::read(&args.image)?;
        let sbom = args.sbom.as_ref().map(|_| sbom_text.as_slice());
        let statement = provenance::statement(&folder, &report, &packages, &source, &commit, builder, sbom)?;
        write(path, &document(&statement)?)?;
    }

    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_report(&report);
    }
    Ok(report.violations == 0)
}

fn print_report(report: &Report) {
    let kind = if report.development {
        "development"
    } else {
        "release"
    };
    println!(
        "image digest {} ({}, {kind})",
        report.image_digest, report.platform
    );
    println!("\nwhat the host chooses");
    for input in &report.host_inputs {
        let (word, text) = match &input.answer {
            Answer::Measured(by) => ("measured by", by),
            Answer::Argued(why) => ("argued:", why),
        };
        println!("  {:<18} {}: {word} {text}", input.id, input.input);
    }
    println!();
    let (against, fine): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.is_violation());
    for finding in fine {
        print_finding("ok", finding);
    }
    println!("known vulnerabilities of packages: {}", report.advisories);
    for finding in &against {
        print_finding("VIOLATION", finding);
    }
    println!("{} findings, {} violations", report.findings.len(), against.len());
}

fn print_finding(word: &str, finding: &Finding) {
    println!("{word} {} {}: {}", finding.check, finding.subject, finding.detail);
}

fn document(value: &serde_json::Value) -> anyhow::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
