//! `jeju policy`: takes, signs and shows snapshots of the measurement registry.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::Signature;
use serde_json::{Value, json};
use thiserror::Error;

use super::{MAX_LEN, MAX_LIFE, Snapshot, SnapshotError, take};
use crate::chain::{Chain, ChainError};
use crate::error::Class;
use crate::files::{self, FileError};
use crate::rental::command::Printed;
use crate::trust::{TrustArguments, TrustError, address};
use crate::wallet::{AccountArguments, AccountKeyError};

/// What is done with snapshots.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write down what the registry accepts now, by a majority of endpoints, for governance to sign
    Snapshot(Box<TakeArguments>),
    /// Sign a snapshot as governance, or add a signature that was made elsewhere
    Sign(SignArguments),
    /// Print a snapshot, and who signed it
    Show(ShowArguments),
}

/// What a new snapshot is made of.
#[derive(Debug, Args)]
pub struct TakeArguments {
    /// Where the registry is.
    #[command(flatten)]
    pub trust: TrustArguments,
    /// File to write; standard output if absent
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Hours for which it means something, counted from its block
    #[arg(long, default_value_t = MAX_LIFE / 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_LIFE / 3600))]
    pub hours: u64,
    /// Print what was done as one JSON line
    #[arg(long)]
    pub json: bool,
}

/// Who signs what.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// Snapshot, which is replaced by the signed one
    pub file: PathBuf,
    /// Signature that a wallet made of `jeju policy show --typed-data`, instead of an account's key
    #[arg(long, value_name = "HEX", conflicts_with_all = ["key", "wallet"])]
    pub signature: Option<String>,
    /// Governance's account; the signature must be its
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub governance: Option<HexBytes<20>>,
    /// The key.
    #[command(flatten)]
    pub account: AccountArguments,
    /// Print what was done as one JSON line
    #[arg(long)]
    pub json: bool,
}

/// What is shown.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Snapshot
    pub file: PathBuf,
    /// Print the message that a wallet signs (eth_signTypedData_v4) instead
    #[arg(long)]
    pub typed_data: bool,
    /// Print the snapshot as one JSON line
    #[arg(long)]
    pub json: bool,
}

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum PolicyCommandError {
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Arguments don't say which registry.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The chain can't be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// No key.
    #[error(transparent)]
    Key(#[from] AccountKeyError),
    /// A file can't be written.
    #[error("{}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PolicyCommandError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            PolicyCommandError::File(error) => error.code(),
            PolicyCommandError::Trust(error) => error.code(),
            PolicyCommandError::Chain(error) => error.code(),
            PolicyCommandError::Snapshot(error) => error.code(),
            PolicyCommandError::Key(error) => error.code(),
            PolicyCommandError::Unwritable { .. } => "file_unwritable",
        }
    }

    /// Class, from which the exit code follows.
    pub fn class(&self) -> Class {
        match self {
            PolicyCommandError::Trust(error) => error.class(),
            PolicyCommandError::Chain(error) => error.class(),
            PolicyCommandError::Snapshot(error) => error.class(),
            PolicyCommandError::Key(error) => error.class(),
            PolicyCommandError::File(_) | PolicyCommandError::Unwritable { .. } => Class::Usage,
        }
    }
}

