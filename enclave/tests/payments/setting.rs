//! A chain with prices and money set aside, a node that is paid through it, and an account that asks it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use jeju_attestation::hash::sha256;
use jeju_contracts::sender::AccountKey;
use jeju_contracts::{ledger, serving};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, SignedVoucher, Voucher};
use jeju_wallet_auth::signature::{AccountKey as Wallet, text_digest};
use jeju_wallet_auth::v1::node_text;
use jeju_wallet_auth::v2::{Audience, Request};
use serde_json::{Value, json};

use crate::chain::{Chain, ETHER, PROVIDER, USER};
use crate::host::{Answered, DOCUMENT, Host, IMAGE, Machine, now};

pub const MODEL: &str = "smollm2-135m-instruct";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
/// Prices of the model, in wei.
pub const INPUT: u128 = 10;
pub const OUTPUT: u128 = 20;
/// Anvil's sixth account, which set nothing aside.
pub const STRANGER: &str = "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba";

static NONCE: AtomicU64 = AtomicU64::new(1);

/// Names and values.
pub type Headers = Vec<(String, String)>;

/// The chain and the node.
pub struct Setting {
    pub chain: Chain,
    pub host: Host,
}

/// What a node is started with.
#[derive(Clone, Copy)]
pub struct Terms {
    pub required: bool,
    pub credit: u128,
    /// Whether the provider offers the model before the node starts.
    pub offered: bool,
}

/// Who pays is served, and at once.
pub const STRICT: Terms = Terms {
    required: true,
    credit: 0,
    offered: true,
};

fn model_file() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let default = || repository.join(format!("target/models/{MODEL}-q4_1.gguf"));
    let model = std::env::var_os("JEJU_MODEL").map_or_else(default, PathBuf::from);
    let fetched = Command::new(repository.join("bench/inference/fetch-model.sh"))
        .arg(&model)
        .status()
        .unwrap();
    assert!(fetched.success(), "the model can't be fetched");
    model
}

pub fn wallet(key: &str) -> Wallet {
    Wallet::from_hex(key.as_bytes()).unwrap()
}

pub fn account(key: &str) -> Account {
    wallet(key).account()
}

pub fn value(answer: &Answered) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{:?}", answer.body))
}

/// A number of wei.
pub fn wei(value: &Value) -> u128 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    text.parse().unwrap()
}

/// What the answer's usage costs.
pub fn price(usage: &Value) -> u128 {
    let tokens = |name: &str| u128::from(usage[name].as_u64().unwrap());
    tokens("prompt_tokens") * INPUT + tokens("completion_tokens") * OUTPUT
}

pub fn chat(more: Value) -> Vec<u8> {
    let messages = json!([{"role": "user", "content": "Tell me a long story."}]);
    let mut body = json!({"model": MODEL, "messages": messages, "max_tokens": 3});
    let members = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body.to_string().into_bytes()
}

impl Setting {
    pub async fn new(terms: Terms) -> Self {
        let chain = Chain::new(IMAGE).await;
        let machine = Machine::new();
        let setting = Self::start(chain, machine, terms, true).await;
        setting.chain.anvil.finalize().await.unwrap();
        setting
    }

    /// `new`: whether nobody used the chain before.
    pub async fn start(chain: Chain, mut machine: Machine, terms: Terms, new: bool) -> Self {
        if new {
            let (user, provider): (AccountKey, AccountKey) =
                (USER.parse().unwrap(), PROVIDER.parse().unwrap());
            let (serving, ledgers) = (chain.at("inferenceServing"), chain.at("ledgerManager"));
            let by_user = chain.sender(&user);
            ledger::create(&by_user, ledgers.into(), ETHER).await.unwrap();
            ledger::transfer_to_provider(&by_user, ledgers.into(), provider.address(), ETHER / 2)
                .await
                .unwrap();
            let by_provider = chain.sender(&provider);
            // The first service is another model's.
            serving::register_service(&by_provider, serving.into(), "other", "https://p", 1, 1)
                .await
                .unwrap();
            if terms.offered {
                offer(&chain).await;
            }
            chain.anvil.finalize().await.unwrap();
        }
        machine.models = vec![model_file()];
        let socket = machine.socket(8545);
        let _ = std::fs::remove_file(&socket);
        chain.listen(&socket);
        machine.routes.insert("127.0.0.1:8545".to_owned(), socket);
        let address = |name: &str| format!("0x{}", hex::encode(chain.at(name)));
        let document = DOCUMENT
            .replace(&"01".repeat(32), &hex::encode(chain.agent))
            .replace(&"02".repeat(20), &hex::encode(chain.at("measurementRegistry")));
        let Terms { required, credit, .. } = terms;
        let payments = format!(
            "[payments]\nprovider = \"{}\"\nserving = \"{}\"\nledger = \"{}\"\nrequired = {required}\ncredit = \"{credit}\"\n",
            account(PROVIDER).to_string().to_lowercase(),
            address("inferenceServing"),
            address("ledgerManager"),
        );
        let receipts = format!("[receipts]\nkeys = \"{}\"\n", address("attestedKeyRegistry"));
        let services =
            format!("[services]\ninference = true\n[[models]]\nid = \"{MODEL}\"\nsha256 = \"0x{SHA256}\"\n");
        let host = machine
            .start(format!("{document}{services}{payments}{receipts}"))
            .await;
        Self { chain, host }
    }

