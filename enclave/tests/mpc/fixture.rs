//! Networks of nodes, and their users.

use std::sync::Arc;
use std::time::Duration;

use frost_secp256k1::{Signature, VerifyingKey};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::measurement::MeasurementId;
use jeju_mpc::authority::build::Draft;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::Asked;
use jeju_mpc::network::{Network, Scheme};
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::signature::AccountKey;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::host::{DOCUMENT, Host, IMAGE, Machine, PATIENCE, now};

pub const FACTORY: [u8; 20] = [0x77; 20];

/// The launch document of member `me` of a network of `machines`.
pub fn document(machines: &[&Machine], threshold: u16, me: usize) -> String {
    document_beside(machines, &[], threshold, me)
}

/// The same, where other machines may be members later.
pub fn document_beside(machines: &[&Machine], others: &[&Machine], threshold: u16, me: usize) -> String {
    let roots: Vec<String> = machines
        .iter()
        .chain(others)
        .map(|machine| format!("\"{}\"", HexBytes(machine.silicon.root_public())))
        .collect();
    let members: String = (0..machines.len())
        .map(|at| {
            format!(
                "[[mpc.members]]\nnode = \"mpc-node-{}\"\nagent = \"{}\"\nplatform = \"{}\"\naddress = \"{}\"\n",
                at + 1,
                HexBytes([at as u8 + 1; 32]),
                HexBytes(machines[at].silicon.platform_id()),
                address(at),
            )
        })
        .collect();
    let allow: String = (0..machines.len())
        .map(|at| format!(", \"{}\"", address(at)))
        .collect();
    let document = DOCUMENT
        .replace(&"01".repeat(32), &hex::encode([me as u8 + 1; 32]))
        .replace("[\"127.0.0.1:8545\"]", &format!("[\"127.0.0.1:8545\"{allow}]"));
    format!(
        "{document}\n[services]\nmpc = true\n[mpc]\nnetwork = \"jeju-localnet\"\nthreshold = {threshold}\n\
         governance = \"{}\"\nmeasurements = [\"{}\"]\nsimulated_roots = [{}]\nwallet_factory = \"{}\"\n{members}",
        HexBytes(governance().account().0),
        MeasurementId::simulated(&IMAGE),
        roots.join(", "),
        HexBytes(FACTORY),
    )
}

pub fn address(at: usize) -> String {
    format!("127.0.0.1:{}", 41_001 + at)
}

/// Who signs later configurations.
pub fn governance() -> AccountKey {
    owner(200)
}

/// Starts a network of so many nodes.
pub async fn start(count: usize, threshold: u16, blobs: bool) -> (Vec<Host>, Network) {
    start_beside(count, threshold, blobs, &[]).await
}

/// The same, where other machines may be members later.
pub async fn start_beside(
    count: usize,
    threshold: u16,
    blobs: bool,
    others: &[&Machine],
) -> (Vec<Host>, Network) {
    let mut machines: Vec<Machine> = (0..count).map(|_| Machine::new()).collect();
    let documents: Vec<String> = {
        let machines: Vec<&Machine> = machines.iter().collect();
        (0..count)
            .map(|me| document_beside(&machines, others, threshold, me))
            .collect()
    };
    let sockets: Vec<_> = machines.iter().map(|machine| machine.socket(4010)).collect();
    for machine in &mut machines {
        machine.routes = (0..count).map(|at| (address(at), sockets[at].clone())).collect();
        machine.blobs = blobs.then(Arc::default);
    }
    let launch = LaunchDocument::parse(documents[0].as_bytes()).unwrap();
    let network = Network {
        genesis: launch.mpc.unwrap().genesis(),
        chain_id: 31337,
        threshold,
        members: count as u16,
    };
    let mut hosts = Vec::new();
    for (machine, document) in machines.into_iter().zip(documents) {
        hosts.push(machine.start(document).await);
    }
    after_boot().await;
    (hosts, network)
}

/// Members refuse what may have been asked before their boot, as far as they know the time.
pub async fn after_boot() {
    sleep(Duration::from_secs(4)).await;
}

pub async fn call(host: &Host, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let mut client = host.connect_mpc().await;
    let answered = timeout(PATIENCE, client.request(method, path, body));
    let (status, body) = answered.await.expect("in time").unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub async fn post(host: &Host, path: &str, body: &[u8]) -> (u16, Value) {
    call(host, "POST", path, body).await
}

pub fn owner(byte: u8) -> AccountKey {
    AccountKey::from_bytes(&[byte; 32]).unwrap()
}

pub fn key_of(owner: Account, salt: u8) -> KeyDocument {
    KeyDocument {
        owners: vec![Address(owner)],
        contracts: vec![],
        quorum: 1,
        policy: Policy {
            version: 0,
            previous: HexBytes([0; 32]),
            signers: vec![],
            contracts: vec![],
            raw: false,
            messages: true,
            calls: vec![],
            typed: vec![],
        },
        salt: HexBytes([salt; 32]),
        scheme: Scheme::Secp256k1,
        dedicated: false,
    }
}

/// What a user asks of a network.
pub struct User<'a> {
    pub network: &'a Network,
    pub wallet: AccountKey,
    pub key: KeyDocument,
}

impl User<'_> {
    pub fn new(network: &Network, byte: u8) -> User<'_> {
        let wallet = owner(byte);
        let key = key_of(wallet.account(), byte);
        User { network, wallet, key }
    }

    pub fn draft(&self, action: Asked, nonce: u8) -> Draft {
        Draft::new(self.network, self.key.clone(), action, now(), [nonce; 32]).unwrap()
    }

    pub fn signed(&self, draft: &Draft) -> Vec<u8> {
        draft.body(&[draft.authorize(&self.wallet)]).unwrap()
    }

    pub fn keygen(&self, nonce: u8) -> Vec<u8> {
        self.signed(&self.draft(Asked::Keygen {}, nonce))
    }

    pub fn message(&self, text: &str, nonce: u8) -> Vec<u8> {
        self.signed(&self.draft(message(text), nonce))
    }
}

pub fn message(text: &str) -> Asked {
    Asked::Sign {
        payload: Payload::Message { message: text.into() },
        policy_version: 0,
    }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

/// Whether an answer to a sign request holds what it says.
pub fn assert_signed(answer: &Value) {
    let key = VerifyingKey::deserialize(&bytes(&answer["publicKey"])).unwrap();
    let signature = Signature::deserialize(&bytes(&answer["signature"])).unwrap();
    key.verify(&bytes(&answer["messageHash"]), &signature).unwrap();
}

pub async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn until_admitted(host: &Host, count: usize) {
    until("peers", || async {
        let (_, status) = call(host, "GET", "/mpc/status", b"").await;
        status["admitted"]
            .as_array()
            .is_some_and(|admitted| admitted.len() == count)
    })
    .await;
}
