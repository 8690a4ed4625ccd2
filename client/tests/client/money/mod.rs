//! Deposits, vouchers and a provider's commands on a real chain with the contracts, and with nodes in this process.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};

use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::policy::Policy;
use jeju_chain::{Block, ChainReader};
use jeju_client::payment::{Payments, PriceLimit, Settings};
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session};
use jeju_contracts::deployment::Deployment;
use jeju_contracts::localnet::{self, Anvil, AnvilOptions};
use jeju_contracts::sender::quantity;
use jeju_contracts::wiring;
use jeju_simulated::Silicon;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::At;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::node::{AGENT, MODEL, Node, REGISTRY};
use crate::rental::{CHAIN, OTHER, PROVIDER, USER, address};

mod deposits;
mod provider;
mod recount;
mod settle;
mod vouchers;

/// Price of a token of a prompt and of an answer, in wei.
pub const PRICES: (u128, u128) = (10, 100);
/// What the fake node's answers cost: 3 tokens and 2.
pub const COST: u128 = 3 * PRICES.0 + 2 * PRICES.1;
/// The same answer as events.
pub const STREAM: &str = "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n\
     data: {\"model\":\"tiny\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2},\
     \"payment\":{\"cost\":\"230\",\"owed\":\"230\",\"promised\":\"0\"}}\n\n";
/// 0.01 ether, which is set aside.
pub const ASIDE: u128 = 10_000_000_000_000_000;

/// A chain with the contracts, and a folder for files.
pub struct Setting {
    pub anvil: Anvil,
    pub reader: ChainReader,
    pub deployment: Deployment,
    pub folder: tempfile::TempDir,
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
        let owner = localnet::owner_key();
        wiring::wire(anvil.rpc(), Some(&owner), &deployment, owner.address())
            .await
            .unwrap();
        Self {
            reader: anvil.reader(),
            deployment,
            folder: tempfile::tempdir().unwrap(),
            anvil,
        }
    }

    /// With a provider that offers `tiny`, and a user that set money aside for it.
    pub async fn with_service() -> Self {
        let setting = Self::new().await;
        setting.register(PROVIDER).await;
        let (price_in, price_out) = (format!("{}wei", PRICES.0), format!("{}wei", PRICES.1));
        let add = ["provider", "service", "add", "--model", "tiny"];
        let prices = ["--price-in", &price_in, "--price-out", &price_out];
        setting.good(PROVIDER, &[&add[..], &prices].concat()).await;
        let provider = address(PROVIDER);
        setting
            .good(USER, &["deposit", "0.01eth", "--provider", &provider])
            .await;
        setting
    }

    pub async fn register(&self, account: &str) {
        let register = ["provider", "register", "--name", "p"];
        let endpoint = ["--endpoint", "https://p.example:4007"];
        self.good(account, &[&register[..], &endpoint].concat()).await;
    }

    pub fn contract(&self, name: &str) -> [u8; 20] {
        self.deployment.contracts[name].address.into_array()
    }

    pub fn serving(&self) -> At {
        At {
            chain_id: CHAIN,
            contract: Account(self.contract("inferenceServing")),
        }
    }

    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, account: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
        let contract = |name: &str| HexBytes(self.contract(name)).to_string();
        command
            .args(arguments)
            .env_remove("JEJU_KEY")
            .env("HOME", self.folder.path())
            .env("PRIVATE_KEY", account)
            .env("RPC_URL", self.anvil.url())
            .env("COMPUTE_REGISTRY_ADDRESS", contract("computeRegistry"))
            .env("LEDGER_MANAGER_ADDRESS", contract("ledgerManager"))
            .env("INFERENCE_ADDRESS", contract("inferenceServing"))
            .env("IDENTITY_REGISTRY_ADDRESS", contract("identityRegistry"))
            .kill_on_drop(true);
        command
    }

    pub async fn run(&self, account: &str, arguments: &[&str]) -> Output {
        self.command(account, arguments).output().await.unwrap()
    }

    /// What a command that works prints as JSON; the last line where it logs before.
    pub async fn good(&self, account: &str, arguments: &[&str]) -> Value {
        let output = self.run(account, &[arguments, &["--json"]].concat()).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {} {}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
        last(&output)
    }

    /// Code and exit code of one that doesn't.
    pub async fn bad(&self, account: &str, arguments: &[&str]) -> (String, i32) {
        let output = self.run(account, &[arguments, &["--json"]].concat()).await;
        let failure = last(&output);
        let code = failure["code"].as_str().unwrap_or_default().to_owned();
        (code, output.status.code().unwrap())
    }

    pub async fn block(&self) -> Block {
        self.reader.newest_block().await.unwrap()
    }

    /// What vouchers of the user paid the provider.
    pub async fn paid(&self) -> u128 {
        let (user, provider) = (account(USER).account(), account(PROVIDER).account());
        let serving = self.contract("inferenceServing");
        let block = self.block().await;
        let session = self
            .reader
            .voucher_session_at(&block, &serving, &user.0, &provider.0);
        session.await.unwrap().paid
    }

    pub async fn sent(&self, account: &str) -> u64 {
        let of = json!([address(account), "latest"]);
        quantity(self.anvil.rpc(), "eth_getTransactionCount", of)
            .await
            .unwrap()
    }

    /// Payments of the user, whose book is in this folder.
    pub fn payments(&self, folder: &str, change: impl FnOnce(&mut Settings)) -> Payments {
        let mut settings = Settings {
            key: Arc::new(account(USER)),
            reader: self.anvil.reader(),
            chain_id: CHAIN,
            serving: None,
            folder: self.folder.path().join(folder),
            prices: PriceLimit::default(),
            limit: None,
            adopt: false,
            recount: None,
        };
        change(&mut settings);
        Payments::new(settings)
    }
}

