//! A chain with a provider that rents out, and a gateway's API in front of it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jeju_chain::{ChainReader, GpuType, Offer, RentalResources, RpcError};
use jeju_contracts::deployment::Deployment;
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::network::LOCALNET_CHAIN_ID;
use jeju_contracts::rental;
use jeju_contracts::sender::{AccountKey, Sender};
use jeju_gateway::api::{self, Api, Contracts, Info, Parts, Rates};
use jeju_gateway::health::Health;
use jeju_gateway::index::{Index, Refresh};
use jeju_gateway::limits::Rate;
use jeju_gateway::passthrough::Drain;
use jeju_gateway::routes::{Routes, Ways, now_ms};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;

pub const ETHER: u128 = 1_000_000_000_000_000_000;
pub const RATE: u128 = ETHER / 100;

/// Anvil's accounts 2 to 4.
pub const USER: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
pub const PROVIDER: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
pub const OTHER: &str = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65";
const PROVIDER_KEY: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";

pub const GENEROUS: Rate = Rate {
    per_minute: 100_000,
    burst: 100_000,
};

pub struct Market {
    pub anvil: Anvil,
    pub deployment: Deployment,
    pub index: Arc<Index>,
    key: AccountKey,
}

/// A gateway's API, until the test ends.
pub struct Gateway {
    pub at: SocketAddr,
    pub routes: Arc<Routes>,
    /// Asks for its end when it is dropped.
    _drain: watch::Sender<bool>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Value,
}

pub fn offer() -> Offer {
    Offer {
        resources: RentalResources {
            gpu_type: GpuType::None,
            gpu_count: 0,
            gpu_vram_gb: 0,
            cpu_cores: 2,
            memory_gb: 4,
            storage_gb: 20,
            bandwidth_mbps: 1000,
            tee_capable: true,
        },
        price_per_hour: RATE,
        price_per_gpu_hour: 0,
        minimum_hours: 1,
        maximum_hours: 10,
        max_concurrent: 1,
        active: 0,
        ssh_enabled: true,
        docker_enabled: true,
    }
}

