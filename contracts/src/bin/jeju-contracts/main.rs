//! `jeju-contracts`: deploys the contracts and sends the transactions of governance and revoker.

mod hardware;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256, address};
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use jeju_chain::{ChainReader, MeasurementReading, ReaderConfig, TcpDial, platform};
use jeju_contracts::deployment::{self, Outcome, RegistryArguments};
use jeju_contracts::localnet;
use jeju_contracts::network::{MIN_PUBLIC_DELAY, Network};
use jeju_contracts::plan::{ENTRY_POINT, MIN_CHALLENGER_DELAY, PlanArguments};
use jeju_contracts::registry::{self, Proposal};
use jeju_contracts::roles;
use jeju_contracts::sender::AccountKey;
use jeju_contracts::wiring;
use serde_json::{Value, json};

use self::session::{Chain, Role, Session, client, sent};

/// Nobody has its key: on a local chain, what is slashed is gone.
const LOCAL_SINK: Address = address!("000000000000000000000000000000000000dEaD");

/// Deploys the Jeju contracts, and proposes, activates, revokes and queries measurements and machines.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Print one JSON object instead of lines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Registry {
    #[command(flatten)]
    chain: Chain,
    /// Address of the measurement registry.
    #[arg(long)]
    registry: Address,
    /// Measurement id, 32 bytes in hex.
    #[arg(long)]
    id: B256,
}

