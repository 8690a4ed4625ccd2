//! A JSON-RPC endpoint that says what it is told to.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::node::{ANCHOR, now};

/// What the endpoint says.
#[derive(Debug, Clone)]
pub struct Chain {
    pub id: u64,
    /// 0 unknown, 1 proposed, 2 active, 3 revoked.
    pub stage: u8,
    pub version: u32,
    pub floor: u32,
    /// Platform number of the record.
    pub platform: u8,
    /// Age of the node's anchor block; `None`: it isn't on the chain.
    pub anchor_age: Option<u64>,
    /// End of the record's validity, in seconds since 1970; zero for none.
    pub valid_until: u64,
    /// First byte of the finalised block's hash.
    pub head: u8,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            id: 31337,
            stage: 2,
            version: 1,
            floor: 0,
            platform: 255,
            anchor_age: Some(20),
            valid_until: 0,
            head: 0x64,
        }
    }
}

pub struct Endpoint {
    pub chain: Arc<Mutex<Chain>>,
    pub url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    pub async fn start(chain: Chain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let chain = Arc::new(Mutex::new(chain));
        let serving = chain.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let chain = serving.lock().unwrap().clone();
                tokio::spawn(async move { answer(stream, &chain).await });
            }
        });
        Self { chain, url, task }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, chain: &Chain) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let request: Value = loop {
        let mut piece = [0; 4096];
        let len = stream.read(&mut piece).await?;
        bytes.extend_from_slice(&piece[..len]);
        let body = bytes
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .map(|at| at + 4);
        match body.and_then(|at| serde_json::from_slice(&bytes[at..]).ok()) {
            Some(request) => break request,
            None if len == 0 => return Ok(()),
            None => {}
        }
    };
    let result = match request["method"].as_str().unwrap() {
        "eth_chainId" => json!(format!("{:#x}", chain.id)),
        "eth_getBlockByNumber" => block(100, [chain.head; 32], now()),
        "eth_getBlockByHash" => match chain.anchor_age {
            Some(age) => block(ANCHOR.0, ANCHOR.1, now() - age),
            None => Value::Null,
        },
        "eth_call" => json!(format!("0x{}", hex::encode(words(chain)))),
        // The record's third word: the end of its validity.
        "eth_getStorageAt" => json!(format!("0x{:064x}", chain.valid_until)),
        _ => Value::Null,
    };
    let body = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await
}

fn block(number: u64, hash: [u8; 32], timestamp: u64) -> Value {
    json!({
        "number": format!("{number:#x}"),
        "hash": format!("0x{}", hex::encode(hash)),
        "timestamp": format!("{timestamp:#x}"),
    })
}

fn words(chain: &Chain) -> Vec<u8> {
    let mut words = [[0u8; 32]; 3];
    if chain.stage > 0 {
        words[0][5] = chain.stage;
        words[0][9] = chain.platform;
        words[0][12..16].copy_from_slice(&chain.version.to_be_bytes());
        words[0][24..].copy_from_slice(&1_700_000_000u64.to_be_bytes());
        if chain.stage == 3 {
            words[0][16..24].copy_from_slice(&1_700_000_001u64.to_be_bytes());
        }
        words[1] = [7; 32];
    }
    words[2][20..24].copy_from_slice(&chain.floor.to_be_bytes());
    words.concat()
}
