//! `jeju rental` and `jeju provider` on a real chain, and with a node in this process.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{Block, ChainReader, Endpoint, RentalRecord, RpcClient, TcpDial, public_web_tls};
use jeju_client::rental::Market;
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::sender::{AccountKey, quantity};
use jeju_simulated::Silicon;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

use crate::node::{Node, REGISTRY};

mod daemon;
mod node;
mod program;
mod wallet;

pub const CHAIN: u64 = 31337;
/// Anvil's third, fourth and fifth accounts.
pub const USER: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
pub const PROVIDER: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";
pub const OTHER: &str = "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";
pub const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF";

/// A chain with the contracts, and a folder for files.
pub struct Setting {
    pub anvil: Anvil,
    pub reader: ChainReader,
    pub contract: [u8; 20],
    pub folder: tempfile::TempDir,
}

pub fn key(text: &str) -> AccountKey {
    text.parse().unwrap()
}

pub fn address(text: &str) -> String {
    key(text).address().to_string()
}

impl Setting {
    pub async fn new() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = tokio::task::spawn_blocking(move || Anvil::spawn(&options))
            .await
            .unwrap()
            .expect("anvil starts (npm ci in contracts/)");
        let deployment = anvil.deploy_contracts().await.unwrap();
        Self {
            reader: anvil.reader(),
            contract: deployment.contracts["computeRental"].address.into_array(),
            folder: tempfile::tempdir().unwrap(),
            anvil,
        }
    }

    /// With a provider and its offer, both made by the program.
    pub async fn with_offer() -> Self {
        let setting = Self::new().await;
        let registered = setting
            .good(
                PROVIDER,
                &[
                    "provider",
                    "register",
                    "--name",
                    "p",
                    "--endpoint",
                    "https://p.example:4007",
                ],
            )
            .await;
        assert_eq!(registered["provider"], address(PROVIDER));
        setting.offer(PROVIDER, "2").await;
        setting
    }

    pub async fn offer(&self, account: &str, max: &str) {
        let offer = [
            "provider",
            "offer",
            "--cpu-cores",
            "2",
            "--memory-gb",
            "4",
            "--storage-gb",
            "20",
            "--price",
            "0.01eth",
            "--max-hours",
            "10",
            "--max",
            max,
        ];
        let made = self.good(account, &offer).await;
        assert_eq!(made["hourlyRateWei"], "10000000000000000");
    }

    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, account: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
        command
            .args(arguments)
            .env_remove("JEJU_KEY")
            .env("PRIVATE_KEY", account)
            .env("RPC_URL", self.anvil.url())
            .env("COMPUTE_RENTAL_ADDRESS", HexBytes(self.contract).to_string())
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, account: &str, arguments: &[&str]) -> Output {
        self.command(account, arguments).output().await.unwrap()
    }

    /// What a command that works prints as JSON.
    pub async fn good(&self, account: &str, arguments: &[&str]) -> Value {
        let output = self.run(account, &[arguments, &["--json"]].concat()).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {errors} {}",
            text(&output.stdout)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Code and exit code of one that doesn't.
    pub async fn bad(&self, account: &str, arguments: &[&str]) -> (String, i32) {
        let output = self.run(account, &[arguments, &["--json"]].concat()).await;
        let failure: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", text(&output.stderr)));
        (
            failure["code"].as_str().unwrap().to_owned(),
            output.status.code().unwrap(),
        )
    }

    /// A rental that the program made.
    pub async fn create(&self, account: &str, more: &[&str]) -> HexBytes<32> {
        let ssh_key = self.file("id.pub", format!("{SSH_KEY} me@laptop\n").as_bytes());
        let provider = address(PROVIDER);
        let base = [
            "rental",
            "create",
            "--provider",
            &provider,
            "--hours",
            "2",
            "--ssh-key",
            name(&ssh_key),
        ];
        let made = self.good(account, &[&base[..], more].concat()).await;
        HexBytes::parse(made["rentalId"].as_str().unwrap()).unwrap()
    }

    pub async fn block(&self) -> Block {
        self.reader.newest_block().await.unwrap()
    }

    pub async fn record(&self, id: HexBytes<32>) -> RentalRecord {
        let block = self.block().await;
        let found = self.reader.rental_at(&block, &self.contract, &id.0).await;
        found.unwrap().unwrap()
    }

    pub async fn sent(&self, account: &str, tag: &str) -> u64 {
        let of = json!([address(account), tag]);
        quantity(self.anvil.rpc(), "eth_getTransactionCount", of)
            .await
            .unwrap()
    }

    pub fn market(&self) -> Market {
        Market {
            reader: self.anvil.reader(),
            rpc: RpcClient::new(
                Endpoint::parse(&self.anvil.url()).unwrap(),
                Arc::new(TcpDial),
                public_web_tls(),
                jeju_chain::DEFAULT_TIMEOUT,
            ),
            chain_id: CHAIN,
            contract: self.contract,
        }
    }

    pub async fn mines_by_itself(&self, automine: bool) {
        let _: bool = self
            .anvil
            .rpc()
            .call("evm_setAutomine", json!([automine]))
            .await
            .map(|answer: Value| answer.is_null() || answer == true)
            .unwrap();
    }
}

