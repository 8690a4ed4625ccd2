//! `jeju evidence`: verdicts on evidence in files, without a network.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use jeju_attestation::offline::{self, Answer, EvidenceKind, Request, Submission};
use jeju_attestation::policy::{self, Kind as PolicyKind, Policy, PolicyError};
use jeju_attestation::rejection::Rejection;
use jeju_attestation::verdict::{Check, Component, Revocation};
use jeju_attestation::{event_log, input};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Class;
use crate::files::{EndorsementArguments, FileError, read, text};

/// What is asked of evidence.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Say whether evidence is genuine and in what state, or, with a policy, whether it is accepted
    Verify(VerifyArguments),
    /// Print every field, with its name in the vendor's specification; nothing is verified
    Inspect(InspectArguments),
}

/// Arguments of `jeju evidence verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Evidence: raw, hex, base64, PEM, the JSON of a vendor's tool, or a node's evidence bundle
    file: PathBuf,
    /// Kind of evidence
    #[arg(long, default_value = "auto", value_parser = kind)]
    tee: Kind,
    #[command(flatten)]
    endorsements: EndorsementArguments,
    /// Nonce that the evidence must answer
    #[arg(long, value_name = "HEX", value_parser = hex_bytes)]
    nonce: Option<HexArgument>,
    /// REPORT_DATA (Nitro: user_data) that the evidence must carry; zeros follow a shorter one
    #[arg(long, value_name = "HEX", value_parser = hex_bytes)]
    report_data: Option<HexArgument>,
    /// Log of the measured boot (CC event log, or dstack's JSON), to be replayed to a TDX quote's registers
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
    /// Time to judge by, instead of now
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    at: Option<u64>,
    /// Appraisal policy (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Accept a policy of kind "development"
    #[arg(long)]
    development: bool,
    /// Print the verdict as one JSON line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `jeju evidence inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Evidence, in any form that `verify` reads
    file: PathBuf,
    /// Kind of evidence
    #[arg(long, default_value = "auto", value_parser = kind)]
    tee: Kind,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// A file can't be read, or isn't what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A check failed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl EvidenceError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            EvidenceError::File(error) => error.code(),
            EvidenceError::Policy(_) => "policy_invalid",
            EvidenceError::Rejected(rejection) => rejection.code(),
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            EvidenceError::Rejected(rejection) => rejection.class().into(),
            _ => Class::Usage,
        }
    }
}

/// `None`: told by the evidence itself.
type Kind = Option<EvidenceKind>;

/// Bytes that were written as hex.
#[derive(Debug, Clone)]
pub struct HexArgument(Vec<u8>);

/// Verifies a file. What is wrong is found in the order in which [`offline::answer`] finds it.
///
/// # Errors
/// See [`EvidenceError`].
pub fn verify(arguments: &VerifyArguments) -> Result<Answer, EvidenceError> {
    let file = read(&arguments.file, input::MAX_LEN)?;
    let event_log = match &arguments.event_log {
        Some(path) => Some(read(path, event_log::MAX_LEN)?),
        None => None,
    };
    let policy = match &arguments.policy {
        Some(path) => Some(text(path, policy::MAX_LEN)?),
        None => None,
    };
    let endorsements = arguments.endorsements.read()?;
    let policy = match policy {
        Some(text) => Some(Policy::parse(&text, arguments.development)?),
        None => None,
    };
    let request = Request {
        submission: Submission::read(&file, arguments.tee)?,
        endorsements,
        nonce: arguments.nonce.clone().map(|HexArgument(bytes)| bytes),
        report_data: arguments.report_data.clone().map(|HexArgument(bytes)| bytes),
        event_log,
        at: arguments.at.unwrap_or_else(now),
        policy,
    };
    Ok(offline::verify(&request)?)
}

/// Lists the fields of a file, after a line that says what they are.
///
/// # Errors
/// See [`EvidenceError`].
pub fn inspect(arguments: &InspectArguments) -> Result<Vec<String>, EvidenceError> {
    let file = read(&arguments.file, input::MAX_LEN)?;
    let submission = Submission::read(&file, arguments.tee)?;
    let fields = offline::inspect(&submission)?;
    if arguments.json {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
            .collect();
        let object = serde_json::json!({ "kind": submission.kind(), "verified": false, "fields": fields });
        return Ok(vec![object.to_string()]);
    }
    let mut lines = vec![format!("{}, nothing of it verified:", submission.kind())];
    let width = width(fields.iter().map(|(name, _)| name.as_str()));
    lines.extend(
        fields
            .iter()
            .map(|(name, value)| format!("{:<width$}  {}", plain(name), plain(value))),
    );
    Ok(lines)
}

