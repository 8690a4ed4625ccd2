//! A network of signers on one machine: a local chain with the contracts, and nodes with simulated silicon, each a
//! machine of its own as far as software can pretend.
//!
//! As with `jeju dev`, each part is the program that operators run, as a child process.

mod documents;
mod environment;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::mpc::Mpc;
use jeju_attestation::policy::Policy;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy as KeyPolicy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::network::Scheme;
use jeju_simulated::Silicon;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::json;

use super::chain::{Contracts, LocalChain};
use super::children::Children;
use super::guest::{Boot, Guest, Place};
use super::progress::Progress;
use super::{DevError, ports, programs, until_interrupted};
use crate::error::{self, Class};
use crate::mpc::{Key, MpcClient, MpcError};
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;
use documents::{NetworkDocuments, member};
use environment::{Defaults, Environment};

pub use environment::EnvironmentError;

/// Port of the signer's service in a guest.
const SERVICE: u16 = 4010;
/// Port of the local chain.
const CHAIN: u16 = 8545;
/// How long nodes may take to find one another.
const CONNECTED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);
/// Private key of a local chain's first account, which everybody knows.
const DEVELOPMENT_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// That account.
const GOVERNANCE: HexBytes<20> = HexBytes([
    0xf3, 0x9f, 0xd6, 0xe5, 0x1a, 0xad, 0x88, 0xf6, 0xf4, 0xce, 0x6a, 0xb8, 0x82, 0x72, 0x79, 0xcf, 0xff,
    0xb9, 0x22, 0x66,
]);

/// Options of `jeju mpc local`. The variables MPC_NODE_ID, MPC_PORT, MPC_NETWORK_ID, MPC_THRESHOLD, MPC_TOTAL_SHARES,
/// MPC_PEERS and MPC_VERBOSE say the same where an option doesn't; JEJU_PORT_BASE=N moves the chain to N and the nodes
/// to N+1 and up.
#[derive(Debug, Clone, Args)]
pub struct LocalArguments {
    /// How many nodes [default: MPC_TOTAL_SHARES, or 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32))]
    pub nodes: Option<u16>,
    /// How many must sign [default: MPC_THRESHOLD, or more than half]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=32))]
    pub threshold: Option<u16>,
    /// Folder for documents, logs, simulated silicon, sealed records and sockets
    #[arg(long, value_name = "DIR", default_value = ".jeju/mpc")]
    pub state: PathBuf,
    /// Node's binary, built for development [default: the one next to this program]
    #[arg(long, value_name = "FILE")]
    pub enclave: Option<PathBuf>,
    /// Local chain's program [default: JEJU_ANVIL, the one of contracts/node_modules, or that of PATH]
    #[arg(long, value_name = "FILE")]
    pub anvil: Option<PathBuf>,
    /// Most seconds until all nodes serve
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub ready_within: u64,
    /// End after a key and a verified signature, with one JSON line on standard output
    #[arg(long)]
    pub once: bool,
}

/// Runs until Ctrl-C, or until the verified signature with `--once`. All that was started has ended when this returns.
pub async fn run(arguments: LocalArguments) -> Result<(), DevError> {
    let mut children = Children::default();
    let outcome = until_interrupted(arguments.once, stay(&arguments, &mut children)).await;
    if children.end().await {
        eprintln!("jeju mpc: ended, nothing is left running");
    }
    outcome
}

