//! A chain of one block a second, with a registry that says of every measurement what the test wants.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::host::{now, rpc};

/// In force.
pub const ACTIVE: u8 = 2;
/// Taken out of force.
pub const REVOKED: u8 = 3;

/// Stage of all records, as the registry numbers them.
#[derive(Clone)]
pub struct Registry(Arc<AtomicU8>);

impl Registry {
    pub fn say(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }
}

/// Serves JSON-RPC at a socket.
pub fn serve(socket: &Path) -> Registry {
    let listener = UnixListener::bind(socket).unwrap();
    let registry = Registry(Arc::new(AtomicU8::new(ACTIVE)));
    let said = registry.clone();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let said = said.clone();
            connections.spawn(async move {
                let result = |request: &Value| result(request, said.0.load(Ordering::Relaxed));
                rpc::serve(BufReader::new(stream), result).await;
            });
        }
    });
    registry
}

fn result(request: &Value, stage: u8) -> Value {
    let asked = request["params"][0].as_str().unwrap_or_default();
    let number = |digits: &str| u64::from_str_radix(digits.trim_start_matches("0x"), 16).unwrap();
    match request["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x7a69"),
        "eth_getBlockByNumber" => match asked {
            "latest" => block(now()),
            "finalized" => block(now() - 10),
            digits => block(number(digits)),
        },
        "eth_getBlockByHash" => block(number(asked)),
        "eth_call" => json!(format!("0x{}", hex::encode(record(stage)))),
        "eth_getStorageAt" => json!(format!("0x{}", "00".repeat(32))),
        other => panic!("{other}"),
    }
}

/// Block `number` was made at that second, and its hash is its number.
fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"),
        "hash": format!("0x{number:064x}"),
        "timestamp": format!("{number:#x}"),
    })
}

/// The three words of `lookup(bytes32)`.
fn record(stage: u8) -> Vec<u8> {
    let mut words = [[0u8; 32]; 3];
    if stage > 0 {
        words[0][5] = stage;
        words[0][9] = 0xFF;
        words[0][15] = 1;
        words[0][24..].copy_from_slice(&1_700_000_000u64.to_be_bytes());
        if stage == REVOKED {
            words[0][16..24].copy_from_slice(&1_700_000_001u64.to_be_bytes());
        }
        words[1] = [7; 32];
    }
    words.concat()
}