pub fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Status and body that a path is answered with, by method-less path.
pub type Answers = Arc<Mutex<Vec<(String, u16, String)>>>;

/// A verified node that takes rentals, with a policy that trusts it.
pub struct RentingNode {
    pub node: Node,
    pub answers: Answers,
    pub policy: PathBuf,
    launch: Vec<u8>,
    silicon: tempfile::TempDir,
}

pub const AGENT: [u8; 32] = [0x0a; 32];

impl RentingNode {
    /// Of a provider, for a contract.
    pub async fn start(setting: &Setting, contract: [u8; 20], provider: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (launch, silicon) = (
            launch(contract, provider).into_bytes(),
            tempfile::tempdir().unwrap(),
        );
        Self::start_at(setting, listener, launch, silicon, Answers::default())
    }

    /// The same machine and address again, after it was gone.
    pub async fn restart(self, setting: &Setting, while_gone: impl AsyncFnOnce()) -> Self {
        let Self {
            node,
            answers,
            launch,
            silicon,
            ..
        } = self;
        let port = node.port;
        drop(node);
        // Nobody else gets the port; who connects is refused until it listens.
        let place = loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            match socket.bind(([127, 0, 0, 1], port).into()) {
                Ok(()) => break socket,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        while_gone().await;
        let listener = place.listen(64).unwrap();
        Self::start_at(setting, listener, launch, silicon, answers)
    }

    fn start_at(
        setting: &Setting,
        listener: TcpListener,
        launch: Vec<u8>,
        folder: tempfile::TempDir,
        answers: Answers,
    ) -> Self {
        let silicon = Silicon::open_or_create(folder.path()).unwrap();
        let answering = answers.clone();
        let signer: crate::node::Signer = Box::new(move |path, _| {
            let answers = answering.lock().unwrap();
            let found = answers.iter().find(|(known, ..)| known == path);
            let unknown = json!({ "error": { "code": "rental_unknown", "message": "unknown" } });
            found.map_or_else(
                || (404, unknown.to_string()),
                |(_, status, body)| (*status, body.clone()),
            )
        });
        let node = Node::start_signer(listener, AGENT, launch.clone(), &silicon, signer);
        let policy = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nagents = [\"{}\"]\nmeasurements = [\"{}\"]\n\
             [registry]\nchain_id = {CHAIN}\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n[launch]\n\
             chain_profiles = [\"localnet\"]\nservices = [\"rentals\"]\nrentals = [\"host\"]\negress = [\"127.0.0.1:8545\"]\n",
            HexBytes(AGENT),
            Node::measurement(),
            HexBytes(REGISTRY),
            HexBytes(silicon.root_public()),
        );
        Self {
            policy: setting.file(&format!("policy-{}.toml", node.port), policy.as_bytes()),
            node,
            answers,
            launch,
            silicon: folder,
        }
    }

    pub fn answer(&self, path: &str, status: u16, body: &Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, ..)| known != path);
        answers.push((path.to_owned(), status, body.to_string()));
    }

    /// What `GET /v1/rentals` says that rentals need.
    pub fn asks(&self, next: &[(HexBytes<32>, Value)]) {
        let rentals: Vec<_> = next
            .iter()
            .map(|(id, next)| json!({ "rentalId": id, "next": next }))
            .collect();
        self.answer("/v1/rentals", 200, &json!({ "rentals": rentals }));
    }
}

pub fn start() -> Value {
    json!({ "operation": "start", "sshHost": "ssh.example", "sshPort": 2222, "containerId": "jeju-01" })
}

pub fn complete() -> Value {
    json!({ "operation": "complete" })
}

fn launch(contract: [u8; 20], provider: &str) -> String {
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = {CHAIN}\n\
         registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\nrentals = true\n[egress]\n\
         allow = [\"127.0.0.1:8545\"]\n[rentals]\ncontract = \"{}\"\nprovider = \"{}\"\nhost = \"ssh.example\"\n\
         isolation = \"host\"\n",
        HexBytes(AGENT),
        HexBytes(REGISTRY),
        HexBytes(contract),
        address(provider).to_ascii_lowercase(),
    )
}
