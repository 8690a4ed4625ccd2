//! `jeju receipt` against a node that is honest, nodes that aren't, and a real chain.

use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};

use jeju_attestation::claims::Receipts;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::merkle::Tree;
use jeju_attestation::receipts::Leaf;
use jeju_client::audit::exchange::{Exchange, FORMAT, SavedRequest, SavedResponse};
use jeju_simulated::Silicon;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, Receipt};
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::attested_keys::Chain;
use crate::node::{AGENT, Chained, IMAGE, MODEL, Node, evm_key};

const CHAIN: u64 = 31337;
const KEYS: [u8; 20] = [6; 20];
const ID: &str = "chatcmpl-0102";
const REQUEST: &str = r#"{"model":"m"}"#;
const RESPONSE: &str = r#"{"id":"chatcmpl-0102","choices":[]}"#;

/// A node, what it answers about [`ID`], and a folder with what its user has.
struct Setting {
    node: Node,
    answer: Arc<Mutex<(u16, String)>>,
    folder: tempfile::TempDir,
    at: At,
    agent: [u8; 32],
}

impl Setting {
    async fn new() -> Self {
        Self::on(Chained::default(), AGENT, Some(KEYS)).await
    }

    /// A node of this agent that signs for this registry of keys.
    async fn on(chained: Chained, agent: [u8; 32], keys: Option<[u8; 20]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&folder.path().join("silicon")).unwrap();
        let signs = keys.map_or_else(String::new, |keys| {
            format!("[receipts]\nkeys = \"{}\"\n", HexBytes(keys))
        });
        let launch = format!(
            "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = {CHAIN}\n\
             registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\ninference = true\n[[models]]\nid = \"m\"\n\
             sha256 = \"{}\"\n{signs}[egress]\nallow = [\"127.0.0.1:8545\"]\n",
            HexBytes(agent),
            HexBytes(chained.registry),
            HexBytes(MODEL),
        );
        let answer = Arc::new(Mutex::new((404, "{}".to_owned())));
        let answering = answer.clone();
        let answers: crate::node::Signer = Box::new(move |path, _| match path {
            "/v1/receipts/chatcmpl-0102" => answering.lock().unwrap().clone(),
            _ => (404, "{}".to_owned()),
        });
        let node = Node::start_answering(chained, agent, launch.into_bytes(), &silicon, answers).await;
        let policy = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nagents = [\"{}\"]\nmeasurements = [\"{}\"]\n[registry]\n\
             chain_id = {CHAIN}\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n[launch]\nchain_profiles = [\"localnet\"]\n\
             services = [\"inference\"]\negress = [\"127.0.0.1:8545\"]\nmodels = [\"{}\"]\n",
            HexBytes(agent),
            Node::measurement(),
            HexBytes(chained.registry),
            HexBytes(silicon.root_public()),
            HexBytes(MODEL),
        );
        let at = At {
            chain_id: CHAIN,
            contract: Account(keys.unwrap_or_default()),
        };
        let setting = Self {
            node,
            answer,
            folder,
            at,
            agent,
        };
        setting.write("policy.toml", &policy);
        setting.write("request", REQUEST);
        setting.write("response", RESPONSE);
        setting
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn receipt(&self) -> Receipt {
        Receipt {
            agent: self.agent,
            boot: self.node.claims().claims().boot,
            request_id: [1; 32],
            request_digest: sha256(REQUEST.as_bytes()),
            response_digest: sha256(RESPONSE.as_bytes()),
            input_units: 5,
            output_units: 7,
            epoch: 3,
            anchor_block: 90,
        }
    }

    /// The node's document about a receipt, signed by a key.
    fn document(&self, receipt: &Receipt, key: &AccountKey) -> Value {
        json!({
            "id": ID,
            "receipt": {
                "agentId": HexBytes(receipt.agent),
                "boot": HexBytes(receipt.boot),
                "requestId": HexBytes(receipt.request_id),
                "requestDigest": HexBytes(receipt.request_digest),
                "responseDigest": HexBytes(receipt.response_digest),
                "inputUnits": receipt.input_units,
                "outputUnits": receipt.output_units,
                "epoch": receipt.epoch,
                "anchorBlock": receipt.anchor_block,
                "signature": key.sign(&receipt.digest(&self.at)).to_string(),
                "signer": evm_key().account().to_string(),
                "chainId": self.at.chain_id,
                "keys": self.at.contract.to_string(),
            },
            "inclusion": null,
        })
    }

    fn honest(&self) -> Value {
        self.document(&self.receipt(), &evm_key())
    }

    fn say(&self, status: u16, document: &Value) {
        *self.answer.lock().unwrap() = (status, document.to_string());
    }

    async fn run(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jeju"))
            .args(["receipt", &self.node.url()])
            .args(more)
            .args(["--policy", &self.path("policy.toml"), "--development"])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    /// Exit code, and what `--json` prints.
    async fn json(&self, more: &[&str]) -> (i32, Value) {
        let output = self.run(&[more, &["--json"]].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let document = serde_json::from_str(&text);
        let document =
            document.unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), document)
    }

