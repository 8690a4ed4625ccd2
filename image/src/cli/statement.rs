//! `jeju-image statement`.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jeju_image::statement::document::bytes;
use jeju_image::statement::subject::{self, Source};
use jeju_image::statement::{Domain, RebuildStatement, RebuilderKey, SignedStatement, StatementError};
use serde_json::Value;

use super::build::workspace;

/// Longest file of statements that is read, in bytes.
const MAX_LEN: u64 = 4 << 20;

#[derive(Debug, Args)]
pub struct StatementArgs {
    #[command(subcommand)]
    command: StatementCommand,
}

#[derive(Debug, Subcommand)]
enum StatementCommand {
    /// Sign that an image folder was built again from the source folder's commit, one JSON object for each measurement id
    Sign(SignArgs),
    /// Check statements, and say what is stated by whom
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct SignArgs {
    /// Image folder that was rebuilt
    #[arg(long)]
    image: PathBuf,
    /// Source folder that it was rebuilt from [default: the workspace around the current folder]
    #[arg(long)]
    source: Option<PathBuf>,
    /// File with the rebuilder's secp256k1 key in hexadecimal, mode 0600
    #[arg(long)]
    key: PathBuf,
    /// Id of the chain
    #[arg(long)]
    chain_id: u64,
    /// Address of the measurement registry
    #[arg(long)]
    registry: String,
    /// Measurement id to state, once for each shape of machine [default: the one of the manifest]
    #[arg(long, value_name = "ID")]
    measurement: Vec<String>,
    /// When it was built, in seconds since 1970 [default: now]
    #[arg(long)]
    built_at: Option<u64>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// File of statements, JSON objects behind one another
    file: PathBuf,
    /// Refuse statements for another chain
    #[arg(long)]
    chain_id: Option<u64>,
    /// Refuse statements for another registry
    #[arg(long)]
    registry: Option<String>,
    /// Refuse statements of another account
    #[arg(long)]
    rebuilder: Option<String>,
    /// Refuse statements about another image than this folder's
    #[arg(long)]
    image: Option<PathBuf>,
}

/// Signs or verifies.
pub fn statement(args: &StatementArgs) -> anyhow::Result<()> {
    match &args.command {
        StatementCommand::Sign(args) => sign(args),
        StatementCommand::Verify(args) => verify(args),
    }
}

fn sign(args: &SignArgs) -> anyhow::Result<()> {
    let source = workspace(args.source.as_deref())?;
    let wanted = args
        .measurement
        .iter()
        .map(|id| bytes("--measurement", id))
        .collect::<Result<Vec<_>, _>>()?;
    let (release_digest, measurements) = subject::image(&args.image, &wanted)?;
    let Source { commit, lock_digest } = Source::of(&source)?;
    let domain = Domain {
        chain_id: args.chain_id,
        registry: bytes("--registry", &args.registry)?,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let key = RebuilderKey::read(&args.key)?;
    for measurement in measurements {
        let statement = RebuildStatement {
            measurement,
            release_digest,
            source_commit: commit,
            lock_digest,
            built_at: args.built_at.unwrap_or(now),
            rebuilder: key.address(),
        };
        let signed = statement.sign(domain, &key)?;
        println!("{}", serde_json::to_string_pretty(&signed.to_json())?);
    }
    Ok(())
}

fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let name = args.file.display();
    let length = fs::metadata(&args.file).with_context(|| name.to_string())?.len();
    ensure!(length <= MAX_LEN, "{name} is longer than {MAX_LEN} bytes");
    let text = fs::read(&args.file).with_context(|| name.to_string())?;
    let release = args.image.as_deref().map(subject::release_digest).transpose()?;
    let mut count = 0;
    for json in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
        let signed = SignedStatement::from_json(json?)?;
        signed.verify()?;
        expect(args, &signed)?;
        if let Some(digest) = release {
            equal("releaseDigest", &signed.statement.release_digest, &digest)?;
        }
        let RebuildStatement {
            measurement,
            source_commit,
            built_at,
            rebuilder,
            ..
        } = signed.statement;
        println!(
            "0x{} states at {built_at} that commit {} builds 0x{}",
            hex::encode(rebuilder),
            hex::encode(source_commit),
            hex::encode(measurement)
        );
        count += 1;
    }
    ensure!(count > 0, "{name} holds no statement");
    Ok(())
}

fn expect(args: &VerifyArgs, signed: &SignedStatement) -> Result<(), StatementError> {
    if let Some(chain_id) = args.chain_id
        && chain_id != signed.domain.chain_id
    {
        return Err(StatementError::Unexpected {
            field: "chainId",
            actual: signed.domain.chain_id.to_string(),
            wanted: chain_id.to_string(),
        });
    }
    if let Some(registry) = &args.registry {
        let registry: [u8; 20] = bytes("--registry", registry)?;
        equal("verifyingContract", &signed.domain.registry, &registry)?;
    }
    if let Some(rebuilder) = &args.rebuilder {
        let rebuilder: [u8; 20] = bytes("--rebuilder", rebuilder)?;
        equal("rebuilder", &signed.statement.rebuilder, &rebuilder)?;
    }
    Ok(())
}

fn equal(field: &'static str, actual: &[u8], wanted: &[u8]) -> Result<(), StatementError> {
    if actual == wanted {
        return Ok(());
    }
    Err(StatementError::Unexpected {
        field,
        actual: format!("0x{}", hex::encode(actual)),
        wanted: format!("0x{}", hex::encode(wanted)),
    })
}
