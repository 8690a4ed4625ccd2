//! A local chain for development and tests: anvil on loopback, with the published development accounts.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use alloy::primitives::{Address, address};
use jeju_chain::{
    ChainReader, DEFAULT_TIMEOUT, Endpoint, ReaderConfig, RpcClient, RpcError, TcpDial, public_web_tls,
};
use serde_json::{Value, json};

use crate::deployment::{self, DeployError, Deployment, RegistryArguments};
use crate::network::{LOCALNET_CHAIN_ID, Network};
use crate::plan::{ENTRY_POINT, PlanArguments};
use crate::registry::{self, Proposal};
use crate::sender::{AccountKey, SendError, Sender};

/// Environment variable that names another anvil than the one of `npm ci`.
pub const ANVIL_ENV: &str = "JEJU_ANVIL";

/// Keys of anvil's first two accounts, known to everybody: deployer and owner, and revoker.
const DEV_KEYS: [&str; 2] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];

const START_WAIT: Duration = Duration::from_secs(60);

/// Nobody has its key: what is slashed is gone.
const SINK: Address = address!("000000000000000000000000000000000000dEaD");

/// The published key that owns contracts on a local chain.
pub fn owner_key() -> AccountKey {
    DEV_KEYS[0].parse().expect("a constant that a test parses")
}

/// The published key that revokes on a local chain.
pub fn revoker_key() -> AccountKey {
    DEV_KEYS[1].parse().expect("a constant that a test parses")
}

/// The registry of a local chain: published keys, no timelock. Its address is the same on every one.
pub fn registry_arguments() -> RegistryArguments {
    RegistryArguments {
        owner: owner_key().address(),
        revoker: revoker_key().address(),
        min_delay: 0,
    }
}

/// How anvil is started.
#[derive(Debug, Clone)]
pub struct AnvilOptions {
    /// Port on 127.0.0.1; zero for a free one.
    pub port: u16,
    /// Seconds between blocks; `None` makes a block for each transaction.
    pub block_time: Option<u64>,
}

impl Default for AnvilOptions {
    /// A free port, a block every two seconds.
    fn default() -> Self {
        Self {
            port: 0,
            block_time: Some(2),
        }
    }
}

/// Why the local chain doesn't work.
#[derive(Debug, thiserror::Error)]
pub enum LocalnetError {
    /// No anvil was found.
    #[error("anvil not found: run `npm ci --ignore-scripts` in contracts/, or set {ANVIL_ENV}")]
    NotFound,
    /// `npm ci` failed.
    #[error("installing the contract tools with npm failed: {0}")]
    Npm(String),
    /// A process or file of the installation failed.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        reason: io::Error,
    },
    /// Anvil ended instead of listening, for instance because the port is taken.
    #[error("anvil ended before it listened: {0}")]
    Exited(String),
    /// Anvil didn't listen in time.
    #[error("anvil does not listen after {START_WAIT:?}")]
    Slow,
    /// The node refused a call.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A transaction failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The deployment failed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// A running anvil. Dropping it ends the process.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
    rpc: RpcClient,
}