    /// Refused with this exit code and code.
    async fn refused(&self, more: &[&str], exit: i32, code: &str) {
        let (found, document) = self.json(more).await;
        assert_eq!(
            (found, document["code"].as_str()),
            (exit, Some(code)),
            "{document}"
        );
        assert_eq!(document["status"], "contraindicated");
    }
}

#[tokio::test]
async fn an_honest_nodes_receipt_is_shown_and_compared() {
    let setting = Setting::new().await;
    setting.say(200, &setting.honest());
    let files = [
        "--request",
        &setting.path("request"),
        "--response",
        &setting.path("response"),
    ];
    let (exit, document) = setting.json(&[&[ID], &files[..]].concat()).await;
    assert_eq!(exit, 0, "{document}");
    assert_eq!(document["compared"], json!(["request", "response"]));
    assert_eq!(
        (&document["inputUnits"], &document["outputUnits"]),
        (&json!(5), &json!(7))
    );
    assert_eq!(document["signer"], evm_key().account().to_string());
    assert!(document["quoted"].is_null() && document["onChain"] == false);
    let output = setting.run(&[ID]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().all(|line| line.starts_with("[development] ")),
        "{text}"
    );
    assert!(
        text.contains("5 tokens in, 7 out") && text.contains("not yet"),
        "{text}"
    );

    // A saved exchange has the id. Of a stream the signed end isn't covered.
    let stream = "data: {\"id\":\"chatcmpl-0102\"}\n\n";
    let receipt = Receipt {
        response_digest: sha256(stream.as_bytes()),
        ..setting.receipt()
    };
    setting.say(200, &setting.document(&receipt, &evm_key()));
    let exchange = Exchange {
        format: FORMAT.to_owned(),
        node: setting.node.url(),
        saved: 1,
        request: SavedRequest {
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            query: "?".to_owned(),
            body: REQUEST.to_owned(),
        },
        response: SavedResponse {
            status: 200,
            headers: Default::default(),
            body: format!("{stream}: jeju-sig v=1; digest=x\n\ndata: [DONE]\n\n"),
        },
        evidence: String::new(),
    };
    let saved = setting.write("exchange.json", &String::from_utf8(exchange.encode()).unwrap());
    let (exit, document) = setting.json(&["--exchange", &saved]).await;
    assert_eq!((exit, &document["id"]), (0, &json!(ID)), "{document}");
}

#[tokio::test]
async fn what_is_not_the_attested_keys_word_is_refused() {
    let setting = Setting::new().await;
    setting.refused(&[ID], 5, "receipt_not_found").await;
    setting.say(500, &json!({}));
    setting.refused(&[ID], 5, "receipt_not_served").await;
    setting.refused(&["a/b"], 1, "receipt_id_invalid").await;
    let honest = setting.honest();
    let other = AccountKey::from_bytes(&[8; 32]).unwrap();
    let with = |change: fn(&mut Receipt)| {
        let mut receipt = setting.receipt();
        change(&mut receipt);
        setting.document(&receipt, &evm_key())
    };
    let edited = |name: &str, value: Value| {
        let mut document = honest.clone();
        document["receipt"][name] = value;
        document
    };
    let mut renamed = honest.clone();
    renamed["id"] = json!("chatcmpl-0103");
    for (document, code) in [
        (json!([]), "receipt_malformed"),
        (edited("boot", json!("0x01")), "receipt_malformed"),
        (edited("signature", json!("0x01")), "receipt_malformed"),
        (edited("signature", Value::Null), "receipt_malformed"),
        (edited("chainId", Value::Null), "receipt_malformed"),
        (renamed, "receipt_of_other_answer"),
        (
            edited("signer", json!(other.account().to_string())),
            "receipt_signer_differs",
        ),
        (with(|receipt| receipt.agent = [9; 32]), "receipt_of_other_node"),
        (with(|receipt| receipt.boot = [9; 16]), "receipt_of_other_node"),
        (with(|receipt| receipt.epoch = 4), "receipt_of_other_node"),
        (edited("chainId", json!(1)), "receipt_contract_differs"),
        (
            edited("keys", json!(Account([7; 20]).to_string())),
            "receipt_contract_differs",
        ),
        (
            setting.document(&setting.receipt(), &other),
            "receipt_signature_invalid",
        ),
        (edited("outputUnits", json!(6)), "receipt_signature_invalid"),
        (
            edited("requestId", json!(HexBytes([2; 32]))),
            "receipt_signature_invalid",
        ),
    ] {
        setting.say(200, &document);
        setting.refused(&[ID], 3, code).await;
    }
    setting.say(200, &honest);
    let (request, response) = (setting.path("request"), setting.path("response"));
    setting
        .refused(&[ID, "--request", &response], 3, "receipt_request_differs")
        .await;
    setting
        .refused(&[ID, "--response", &request], 3, "receipt_response_differs")
        .await;
    setting
        .refused(&[ID, "--response", &setting.path("none")], 1, "file_unreadable")
        .await;
    // A node that signs for no contract says so, and its receipts are good for no chain.
    let unsigned = Setting::on(Chained::default(), AGENT, None).await;
    unsigned.say(200, &unsigned.honest());
    unsigned.refused(&[ID], 3, "receipt_contract_differs").await;
    let mut document = unsigned.honest();
    for name in ["signature", "chainId", "keys"] {
        document["receipt"][name] = Value::Null;
    }
    unsigned.say(200, &document);
    assert_eq!(unsigned.json(&[ID]).await.0, 0);
}