    /// What vouchers and settlements are for.
    pub fn serving(&self) -> At {
        At {
            chain_id: 31337,
            contract: Account(self.chain.at("inferenceServing")),
        }
    }

    /// A verified answer to a request with these headers.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Answered {
        let mut client = self.host.connect().await;
        client.exchange(method, path, headers, body).await.unwrap()
    }

    /// A chat of the account with this key.
    pub async fn chat(&self, key: &str, more: &[(&str, String)]) -> (u16, Value, Answered) {
        let body = chat(json!({}));
        let mut headers = self.signed(key, "POST", "/v1/chat/completions", &body);
        headers.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let answer = self.ask("POST", "/v1/chat/completions", &headers, &body).await;
        (answer.status, value(&answer), answer)
    }

    /// An answer without body to the account with this key.
    pub async fn get(&self, key: &str, path: &str) -> (u16, Value) {
        let headers = self.signed(key, "GET", path, b"");
        let answer = self.ask("GET", path, &headers, b"").await;
        (answer.status, value(&answer))
    }

    pub async fn session(&self, key: &str) -> Value {
        let (status, session) = self.get(key, "/v1/payments/session").await;
        assert_eq!(status, 200, "{session}");
        session
    }

    /// Headers of a signed request.
    pub fn signed(&self, key: &str, method: &str, path: &str, body: &[u8]) -> Headers {
        let wallet = wallet(key);
        let mut nonce = [0; 32];
        nonce[24..].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let expiry = now() + 120;
        let request = Request {
            account: wallet.account(),
            method,
            path,
            body_digest: Request::digest_of_body(body),
            nonce,
            expiry,
        };
        let audience = Audience {
            chain_id: 31337,
            registry: Account(self.chain.at("measurementRegistry")),
            node: self.chain.agent,
        };
        let signature = wallet.sign(&request.digest(&audience));
        [
            ("x-jeju-address", wallet.account().to_string().to_lowercase()),
            ("x-jeju-nonce", format!("0x{}", hex::encode(nonce))),
            ("x-jeju-expiry", expiry.to_string()),
            ("x-jeju-signature", signature.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Headers as the first clients send them.
    pub fn legacy(&self, key: &str, nonce: &str, ms: u64) -> Headers {
        let wallet = wallet(key);
        let (address, time) = (wallet.account().to_string(), ms.to_string());
        let text = node_text(&address, nonce, &time, &account(PROVIDER));
        let signature = wallet.sign(&text_digest(&text));
        [
            ("x-jeju-address", address),
            ("x-jeju-nonce", nonce.to_owned()),
            ("x-jeju-timestamp", time),
            ("x-jeju-signature", signature.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A voucher of the user for an answer that it got.
    pub fn voucher(&self, cumulative: u128, sequence: u64, request: &[u8], response: &[u8]) -> SignedVoucher {
        let voucher = Voucher {
            user: account(USER),
            provider: account(PROVIDER),
            cumulative,
            sequence,
            request_digest: sha256(request),
            response_digest: sha256(response),
            expiry: now() + 24 * 3600,
        };
        SignedVoucher::sign(voucher, &self.serving(), &wallet(USER)).unwrap()
    }
}

/// The provider offers the model.
pub async fn offer(chain: &Chain) {
    let provider: AccountKey = PROVIDER.parse().unwrap();
    let (sender, serving) = (chain.sender(&provider), chain.at("inferenceServing"));
    let (index, _) = serving::register_service(&sender, serving.into(), MODEL, "https://p", INPUT, OUTPUT)
        .await
        .unwrap();
    assert_eq!(index, 1);
    chain.anvil.finalize().await.unwrap();
}