async fn stay(arguments: &LocalArguments, children: &mut Children) -> Result<(), DevError> {
    let base = ports::base()?;
    let defaults = Defaults {
        nodes: arguments.nodes,
        threshold: arguments.threshold,
        port: base.map_or(SERVICE, |base| base + 1),
    };
    let environment = Environment::read(&defaults)?;
    let chain_port = base.unwrap_or(CHAIN);
    let mut wanted = vec![(chain_port, "local chain")];
    wanted.extend(environment.nodes.iter().map(|(_, port)| (*port, "node")));
    ports::check(&wanted)?;
    let state = programs::state_folder(&arguments.state)?;
    let mut progress = Progress::shown(environment.verbose);

    let boot = Boot::process(arguments.enclave.as_deref(), None, None)?;
    let starting = LocalChain::start(arguments.anvil.as_deref(), chain_port, &state, children);
    let chain = progress.step("chain", "starting a local chain", starting).await?;
    let contracts = progress
        .step("deploy", "deploying the contracts", chain.deploy_all())
        .await?;
    let registering = chain.register(&contracts.registry, &boot.measurement, &boot.release);
    progress
        .step("register", "registering the measurement", registering)
        .await?;

    let documents = documents(&environment, &boot, &chain, &contracts, &state)?;
    let policy_path = state.join("policy.toml");
    programs::write(&policy_path, &documents.policy())?;
    let starting = start(&environment, &boot, &documents, &state, children);
    let mut guests = progress.step("start", "starting the nodes", starting).await?;
    let limit = Duration::from_secs(arguments.ready_within);
    let ready = async {
        tokio::select! {
            ready = all_ready(&mut guests, limit) => ready,
            error = children.first_to_end() => Err(error),
        }
    };
    progress
        .step("boot", "waiting for the nodes to serve", ready)
        .await?;

    let nodes = environment.nodes.iter();
    let urls = nodes.map(|(_, port)| format!("https://127.0.0.1:{port}").parse());
    let urls: Vec<NodeUrl> = urls.collect::<Result<_, _>>()?;
    if arguments.once {
        let policy = Policy::parse(&documents.policy(), true).map_err(error::Error::from)?;
        return once(&urls, policy, &mut progress).await;
    }
    eprintln!(
        "{}",
        what_next(&urls, &policy_path, &environment, &chain, &contracts)
    );
    tokio::select! {
        error = first_to_give_up(&mut guests) => Err(error),
        error = children.first_to_end() => Err(error),
    }
}

fn documents(
    environment: &Environment,
    boot: &Boot,
    chain: &LocalChain,
    contracts: &Contracts,
    state: &Path,
) -> Result<NetworkDocuments, DevError> {
    let mut members = Vec::new();
    let mut simulated_roots = Vec::new();
    for (at, (name, port)) in environment.nodes.iter().enumerate() {
        let silicon = Silicon::open_or_create(&Folders::of(state, at).silicon)?;
        members.push(member(name, *port, silicon.platform_id()));
        simulated_roots.push(HexBytes(silicon.root_public()));
    }
    Ok(NetworkDocuments {
        mpc: Mpc {
            network: environment.network.clone(),
            threshold: environment.threshold,
            governance: GOVERNANCE,
            measurements: vec![boot.measurement],
            simulated_roots,
            wallet_factory: Some(contracts.wallet_factory),
            members,
            place: None,
        },
        registry: contracts.registry,
        rpc: chain.url(),
        chain_authority: chain.authority(),
    })
}

/// Folders of a node's machine.
struct Folders {
    machine: PathBuf,
    silicon: PathBuf,
}

impl Folders {
    /// Short names: sockets lie in them, and the path of a socket is short.
    fn of(state: &Path, at: usize) -> Self {
        let machine = state.join(format!("{}", at + 1));
        Self {
            silicon: machine.join("silicon"),
            machine,
        }
    }
}

async fn start(
    environment: &Environment,
    boot: &Boot,
    documents: &NetworkDocuments,
    state: &Path,
    children: &mut Children,
) -> Result<Vec<Guest>, DevError> {
    let mut guests = Vec::new();
    for (at, (_, port)) in environment.nodes.iter().enumerate() {
        let folders = Folders::of(state, at);
        let launch = folders.machine.join("launch.toml");
        programs::write(&launch, &documents.launch(at).map_err(DevError::document)?)?;
        let place = Place {
            name: &format!("-{}", at + 1),
            launch: &launch,
            state: &folders.machine.join("node"),
            silicon: &folders.silicon,
            logs: state,
            listen: (SERVICE, *port),
            ssh: None,
            workers: None,
            docker: None,
            blobs: Some(&folders.machine.join("blobs")),
            egress: documents.egress_of(at),
        };
        guests.push(Guest::start(boot, &place, children).await?);
    }
    Ok(guests)
}

