//! What a network of signers does in a given time, for bench/mpc.py: keys, signatures one after the other, and as many
//! at once as it gives. Sessions are attested as any client's are; they and the wallet signatures of requests are made
//! before the clock starts where that says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_client::mpc::signature::GroupKey;
use jeju_client::node_url::NodeUrl;
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session, VerifiedBody};
use jeju_client::trust::TrustArguments;
use jeju_client::wallet::AccountArguments;
use jeju_mpc::authority::build::Draft;
use jeju_mpc::authority::document::{Address, KeyDocument, Policy};
use jeju_mpc::authority::payload::Payload;
use jeju_mpc::authority::request::Asked;
use jeju_mpc::network::{Network, Scheme};
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

/// Before the latest that it may be, so that no member finds a request to be of the future.
const CLOCK_MARGIN: u64 = 4;

#[derive(Parser)]
struct Arguments {
    /// Members, as https://host:port
    #[arg(long = "node", required = true)]
    nodes: Vec<NodeUrl>,
    #[command(flatten)]
    trust: TrustArguments,
    #[command(flatten)]
    account: AccountArguments,
    /// How many dedicated keys to generate, one after the other
    #[arg(long, default_value_t = 20)]
    keys: usize,
    /// How many signatures to make one after the other
    #[arg(long, default_value_t = 300)]
    signatures: usize,
    /// How many requests to keep in flight after that
    #[arg(long, default_value_t = 32)]
    in_flight: usize,
    /// For how many seconds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let party = arguments.trust.relying_party()?;
    let account = Arc::new(arguments.account.read()?);
    let first = arguments.nodes.first().context("no node")?;
    let mut client = Client::open(first, &party, &account).await?;

    let key = client.keygen(&document(&account, 0, false)).await?;
    let mut generated = Vec::new();
    for number in 0..arguments.keys {
        let document = document(&account, number as u64 + 1, true);
        let started = Instant::now();
        client.keygen(&document).await?;
        generated.push(started.elapsed());
    }
    let mut signed = Vec::new();
    for number in 0..arguments.signatures {
        let body = client.sign_request(number as u64)?;
        let started = Instant::now();
        let answer = client.post("/mpc/sign", body).await?;
        signed.push(started.elapsed());
        verify(&key, number as u64, &answer)?;
    }

    let next = Arc::new(AtomicUsize::new(arguments.signatures));
    let mut workers = Vec::new();
    for number in 0..arguments.in_flight {
        let node = &arguments.nodes[number % arguments.nodes.len()];
        let client = Client::open(node, &party, &account).await?;
        workers.push(client);
    }
    let started = Instant::now();
    let end = started + Duration::from_secs(arguments.seconds);
    let running: Vec<_> = workers
        .into_iter()
        .map(|worker| tokio::spawn(work(worker, key, next.clone(), end)))
        .collect();
    let (mut done, mut refused) = (0, 0);
    for worker in running {
        let (made, failed) = worker.await??;
        done += made;
        refused += failed;
    }
    let took = started.elapsed().as_secs_f64();
    let line = json!({
        "keygen_ms": quantiles(&mut generated),
        "sign_ms": quantiles(&mut signed),
        "in_flight": arguments.in_flight,
        "signatures_per_second": done as f64 / took,
        "signatures": done,
        "refused": refused,
    });
    println!("{line}");
    Ok(())
}

