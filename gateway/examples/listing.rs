//! How long lists of a large index take, over HTTP (bench/gateway).
//!
//!   listing PROVIDERS REQUESTS     prints one JSON object: MiB that the index takes, and for each query milliseconds, of which
//!                                  `cpu_ms` are the processor's for one request, the client's share with it

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jeju_chain::{Block, Capability, ChainReader, ProviderRecord, ReaderConfig, TcpDial};
use jeju_gateway::api::{self, Api, Info, Parts, Rates};
use jeju_gateway::config::Config;
use jeju_gateway::health::{Health, Reading};
use jeju_gateway::index::{Index, Provider, Snapshot};
use jeju_gateway::limits::Rate;
use jeju_gateway::passthrough::Drain;
use jeju_gateway::routes::{Routes, Ways};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const MODELS: usize = 40;
const MODELS_OF_EACH: usize = 4;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse().unwrap());
    let (providers, requests) = (arguments.next().unwrap(), arguments.next().unwrap());
    let before = resident();
    let (index, health) = (Arc::new(Index::default()), Arc::new(Health::default()));
    let block = Block {
        number: 1,
        hash: [1; 32],
        timestamp: 1,
    };
    index.replace(Snapshot::new(block, (0..providers).map(provider).collect()));
    for provider in index.now().all() {
        let number = provider.record.registered_at;
        let reading = Reading {
            healthy: !number.is_multiple_of(5),
            latency_ms: (number * 7919 % 400) as u32,
            checked_at: 1,
        };
        health.note(&[provider.record.account], reading);
    }
    let mib = (resident() - before) / (1 << 20);
    let address = serve(index, health).await;

    let mut found = serde_json::Map::new();
    for query in [
        "/v1/providers?model=model-7&active=true&limit=100",
        "/v1/providers?model=model-7",
        "/v1/providers?model=model-7&healthy=true&limit=100",
        "/v1/providers?active=true&limit=100",
        "/v1/providers?active=true",
        "/v1/models",
    ] {
        let before = processor_ms();
        let mut times = times(address, query, requests).await;
        let cpu = (processor_ms() - before) / requests as f64;
        times.sort_by(f64::total_cmp);
        let at = |share: f64| (times[((times.len() - 1) as f64 * share) as usize] * 100.0).round() / 100.0;
        found.insert(
            query.to_owned(),
            json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "cpu_ms": (cpu * 100.0).round() / 100.0 }),
        );
    }
    println!(
        "{}",
        json!({ "providers": providers, "index_mib": mib, "lists": found })
    );
}

fn provider(number: usize) -> Arc<Provider> {
    let mut account = [0; 20];
    // Spread as real accounts are.
    account[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let record = ProviderRecord {
        account,
        name: format!("Provider {number}").as_bytes().into(),
        endpoint: format!("https://node-{number}.provider.example:4007")
            .as_bytes()
            .into(),
        attestation_hash: [0; 32],
        stake: 1_000_000_000_000_000_000,
        registered_at: number as u64,
        agent: [0; 32],
        active: !number.is_multiple_of(10),
    };
    let capability = |turn: usize| Capability {
        model: format!("model-{}", (number + turn * 11) % MODELS)
            .as_bytes()
            .into(),
        price_per_input_token: (number * 31 % 1000) as u128 * 1_000_000_000,
        price_per_output_token: (number * 17 % 1000) as u128 * 1_000_000_000,
        max_context: 131_072,
        active: true,
    };
    Arc::new(Provider::new(
        record,
        (0..MODELS_OF_EACH).map(capability).collect(),
    ))
}

async fn serve(index: Arc<Index>, health: Arc<Health>) -> SocketAddr {
    let config = format!(
        "[chain]\nid = 1\nrpc = []\ncompute_registry = \"0x{}\"\n",
        "01".repeat(20)
    );
    let config = Config::parse(&config).unwrap();
    // Lists ask it nothing.
    let chain = ReaderConfig::localnet("http://127.0.0.1:1");
    let rate = Rate {
        per_minute: 1_000_000,
        burst: 1_000_000,
    };
    let api = Api::new(Parts {
        info: Info::new(&config, 0, [1; 20]),
        index,
        health,
        counters: Vec::new(),
        chain: Arc::new(ChainReader::new(chain, Arc::new(TcpDial)).unwrap()),
        routes: Arc::new(Routes::new(1, None)),
        ways: Ways::default(),
        inside: None,
        rates: Rates {
            wallet: rate,
            address: rate,
            reads: rate,
            forwarded: false,
        },
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (keep, asked) = watch::channel(false);
    let drain = Drain {
        asked,
        patience: Duration::ZERO,
    };
    tokio::spawn(async move {
        api::serve(listener, Arc::new(api), drain).await;
        drop(keep);
    });
    address
}

/// Milliseconds from a request's first byte to the answer's last, on one connection.
async fn times(address: SocketAddr, path: &str, requests: usize) -> Vec<f64> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::with_capacity(1 << 20, stream);
    let request = format!("GET {path} HTTP/1.1\r\nhost: g\r\n\r\n");
    let mut times = Vec::new();
    let mut body = Vec::new();
    for _ in 0..requests {
        let started = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await.unwrap();
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        assert!(body.starts_with(b"{\"") && length > 1000, "{path}");
    }
    times
}

/// Of all threads so far.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // A hundred ticks a second, wherever Linux runs.
    fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<f64>().unwrap() * 10.0)
        .sum()
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