async fn all_ready(guests: &mut [Guest], limit: Duration) -> Result<(), DevError> {
    let ready = guests.iter_mut().map(|guest| guest.ready(limit));
    futures_util::future::try_join_all(ready).await.map(drop)
}

async fn first_to_give_up(guests: &mut [Guest]) -> DevError {
    let ends: FuturesUnordered<_> = guests.iter_mut().map(Guest::gave_up).collect();
    match ends.into_future().await.0 {
        Some(error) => error,
        None => std::future::pending().await,
    }
}

/// A key, a signature by it, and both checked.
async fn once(urls: &[NodeUrl], policy: Policy, progress: &mut Progress) -> Result<(), DevError> {
    let party = Arc::new(RelyingParty::new(policy)?);
    let account = AccountKey::from_hex(DEVELOPMENT_KEY.as_bytes()).ok_or(MpcError::Random)?;
    let mut client = MpcClient::new(urls, party)?;
    let document = KeyDocument {
        owners: vec![Address(account.account())],
        contracts: Vec::new(),
        quorum: 1,
        policy: KeyPolicy {
            messages: true,
            ..KeyPolicy::default()
        },
        salt: HexBytes([0; 32]),
        scheme: Scheme::Secp256k1,
        dedicated: false,
    };
    let making = when_connected(&mut client, &account, &document);
    let key = progress.step("keygen", "making a key", making).await?;
    let payload = Payload::Message {
        message: "jeju".to_owned(),
    };
    let signing = async { Ok(client.sign(&account, &key, &payload).await?) };
    let signed = progress.step("sign", "signing a text", signing).await?;
    let line = json!({
        "publicKey": key.public_key,
        "walletAddress": key.wallet_address,
        "scheme": key.key.scheme.name(),
        "messageHash": HexBytes(signed.message),
        "signature": format!("0x{}", hex::encode(&signed.signature)),
        "signers": signed.signers,
        "milliseconds": progress.milliseconds(),
    });
    println!("{line}");
    Ok(())
}

/// The nodes serve before they have found one another, which is a matter of seconds.
async fn when_connected(
    client: &mut MpcClient,
    account: &AccountKey,
    document: &KeyDocument,
) -> Result<Key, DevError> {
    let started = Instant::now();
    loop {
        match client.keygen(account, document).await {
            // Who has just started refuses what was issued before, and the others pass that on as a refusal.
            Err(error @ MpcError::Refused { .. } | error @ MpcError::NotConfirmed { .. })
                if error.class() != Class::Usage && started.elapsed() < CONNECTED_WITHIN =>
            {
                tokio::time::sleep(POLL).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn what_next(
    urls: &[NodeUrl],
    policy: &Path,
    environment: &Environment,
    chain: &LocalChain,
    contracts: &Contracts,
) -> String {
    let nodes: Vec<String> = urls.iter().map(|url| format!("--node {url}")).collect();
    let (policy, rpc) = (policy.display(), chain.url());
    let (threshold, total) = (environment.threshold, environment.nodes.len());
    format!(
        r#"
Ready: {total} nodes, {threshold} of which sign together. Simulated silicon shows how everything works, and proves
nothing about this machine. In another terminal:

  export JEJU_MPC="{nodes} --policy {policy} --development"
  export JEJU_KEY={DEVELOPMENT_KEY}   # the local chain's first account

  jeju mpc keygen $JEJU_MPC --messages --out wallet.json
  jeju mpc sign $JEJU_MPC wallet.json --message hello
  jeju mpc status $JEJU_MPC

Chain: {rpc}, FrostWalletFactory: {factory}
Ctrl-C ends everything."#,
        nodes = nodes.join(" "),
        factory = contracts.wallet_factory,
    )
}
