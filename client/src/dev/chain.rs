//! The local chain: anvil on loopback, the registry, and the measurement in it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{
    ChainReader, DEFAULT_TIMEOUT, Endpoint, ReaderConfig, RpcClient, Status, TcpDial, public_web_tls,
};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

use super::children::Children;
use super::{DevError, programs};

const ANVIL: &str = "anvil";
const CONTRACTS: &str = "jeju-contracts";
/// Seconds between blocks.
const BLOCK_SECONDS: u64 = 2;
const START_LIMIT: Duration = Duration::from_secs(60);
const TRANSACTION_LIMIT: Duration = Duration::from_secs(60);
const FINAL_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Contracts that launch documents name.
pub(super) struct Contracts {
    pub(super) registry: HexBytes<20>,
    pub(super) wallet_factory: HexBytes<20>,
    pub(super) compute_rental: HexBytes<20>,
}

pub(super) struct LocalChain {
    port: u16,
    reader: ChainReader,
}

impl LocalChain {
    /// Starts anvil, and waits until it answers.
    pub(super) async fn start(
        anvil: Option<&Path>,
        port: u16,
        state: &Path,
        children: &mut Children,
    ) -> Result<Self, DevError> {
        let mut command = Command::new(programs::anvil(anvil)?);
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--block-time", &BLOCK_SECONDS.to_string()])
            .args(["--slots-in-an-epoch", "1", "--chain-id", "31337"]);
        children.start(ANVIL, command, state, false)?;
        let reader = ChainReader::new(ReaderConfig::localnet(url(port)), Arc::new(TcpDial))
            .map_err(crate::error::Error::from)?;
        let started = Instant::now();
        while reader.chain_id().await.is_err() {
            children.check(ANVIL)?;
            if started.elapsed() > START_LIMIT {
                return Err(late("starting the local chain", START_LIMIT));
            }
            sleep(POLL).await;
        }
        Ok(Self { port, reader })
    }

    pub(super) fn url(&self) -> String {
        url(self.port)
    }

    /// `host:port`, as egress rules write it.
    pub(super) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Deploys the measurement registry, and returns its address.
    pub(super) async fn deploy_registry(&self) -> Result<HexBytes<20>, DevError> {
        let deployed = self.contracts("deploy", &["--registry-only"]).await?;
        deployed["measurementRegistry"]["address"]
            .as_str()
            .and_then(|address| HexBytes::parse(&address.to_ascii_lowercase()))
            .ok_or(DevError::Output {
                program: CONTRACTS,
                expected: "registry address",
            })
    }

    /// Deploys all contracts. Without waiting for the blocks of a local chain's clock, which would be half a minute.
    pub(super) async fn deploy_all(&self) -> Result<Contracts, DevError> {
        self.mining("evm_setAutomine", json!([true])).await?;
        let deployed = self.contracts("deploy", &[]).await;
        self.mining("evm_setIntervalMining", json!([BLOCK_SECONDS]))
            .await?;
        let deployed = deployed?;
        let address = |entry: &Value| {
            entry["address"]
                .as_str()
                .and_then(|address| HexBytes::parse(&address.to_ascii_lowercase()))
        };
        let address = |entry: &Value| {
            address(entry).ok_or(DevError::Output {
                program: CONTRACTS,
                expected: "contract addresses",
            })
        };
        Ok(Contracts {
            registry: address(&deployed["measurementRegistry"])?,
            wallet_factory: address(&deployed["contracts"]["frostWalletFactory"])?,
            compute_rental: address(&deployed["contracts"]["computeRental"])?,
        })
    }

    async fn mining(&self, method: &str, parameters: Value) -> Result<(), DevError> {
        let failed = || DevError::Output {
            program: ANVIL,
            expected: "change of its mining",
        };
        let endpoint = Endpoint::parse(&self.url()).map_err(|_| failed())?;
        let rpc = RpcClient::new(endpoint, Arc::new(TcpDial), public_web_tls(), DEFAULT_TIMEOUT);
        let _: Value = rpc.call(method, parameters).await.map_err(|_| failed())?;
        Ok(())
    }

    /// Proposes and activates a measurement, and waits until verifiers see that.
    pub(super) async fn register(
        &self,
        registry: &HexBytes<20>,
        measurement: &HexBytes<32>,
        release: &HexBytes<32>,
    ) -> Result<(), DevError> {
        let (registry_text, id, release) =
            (registry.to_string(), measurement.to_string(), release.to_string());
        let at = ["--registry", &registry_text, "--id", &id];
        let of = [
            "--release-digest",
            &release,
            "--version",
            "1",
            "--platform",
            "simulated",
        ];
        self.contracts("propose", &[&at[..], &of[..]].concat()).await?;
        self.contracts("activate", &at).await?;
        let started = Instant::now();
        loop {
            let reading = self.reader.measurement(&registry.0, &measurement.0).await;
            match reading {
                Ok(reading) if reading.status() == Status::Active => return Ok(()),
                _ if started.elapsed() > FINAL_LIMIT => {
                    return Err(late("finalising the measurement", FINAL_LIMIT));
                }
                _ => sleep(POLL).await,
            }
        }
    }

    async fn contracts(&self, action: &str, more: &[&str]) -> Result<Value, DevError> {
        let mut command = Command::new(programs::program(CONTRACTS)?);
        command
            .args(["--json", action, "--network", "localnet", "--rpc", &self.url()])
            .args(more)
            // Only the published keys of a local chain are used here, never the user's.
            .env_remove("JEJU_DEPLOYER_KEY");
        programs::json(CONTRACTS, command, TRANSACTION_LIMIT).await
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn late(what: &'static str, limit: Duration) -> DevError {
    DevError::Late {
        what,
        seconds: limit.as_secs(),
    }
}