#[derive(Subcommand)]
enum Command {
    /// Deploy what isn't there yet; the address follows from code and arguments. Key: JEJU_DEPLOYER_KEY.
    Deploy {
        #[command(flatten)]
        chain: Chain,
        /// Governance account; the deployer's unless given.
        #[arg(long)]
        owner: Option<Address>,
        /// Revoking account, another one; needed but on localnet.
        #[arg(long)]
        revoker: Option<Address>,
        /// Timelock in seconds [default: 0 on localnet, else 172800].
        #[arg(long)]
        min_delay: Option<u64>,
        /// The measurement registry alone.
        #[arg(long, conflicts_with_all = ["sink", "arbiter", "challenger_delay", "treasury", "committee"])]
        registry_only: bool,
        /// Account that slashed stake goes to, not the owner; needed but on localnet.
        #[arg(long)]
        sink: Option<Address>,
        /// Account that rules on disputes; needed but on localnet.
        #[arg(long)]
        arbiter: Option<Address>,
        /// Seconds until a new challenger may slash [default: 0 on localnet, else 2592000].
        #[arg(long)]
        challenger_delay: Option<u64>,
        /// Account that the platform's fee goes to [default: the owner].
        #[arg(long)]
        treasury: Option<Address>,
        /// The platform's fee in hundredths of a percent.
        #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u16).range(..=1000))]
        fee_bps: u16,
        /// ERC-4337's entry point.
        #[arg(long, default_value_t = ENTRY_POINT)]
        entry_point: Address,
        /// Public key of the committee that verifies quotes, 33 bytes in hex; without it there is no FrostVerifier yet.
        #[arg(long)]
        committee: Option<Bytes>,
        /// File to write, for instance deployments/localnet.json.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Send and write nothing; show what would be, with the transactions that connect the contracts.
        #[arg(long)]
        dry_run: bool,
    },
    /// Announce a measurement; its timelock starts. Key: JEJU_DEPLOYER_KEY.
    Propose {
        #[command(flatten)]
        at: Registry,
        /// SHA-256 of the release manifest.
        #[arg(long)]
        release_digest: B256,
        /// Release number.
        #[arg(long)]
        version: u32,
        /// tdx, sev-snp, nitro or, on localnet, simulated.
        #[arg(long)]
        platform: String,
        /// Class of key material that the image may be entrusted with.
        #[arg(long, default_value_t = 0)]
        custody: u8,
        /// Properties of the image.
        #[arg(long, default_value_t = 0)]
        flags: u16,
    },
    /// Let verifiers accept a proposed measurement whose timelock has run out. Key: JEJU_DEPLOYER_KEY.
    Activate {
        #[command(flatten)]
        at: Registry,
    },
    /// End a measurement at once and for good. Key: JEJU_REVOKER_KEY.
    Revoke {
        #[command(flatten)]
        at: Registry,
    },
    /// Show what the registry says about a measurement at the finalised block.
    Query {
        #[command(flatten)]
        at: Registry,
    },
    /// The machines that agents may run on.
    #[command(subcommand)]
    Hardware(hardware::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let output = match cli.command {
        Command::Deploy {
            chain,
            owner,
            revoker,
            min_delay,
            registry_only,
            sink,
            arbiter,
            challenger_delay,
            treasury,
            fee_bps,
            entry_point,
            committee,
            out,
            dry_run,
        } => {
            let market = Market {
                registry_only,
                sink,
                arbiter,
                challenger_delay,
                treasury,
                fee_bps,
                entry_point,
                committee,
            };
            deploy(chain, owner, revoker, min_delay, market, out, dry_run).await?
        }
        Command::Propose {
            at,
            release_digest,
            version,
            platform,
            custody,
            flags,
        } => {
            let Some(platform) = platform::from_name(&platform) else {
                bail!("unknown platform {platform}: tdx, sev-snp, nitro or simulated is expected")
            };
            let (id, release_digest) = (at.id.0, release_digest.0);
            let proposal = Proposal {
                id,
                release_digest,
                version,
                platform,
                custody,
                flags,
            };
            let session = Session::open(&at.chain, Role::Owner).await?;
            sent(registry::propose(&session.sender(), at.registry, &proposal).await?)
        }
        Command::Activate { at } => {
            let session = Session::open(&at.chain, Role::Owner).await?;
            sent(registry::activate(&session.sender(), at.registry, at.id).await?)
        }
        Command::Revoke { at } => {
            let session = Session::open(&at.chain, Role::Revoker).await?;
            sent(registry::revoke(&session.sender(), at.registry, at.id).await?)
        }
        Command::Query { at } => query(at).await?,
        Command::Hardware(command) => hardware::run(command).await?,
    };
    print(&output, cli.json);
    Ok(())
}

/// What is asked for beside the measurement registry.
struct Market {
    registry_only: bool,
    sink: Option<Address>,
    arbiter: Option<Address>,
    challenger_delay: Option<u64>,
    treasury: Option<Address>,
    fee_bps: u16,
    entry_point: Address,
    committee: Option<Bytes>,
}

impl Market {
    fn arguments(self, registry: RegistryArguments, local: bool) -> Result<PlanArguments> {
        let committee = self.committee.map(|key| match key.split_first() {
            Some((parity @ (2 | 3), x)) if x.len() == 32 => Ok((U256::from_be_slice(x), parity & 1)),
            _ => bail!("--committee is not a compressed secp256k1 key of 33 bytes"),
        });
        let named = |account: Option<Address>, local_one: Address, name: &str| match account {
            Some(account) => Ok(account),
            None if local => Ok(local_one),
            None => bail!("{name} is missing"),
        };
        Ok(PlanArguments {
            registry,
            sink: named(self.sink, LOCAL_SINK, "--sink")?,
            arbiter: named(self.arbiter, localnet::revoker_key().address(), "--arbiter")?,
            challenger_delay: self
                .challenger_delay
                .unwrap_or(if local { 0 } else { MIN_CHALLENGER_DELAY }),
            treasury: self.treasury.unwrap_or(registry.owner),
            fee_bps: self.fee_bps,
            entry_point: self.entry_point,
            committee: committee.transpose()?,
        })
    }
}

async fn deploy(
    chain: Chain,
    owner: Option<Address>,
    revoker: Option<Address>,
    min_delay: Option<u64>,
    market: Market,
    out: Option<PathBuf>,
    dry_run: bool,
) -> Result<Value> {
    let local = chain.network == Network::Localnet;
    // A dry run needs no key where the owner is given.
    let key = if dry_run && owner.is_some() {
        None
    } else {
        Some(Role::Owner.key(chain.network)?)
    };
    let owner = owner
        .or(key.as_ref().map(AccountKey::address))
        .context("--owner is missing")?;
    let revoker = match revoker {
        Some(revoker) => revoker,
        None if local => localnet::revoker_key().address(),
        None => bail!("--revoker is missing: governance must not be its own revoker"),
    };
    let min_delay = min_delay.unwrap_or(if local { 0 } else { MIN_PUBLIC_DELAY });
    let arguments = RegistryArguments {
        owner,
        revoker,
        min_delay,
    };
    let key = key.filter(|_| !dry_run);
    let (rpc, key, network) = (client(&chain)?, key.as_ref(), chain.network);
    let market = match market.registry_only {
        true => None,
        false => Some(market.arguments(arguments, local)?),
    };
    let (deployment, outcome) = match &market {
        None => deployment::deploy(&rpc, key, network, arguments).await?,
        Some(arguments) => deployment::deploy_all(&rpc, key, network, arguments).await?,
    };
    // Before anything else can fail: what was made is written down, and the next run goes on from there.
    if let (Some(path), false) = (out, dry_run) {
        deployment::write(&path, deployment.clone())?;
    }
    let mut output = serde_json::to_value(&deployment)?;
    output["outcome"] = match outcome {
        Outcome::Created => "created",
        Outcome::Found => "found",
        Outcome::Planned => "planned",
    }
    .into();
    if let Some(arguments) = &market {
        // Without a key, as in a dry run, it shows what would have to be sent.
        output["wiring"] = serde_json::to_value(wiring::wire(&rpc, key, &deployment, owner).await?)?;
        if outcome != Outcome::Planned {
            let roles = roles::read(&rpc, &deployment, arguments).await?;
            let differ: Vec<_> = roles.iter().filter(|role| !role.as_meant()).collect();
            if outcome == Outcome::Created && !differ.is_empty() {
                bail!(
                    "roles are not as they were meant: {}",
                    serde_json::to_string(&differ)?
                );
            }
            output["roles"] = json!({ "checked": roles.len(), "differ": differ });
        }
    }
    Ok(output)
}

async fn query(at: Registry) -> Result<Value> {
    let local = at.chain.network == Network::Localnet;
    // One endpoint, named by the operator: an operator's own node may be plain http.
    let config = ReaderConfig {
        localnet: local,
        plaintext: true,
        ..ReaderConfig::new(vec![at.chain.rpc], 1)
    };
    let reader = ChainReader::new(config, Arc::new(TcpDial))?;
    at.chain.network.check_chain_id(reader.chain_id().await?)?;
    let reading = reader.measurement(&at.registry.into_array(), &at.id.0).await?;
    Ok(describe(at.id, &reading))
}

fn describe(id: B256, reading: &MeasurementReading) -> Value {
    let mut output = json!({
        "id": id,
        "status": reading.status().name(),
        "policyEpoch": reading.policy.epoch,
        "versionFloor": reading.policy.version_floor,
        "block": reading.head.block.number,
        "blockHash": B256::from(reading.head.block.hash),
        "finality": reading.head.finality.name(),
    });
    if let Some(record) = &reading.record {
        output["record"] = json!({
            "validFrom": record.valid_from,
            "revokedAt": record.revoked_at,
            "version": record.version,
            "rebuildCount": record.rebuild_count,
            "platform": platform::name(record.platform),
            "custody": record.custody,
            "flags": record.flags,
            "releaseDigest": B256::from(record.release_digest),
        });
    }
    output
}

fn print(output: &Value, json: bool) {
    if json {
        println!("{output}");
        return;
    }
    fn lines(prefix: &str, value: &Value) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            match value {
                Value::Object(_) => lines(&format!("{prefix}{name}."), value),
                Value::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        lines(&format!("{prefix}{name}.{at}."), item);
                    }
                }
                Value::String(text) => println!("{prefix}{name}: {text}"),
                other => println!("{prefix}{name}: {other}"),
            }
        }
    }
    lines("", output);
}
