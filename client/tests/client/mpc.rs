//! The client of a network of signers against members that are honest and members that aren't. The members hold one ordinary
//! key instead of shares: what is tested here is what the client believes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::mpc::{Member, Mpc};
use jeju_attestation::policy::Policy;
use jeju_client::error::Class;
use jeju_client::mpc::{Key, MpcClient, MpcError};
use jeju_client::relying_party::RelyingParty;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy as KeyPolicy};
use jeju_mpc::authority::frost_wallet::wallet_address;
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::Signed;
use jeju_mpc::network::Scheme;
use jeju_simulated::Silicon;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::configurations::{Succession, governance};
use crate::node::{MODEL, Node, REGISTRY, Signer};

mod configurations;

/// How much later than it is it may be, as members say, in seconds.
const UPPER: u64 = 30;
const FACTORY: [u8; 20] = [0x11; 20];

/// What a member does that it shouldn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Right,
    /// Names another public key.
    OtherKey,
    /// Another field of a key has this value.
    Field(&'static str, &'static str),
    /// Signs something else.
    OtherMessage,
    /// Signs with another key.
    Forges,
    /// Refuses, with this status and code.
    Refuses(u16, &'static str),
    /// Refuses the first request only.
    RefusesOnce(u16, &'static str),
    /// Says nothing that makes sense.
    Babbles(u16, &'static str),
}

struct Network {
    nodes: Vec<Option<Node>>,
    /// What each member knows of configurations.
    successions: Vec<Arc<Mutex<Succession>>>,
    root: Arc<frost_secp256k1::SigningKey>,
    launch: Mpc,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    policy: Policy,
    _silicon: tempfile::TempDir,
}

fn account() -> AccountKey {
    AccountKey::from_bytes(&[7; 32]).unwrap()
}

fn document() -> KeyDocument {
    KeyDocument {
        owners: vec![Address(account().account())],
        contracts: Vec::new(),
        quorum: 1,
        policy: KeyPolicy {
            messages: true,
            ..KeyPolicy::default()
        },
        salt: HexBytes([3; 32]),
        scheme: Scheme::Secp256k1,
        dedicated: false,
    }
}

fn text(message: &str) -> Payload {
    Payload::Message {
        message: message.to_owned(),
    }
}

impl Network {
    /// A network of which two must sign, with what each member does.
    async fn start(members: &[Does]) -> Self {
        let agents: Vec<u8> = (1..=members.len() as u8).collect();
        Self::start_as(members, &agents).await
    }

    async fn start_as(members: &[Does], agents: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let silicon = Silicon::open_or_create(folder.path()).unwrap();
        let secret = Arc::new(frost_secp256k1::SigningKey::new(&mut rand_core::OsRng));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let mut listeners = Vec::new();
        for _ in members {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let addresses: Vec<String> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().to_string())
            .collect();
        let mut named = Vec::new();
        for (agent, address) in agents.iter().zip(&addresses) {
            if named.iter().all(|member: &Member| member.agent.0 != [*agent; 32]) {
                named.push(Member {
                    node: format!("mpc-node-{agent}"),
                    agent: HexBytes([*agent; 32]),
                    platform: None,
                    address: address.clone(),
                });
            }
        }
        let mpc = Mpc {
            network: "test".into(),
            threshold: 2,
            governance: HexBytes(governance().account().0),
            measurements: vec![HexBytes(Node::measurement().0)],
            simulated_roots: vec![HexBytes(silicon.root_public())],
            wallet_factory: Some(HexBytes(FACTORY)),
            members: named,
            place: None,
        };
        let (mut nodes, mut successions) = (Vec::new(), Vec::new());
        for ((listener, does), agent) in listeners.into_iter().zip(members).zip(agents) {
            let launch = launch(&mpc, *agent, &addresses).into_bytes();
            let succession = Arc::new(Mutex::new(Succession::new(&mpc, &secret)));
            successions.push(succession.clone());
            let signer = signer(
                *does,
                mpc.members.len(),
                secret.clone(),
                bodies.clone(),
                succession,
            );
            nodes.push(Some(Node::start_signer(
                listener,
                [*agent; 32],
                launch,
                &silicon,
                signer,
            )));
        }
        let policy = format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nany_agent = true\n\
             measurements = [\"{}\"]\n[registry]\nchain_id = 31337\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n\
             [launch]\nchain_profiles = [\"localnet\"]\nservices = [\"mpc\"]\nmpc_networks = [\"{}\"]\negress = [{}]\n",
            Node::measurement(),
            HexBytes(REGISTRY),
            HexBytes(silicon.root_public()),
            HexBytes(mpc.genesis()),
            egress(&addresses),
        );
        Self {
            nodes,
            successions,
            root: secret,
            launch: mpc,
            bodies,
            policy: Policy::parse(&policy, true).unwrap(),
            _silicon: folder,
        }
    }

    /// Of someone who knows these members' addresses.
    fn client(&self, members: &[usize]) -> MpcClient {
        let urls: Vec<_> = members
            .iter()
            .map(|at| self.nodes[*at].as_ref().unwrap().url().parse().unwrap())
            .collect();
        let party = Arc::new(RelyingParty::new(self.policy.clone()).unwrap());
        // Each member is asked so often: not once more because a loaded machine held one up.
        MpcClient::new(&urls, party)
            .unwrap()
            .patience(Duration::from_secs(60))
    }

    fn asked(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }
}

fn launch(mpc: &Mpc, agent: u8, addresses: &[String]) -> String {
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = 31337\n\
         registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\nmpc = true\n[egress]\nallow = [{}]\n{}",
        HexBytes([agent; 32]),
        HexBytes(REGISTRY),
        egress(addresses),
        toml::to_string(&std::collections::BTreeMap::from([("mpc", mpc)])).unwrap(),
    )
}

fn egress(addresses: &[String]) -> String {
    let all = addresses.iter().map(String::as_str).chain(["127.0.0.1:8545"]);
    all.map(|entry| format!("\"{entry}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

fn signer(
    does: Does,
    members: usize,
    secret: Arc<frost_secp256k1::SigningKey>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    succession: Arc<Mutex<Succession>>,
) -> Signer {
    let times = AtomicUsize::new(0);
    Box::new(move |path, body| {
        if path == "/mpc/status" {
            let time = json!({ "lower": crate::node::now(), "upper": crate::node::now() + UPPER });
            return (200, json!({ "nodeId": "a", "time": time }).to_string());
        }
        if let Some(query) = path.strip_prefix("/mpc/configuration?") {
            return match does {
                Does::Babbles(status, words) => (status, words.to_owned()),
                _ => (200, succession.lock().unwrap().page(query).to_string()),
            };
        }
        bodies.lock().unwrap().push(body.to_vec());
        let first = times.fetch_add(1, Ordering::Relaxed) == 0;
        match does {
            Does::Refuses(status, code) => return (status, refusal(code)),
            Does::RefusesOnce(status, code) if first => return (status, refusal(code)),
            Does::Babbles(status, words) => return (status, words.to_owned()),
            _ => {}
        }
        if path == "/mpc/configure" {
            let answer = succession.lock().unwrap().proposed(body, &secret);
            return (200, answer.to_string());
        }
        let secret = match does {
            Does::OtherKey => &frost_secp256k1::SigningKey::new(&mut rand_core::OsRng),
            _ => &*secret,
        };
        let mut answer = answered(path, body, members, secret, does);
        if let Does::Field(name, value) = does {
            answer[name] = value.into();
        }
        (200, answer.to_string())
    })
}

fn refusal(code: &str) -> String {
    json!({ "error": "words", "code": code }).to_string()
}

/// What a member answers: built on the members' own reading of requests.
fn answered(
    path: &str,
    body: &[u8],
    members: usize,
    secret: &frost_secp256k1::SigningKey,
    does: Does,
) -> Value {
    let signed = Signed::parse(body).unwrap();
    let reading = signed.request.read().unwrap();
    let key = frost_secp256k1::VerifyingKey::from(secret).serialize().unwrap();
    let key: [u8; 33] = key.try_into().unwrap();
    let mut answer = json!({
        "success": true,
        "publicKey": HexBytes(key),
        "walletAddress": Account(wallet_address(FACTORY, &key)).to_string(),
        "scheme": reading.path.scheme.name(),
        "keyId": HexBytes(reading.path.key.0),
        "threshold": 2,
        "totalShares": members,
        "generation": 3,
    });
    if path == "/mpc/sign" {
        let message = match does {
            Does::OtherMessage => [9; 32],
            _ => reading.payload.unwrap().message,
        };
        let by = match does {
            Does::Forges => &frost_secp256k1::SigningKey::new(&mut rand_core::OsRng),
            _ => secret,
        };
        let signature = by.sign(rand_core::OsRng, &message).serialize().unwrap();
        answer["signature"] = format!("0x{}", hex::encode(signature)).into();
        answer["messageHash"] = json!(HexBytes(message));
        answer["signers"] = json!([1, 2]);
    }
    answer
}

async fn made(network: &Network) -> Key {
    network
        .client(&[0])
        .keygen(&account(), &document())
        .await
        .unwrap()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, MpcError>) -> (String, Class) {
    let error = outcome.unwrap_err();
    (error.code().to_owned(), error.class())
}

#[tokio::test]
async fn a_key_counts_once_enough_members_name_it() {
    let network = Network::start(&[Does::Right; 3]).await;
    let mut client = network.client(&[1]);
    let key = client.keygen(&account(), &document()).await.unwrap();
    assert_eq!(
        network.asked(),
        2,
        "two of three: the second was found through the first"
    );
    let signed = client.sign(&account(), &key, &text("hello")).await.unwrap();
    assert_eq!(
        (signed.signature.len(), signed.signers.as_slice()),
        (65, &[1, 2][..])
    );
    assert!(signed.contract_signature.is_some());
    assert_eq!(client.refresh(&account(), &key).await.unwrap(), 3);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    key.write(&path).unwrap();
    assert_eq!(Key::read(&path).unwrap(), key);
    let written = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"messages\": true", "\"messages\": false"),
        ("\"raw\": false", "\"raw\": true"),
        ("\"version\": 1,", "\"version\": 2,"),
        ("\"chainId\": 31337", "\"chainId\": 1337"),
        ("\"keyId\": \"0x", "\"more\": 1, \"keyId\": \"0x"),
    ] {
        assert!(written.contains(from), "{from}: {written}");
        std::fs::write(&path, written.replacen(from, to, 1)).unwrap();
        assert_eq!(code(Key::read(&path)).0, "key_file_invalid", "{from}");
    }
}

#[tokio::test]
async fn one_member_alone_can_not_make_up_a_key() {
    // Nor keep the others from being heard.
    for (members, asked) in [
        ([Does::OtherKey, Does::Right, Does::Right], 3),
        ([Does::Right, Does::OtherKey, Does::Right], 3),
        ([Does::Right, Does::Babbles(200, "1"), Does::Right], 3),
    ] {
        let network = Network::start(&members).await;
        let key = made(&network).await;
        assert_eq!(network.asked(), asked);
        let signed = network.client(&[2]).sign(&account(), &key, &text("hello")).await;
        assert!(signed.is_ok(), "the key of the two that agree");
    }
    for (members, expected) in [
        (&[Does::OtherKey, Does::Right][..], "mpc_members_disagree"),
        (
            &[
                Does::Right,
                Does::Refuses(503, "mpc_no_quorum"),
                Does::Babbles(200, "1"),
            ],
            "mpc_not_confirmed",
        ),
    ] {
        let network = Network::start(members).await;
        let outcome = network.client(&[0]).keygen(&account(), &document()).await;
        assert_eq!(code(outcome).0, expected, "{members:?}");
    }
    // Two addresses of one member.
    let network = Network::start_as(&[Does::Right; 3], &[1, 1, 2]).await;
    let mut client = network.client(&[0, 1]);
    client.keygen(&account(), &document()).await.unwrap();
    assert_eq!(network.asked(), 3);
}

#[tokio::test]
async fn what_can_be_computed_is_not_believed() {
    for does in [
        Does::Field(
            "keyId",
            "0x0101010101010101010101010101010101010101010101010101010101010101",
        ),
        Does::Field("keyId", "0x01"),
        Does::Field("walletAddress", "0x7cd21c31c98F5FE95Ce130e8EfC3aABCc0748768"),
        Does::Field("scheme", "frost-secp256k1-bip340"),
        Does::Field(
            "publicKey",
            "0x000000000000000000000000000000000000000000000000000000000000000000",
        ),
        Does::Field("threshold", "2"),
        Does::Babbles(200, "[]"),
        Does::Babbles(200, "not JSON"),
        Does::Babbles(500, "{}"),
    ] {
        let network = Network::start(&[does; 2]).await;
        let outcome = network.client(&[0]).keygen(&account(), &document()).await;
        assert_eq!(
            code(outcome),
            ("mpc_answer_invalid".to_owned(), Class::Evidence),
            "{does:?}"
        );
    }
}

#[tokio::test]
async fn a_signature_is_verified_here() {
    let network = Network::start(&[Does::Right, Does::Right]).await;
    let key = made(&network).await;
    for does in [
        Does::OtherMessage,
        Does::Forges,
        Does::OtherKey,
        Does::Field("signature", "0x00"),
    ] {
        let network = Network::start(&[does, does]).await;
        let mut client = network.client(&[0]);
        // Its own network's key, so that nothing but the signature is wrong.
        let facts = client.network().await.unwrap();
        let key = Key {
            network: HexBytes(facts.genesis),
            ..key.clone()
        };
        let outcome = client.sign(&account(), &key, &text("hello")).await;
        assert_eq!(
            code(outcome),
            ("mpc_answer_invalid".to_owned(), Class::Evidence),
            "{does:?}"
        );
    }
}

#[tokio::test]
async fn who_can_not_answer_is_passed_over() {
    let mut network = Network::start(&[Does::Right, Does::Right, Does::Right]).await;
    let key = made(&network).await;
    let mut client = network.client(&[0, 1, 2]);
    client.sign(&account(), &key, &text("all")).await.unwrap();
    network.nodes[0] = None;
    client.sign(&account(), &key, &text("one is gone")).await.unwrap();

    for does in [
        Does::Refuses(503, "mpc_no_quorum"),
        Does::Refuses(429, "mpc_busy"),
        Does::Babbles(502, "<html>"),
    ] {
        let network = Network::start(&[does, Does::Right, Does::Right]).await;
        network
            .client(&[0])
            .keygen(&account(), &document())
            .await
            .unwrap();
    }
    let network = Network::start(&[Does::Forges, Does::Right, Does::Right]).await;
    let key = network
        .client(&[1])
        .keygen(&account(), &document())
        .await
        .unwrap();
    let signed = network
        .client(&[0])
        .sign(&account(), &key, &text("forged first"))
        .await;
    assert!(signed.is_ok());

    let network = Network::start(&[Does::Refuses(503, "mpc_no_quorum"), Does::Babbles(502, "<html>")]).await;
    let outcome = network.client(&[1, 0]).keygen(&account(), &document()).await;
    assert_eq!(
        code(outcome),
        ("mpc_no_quorum".to_owned(), Class::Network),
        "the network's word says most"
    );
}

/// Its connections are taken, and nobody ever says a word on them: a machine that stands still.
#[tokio::test]
async fn who_stands_still_is_not_waited_for() {
    let network = Network::start(&[Does::Right; 3]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut urls = vec![
        format!("https://{}", silent.local_addr().unwrap())
            .parse()
            .unwrap(),
    ];
    let nodes = network.nodes.iter().flatten();
    urls.extend(nodes.map(|node| node.url().parse().unwrap()));
    let party = Arc::new(RelyingParty::new(network.policy.clone()).unwrap());
    let mut client = MpcClient::new(&urls, party).unwrap();
    let started = Instant::now();
    let key = client.keygen(&account(), &document()).await.unwrap();
    client.sign(&account(), &key, &text("the others")).await.unwrap();
    // Less than the time for connecting to it twice.
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(silent);
}

#[tokio::test]
async fn what_the_network_refuses_no_other_member_is_asked_for() {
    let network = Network::start(&[Does::Refuses(403, "mpc_not_allowed"), Does::Right]).await;
    let outcome = network.client(&[0, 1]).keygen(&account(), &document()).await;
    assert_eq!(code(outcome), ("mpc_not_allowed".to_owned(), Class::Policy));
    assert_eq!(network.asked(), 1);

    // Its answer was lost: the same thing is asked for anew.
    let replayed = Does::RefusesOnce(409, "mpc_request_replayed");
    let network = Network::start(&[replayed, Does::Right]).await;
    let before = crate::node::now();
    network
        .client(&[0])
        .keygen(&account(), &document())
        .await
        .unwrap();
    let bodies = network.bodies.lock().unwrap();
    for body in bodies.iter() {
        let request = Signed::parse(body).unwrap().request;
        let latest = before + UPPER - 10..crate::node::now() + UPPER;
        assert!(
            latest.contains(&request.issued),
            "just before the latest that it may be"
        );
    }
    let nonces: Vec<_> = bodies
        .iter()
        .map(|body| Signed::parse(body).unwrap().request.nonce)
        .collect();
    assert_eq!(nonces.len(), 3);
    assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
}

#[tokio::test]
async fn keys_of_other_networks_and_nodes_that_do_not_sign_are_refused() {
    let network = Network::start(&[Does::Right; 2]).await;
    let other = Network::start(&[Does::Right; 2]).await;
    let key = made(&network).await;
    let outcome = other.client(&[0]).sign(&account(), &key, &text("hello")).await;
    assert_eq!(code(outcome), ("mpc_other_network".to_owned(), Class::Policy));
    assert_eq!(other.asked(), 0);

    // Members of two networks under one client; the policy would accept either.
    let mut policy = network.policy.clone();
    policy
        .launch
        .mpc_networks
        .extend(other.policy.launch.mpc_networks.clone());
    policy.launch.egress.extend(other.policy.launch.egress.clone());
    policy
        .simulated
        .as_mut()
        .unwrap()
        .roots
        .extend(other.policy.simulated_roots().to_vec());
    policy.launch.services.push("inference".into());
    policy.launch.models.push(HexBytes(MODEL));
    let node = Node::start(crate::node::Trick::Honest).await;
    policy.simulated.as_mut().unwrap().roots.push(HexBytes(node.root));
    let party = Arc::new(RelyingParty::new(policy).unwrap());
    let url = |node: &Node| node.url().parse().unwrap();
    let of = |nodes: &[&Node]| {
        let urls: Vec<_> = nodes.iter().map(|node| url(node)).collect();
        MpcClient::new(&urls, party.clone()).unwrap()
    };
    let (a, b) = (
        network.nodes[0].as_ref().unwrap(),
        other.nodes[0].as_ref().unwrap(),
    );
    let mut client = of(&[a, b]);
    let statuses = client.status().await;
    let codes: Vec<_> = statuses
        .iter()
        .map(|(_, answer)| answer.as_ref().err().map(MpcError::code))
        .collect();
    assert!(codes.contains(&Some("mpc_other_network")), "{codes:?}");
    assert_eq!(
        code(of(&[&node]).network().await),
        ("mpc_not_a_signer".to_owned(), Class::Policy)
    );
}

/// The program as a user runs it.
async fn jeju(arguments: &[&str]) -> (Option<i32>, Value) {
    jeju_as(7, arguments).await
}

/// The same with another key.
async fn jeju_as(key: u8, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_jeju"))
        .arg("mpc")
        .args(arguments)
        .arg("--json")
        .env("JEJU_KEY", format!("0x{}", hex::encode([key; 32])))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let value =
        serde_json::from_str(&text).unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into());
    (output.status.code(), value)
}

#[tokio::test]
async fn commands_print_what_they_found_and_exit_by_it() {
    let network = Network::start(&[Does::Right, Does::Right]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (policy, key) = (file("policy.toml"), file("key.json"));
    std::fs::write(&policy, toml::to_string(&network.policy).unwrap()).unwrap();
    let url = network.nodes[0].as_ref().unwrap().url();
    let at = ["--node", &url, "--policy", &policy, "--development"];
    let on = |more: &[&str]| -> Vec<String> {
        [more, &at]
            .concat()
            .iter()
            .map(|part| (*part).to_owned())
            .collect()
    };
    let run = async |more: &[&str]| {
        let arguments = on(more);
        jeju(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };

    let (exit, made) = run(&["keygen", "--messages", "--out", &key]).await;
    assert_eq!((exit, &made["success"]), (Some(0), &json!(true)), "{made}");
    let (exit, again) = run(&["keygen", "--from", &key]).await;
    assert_eq!((exit, &again["keyId"]), (Some(0), &made["keyId"]), "{again}");
    let (exit, signed) = run(&["sign", &key, "--message", "hello"]).await;
    assert_eq!(exit, Some(0), "{signed}");
    let (exit, status) = run(&["status"]).await;
    assert_eq!(
        (exit, status["nodes"].as_array().map(Vec::len)),
        (Some(0), Some(2)),
        "{status}"
    );

    // Without a network.
    for form in ["signature", "contractSignature"] {
        let signature = signed[form].as_str().unwrap();
        let verify =
            |message| ["verify", signature, "--key-file", &key, "--message", message].map(str::to_owned);
        let verify = async |message| jeju(&verify(message).each_ref().map(String::as_str)).await;
        assert_eq!(verify("hello").await.0, Some(0), "{form}");
        let (exit, refused) = verify("hellO").await;
        assert_eq!(
            (exit, &refused["code"]),
            (Some(3), &json!("signature_invalid")),
            "{form}"
        );
    }
    let factory = Account(FACTORY).to_string();
    let (exit, wallet) = jeju(&["wallet", "--key-file", &key, "--factory", &factory]).await;
    assert_eq!(
        (exit, &wallet["walletAddress"]),
        (Some(0), &made["walletAddress"]),
        "{wallet}"
    );

    // What is wrong with a call, a key's rules or the network has an exit code of its own.
    let (exit, _) = run(&["sign", &key]).await;
    assert_eq!(exit, Some(1), "nothing to sign");
    let (exit, _) = run(&[
        "sign",
        &key,
        "--message",
        "a",
        "--raw",
        &format!("0x{}", "11".repeat(32)),
    ])
    .await;
    assert_eq!(exit, Some(1), "two things to sign");
    let (exit, missing) = run(&["sign", &file("none.json"), "--message", "a"]).await;
    assert_eq!((exit, &missing["code"]), (Some(1), &json!("file_unreadable")));
    for (does, exit, code) in [
        (Does::Refuses(403, "mpc_policy_refuses"), 2, "mpc_policy_refuses"),
        (Does::Field("keyId", "0x01"), 3, "mpc_answer_invalid"),
        (Does::Refuses(503, "mpc_no_quorum"), 5, "mpc_no_quorum"),
        (
            Does::Refuses(400, "mpc_request_expired"),
            1,
            "mpc_request_expired",
        ),
    ] {
        let network = Network::start(&[does, does]).await;
        let policy = file("other.toml");
        std::fs::write(&policy, toml::to_string(&network.policy).unwrap()).unwrap();
        let url = network.nodes[0].as_ref().unwrap().url();
        let arguments = ["keygen", "--node", &url, "--policy", &policy, "--development"];
        let (found, refused) = jeju(&arguments).await;
        assert_eq!((found, &refused["code"]), (Some(exit), &json!(code)), "{refused}");
    }
}
