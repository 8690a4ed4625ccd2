//! `jeju worker` against a node that is honest, and one that isn't.

use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::response::WorkerVersion;
use jeju_session::hpke::{KeyPair, Sealed};
use jeju_simulated::Silicon;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::replay::ReplayCache;
use jeju_wallet_auth::signature::AccountKey;
use jeju_wallet_auth::v2::{self, Audience, Request, Signer};
use jeju_worker_protocol::api::{SealedSecret, from_hex, hex, secret_aad, secret_info};
use jeju_worker_protocol::{Bundle, Language};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::node::{AGENT, Node, REGISTRY, now};

const CHAIN: u64 = 31337;
const OWNER: [u8; 32] = [7; 32];
const ID: &str = "worker-hello-01020304";
const CODE: &str = "export default { fetch: () => new Response('Hello') };";

type Answers = Arc<Mutex<Vec<(String, u16, String)>>>;

/// A node that takes workers, and a folder with what its user has.
struct Setting {
    node: Node,
    key: KeyPair,
    answers: Answers,
    folder: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        Self::with("workers = true", "\n[workers]\nreach = \"public\"\n").await
    }

    async fn with(service: &str, table: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(&folder.path().join("silicon")).unwrap();
        let launch = format!(
            "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = {CHAIN}\n\
             registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\n{service}\n[egress]\nallow = [\"127.0.0.1:8545\"]\n{table}",
            HexBytes(AGENT),
            HexBytes(REGISTRY),
        );
        let answers = Answers::default();
        let answering = answers.clone();
        let signer: crate::node::Signer = Box::new(move |path, _| {
            let answers = answering.lock().unwrap();
            let found = answers.iter().find(|(known, ..)| known == path);
            let unknown = json!({ "error": "Worker not found", "code": "worker_not_found" });
            found.map_or_else(
                || (404, unknown.to_string()),
                |(_, status, body)| (*status, body.clone()),
            )
        });
        let key = KeyPair::generate().unwrap();
        let node = Node::start_workers(launch.into_bytes(), &silicon, key.public(), signer).await;
        let policy = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nagents = [\"{}\"]\nmeasurements = [\"{}\"]\n[registry]\n\
             chain_id = {CHAIN}\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n[launch]\nchain_profiles = [\"localnet\"]\n\
             services = [\"workers\", \"inference\"]\nworkers = [\"public\"]\negress = [\"127.0.0.1:8545\"]\nmodels = [\"{}\"]\n",
            HexBytes(AGENT),
            Node::measurement(),
            HexBytes(REGISTRY),
            HexBytes(silicon.root_public()),
            HexBytes(crate::node::MODEL),
        );
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        std::fs::write(folder.path().join("hello.js"), CODE).unwrap();
        let setting = Self {
            node,
            key,
            answers,
            folder,
        };
        let listed = json!({ "workerId": ID, "name": "hello", "status": "active", "endpoint": "/workers/x", "version": 1, "codeHash": "0x" });
        setting.answer("/api/v1/workers", 200, &json!({ "workers": [listed] }));
        setting
    }

    fn answer(&self, path: &str, status: u16, body: &Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, ..)| known != path);
        answers.push((path.to_owned(), status, body.to_string()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "").await
    }

    async fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let url = self.node.url();
        let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
        command
            .arg("worker")
            .args(arguments)
            .args(["--node", &url, "--development", "--json", "--policy"])
            .arg(self.path("policy.toml"))
            .env_remove("PRIVATE_KEY")
            .env("JEJU_KEY", hex::encode(OWNER));
        let piped = self.path("input");
        std::fs::write(&piped, input).unwrap();
        command.stdin(std::fs::File::open(piped).unwrap());
        command.output().await.unwrap()
    }

    async fn good(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors} {printed}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Code and exit code.
    async fn bad(&self, arguments: &[&str]) -> (String, i32) {
        let output = self.run(arguments).await;
        let printed = String::from_utf8_lossy(&output.stdout);
        let failure: Value =
            serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
        (
            failure["code"]
                .as_str()
                .unwrap_or_else(|| panic!("{failure}"))
                .to_owned(),
            output.status.code().unwrap(),
        )
    }

    /// Method, target and body of the last request; it was signed by the owner for this node.
    fn last(&self) -> (String, String, Vec<u8>) {
        let (target, body) = self.node.requests().pop().unwrap();
        let head = self.node.heads().pop().unwrap();
        let method = head.split(' ').next().unwrap().to_owned();
        let field = |wanted: &str| {
            let found = head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case(wanted).then_some(value)
            });
            found.unwrap_or_else(|| panic!("no {wanted} in {head}"))
        };
        let request = Request {
            account: Account(from_hex(field("x-jeju-address")).unwrap()),
            method: &method,
            path: &target,
            body_digest: Request::digest_of_body(&body),
            nonce: from_hex(field("x-jeju-nonce")).unwrap(),
            expiry: field("x-jeju-expiry").parse().unwrap(),
        };
        let signature: [u8; 65] = from_hex(field("x-jeju-signature")).unwrap();
        let audience = Audience {
            chain_id: CHAIN,
            registry: Account(REGISTRY),
            node: AGENT,
        };
        let mut used = ReplayCache::new(10, v2::MAX_REQUEST_LIFE);
        let signer = v2::verify(&request, &signature, None, &audience, now(), &mut used).unwrap();
        assert_eq!(signer, Signer::Account(owner()));
        (method, target, body)
    }
}