pub fn account(key: &str) -> AccountKey {
    AccountKey::from_hex(key.as_bytes()).unwrap()
}

fn last(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .or_else(|_| serde_json::from_str(&text))
        .unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}

/// What the fake node knows and answers.
#[derive(Default)]
pub struct Books {
    pub owed: u128,
    pub promised: u128,
    pub sequence: u64,
    /// What it asks for an answer, where that isn't the cost.
    pub asks: Option<u128>,
    /// What it answers to a prompt, instead.
    pub refuses: Option<(u16, String)>,
    /// Vouchers that were handed in.
    pub handed: Vec<Value>,
    /// What its provider is to submit.
    pub due: Vec<Value>,
}

impl Books {
    fn session(&self) -> String {
        json!({
            "user": address(USER), "provider": address(PROVIDER), "owed": self.owed.to_string(),
            "promised": self.promised.to_string(), "paid": "0", "sequence": self.sequence.to_string(),
            "credit": "1000000000000000", "balance": ASIDE.to_string(),
        })
        .to_string()
    }

    fn answer(&mut self, path: &str, body: &[u8]) -> (u16, String) {
        match path {
            "/v1/payments/session" => (200, self.session()),
            "/v1/payments/vouchers" if body.is_empty() => {
                (200, json!({ "vouchers": self.due, "next": null }).to_string())
            }
            "/v1/payments/vouchers" => {
                let voucher: Value = serde_json::from_slice(body).unwrap();
                self.promised = voucher["cumulative"].as_str().unwrap().parse().unwrap();
                self.sequence = voucher["sequence"].as_u64().unwrap();
                self.handed.push(voucher);
                (200, self.session())
            }
            _ => match self.refuses.clone() {
                Some(refusal) => refusal,
                None => {
                    self.owed += COST;
                    let asks = self.asks.unwrap_or(COST).to_string();
                    let answer = json!({
                        "id": "chatcmpl-1", "object": "chat.completion", "model": "tiny",
                        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" } }],
                        "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
                        "payment": { "cost": asks, "owed": "0", "promised": "0" },
                    });
                    match body.windows(13).any(|bytes| bytes == br#""stream":true"#) {
                        true => (200, STREAM.to_owned()),
                        false => (200, answer.to_string()),
                    }
                }
            },
        }
    }
}

/// A verified node that takes payments, with a policy that trusts it.
pub struct PaidNode {
    pub node: Node,
    pub policy: PathBuf,
    books: Arc<Mutex<Books>>,
    party: Arc<RelyingParty>,
}

impl PaidNode {
    pub async fn start(setting: &Setting) -> Self {
        Self::start_for(setting, setting.contract("inferenceServing")).await
    }

    /// Paid through this contract.
    pub async fn start_for(setting: &Setting, serving: [u8; 20]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(folder.path()).unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let answering = books.clone();
        let signer: crate::node::Signer =
            Box::new(move |path, body| answering.lock().unwrap().answer(path, body));
        let launch = launch(setting, serving).into_bytes();
        let node = Node::start_signer(listener, AGENT, launch, &silicon, signer);
        let policy = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nagents = [\"{}\"]\nmeasurements = [\"{}\"]\n\
             [registry]\nchain_id = {CHAIN}\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n[launch]\n\
             chain_profiles = [\"localnet\"]\nservices = [\"inference\"]\nmodels = [\"{}\"]\n\
             egress = [\"127.0.0.1:8545\"]\n",
            HexBytes(AGENT),
            Node::measurement(),
            HexBytes(REGISTRY),
            HexBytes(silicon.root_public()),
            HexBytes(MODEL),
        );
        let party = RelyingParty::new(Policy::parse(&policy, true).unwrap()).unwrap();
        Self {
            policy: setting.file(&format!("policy-{}.toml", node.port), policy.as_bytes()),
            node,
            books,
            party: Arc::new(party),
        }
    }

    pub async fn session(&self) -> Session {
        let url = self.node.url().parse().unwrap();
        let limits = Limits::default();
        Session::connect(&url, self.party.clone(), limits).await.unwrap()
    }

    /// Who trusts it.
    pub fn party(&self) -> Arc<RelyingParty> {
        self.party.clone()
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Prompts that came, with their heads.
    pub fn prompts(&self) -> Vec<(String, Vec<u8>)> {
        let requests = self.node.requests().into_iter().zip(self.node.heads());
        requests
            .filter(|((path, _), _)| path.starts_with("/v1/chat/"))
            .map(|((_, body), head)| (head, body))
            .collect()
    }

    /// Options that name it and its policy.
    pub fn options<'a>(&'a self, url: &'a str) -> [&'a str; 5] {
        ["--node", url, "--policy", name(&self.policy), "--development"]
    }
}

pub fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Value of a header in a request's head.
pub fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned())
}

pub fn digest(bytes: &[u8]) -> String {
    HexBytes(sha256(bytes)).to_string()
}

fn launch(setting: &Setting, serving: [u8; 20]) -> String {
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = {CHAIN}\n\
         registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\ninference = true\n[[models]]\nid = \"tiny\"\n\
         sha256 = \"{}\"\n[payments]\nprovider = \"{}\"\nserving = \"{}\"\nledger = \"{}\"\nrequired = true\n[egress]\n\
         allow = [\"127.0.0.1:8545\"]\n",
        HexBytes(AGENT),
        HexBytes(REGISTRY),
        HexBytes(MODEL),
        address(PROVIDER).to_ascii_lowercase(),
        HexBytes(serving),
        HexBytes(setting.contract("ledgerManager")),
    )
}

/// The other account's address, where nobody's is needed.
pub fn stranger() -> String {
    address(OTHER)
}