/// Lines of an answer: a summary, then each component's claims below what the trust in them rests on, then what wasn't
/// checked. Development verdicts say so in every line, because a line is what people copy.
pub fn lines(answer: &Answer) -> Vec<String> {
    let kinds: Vec<_> = answer.components.iter().map(|component| component.kind).collect();
    let mut lines = vec![format!(
        "{}: {}, appraisal: {}, at {}",
        answer.status,
        kinds.join(" + "),
        answer.appraisal,
        time(answer.at)
    )];
    if answer.test_roots {
        lines.push("test roots: the chain of trust ends in a test root, not in a vendor's".into());
    }
    for (name, id) in [
        ("measurement id", answer.measurement),
        ("platform id", answer.platform),
    ] {
        lines.extend(id.map(|id| format!("{name:<16}{id}")));
    }
    if let Some(node) = &answer.node {
        lines.push("node".into());
        lines.extend(by_anchor(&node.checks));
    }
    for component in &answer.components {
        lines.extend(component_lines(component));
    }
    if answer.appraisal == "none" {
        lines.push("not checked: reference values: no policy was given".into());
    }
    lines.extend(
        answer
            .not_checked
            .iter()
            .map(|what| format!("not checked: {what}")),
    );
    let development = answer.policy_kind == Some(PolicyKind::Development) || answer.test_roots;
    let mark = if development { "[development] " } else { "" };
    lines
        .iter()
        .map(|line| format!("{mark}{}", plain(line)))
        .collect()
}

fn component_lines(component: &Component) -> Vec<String> {
    let mut lines = vec![component.kind.to_owned()];
    if let Some(tcb) = &component.tcb {
        let advisories = match tcb.advisories.as_slice() {
            [] => "no advisories".to_owned(),
            listed => listed.join(", "),
        };
        lines.push(format!("  TCB         {} ({advisories})", tcb.status));
    }
    let revocation = match component.revocation {
        Revocation::Good => "good",
        Revocation::Unknown => "unknown: nothing that was handed over could tell",
    };
    lines.push(format!("  revocation  {revocation}"));
    lines.extend(by_anchor(&component.checks));
    lines
}

/// Claims below their anchors; anchors in the order in which they first come.
fn by_anchor(checks: &[Check]) -> Vec<String> {
    let width = width(checks.iter().map(|check| check.claim));
    let mut anchors: Vec<&str> = Vec::new();
    for check in checks {
        if !anchors.contains(&check.anchor.as_str()) {
            anchors.push(&check.anchor);
        }
    }
    let mut lines = Vec::new();
    for anchor in anchors {
        lines.push(match anchor {
            "none" => "  by no trust anchor:".to_owned(),
            anchor => format!("  by {anchor}:"),
        });
        for check in checks.iter().filter(|check| check.anchor == anchor) {
            let value = match check.value.as_str() {
                "" => "none",
                value => value,
            };
            lines.push(format!("    {:<width$}  {value} ({})", check.claim, check.check));
        }
    }
    lines
}

fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

/// Text in one line, without what would move a terminal's cursor or turn its writing round: names in evidence are
/// whatever its sender wrote.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            _ if character.is_control() => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

pub(crate) fn time(at: u64) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{at} s after 1970"))
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "auto" => Ok(None),
        name => EvidenceKind::from_name(name).map(Some).ok_or_else(|| {
            let names: Vec<_> = EvidenceKind::ALL.iter().map(|kind| kind.name()).collect();
            format!("auto, {} is expected", names.join(", "))
        }),
    }
}

fn hex_bytes(text: &str) -> Result<HexArgument, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match hex::decode(digits) {
        // A script's variable that isn't set would ask for zeros.
        Ok(bytes) if !bytes.is_empty() => Ok(HexArgument(bytes)),
        _ => Err("an even number of hex digits is expected".to_owned()),
    }
}

pub(crate) fn instant(text: &str) -> Result<u64, String> {
    let time =
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "2026-01-31T12:00:00Z is expected".to_owned())?;
    u64::try_from(time.unix_timestamp()).map_err(|_| "a time after 1970 is expected".to_owned())
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
