//! What an auditor asks of an image folder, answered from its bytes: `jeju-image audit`.
//!
//! Each check is a module with one function that returns [`Finding`]s. A finding is either fine or a violation, and says
//! what it looked at; nothing is silently left out.
//!
//! | check | module | compares |
//! |---|---|---|
//! | measurement | [`crate::measure`] | the files with the manifest |
//! | contents, command line | [`contents`] | every archive entry and parameter with `image/allow-list.toml` |
//! | simulator | [`simulator`] | whether simulated silicon is in, with what the manifest says |
//! | kernel | [`kernel`] | kernel and configuration with the build record, options with `image/kernel/policy.toml` |
//! | hardening | [`hardening`] | program headers and strings of the binaries |
//! | dependencies, licences | [`dependencies`] | packages of the image with `Cargo.lock` and `deny.toml` |
//! | host inputs | [`host_inputs`] | `image/host-inputs.toml`, what the host still chooses |
//!
//! [`sbom`] and [`provenance`] write what was found in CycloneDX and in-toto form.

pub mod contents;
pub mod dependencies;
pub mod elf;
pub mod folder;
pub mod hardening;
pub mod host_inputs;
pub mod kernel;
pub mod licence;
pub mod provenance;
pub mod sbom;
pub mod simulator;
#[cfg(test)]
mod testing;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::manifest::ManifestError;
use crate::measure::prediction::Circumstances;
use crate::measure::{self, MeasureError};
use dependencies::Packages;
use folder::Folder;
use host_inputs::HostInput;

/// Why an image folder can't be audited at all.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The manifest can't be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest doesn't name the files of a launch, or one can't be unpacked.
    #[error(transparent)]
    Layout(#[from] MeasureError),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the source folder that isn't what it should be.
    #[error("{}: {reason}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A program that the audit asks can't be started.
    #[error("{program} can't be started: {source}")]
    Program {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program that the audit asks failed.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program and its command.
        program: &'static str,
        /// What it wrote.
        message: String,
    },
    /// A program answered in another form than it does.
    #[error("{program} answered {line:?}, which is not understood")]
    Answer {
        /// The program and its command.
        program: &'static str,
        /// The line.
        line: String,
    },
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was asked.
    pub check: Check,
    /// What it was asked of: a path, an option, a package.
    pub subject: String,
    /// The answer.
    pub outcome: Outcome,
    /// What was found, and for a violation what was wanted.
    pub detail: String,
}

impl Finding {
    /// Nothing against it.
    pub(crate) fn ok(check: Check, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check,
            subject: subject.into(),
            outcome: Outcome::Ok,
            detail: detail.into(),
        }
    }

    /// Not as it has to be.
    pub(crate) fn violation(check: Check, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Violation,
            ..Self::ok(check, subject, detail)
        }
    }

    /// Fine if `good`, with the same detail either way.
    pub(crate) fn either(
        good: bool,
        check: Check,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let finding = Self::ok(check, subject, detail);
        let outcome = if good { Outcome::Ok } else { Outcome::Violation };
        Self { outcome, ..finding }
    }

    /// Whether the image may not be used as it is.
    pub fn is_violation(&self) -> bool {
        self.outcome == Outcome::Violation
    }
}

/// Whether a finding is against the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it has to be.
    Ok,
    /// Not as it has to be.
    Violation,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The files are those of the manifest.
    Measurement,
    /// The archives hold what is allowed.
    Contents,
    /// The command line holds what is allowed.
    CommandLine,
    /// Simulated silicon is in development images, and in no other.
    Simulator,
    /// The kernel is the recorded one, and its configuration follows the policy.
    Kernel,
    /// The binaries are static and hardened.
    Hardening,
    /// Every package is pinned by its digest.
    Dependencies,
    /// Every licence is allowed.
    Licences,
    /// The source is committed.
    Source,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measurement => "measurement",
            Self::Contents => "contents",
            Self::CommandLine => "command-line",
            Self::Simulator => "simulator",
            Self::Kernel => "kernel",
            Self::Hardening => "hardening",
            Self::Dependencies => "dependencies",
            Self::Licences => "licences",
            Self::Source => "source",
        })
    }
}

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Image digest as the manifest has it, hexadecimal.
    pub image_digest: String,
    /// Name of the platform.
    pub platform: String,
    /// Whether the manifest says that the image is for development.
    pub development: bool,
    /// Every answer, in the order of the checks.
    pub findings: Vec<Finding>,
    /// How many of them are violations.
    pub violations: usize,
    /// Known vulnerabilities of the packages: always [`ADVISORIES`].
    pub advisories: &'static str,
    /// What the host chooses on this platform, each measured or argued.
    pub host_inputs: Vec<HostInput>,
}

impl Report {
    /// One more answer.
    pub fn add(&mut self, finding: Finding) {
        self.violations += usize::from(finding.is_violation());
        self.findings.push(finding);
    }
}

/// No advisory database comes with an audit, and none is asked: silence about a package says nothing.
pub const ADVISORIES: &str = "not checked";

/// Audits an image folder against the source folder that it is said to be built from.
///
/// # Errors
/// [`AuditError`] where a question can't be asked. What is wrong with the image is in the report's findings.
pub fn audit(image: &Path, source: &Path) -> Result<(Report, Packages), AuditError> {
    let folder = Folder::read(image)?;
    let manifest = &folder.manifest;

    let mut findings = vec![match measure::measure(image, &Circumstances::default()) {
        Ok(report) => Finding::ok(
            Check::Measurement,
            "manifest.json",
            format!("the files are those of image digest {}", report.image_digest),
        ),
        Err(error) => Finding::violation(Check::Measurement, "manifest.json", error.to_string()),
    }];
    findings.extend(contents::check(&folder));
    findings.extend(simulator::check(&folder));
    findings.extend(kernel::check(&folder.kernel));
    findings.extend(hardening::check(&folder));
    let packages = Packages::of(&folder, source)?;
    findings.extend(dependencies::check(&packages, source)?);

    let platform = manifest.platform.name();
    let report = Report {
        image_digest: manifest.image_digest.clone(),
        development: manifest.development,
        violations: findings.iter().filter(|finding| finding.is_violation()).count(),
        findings,
        advisories: ADVISORIES,
        host_inputs: host_inputs::of(platform),
        platform: platform.to_owned(),
    };
    Ok((report, packages))
}