impl Anvil {
    /// Starts anvil and waits until it listens. Blocks every epoch of one slot, so that `finalized` is two blocks behind
    /// `latest`; the transaction gas cap of EIP-7825 is on.
    pub fn spawn(options: &AnvilOptions) -> Result<Self, LocalnetError> {
        let mut command = Command::new(anvil_binary()?);
        command
            .args(["--host", "127.0.0.1", "--port", &options.port.to_string()])
            .args(["--chain-id", &LOCALNET_CHAIN_ID.to_string()])
            .args(["--slots-in-an-epoch", "1", "--enable-tx-gas-limit"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(seconds) = options.block_time {
            command.args(["--block-time", &seconds.to_string()]);
        }
        let mut child = command.spawn().map_err(|reason| LocalnetError::Io {
            what: "starting anvil",
            reason,
        })?;
        let started = child
            .stdout
            .take()
            .ok_or(LocalnetError::Slow)
            .and_then(listening_port);
        let port = match started {
            Ok(port) => port,
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        // Loopback text, so the endpoint always parses; the process must end even if it doesn't.
        match Endpoint::parse(&format!("http://127.0.0.1:{port}")) {
            Ok(endpoint) => {
                let rpc = RpcClient::new(endpoint, Arc::new(TcpDial), public_web_tls(), DEFAULT_TIMEOUT);
                Ok(Self { child, port, rpc })
            }
            Err(_) => {
                end(&mut child);
                Err(LocalnetError::Slow)
            }
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The JSON-RPC URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client for the node, for calls that no other method covers.
    pub fn rpc(&self) -> &RpcClient {
        &self.rpc
    }

    /// A reader of this one node.
    pub fn reader(&self) -> ChainReader {
        ChainReader::new(ReaderConfig::localnet(self.url()), Arc::new(TcpDial))
            .expect("one loopback endpoint is a valid configuration")
    }

    /// Deploys the measurement registry of [`registry_arguments`], or finds it, and returns its address.
    pub async fn deploy_registry(&self) -> Result<[u8; 20], LocalnetError> {
        let key = owner_key();
        let (deployment, _) =
            deployment::deploy(&self.rpc, Some(&key), Network::Localnet, registry_arguments()).await?;
        Ok(deployment.measurement_registry.address.into_array())
    }

    /// Deploys every contract that a local chain has, or finds them: published keys, no timelock, a fee of 2.5 %.
    pub async fn deploy_contracts(&self) -> Result<Deployment, LocalnetError> {
        let (owner, revoker) = (owner_key(), revoker_key().address());
        let arguments = PlanArguments {
            registry: registry_arguments(),
            sink: SINK,
            arbiter: revoker,
            challenger_delay: 0,
            treasury: owner.address(),
            fee_bps: 250,
            entry_point: ENTRY_POINT,
            committee: None,
        };
        let (deployment, _) =
            deployment::deploy_all(&self.rpc, Some(&owner), Network::Localnet, &arguments).await?;
        Ok(deployment)
    }

    /// Proposes and activates a measurement, and makes blocks until that is final.
    pub async fn admit(&self, registry: [u8; 20], proposal: &Proposal) -> Result<(), LocalnetError> {
        let (key, registry) = (owner_key(), Address::from(registry));
        let sender = Sender::new(&self.rpc, &key, LOCALNET_CHAIN_ID);
        registry::propose(&sender, registry, proposal).await?;
        registry::activate(&sender, registry, proposal.id.into()).await?;
        self.finalize().await
    }

    /// Revokes a measurement, and makes blocks until that is final.
    pub async fn revoke(&self, registry: [u8; 20], id: [u8; 32]) -> Result<(), LocalnetError> {
        let key = revoker_key();
        let sender = Sender::new(&self.rpc, &key, LOCALNET_CHAIN_ID);
        registry::revoke(&sender, registry.into(), id.into()).await?;
        self.finalize().await
    }

    /// Makes what is in the newest block final.
    pub async fn finalize(&self) -> Result<(), LocalnetError> {
        self.mine(2).await
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) -> Result<(), LocalnetError> {
        let _: Value = self
            .rpc
            .call("anvil_mine", json!([format!("{blocks:#x}")]))
            .await?;
        Ok(())
    }

    /// Moves the chain's clock forward and makes a block.
    pub async fn advance_time(&self, seconds: u64) -> Result<(), LocalnetError> {
        let _: Value = self.rpc.call("evm_increaseTime", json!([seconds])).await?;
        self.mine(1).await
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Finds anvil: the one of [`ANVIL_ENV`], of this checkout's `npm ci` (which is run if it hasn't been), or of `PATH`.
pub fn anvil_binary() -> Result<PathBuf, LocalnetError> {
    if let Some(path) = std::env::var_os(ANVIL_ENV) {
        return Ok(path.into());
    }
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = contracts.join("node_modules/.bin/anvil");
    if installed.is_file() {
        return Ok(installed);
    }
    if contracts.join("package-lock.json").is_file() {
        npm_ci(contracts, &installed)?;
        return Ok(installed);
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .map(|folder| folder.join("anvil"))
        .find(|path| path.is_file())
        .ok_or(LocalnetError::NotFound)
}

/// Installs the tools once, however many test processes ask at the same time.
fn npm_ci(contracts: &Path, installed: &Path) -> Result<(), LocalnetError> {
    let io = |what| move |reason| LocalnetError::Io { what, reason };
    fs::create_dir_all(contracts.join("cache")).map_err(io("creating contracts/cache"))?;
    let lock = fs::File::create(contracts.join("cache/npm.lock")).map_err(io("creating the npm lock"))?;
    lock.lock().map_err(io("locking the npm installation"))?;
    if installed.is_file() {
        return Ok(());
    }
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(contracts)
        .stdin(Stdio::null())
        .output()
        .map_err(io("running npm"))?;
    if !output.status.success() || !installed.is_file() {
        return Err(LocalnetError::Npm(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    Ok(())
}

/// Reads anvil's output up to the line that names the port, and goes on reading so that the pipe never fills.
fn listening_port(stdout: ChildStdout) -> Result<u16, LocalnetError> {
    let (found, port) = mpsc::channel();
    thread::spawn(move || {
        let mut last = String::new();
        let mut waiting = true;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if !waiting {
                continue;
            }
            if let Some(port) = line.strip_prefix("Listening on 127.0.0.1:") {
                waiting = false;
                let _ = found.send(port.trim().parse().map_err(|_| line.clone()));
            } else if !line.trim().is_empty() {
                last = line;
            }
        }
        if waiting {
            let _ = found.send(Err(last));
        }
    });
    match port.recv_timeout(START_WAIT) {
        Ok(Ok(port)) => Ok(port),
        Ok(Err(last)) => Err(LocalnetError::Exited(last)),
        Err(_) => Err(LocalnetError::Slow),
    }
}

/// Ends the process that was started here, and takes its exit status so that it leaves no zombie.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