/// Signs until the end. Refusals are counted, and one that isn't "busy" ends it.
async fn work(
    mut client: Client,
    key: GroupKey,
    next: Arc<AtomicUsize>,
    end: Instant,
) -> anyhow::Result<(usize, usize)> {
    let (mut made, mut refused) = (0, 0);
    while Instant::now() < end {
        let number = next.fetch_add(1, Ordering::Relaxed) as u64;
        let body = client.sign_request(number)?;
        match client.post("/mpc/sign", body).await {
            Ok(answer) => {
                made += 1;
                // A client's machine has cores of its own for this; one in sixteen shows that they are signatures.
                if number.is_multiple_of(16) {
                    verify(&key, number, &answer)?;
                }
            }
            Err(error) if error.to_string().contains("mpc_busy") => refused += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((made, refused))
}

struct Client {
    session: Session,
    network: Network,
    account: Arc<AccountKey>,
    key: KeyDocument,
    /// The latest that it may be, and since when.
    latest: (u64, Instant),
}

impl Client {
    async fn open(
        node: &NodeUrl,
        party: &Arc<RelyingParty>,
        account: &Arc<AccountKey>,
    ) -> anyhow::Result<Self> {
        let session = Session::connect(node, party.clone(), Limits::default()).await?;
        let document = LaunchDocument::parse(session.launch())?;
        let mpc = document.mpc.context("not a signer")?;
        let network = Network {
            genesis: mpc.genesis(),
            chain_id: document.chain.id,
            threshold: mpc.threshold,
            members: mpc.members.len() as u16,
        };
        let mut client = Self {
            session,
            network,
            account: account.clone(),
            key: self::document(account, 0, false),
            latest: (0, Instant::now()),
        };
        let status = client.send(Method::GET, "/mpc/status", Vec::new()).await?;
        let upper = status["time"]["upper"].as_u64().context("no time")?;
        client.latest = (upper, Instant::now());
        Ok(client)
    }

    async fn keygen(&mut self, document: &KeyDocument) -> anyhow::Result<GroupKey> {
        let body = self.body(document, Asked::Keygen {})?;
        let answer = self.post("/mpc/keygen", body).await?;
        let key: HexBytes<33> = serde_json::from_value(answer["publicKey"].clone())?;
        Ok(GroupKey::parse(&key.0)?)
    }

    fn sign_request(&self, number: u64) -> anyhow::Result<Vec<u8>> {
        let payload = Payload::Raw { hash: hash(number) };
        let action = Asked::Sign {
            payload,
            policy_version: 0,
        };
        self.body(&self.key, action)
    }

    fn body(&self, document: &KeyDocument, action: Asked) -> anyhow::Result<Vec<u8>> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| anyhow::anyhow!("no random numbers"))?;
        let issued = self.latest.0 + self.latest.1.elapsed().as_secs() - CLOCK_MARGIN;
        let draft = Draft::new(&self.network, document.clone(), action, issued, nonce)?;
        Ok(draft.body(&[draft.authorize(&self.account)])?)
    }

    async fn post(&mut self, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let response = self.session.request(method, path, headers, body.into()).await?;
        let VerifiedBody::Whole(body) = response.body else {
            bail!("a stream");
        };
        match response.status {
            StatusCode::OK => Ok(serde_json::from_slice(&body)?),
            status => bail!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

fn document(account: &AccountKey, salt: u64, dedicated: bool) -> KeyDocument {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&salt.to_be_bytes());
    KeyDocument {
        owners: vec![Address(account.account())],
        contracts: Vec::new(),
        quorum: 1,
        policy: Policy {
            raw: true,
            ..Policy::default()
        },
        salt: HexBytes(bytes),
        scheme: Scheme::Secp256k1,
        dedicated,
    }
}

fn hash(number: u64) -> HexBytes<32> {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    HexBytes(bytes)
}

fn verify(key: &GroupKey, number: u64, answer: &Value) -> anyhow::Result<()> {
    let signature = answer["signature"]
        .as_str()
        .and_then(|text| text.strip_prefix("0x"));
    let signature = hex::decode(signature.context("no signature")?)?;
    Ok(key.verify(Scheme::Secp256k1, &hash(number).0, &signature)?)
}

fn quantiles(times: &mut [Duration]) -> Value {
    times.sort();
    let at = |share: f64| {
        let last = times.len().checked_sub(1)?;
        let index = (last as f64 * share).round() as usize;
        Some((times[index].as_secs_f64() * 1e5).round() / 100.0)
    };
    json!({ "p50": at(0.5), "p95": at(0.95), "least": at(0.0), "most": at(1.0) })
}
