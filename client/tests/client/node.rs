//! A node in this process that can be told to misbehave: attested TLS, simulated silicon and response signatures are
//! the real ones, HTTP is written by hand so that every byte can be wrong.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jeju_attestation::bundle::{self, Bundle};
use jeju_attestation::certificate::CertificateEvidence;
use jeju_attestation::claims::{Claims, ClaimsBuffer, Mode, Receipts, Role};
use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hash::sha256;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::keys::KeyList;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::policy::Policy;
use jeju_attestation::response::{
    EndReason, EvidenceReference, RequestFields, ResponseFields, StreamEnd, WorkerVersion, challenge_channel,
    channel, header, render_quote,
};
use jeju_attestation::stripped::strip;
use jeju_attestation::structured_field::{binary, parse_binary};
use jeju_attestation::tee::Tee;
use jeju_attested_tls::{CertificateFields, NodeKey, RotatingCertificate, exporter, server_config};
use jeju_simulated::Silicon as SimulatedSilicon;
use jeju_wallet_auth::signature::AccountKey;
use rustls::server::ServerSessionMemoryCache;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::silicon::Silicon;

pub const IMAGE: [u8; 32] = [0x11; 32];
pub const MODEL: [u8; 32] = [0x07; 32];
pub const AGENT: [u8; 32] = [0x08; 32];
pub const REGISTRY: [u8; 20] = [0x09; 20];
pub const ANCHOR: (u64, [u8; 32]) = (90, [0x5a; 32]);
pub const ANSWER: &str =
    r#"{"choices":[{"message":{"content":"hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    Honest,
    /// Offers session tickets.
    Tickets,
    /// The quote vouches for another TLS key.
    CertificateKey,
    /// The challenge is answered with the bundle of another node on the same machine.
    OtherNode,
    /// The certificate is genuine, the fresh quote's REPORT_DATA is of other claims.
    ReportData,
    /// The fresh quote is for another nonce.
    OtherNonce,
    /// The fresh quote is for another connection, as one that was relayed would be.
    OtherConnection,
    /// The challenge is answered without signature.
    UnsignedChallenge,
    /// The challenge is answered with more than any bundle has.
    LongBundle,
    /// The challenge is over budget so many times.
    Busy(u32),
    /// No signature headers.
    Unsigned,
    /// A signature by a key that no quote names.
    OtherKey,
    /// One byte of the body changed after it was signed.
    ChangedBody,
    /// Signed for another request.
    OtherRequest,
    /// Signed for another connection.
    OtherChannel,
    /// The stream ends, properly, in the middle.
    StreamCut,
    /// `[DONE]` without a final signature.
    StreamUnsigned,
    /// One byte of the stream changed.
    StreamChanged,
    /// The final signature is by another key.
    StreamForged,
    /// An event after the final signature.
    StreamTrailing,
    /// The node breaks the stream off with an error event, and signs that it did.
    StreamFailed,
    /// The connection breaks before the final signature.
    StreamBroken,
    /// A body longer than is held.
    TooLong,
    /// Never answers.
    Silent,
    /// Breaks off instead of answering.
    Unanswered,
    /// Answers a prompt with this status.
    TurnsAway(u16),
    /// Claims of an epoch that another node made.
    ForeignEpoch,
}

struct Epoch {
    key: Ed25519KeyPair,
    claims: ClaimsBuffer,
    quote: Vec<u8>,
}

struct State {
    tls: NodeKey,
    silicon: Silicon,
    boot: [u8; 16],
    launch: Vec<u8>,
    keys: Vec<u8>,
    epoch: Mutex<Arc<Epoch>>,
    foreign: Epoch,
    trick: Mutex<Trick>,
    challenges: Mutex<u32>,
    requests: Mutex<Vec<(String, Vec<u8>)>>,
    heads: Mutex<Vec<String>>,
    agent: [u8; 32],
    /// What a signer answers, where the node is one.
    signer: Option<Signer>,
    /// The worker that answers where requests go to workers.
    worker: Mutex<Option<WorkerVersion>>,
    closed: tokio::sync::Notify,
}

/// The secp256k1 key of every node's boot.
pub fn evm_key() -> AccountKey {
    AccountKey::from_bytes(&[7; 32]).unwrap()
}