fn owner() -> Account {
    AccountKey::from_bytes(&OWNER).unwrap().account()
}

fn deployment(code_hash: &str) -> Value {
    json!({ "deployment": {
        "workerId": ID, "deploymentId": "d", "version": 1, "codeHash": code_hash, "deployedAt": 1, "deployedBy": owner().to_string(),
        "status": "active", "endpoint": format!("/workers/{ID}"),
    } })
}

fn code_hash() -> [u8; 32] {
    Bundle::single(Language::JavaScript, CODE).unwrap().code_hash()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_sent_signed_and_what_was_taken_is_compared() {
    let setting = Setting::new().await;
    let project = setting.path("hello.js");
    let deploy = ["deploy", project.to_str().unwrap(), "--env", "A=1"];
    setting.answer("/api/v1/workers", 201, &deployment(&hex(&code_hash())));
    assert_eq!(setting.good(&deploy).await["deployment"]["workerId"], ID);
    let (method, target, body) = setting.last();
    assert_eq!((method.as_str(), target.as_str()), ("POST", "/api/v1/workers"));
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        sent,
        json!({ "name": "hello", "modules": { "hello.js": CODE }, "main": "hello.js", "env": { "A": "1" }, "routes": [], "cronSchedule": "" })
    );
    setting.answer("/api/v1/workers", 201, &deployment(&hex(&[1; 32])));
    assert_eq!(setting.bad(&deploy).await, ("worker_other_code".into(), 3));
    let refusal = json!({ "error": "no \u{1b}[2J", "code": "worker_route_taken" });
    setting.answer("/api/v1/workers", 409, &refusal);
    assert_eq!(setting.bad(&deploy).await, ("worker_route_taken".into(), 1));
    setting.answer("/api/v1/workers", 200, &json!("<html>"));
    assert_eq!(setting.bad(&deploy).await, ("answer_malformed".into(), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_node_that_is_not_trusted_or_takes_no_workers() {
    let setting = Setting::new().await;
    let project = setting.path("hello.js");
    let deploy = ["deploy", project.to_str().unwrap()];
    let policy = std::fs::read_to_string(setting.path("policy.toml")).unwrap();
    std::fs::write(
        setting.path("policy.toml"),
        policy.replace("[\"public\"]", "[\"none\"]"),
    )
    .unwrap();
    assert_eq!(setting.bad(&deploy).await.1, 2);
    std::fs::write(setting.path("broken.js"), "export default {").unwrap();
    let broken = setting.path("broken.js");
    assert_eq!(
        setting.bad(&["deploy", broken.to_str().unwrap()]).await,
        ("worker_syntax_error".into(), 1)
    );
    assert!(setting.node.requests().is_empty());

    let model = format!(
        "[[models]]\nid = \"tiny\"\nsha256 = \"{}\"\n",
        HexBytes(crate::node::MODEL)
    );
    let other = Setting::with("inference = true", &model).await;
    assert_eq!(other.bad(&["list"]).await, ("node_no_workers".into(), 2));
    assert!(other.node.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_sealed_to_the_enclave_for_its_place() {
    let setting = Setting::new().await;
    let path = format!("/api/v1/workers/{ID}/secrets/TOKEN");
    setting.answer(&path, 200, &json!({ "success": true }));
    let put = ["secret", "put", "hello", "TOKEN"];
    let output = setting.run_with(&put, "a value\n").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (method, target, body) = setting.last();
    assert_eq!((method.as_str(), &target), ("PUT", &path));
    assert!(!String::from_utf8_lossy(&body).contains("a value"));
    let sealed: SealedSecret = serde_json::from_slice(&body).unwrap();
    let sealed = Sealed {
        encapsulated: from_hex(&sealed.encapsulated).unwrap(),
        ciphertext: STANDARD.decode(sealed.ciphertext).unwrap(),
    };
    let aad = secret_aad(&owner().0, ID, "TOKEN");
    assert_eq!(
        setting.key.open(&sealed, secret_info(), &aad).unwrap(),
        b"a value"
    );

    // A file that others can read, a name that is none, and a worker that isn't there: nothing is sent.
    let exposed = setting.path("exposed");
    std::fs::write(&exposed, "x").unwrap();
    std::fs::set_permissions(&exposed, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let before = setting.node.requests().len();
    let from = [&put[..], &["--from", exposed.to_str().unwrap()]].concat();
    assert_eq!(setting.bad(&from).await, ("secret_exposed".into(), 1));
    assert_eq!(
        setting.run(&["secret", "put", "hello", "1"]).await.status.code(),
        Some(1)
    );
    assert_eq!(setting.node.requests().len(), before);
    assert_eq!(
        setting.bad(&["secret", "put", "none", "TOKEN"]).await,
        ("worker_unknown".into(), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_only_as_the_worker_that_was_asked() {
    let setting = Setting::new().await;
    let worker = WorkerVersion {
        id: ID.to_owned(),
        version: 3,
        code_hash: code_hash(),
    };
    setting.answer(&format!("/workers/{ID}/a"), 200, &json!("hello"));
    setting.node.answers_as(Some(worker.clone()));
    let invoke = ["invoke", "hello", "--path", "/a?b=c"];
    let answer = setting.good(&invoke).await;
    assert_eq!(
        (&answer["status"], &answer["body"]),
        (&json!(200), &json!("\"hello\""))
    );
    assert_eq!(
        answer["worker"],
        json!({ "id": ID, "version": 3, "codeHash": hex(&code_hash()) })
    );
    let (target, _) = setting.node.requests().pop().unwrap();
    assert_eq!(target, format!("/workers/{ID}/a?b=c"));
    let head = setting.node.heads().pop().unwrap();
    assert!(
        !head.to_ascii_lowercase().contains("x-jeju-"),
        "a request to a worker is nobody's: {head}"
    );

    // The node itself, and another worker of it.
    setting.node.answers_as(None);
    assert_eq!(setting.bad(&invoke).await, ("answer_malformed".into(), 3));
    setting.node.answers_as(Some(WorkerVersion {
        id: "worker-other-01020304".to_owned(),
        ..worker.clone()
    }));
    assert_eq!(setting.bad(&invoke).await, ("answer_malformed".into(), 3));
    // A worker's answer where the node was asked: not possible for the node, and refused.
    setting.node.answers_as(Some(worker));
    let trace = setting.bad(&["invoke", "hello", "--trace"]).await;
    assert_eq!(trace, ("answer_malformed".into(), 3));
    assert_eq!(setting.last().1, format!("/api/v1/workers/{ID}/invoke"));
}