#[tokio::test]
async fn a_later_quote_vouches_for_the_answer_or_it_is_said_that_none_does() {
    let setting = Setting::new().await;
    setting.say(200, &setting.honest());
    setting.refused(&[ID, "--quoted"], 5, "receipt_not_quoted").await;
    let receipt = setting.receipt();
    let leaf = Leaf {
        id: ID,
        request_id: &receipt.request_id,
        request_digest: &receipt.request_digest,
        response_digest: &receipt.response_digest,
        input_units: receipt.input_units,
        output_units: receipt.output_units,
        epoch: receipt.epoch,
    };
    let tree = Tree::new(vec![[1; 32], [2; 32], leaf.hash()]);
    let said = Receipts {
        epoch: 3,
        count: 3,
        root: tree.root(),
    };
    let inclusion = |evidence: &str| {
        let path: Vec<_> = tree.path(2).unwrap().into_iter().map(HexBytes).collect();
        let mut document = setting.honest();
        document["inclusion"] = json!({
            "epoch": 3, "count": 3, "root": HexBytes(tree.root()), "index": 2, "path": path, "evidence": evidence,
        });
        document
    };
    // The quote has another tree than the node says.
    let evidence = setting.node.rotate_with(Receipts { count: 4, ..said });
    setting.say(200, &inclusion(&evidence));
    setting.refused(&[ID], 3, "receipt_path_invalid").await;
    let evidence = setting.node.rotate_with(said);
    setting.say(200, &inclusion(&evidence));
    let (exit, document) = setting.json(&[ID, "--quoted"]).await;
    assert_eq!(exit, 0, "{document}");
    assert_eq!(document["quoted"]["root"], json!(HexBytes(tree.root())));
    assert_eq!(document["quoted"]["index"], 2);
    for (name, value, code) in [
        ("index", json!(1), "receipt_path_invalid"),
        ("count", json!(2), "receipt_path_invalid"),
        ("epoch", json!(2), "receipt_path_invalid"),
        ("root", json!(HexBytes([1; 32])), "receipt_path_invalid"),
        ("path", json!([]), "receipt_path_invalid"),
        ("path", json!(["0x01"]), "receipt_malformed"),
        ("path", json!(vec![HexBytes([1; 32]); 40]), "receipt_path_invalid"),
        (
            "evidence",
            json!("https://elsewhere.example/"),
            "receipt_malformed",
        ),
    ] {
        let mut document = inclusion(&evidence);
        document["inclusion"][name] = value;
        setting.say(200, &document);
        setting.refused(&[ID], 3, code).await;
    }
    let gone = format!("/.well-known/jeju/evidence/{}", "00".repeat(32));
    setting.say(200, &inclusion(&gone));
    setting.refused(&[ID], 5, "evidence_not_served").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_says_whether_the_key_is_registered() {
    let chain = Chain::new(IMAGE).await;
    let keys = chain.at("attestedKeyRegistry");
    chain.anvil.finalize().await.unwrap();
    let anchor = chain.reader.finalized_block().await.unwrap().block;
    let chained = Chained {
        registry: chain.at("measurementRegistry"),
        anchor: (anchor.number, anchor.hash),
    };
    let setting = Setting::on(chained, chain.agent, Some(keys)).await;
    setting.say(200, &setting.honest());
    let (url, keys) = (chain.anvil.url(), HexBytes(keys).to_string());
    let other = HexBytes([6; 20]).to_string();
    let on_chain = [ID, "--on-chain", "--rpc", &url, "--attested-key-registry"];
    let asked = |keys| [&on_chain[..], &[keys]].concat();
    setting.refused(&asked(&keys), 2, "receipt_key_not_live").await;
    setting
        .refused(&asked(&other), 3, "receipt_contract_differs")
        .await;
    setting.refused(&on_chain[..4], 1, "contract_missing").await;
    let claims = setting.node.claims();
    chain.register(&claims, evm_key().account().0).await;
    let (exit, document) = setting.json(&asked(&keys)).await;
    assert_eq!((exit, &document["onChain"]), (0, &json!(true)), "{document}");
    chain.revoke(evm_key().account().0).await;
    setting.refused(&asked(&keys), 2, "receipt_key_not_live").await;
}