impl PolicyCommand {
    /// Whether it prints JSON.
    pub fn json(&self) -> bool {
        match self {
            PolicyCommand::Snapshot(arguments) => arguments.json,
            PolicyCommand::Sign(arguments) => arguments.json,
            PolicyCommand::Show(arguments) => arguments.json,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Any of [`PolicyCommandError`].
    pub async fn run(&self) -> Result<Printed, PolicyCommandError> {
        match self {
            PolicyCommand::Snapshot(arguments) => arguments.run().await,
            PolicyCommand::Sign(arguments) => arguments.run(),
            PolicyCommand::Show(arguments) => arguments.run(),
        }
    }
}

impl TakeArguments {
    async fn run(&self) -> Result<Printed, PolicyCommandError> {
        let policy = self.trust.policy()?;
        let registry = policy.registry.as_ref().ok_or(TrustError::NoRegistry)?;
        let chain = Chain::connect(&self.trust).await?;
        if chain.chain_id != registry.chain_id {
            return Err(ChainError::Other {
                found: chain.chain_id,
                wanted: registry.chain_id,
            }
            .into());
        }
        let head = chain.reader.finalized_block().await.map_err(ChainError::from)?;
        let life = self.hours * 3600;
        let snapshot = take(&chain.reader, head, chain.chain_id, &registry.address.0, life).await?;
        match &self.out {
            None => Ok(Printed::Report {
                lines: vec![document(&snapshot)],
                json: json!(snapshot),
            }),
            Some(path) => {
                write(path, &snapshot)?;
                Ok(report(&snapshot, Some(path)))
            }
        }
    }
}

impl SignArguments {
    fn run(&self) -> Result<Printed, PolicyCommandError> {
        let mut snapshot = read(&self.file)?;
        let signature = match &self.signature {
            Some(text) => Signature::parse(text).map_err(|error| SnapshotError::Form(error.to_string()))?,
            None => self.account.read()?.sign(&snapshot.digest()),
        };
        snapshot.signature = Some(HexBytes(signature.0));
        let nobody = Account([0; 20]);
        let found = snapshot.signer().unwrap_or(nobody);
        let wanted = self.governance.map_or(found, |governance| Account(governance.0));
        if found != wanted || found == nobody {
            return Err(SnapshotError::Signer { found, wanted }.into());
        }
        write(&self.file, &snapshot)?;
        Ok(report(&snapshot, Some(&self.file)))
    }
}

impl ShowArguments {
    fn run(&self) -> Result<Printed, PolicyCommandError> {
        let snapshot = read(&self.file)?;
        if self.typed_data {
            let json = snapshot.typed_data();
            return Ok(Printed::Report {
                lines: vec![format!("{json:#}")],
                json,
            });
        }
        let mut printed = report(&snapshot, None);
        if let Printed::Report { lines, json } = &mut printed {
            lines.extend(snapshot.entries.iter().map(|entry| {
                let until = match entry.valid_until {
                    0 => String::new(),
                    until => format!(" until {until}"),
                };
                format!("{} {} version {}{until}", entry.id, entry.platform, entry.version)
            }));
            json["snapshot"] = json!(snapshot);
        }
        Ok(printed)
    }
}

/// A few lines on a snapshot.
fn report(snapshot: &Snapshot, written: Option<&Path>) -> Printed {
    let signer = snapshot.signer().map(|signer| signer.to_string());
    let mut lines = vec![
        format!(
            "registry {} on chain {}, block {} of {} (seconds since 1970)",
            snapshot.registry, snapshot.chain_id, snapshot.block, snapshot.timestamp
        ),
        format!(
            "policy epoch {}, version floor {}, {} measurements, until {}",
            snapshot.policy_epoch,
            snapshot.version_floor,
            snapshot.entries.len(),
            snapshot.not_after
        ),
        match (&signer, &snapshot.signature) {
            (Some(signer), _) => format!("signed by {signer}"),
            (None, Some(_)) => "the signature is nobody's".to_owned(),
            (None, None) => "not signed: jeju policy sign".to_owned(),
        },
    ];
    let mut json = json!({
        "chainId": snapshot.chain_id,
        "registry": snapshot.registry,
        "block": snapshot.block,
        "policyEpoch": snapshot.policy_epoch,
        "notAfter": snapshot.not_after,
        "measurements": snapshot.entries.len(),
        "signer": signer,
    });
    if let Some(path) = written {
        lines.push(format!("written to {}", path.display()));
        json["file"] = Value::from(path.to_string_lossy());
    }
    Printed::Report { lines, json }
}

fn read(path: &Path) -> Result<Snapshot, PolicyCommandError> {
    Ok(Snapshot::parse(&files::text(path, MAX_LEN)?)?)
}

fn document(snapshot: &Snapshot) -> String {
    // A struct of numbers, texts and lists always has a text.
    format!("{:#}", json!(snapshot))
}

/// Whole, or not at all: readers may look at any time.
fn write(path: &Path, snapshot: &Snapshot) -> Result<(), PolicyCommandError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        writeln!(file, "{}", document(snapshot))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        PolicyCommandError::Unwritable {
            path: path.to_owned(),
            source,
        }
    })
}