/// Status and body of a signer's answer to a path and a body.
pub type Signer = Box<dyn Fn(&str, &[u8]) -> (u16, String) + Send + Sync>;

/// What makes a node.
struct Setup {
    listener: TcpListener,
    launch: Vec<u8>,
    agent: [u8; 32],
    signer: Option<Signer>,
    ssh: Option<[u8; 32]>,
    hpke: [u8; 32],
}

/// Key that is nobody's.
const HPKE: [u8; 32] = [3; 32];

/// What a node knows of the chain.
#[derive(Debug, Clone, Copy)]
pub struct Chained {
    pub registry: [u8; 20],
    pub anchor: (u64, [u8; 32]),
}

impl Default for Chained {
    fn default() -> Self {
        Self {
            registry: REGISTRY,
            anchor: ANCHOR,
        }
    }
}

/// A running node.
pub struct Node {
    chained: Chained,
    state: Arc<State>,
    pub port: u16,
    pub root: [u8; 65],
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    pub async fn start(trick: Trick) -> Self {
        Self::start_with(trick, "127.0.0.1", Chained::default()).await
    }

    /// With `name` in its certificate, and another view of the chain.
    pub async fn start_with(trick: Trick, name: &str, chained: Chained) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let simulated = SimulatedSilicon::open_or_create(dir.path()).unwrap();
        let chip = |launch: &[u8; 32]| Silicon::Simulated(simulated.chip(IMAGE, *launch));
        Self::start_on(trick, name, chained, chip, simulated.root_public()).await
    }

    /// On hardware's silicon, which is given the launch document's digest.
    pub async fn start_on_hardware(trick: Trick, silicon: impl FnOnce(&[u8; 32]) -> Silicon) -> Self {
        Self::start_on(trick, "127.0.0.1", Chained::default(), silicon, [0; 65]).await
    }

    async fn start_on(
        trick: Trick,
        name: &str,
        chained: Chained,
        silicon: impl FnOnce(&[u8; 32]) -> Silicon,
        root: [u8; 65],
    ) -> Self {
        let setup = Setup {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            launch: launch(&chained),
            agent: AGENT,
            signer: None,
            ssh: None,
            hpke: HPKE,
        };
        Self::start_at(trick, name, chained, silicon, root, setup)
    }

    /// A node that rents out machines, whose tenants log in at a port of this machine, with this host key in its key list, and
    /// these answers about rentals.
    pub async fn start_renting(ssh: Option<[u8; 32]>, port: u16, answers: Signer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let simulated = SimulatedSilicon::open_or_create(dir.path()).unwrap();
        let rentals = format!(
            "[rentals]\ncontract = \"{}\"\nprovider = \"{}\"\nhost = \"127.0.0.1\"\nport = {port}\nisolation = \"host\"\n",
            HexBytes([0x0a; 20]),
            HexBytes([0x0b; 20]),
        );
        let launch = String::from_utf8(launch(&Chained::default())).unwrap();
        let launch = launch.replace("inference = true", "inference = true\nrentals = true") + &rentals;
        let setup = Setup {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            launch: launch.into_bytes(),
            agent: AGENT,
            signer: Some(answers),
            ssh,
            hpke: HPKE,
        };
        let chip = |launch: &[u8; 32]| Silicon::Simulated(simulated.chip(IMAGE, *launch));
        let root = simulated.root_public();
        Self::start_at(Trick::Honest, "127.0.0.1", Chained::default(), chip, root, setup)
    }

    /// A member of a network of signers.
    pub fn start_signer(
        listener: TcpListener,
        agent: [u8; 32],
        launch: Vec<u8>,
        silicon: &SimulatedSilicon,
        signer: Signer,
    ) -> Self {
        let setup = Setup {
            listener,
            launch,
            agent,
            signer: Some(signer),
            ssh: None,
            hpke: HPKE,
        };
        let chip = |launch: &[u8; 32]| Silicon::Simulated(silicon.chip(IMAGE, *launch));
        Self::start_at(
            Trick::Honest,
            "127.0.0.1",
            Chained::default(),
            chip,
            silicon.root_public(),
            setup,
        )
    }

    /// A node that takes workers, and to whose key secrets are sealed.
    pub async fn start_workers(
        launch: Vec<u8>,
        silicon: &SimulatedSilicon,
        hpke: [u8; 32],
        answers: Signer,
    ) -> Self {
        let setup = Setup {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            launch,
            agent: AGENT,
            signer: Some(answers),
            ssh: None,
            hpke,
        };
        let chip = |launch: &[u8; 32]| Silicon::Simulated(silicon.chip(IMAGE, *launch));
        let root = silicon.root_public();
        Self::start_at(Trick::Honest, "127.0.0.1", Chained::default(), chip, root, setup)
    }

    /// A node of this agent on this chain, with these answers.
    pub async fn start_answering(
        chained: Chained,
        agent: [u8; 32],
        launch: Vec<u8>,
        silicon: &SimulatedSilicon,
        answers: Signer,
    ) -> Self {
        let setup = Setup {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            launch,
            agent,
            signer: Some(answers),
            ssh: None,
            hpke: HPKE,
        };
        let chip = |launch: &[u8; 32]| Silicon::Simulated(silicon.chip(IMAGE, *launch));
        let root = silicon.root_public();
        Self::start_at(Trick::Honest, "127.0.0.1", chained, chip, root, setup)
    }

    /// Which worker answers from now on; none: the node itself.
    pub fn answers_as(&self, worker: Option<WorkerVersion>) {
        *self.state.worker.lock().unwrap() = worker;
    }

    fn start_at(
        trick: Trick,
        name: &str,
        chained: Chained,
        silicon: impl FnOnce(&[u8; 32]) -> Silicon,
        root: [u8; 65],
        setup: Setup,
    ) -> Self {
        let Setup {
            listener,
            launch,
            agent,
            signer,
            ssh,
            hpke,
        } = setup;
        let silicon = silicon(&sha256(&launch));
        let tls = NodeKey::generate().unwrap();
        let keys = KeyList { hpke, mpc: None, ssh }.encode();
        let spki = match trick {
            Trick::CertificateKey => [1; 32],
            _ => tls.spki_sha256(),
        };
        let boot = [4; 16];
        let claims = |spki, boot| claims(spki, boot, &launch, &keys, &chained, agent);
        let epoch = epoch(&silicon, claims(spki, boot), 3, 42);
        let foreign = self::epoch(&silicon, claims([2; 32], [5; 16]), 3, 43);
        let certificate = certificate(&tls, &epoch, silicon.tee(), name);
        let mut config = server_config(certificate).unwrap();
        if trick == Trick::Tickets {
            config.session_storage = ServerSessionMemoryCache::new(64);
            config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
            config.send_tls13_tickets = 4;
        }
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            tls,
            silicon,
            boot,
            launch,
            keys,
            epoch: Mutex::new(Arc::new(epoch)),
            foreign,
            trick: Mutex::new(trick),
            challenges: Mutex::new(0),
            requests: Mutex::new(Vec::new()),
            heads: Mutex::new(Vec::new()),
            agent,
            signer,
            worker: Mutex::new(None),
            closed: tokio::sync::Notify::new(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = state.clone();
        let task = tokio::spawn(async move {
            // With the node, its connections end.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, acceptor) = (serving.clone(), acceptor.clone());
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = serve(&state, stream).await;
                        state.closed.notify_one();
                    }
                });
            }
        });
        Self {
            chained,
            root,
            state,
            port,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn measurement() -> MeasurementId {
        MeasurementId::simulated(&IMAGE)
    }

    pub fn trick(&self, trick: Trick) {
        *self.state.trick.lock().unwrap() = trick;
    }

    /// A new epoch, with a new key.
    pub fn rotate(&self) {
        self.rotate_with(Receipts::default());
    }

    /// The same, whose quote has this tree of answers. Gives the path of its evidence.
    pub fn rotate_with(&self, receipts: Receipts) -> String {
        let state = &self.state;
        let claims = claims(
            state.tls.spki_sha256(),
            state.boot,
            &state.launch,
            &state.keys,
            &self.chained,
            state.agent,
        );
        let claims = Claims { receipts, ..claims };
        let epoch = Arc::new(epoch(&state.silicon, claims, 4, 44));
        let digest = sha256(&epoch_bundle(state, &epoch));
        *state.epoch.lock().unwrap() = epoch;
        format!("/.well-known/jeju/evidence/{}", hex::encode(digest))
    }

    /// Claims of the epoch.
    pub fn claims(&self) -> ClaimsBuffer {
        self.state.epoch.lock().unwrap().claims.clone()
    }

    /// A policy that trusts this node's hardware under its test root, pins its measurement, and has rules for it.
    pub fn hardware_policy(&self) -> Policy {
        let silicon = &self.state.silicon;
        let text = self.policy().replace("simulated", silicon.tee().name()).replace(
            &Self::measurement().to_string(),
            &silicon.measurement(&IMAGE).to_string(),
        );
        let roots = text.find(&format!("[{}]", silicon.tee())).unwrap();
        let launch = text.find("[launch]").unwrap();
        let mut policy = Policy::parse(&[&text[..roots], &text[launch..]].concat(), true).unwrap();
        silicon.trust(&mut policy);
        policy
    }

    /// What whoever verifies must have of the silicon's vendor.
    pub fn collateral(&self) -> Endorsements {
        self.state.silicon.collateral()
    }

    /// The bundle that answers a challenge on a connection that nobody can have.
    pub fn bundle(&self, nonce: [u8; 32]) -> Vec<u8> {
        let claims = ClaimsBuffer::encode(Claims {
            mode: Mode::FreshChannel,
            nonce,
            channel: [9; 32],
            ..self.state.epoch.lock().unwrap().claims.claims().clone()
        })
        .unwrap();
        bundle(&self.state, &claims, claims.report_data())
    }

    /// Challenges that were answered with a quote.
    pub fn challenges(&self) -> u32 {
        *self.state.challenges.lock().unwrap()
    }

    /// Path and body of all requests but challenges.
    pub fn requests(&self) -> Vec<(String, Vec<u8>)> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Request line and headers of the same requests.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// Ready when the next connection has ended.
    pub async fn connection_closed(&self) {
        self.state.closed.notified().await;
    }

    /// A development policy that trusts this node's silicon and pins its image.
    pub fn policy(&self) -> String {
        format!(
            "version = 1\nkind = \"development\"\ntees = [\"simulated\"]\nagents = [\"{}\"]\n\
             measurements = [\"{}\"]\n[registry]\nchain_id = 31337\naddress = \"{}\"\n[simulated]\nroots = [\"{}\"]\n\
             [launch]\nchain_profiles = [\"localnet\"]\nservices = [\"inference\"]\nmodels = [\"{}\"]\negress = [\"127.0.0.1:8545\"]\n",
            HexBytes(AGENT),
            Self::measurement(),
            HexBytes(self.chained.registry),
            HexBytes(self.root),
            HexBytes(MODEL),
        )
    }

    /// The same for a node that rents out machines on its host.
    pub fn renting_policy(&self) -> String {
        let services = "services = [\"inference\"]";
        let renting = "services = [\"inference\", \"rentals\"]\nrentals = [\"host\"]";
        self.policy().replace(services, renting)
    }

    /// The same with reference values from an endpoint.
    pub fn policy_with_rpc(&self, rpc: &str) -> String {
        let pinned = format!("measurements = [\"{}\"]\n", Self::measurement());
        self.policy()
            .replace(&pinned, "")
            .replace("chain_id", &format!("rpc = [\"{rpc}\"]\nchain_id"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn launch(chained: &Chained) -> Vec<u8> {
    format!(
        "version = 1\n[node]\nagent = \"{}\"\nnames = [\"127.0.0.1\"]\n[chain]\nprofile = \"localnet\"\nid = 31337\n\
         registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\ninference = true\n[[models]]\n\
         id = \"tiny\"\nsha256 = \"{}\"\n[egress]\nallow = [\"127.0.0.1:8545\"]\n",
        HexBytes(AGENT),
        HexBytes(chained.registry),
        HexBytes(MODEL)
    )
    .into_bytes()
}

fn claims(
    spki: [u8; 32],
    boot: [u8; 16],
    launch: &[u8],
    keys: &[u8],
    chained: &Chained,
    agent: [u8; 32],
) -> Claims {
    Claims {
        pubkey_hash: spki,
        mode: Mode::Epoch,
        role: Role::Server,
        resp: [0; 32],
        evm: evm_key().public(),
        keys: sha256(keys),
        boot,
        epoch: 0,
        receipts: Receipts::default(),
        launch: sha256(launch),
        agent,
        chain: (31337, chained.registry),
        anchor: chained.anchor,
        gpu: ([0; 32], 0),
        log: [0; 32],
        nonce: [0; 32],
        channel: [0; 32],
    }
}

fn epoch(silicon: &Silicon, claims: Claims, number: u32, seed: u8) -> Epoch {
    let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let claims = ClaimsBuffer::encode(Claims {
        resp: key.public_key().as_ref().try_into().unwrap(),
        epoch: number,
        ..claims
    })
    .unwrap();
    let quote = silicon.quote(claims.report_data());
    Epoch { key, claims, quote }
}

fn certificate(tls: &NodeKey, epoch: &Epoch, tee: Tee, name: &str) -> Arc<RotatingCertificate> {
    let evidence = CertificateEvidence {
        tee,
        quote: strip(tee, &epoch.quote).unwrap(),
        claims: epoch.claims.bytes().to_vec(),
    };
    let fields = CertificateFields {
        common_name: "test.node.jeju".into(),
        names: &[name.to_owned()],
        not_before: now() as i64 - 3600,
        not_after: now() as i64 + 3600,
        evidence: &evidence,
    };
    Arc::new(RotatingCertificate::new(tls, &fields).unwrap())
}

struct Request {
    head: String,
    fields: RequestFields,
    target: String,
    body: Vec<u8>,
}

async fn serve(state: &State, mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let exported = exporter(stream.get_ref().1, &[]).unwrap();
    while let Some(request) = read(&mut stream).await? {
        let trick = *state.trick.lock().unwrap();
        if request.fields.path == "/.well-known/jeju/attest" {
            challenge(state, &mut stream, &request, trick).await?;
            continue;
        }
        if let Some(digest) = request.fields.path.strip_prefix("/.well-known/jeju/evidence/") {
            let bundle = epoch_bundle(state, &state.epoch.lock().unwrap());
            let answer = match digest == hex::encode(sha256(&bundle)) {
                true => (200, bundle, ""),
                false => (404, b"{}".to_vec(), ""),
            };
            whole(state, &mut stream, &request, trick, exported, answer).await?;
            continue;
        }
        state
            .requests
            .lock()
            .unwrap()
            .push((request.target.clone(), request.body.clone()));
        state.heads.lock().unwrap().push(request.head.clone());
        if trick == Trick::Silent {
            let _ = stream.read(&mut [0]).await?;
            return Ok(());
        }
        let is_prompt = request.fields.path == "/v1/chat/completions";
        if trick == Trick::Unanswered && is_prompt {
            return Ok(());
        }
        if let (Trick::TurnsAway(status), true) = (trick, is_prompt) {
            let words = br#"{"error":{"message":"no","code":"turned_away"}}"#.to_vec();
            whole(state, &mut stream, &request, trick, exported, (status, words, "")).await?;
            continue;
        }
        let streams = request.body.windows(13).any(|bytes| bytes == br#""stream":true"#);
        if streams {
            if !answer_stream(state, &mut stream, &request, trick, exported).await? {
                return Ok(());
            }
            continue;
        }
        if let Some(signer) = &state.signer {
            let path = match request.fields.path.as_str() {
                "/mpc/configuration" => request.target.as_str(),
                path => path,
            };
            let (status, body) = signer(path, &request.body);
            whole(
                state,
                &mut stream,
                &request,
                trick,
                exported,
                (status, body.into_bytes(), ""),
            )
            .await?;
            continue;
        }
        let body = match request.fields.path.as_str() {
            "/v1/chat/completions" if trick == Trick::TooLong => vec![b' '; 33 * 1024 * 1024],
            "/v1/chat/completions" => ANSWER.as_bytes().to_vec(),
            "/v1/models" => br#"{"data":[{"id":"tiny"}]}"#.to_vec(),
            _ => br#"{"error":{"message":"no such path"}}"#.to_vec(),
        };
        let status = if body.starts_with(b"{\"error") { 404 } else { 200 };
        whole(state, &mut stream, &request, trick, exported, (status, body, "")).await?;
    }
    Ok(())
}

async fn challenge(
    state: &State,
    stream: &mut TlsStream<TcpStream>,
    request: &Request,
    trick: Trick,
) -> std::io::Result<()> {
    let exported = exporter(stream.get_ref().1, &[]).unwrap();
    if let Trick::Busy(times @ 1..) = trick {
        *state.trick.lock().unwrap() = Trick::Busy(times - 1);
        let busy = (
            429,
            br#"{"error":{"message":"busy"}}"#.to_vec(),
            "Retry-After: 0\r\n",
        );
        return whole(state, stream, request, Trick::Honest, exported, busy).await;
    }
    *state.challenges.lock().unwrap() += 1;
    let mut nonce: [u8; 32] = request.body.as_slice().try_into().unwrap();
    let mut channel = challenge_channel(&exporter(stream.get_ref().1, &nonce).unwrap());
    match trick {
        Trick::OtherNonce => nonce = [9; 32],
        Trick::OtherConnection => channel = [9; 32],
        _ => {}
    }
    let of = match trick {
        Trick::OtherNode => state.foreign.claims.claims().clone(),
        _ => state.epoch.lock().unwrap().claims.claims().clone(),
    };
    let claims = ClaimsBuffer::encode(Claims {
        mode: Mode::FreshChannel,
        nonce,
        channel,
        ..of
    })
    .unwrap();
    let report_data = match trick {
        Trick::ReportData => state.foreign.claims.report_data(),
        _ => claims.report_data(),
    };
    let mut bundle = bundle(state, &claims, report_data);
    if trick == Trick::LongBundle {
        bundle.resize(bundle::MAX_LEN + 1, b' ');
    }
    let trick = match trick {
        Trick::UnsignedChallenge => Trick::Unsigned,
        _ => Trick::Honest,
    };
    whole(state, stream, request, trick, exported, (200, bundle, "")).await
}

/// The bundle that responses of an epoch name.
fn epoch_bundle(state: &State, epoch: &Epoch) -> Vec<u8> {
    let bundle = Bundle {
        tee: state.silicon.tee(),
        cpu: epoch.quote.clone(),
        claims: epoch.claims.bytes().to_vec(),
        keys: state.keys.clone(),
        launch: state.launch.clone(),
        endorsements: state.silicon.endorsements(),
        gpu: Vec::new(),
        log: Vec::new(),
    };
    bundle.encode()
}

fn bundle(state: &State, claims: &ClaimsBuffer, report_data: [u8; 64]) -> Vec<u8> {
    let bundle = Bundle {
        tee: state.silicon.tee(),
        cpu: state.silicon.quote(report_data),
        claims: claims.bytes().to_vec(),
        keys: state.keys.clone(),
        launch: state.launch.clone(),
        endorsements: state.silicon.endorsements(),
        gpu: Vec::new(),
        log: Vec::new(),
    };
    bundle.encode()
}

async fn whole(
    state: &State,
    stream: &mut TlsStream<TcpStream>,
    request: &Request,
    trick: Trick,
    exported: [u8; 32],
    (status, mut body, more): (u16, Vec<u8>, &str),
) -> std::io::Result<()> {
    let digest = Some(sha256(&body));
    let (headers, _) = sign(
        state,
        request,
        trick,
        exported,
        status,
        "application/json",
        digest,
    );
    if trick == Trick::ChangedBody {
        body[1] ^= 1;
    }
    let head = format!(
        "HTTP/1.1 {status} X\r\n{more}{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}

/// False: the connection is over.
async fn answer_stream(
    state: &State,
    stream: &mut TlsStream<TcpStream>,
    request: &Request,
    trick: Trick,
    exported: [u8; 32],
) -> std::io::Result<bool> {
    let (headers, signature) = sign(state, request, trick, exported, 200, "text/event-stream", None);
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let events = match &state.signer {
        Some(signer) => {
            let (_, events) = signer(&request.fields.path, &request.body);
            let (first, rest) = events.split_at(events.find("\n\n").unwrap() + 2);
            [first.to_owned(), rest.to_owned()]
        }
        None if trick == Trick::StreamFailed => [
            "data: {\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\n".to_owned(),
            "data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\",\"code\":\"no\"}}\n\n".to_owned(),
        ],
        None => [
            "data: {\"choices\":[{\"delta\":{\"content\":\"hel\"}}]}\n\n".to_owned(),
            "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n"
                .to_owned(),
        ],
    };
    let signed = events.concat();
    let end = StreamEnd {
        body_sha256: sha256(signed.as_bytes()),
        len: signed.len() as u64,
        start: sha256(&signature),
        reason: match trick {
            Trick::StreamFailed => EndReason::Error,
            _ => EndReason::Stop,
        },
    };
    let key = match trick {
        Trick::StreamForged => Ed25519KeyPair::from_seed_unchecked(&[99; 32]).unwrap(),
        _ => Ed25519KeyPair::from_seed_unchecked(&[seed(state); 32]).unwrap(),
    };
    let end = end.render(&key.sign(&end.signature_base()).as_ref().try_into().unwrap());
    chunk(stream, &events[0]).await?;
    match trick {
        Trick::StreamChanged => chunk(stream, &events[1].replace("lo", "l0")).await?,
        Trick::StreamCut => {}
        _ => chunk(stream, &events[1]).await?,
    }
    match trick {
        Trick::StreamCut => {}
        Trick::StreamBroken => return Ok(false),
        Trick::Silent => {}
        Trick::StreamUnsigned => chunk(stream, "data: [DONE]\n\n").await?,
        Trick::StreamTrailing => chunk(stream, &format!("{end}data: {{}}\n\ndata: [DONE]\n\n")).await?,
        _ => chunk(stream, &format!("{end}data: [DONE]\n\n")).await?,
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.flush().await?;
    Ok(true)
}

async fn chunk(stream: &mut TlsStream<TcpStream>, text: &str) -> std::io::Result<()> {
    stream
        .write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
        .await?;
    stream.flush().await
}

fn seed(state: &State) -> u8 {
    match state.epoch.lock().unwrap().claims.claims().epoch {
        3 => 42,
        _ => 44,
    }
}

fn sign(
    state: &State,
    request: &Request,
    trick: Trick,
    exported: [u8; 32],
    status: u16,
    content_type: &str,
    body_sha256: Option<[u8; 32]>,
) -> (String, [u8; 64]) {
    let current = state.epoch.lock().unwrap().clone();
    let epoch = match trick {
        Trick::ForeignEpoch => &state.foreign,
        _ => &*current,
    };
    let fields = ResponseFields {
        status,
        content_type: content_type.to_owned(),
        body_sha256,
        request_sha256: request.fields.body_sha256,
        nonce: match trick {
            Trick::OtherRequest => [6; 32],
            _ => request.fields.nonce.unwrap_or([5; 32]),
        },
        channel: match trick {
            Trick::OtherChannel => [6; 32],
            _ => channel(&exported),
        },
        evidence: EvidenceReference {
            digest: sha256(&epoch_bundle(state, epoch)),
            epoch: epoch.claims.claims().epoch,
            tee: state.silicon.tee(),
        },
        worker: match request.fields.path.starts_with("/w") || request.fields.path.ends_with("/invoke") {
            true => state.worker.lock().unwrap().clone(),
            false => None,
        },
        created: now(),
        key: epoch.claims.claims().resp,
    };
    let other = Ed25519KeyPair::from_seed_unchecked(&[98; 32]).unwrap();
    let key = if trick == Trick::OtherKey {
        &other
    } else {
        &epoch.key
    };
    let signature: [u8; 64] = key
        .sign(&fields.signature_base(&request.fields))
        .as_ref()
        .try_into()
        .unwrap();
    let mut headers = format!("Content-Type: {content_type}\r\n");
    if trick != Trick::Unsigned {
        for (name, value) in fields.headers(&signature) {
            headers += &format!("{name}: {value}\r\n");
        }
        headers += &format!(
            "{}: {}\r\n",
            header::QUOTE,
            render_quote(
                &strip(state.silicon.tee(), &epoch.quote).unwrap(),
                epoch.quote.len()
            )
        );
        headers += &format!("{}: {}\r\n", header::CLAIMS, binary(epoch.claims.bytes()));
    }
    // What only a proxy may say.
    headers += "Jeju-Verified: ?1;tee=\"tdx\"\r\n";
    (headers, signature)
}

async fn read(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let field = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let len = field("content-length").map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some(Request {
        fields: RequestFields {
            method: method.to_owned(),
            path: path.to_owned(),
            query: format!("?{query}"),
            body_sha256: sha256(&body),
            nonce: field("jeju-nonce").map(|nonce| parse_binary(&nonce).unwrap().try_into().unwrap()),
        },
        target: target.to_owned(),
        head: head.clone(),
        body,
    }))
}
