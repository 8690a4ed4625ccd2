//! `jeju audit`: recomputes what an embedded model answered.
//!
//! A saved [`Exchange`] is checked in this order: the answer's signature by the key that its evidence names, that evidence by
//! the user's policy where there is one, the receipt in the answer against the request, and the answer against what the
//! engine computes from the same model file. The engine gives the same bits on every CPU, so one differing byte is a
//! refusal.

mod answer;
mod error;
pub mod exchange;
mod recompute;
mod report;
mod signature;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jeju_attestation::verdict::Verdict;
use jeju_inference::{LoadError, Model};
use jeju_openai::receipt::Receipt;
use sha2::{Digest, Sha256};

pub use error::AuditError;
pub use exchange::Exchange;
pub use report::Report;

use crate::evidence::{instant, now};
use crate::files::{FileError, read};
use crate::trust::TrustArguments;
use answer::{Answer, Endpoint};
use recompute::Request;
use signature::Signed;

/// What is audited.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute an answer that `jeju chat --save` has saved, and compare it to the last byte
    Response(ResponseArguments),
}

/// Arguments of `jeju audit response`.
#[derive(Debug, Args)]
pub struct ResponseArguments {
    /// The saved exchange
    file: PathBuf,
    /// The model's file (GGUF)
    #[arg(long, value_name = "GGUF")]
    model: PathBuf,
    /// Without any of these, nothing says whether the evidence is genuine
    #[command(flatten)]
    trust: TrustArguments,
    /// Time to judge the evidence by, instead of now
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    at: Option<u64>,
    /// Print the verdict as one JSON line
    #[arg(long)]
    pub json: bool,
}

/// Audits a saved exchange.
///
/// # Errors
/// The first check that fails.
pub async fn response(arguments: &ResponseArguments) -> Result<Report, AuditError> {
    let exchange = Exchange::parse(&read(&arguments.file, exchange::MAX_LEN)?)?;
    let signed = signature::verify(&exchange)?;
    let at = arguments.at.unwrap_or_else(now);
    let verdict = appraise(&arguments.trust, &signed, at).await?;
    let endpoint = Endpoint::of(&exchange.request.path)?;
    let answer = Answer::read(endpoint, &exchange.response.body, signed.streamed)?;
    let request = Request::read(endpoint, &exchange.request.body)?;
    check_launched(&signed, &request.model, &answer.receipt)?;
    request.check(&answer)?;
    let mut report = Report::new(&exchange, &signed, verdict, &request, &answer.receipt);
    let model = arguments.model.clone();
    let receipt = answer.receipt.clone();
    // Minutes of computation for a long answer: not for a thread that serves others.
    tokio::task::spawn_blocking(move || {
        let model = load(&model, &receipt.model_sha256)?;
        request.recompute(model, &answer)
    })
    .await
    .unwrap_or(Err(AuditError::Recomputed {
        index: 0,
        what: "end",
    }))?;
    report.recomputed();
    Ok(report)
}

/// `None`: the user names nothing that could tell genuine evidence.
async fn appraise(trust: &TrustArguments, signed: &Signed, at: u64) -> Result<Option<Verdict>, AuditError> {
    if trust.names_nothing() {
        return Ok(None);
    }
    let party = trust.relying_party()?;
    Ok(Some(party.appraise_saved(&signed.bundle, at).await?))
}

/// The receipt's model is the one that the launch document has under the name that was asked for.
fn check_launched(signed: &Signed, id: &str, receipt: &Receipt) -> Result<(), AuditError> {
    let mut launched = signed.launch.models.iter();
    match launched.any(|model| model.id == id && model.sha256.0 == receipt.model_sha256) {
        true => Ok(()),
        false => Err(AuditError::NotLaunched {
            receipt: hex::encode(receipt.model_sha256),
            id: id.chars().filter(|c| !c.is_control()).take(64).collect(),
        }),
    }
}

/// Loads a model whose file has this SHA-256.
fn load(path: &Path, sha256: &[u8; 32]) -> Result<Model, AuditError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let (found, size) = digest(&mut file).map_err(unreadable)?;
    if found[..] != sha256[..] {
        return Err(AuditError::OtherModel {
            path: path.to_owned(),
            file: hex::encode(found),
            receipt: hex::encode(sha256),
        });
    }
    Model::load(BufReader::with_capacity(1 << 20, file), size).map_err(|source: LoadError| {
        AuditError::ModelFile {
            path: path.to_owned(),
            source,
        }
    })
}

/// SHA-256 and length of a file, which then stands at its start again.
fn digest(file: &mut File) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
    file.rewind()?;
    Ok((hash.finalize().into(), size))
}