impl Market {
    /// The provider is registered, and rents out `busybox`.
    pub async fn open() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = Anvil::spawn(&options).unwrap();
        let deployment = anvil.deploy_contracts().await.unwrap();
        let market = Self {
            key: PROVIDER_KEY.parse().unwrap(),
            index: Arc::default(),
            deployment,
            anvil,
        };
        let sender = market.sender();
        let registry = market.contract("computeRegistry").into();
        rental::register_provider(&sender, registry, "Pea", "https://p.example:4007", None, ETHER)
            .await
            .unwrap();
        market.offer(&offer()).await;
        market.anvil.finalize().await.unwrap();
        market.refresh().await;
        market
    }

    pub fn contract(&self, name: &str) -> [u8; 20] {
        self.deployment.contracts[name].address.into()
    }

    /// The provider's wallet.
    pub fn sender(&self) -> Sender<'_> {
        Sender::new(self.anvil.rpc(), &self.key, LOCALNET_CHAIN_ID)
    }

    pub async fn offer(&self, offer: &Offer) {
        let contract = self.contract("computeRental").into();
        rental::set_provider_resources(&self.sender(), contract, offer, &["busybox".to_owned()])
            .await
            .unwrap();
    }

    pub async fn refresh(&self) {
        let reader = Arc::new(self.anvil.reader());
        let registry = self.contract("computeRegistry");
        let mut refresh = Refresh::new(reader, LOCALNET_CHAIN_ID, registry, self.index.clone());
        refresh.once().await.unwrap();
    }

    pub async fn gateway(&self) -> Gateway {
        self.gateway_with(|_| {}).await
    }

    pub async fn gateway_with(&self, change: impl FnOnce(&mut Parts)) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let routes = Arc::new(Routes::new(10, Some(30_000..=30_000)));
        let mut parts = Parts {
            info: Info {
                name: "Gate".to_owned(),
                url: Some("https://api.gw.example".to_owned()),
                port: at.port(),
                domains: vec!["gw.example".to_owned()],
                agent_id: Some(7),
                chain_id: LOCALNET_CHAIN_ID,
                contracts: Contracts {
                    compute_registry: self.contract("computeRegistry"),
                    compute_rental: Some(self.contract("computeRental")),
                    identity_registry: Some(self.contract("identityRegistry")),
                    reputation_registry: None,
                },
            },
            index: self.index.clone(),
            health: Arc::new(Health::default()),
            counters: Vec::new(),
            chain: Arc::new(self.anvil.reader()),
            routes: routes.clone(),
            ways: Ways {
                host: "gw.example".to_owned(),
                ssh: Some(2222),
                http: None,
            },
            inside: None,
            rates: Rates {
                wallet: GENEROUS,
                address: GENEROUS,
                reads: GENEROUS,
                forwarded: false,
            },
        };
        change(&mut parts);
        let (drain, asked) = watch::channel(false);
        let until = Drain {
            asked,
            patience: Duration::ZERO,
        };
        tokio::spawn(api::serve(listener, Arc::new(Api::new(parts)), until));
        Gateway {
            at,
            routes,
            _drain: drain,
        }
    }

    /// Headers that the account's wallet signs for a gateway.
    pub async fn signed(&self, account: &str) -> Vec<String> {
        static NONCE: AtomicU64 = AtomicU64::new(0);
        let nonce = format!("nonce-{}", NONCE.fetch_add(1, Relaxed));
        let now = now_ms();
        let text = format!("0x{}", hex::encode(format!("{account}:{nonce}:{now}")));
        let signature: String = self
            .anvil
            .rpc()
            .call("personal_sign", json!([text, account]))
            .await
            .unwrap();
        vec![
            format!("x-jeju-address: {account}"),
            format!("x-jeju-nonce: {nonce}"),
            format!("x-jeju-timestamp: {now}"),
            format!("x-jeju-signature: {signature}"),
        ]
    }

    /// A request of an account.
    pub async fn ask(
        &self,
        gateway: &Gateway,
        account: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Reply {
        let headers = self.signed(account).await;
        gateway.send(method, path, &headers, &body.to_string()).await
    }

    /// Has the account's wallet sign and send what an answer says, as it says it.
    pub async fn execute(&self, account: &str, answer: &Value) -> Result<(), RpcError> {
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(answer["chainId"], LOCALNET_CHAIN_ID);
        let mut transaction = answer["transaction"].clone();
        transaction["from"] = account.into();
        // A wallet's library writes the amount as JSON-RPC has it.
        let value: u128 = transaction["value"].as_str().unwrap().parse().unwrap();
        transaction["value"] = format!("{value:#x}").into();
        self.send(transaction).await
    }

    /// Sends a transaction and waits for its block: anvil answers before.
    pub async fn send(&self, transaction: Value) -> Result<(), RpcError> {
        let rpc = self.anvil.rpc();
        let hash: String = rpc.call("eth_sendTransaction", json!([transaction])).await?;
        loop {
            let receipt: Value = rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
            if !receipt.is_null() {
                assert_eq!(receipt["status"], "0x1", "{receipt}");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Gateway {
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// A request, by curl.
    pub async fn send(&self, method: &str, path: &str, headers: &[String], body: &str) -> Reply {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--include",
            "--max-time",
            "60",
            "--path-as-is",
        ])
        .args(["--request", method]);
        for header in headers {
            curl.args(["--header", header]);
        }
        if !body.is_empty() {
            // Not as an argument: those are bounded.
            curl.args([
                "--header",
                "content-type: application/json",
                "--header",
                "expect:",
            ])
            .args(["--data-binary", "@-"]);
        }
        let mut curl = curl
            .arg(format!("http://{}{path}", self.at))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = curl.stdin.take().unwrap();
        // A server that refuses early closes while it is written.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, body.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(60), curl.wait_with_output());
        let output = output.await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head[9..12].parse().unwrap(),
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }
}

impl Reply {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, &self.body["code"]),
            (status, &Value::from(code)),
            "{self:?}"
        );
        assert!(self.body["error"].is_string(), "{self:?}");
    }
}

/// Leads to no chain.
pub fn nowhere() -> ChainReader {
    let config = jeju_chain::ReaderConfig::localnet("http://127.0.0.1:1");
    ChainReader::new(config, Arc::new(jeju_chain::TcpDial)).unwrap()
}
