//! The readers against endpoints that stand before a real node and change what it says: logs, heads, headers and proofs.

use std::sync::Arc;

use jeju_chain::{
    ChainReader, DEFAULT_TIMEOUT, Endpoint, ReaderConfig, RpcClient, RpcError, TcpDial, platform,
    public_web_tls,
};
use jeju_contracts::localnet::{Anvil, AnvilOptions};
use jeju_contracts::registry::Proposal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::server::{http_ok, serve};

mod events;
mod heads;
mod hostile;
mod market;
mod proofs;
mod rentals;
#[path = "../server/mod.rs"]
mod server;

const CHAIN: u64 = 31337;

/// What an endpoint makes of the node's answer to a method with parameters.
type Lie = Arc<dyn Fn(&str, &Value, Value) -> Value + Send + Sync>;

fn honest() -> Lie {
    Arc::new(|_, _, answer| answer)
}

/// Changes the results of one method.
fn about(method: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Lie {
    Arc::new(move |called, _, mut answer| {
        if called == method {
            change(&mut answer["result"]);
        }
        answer
    })
}

/// An endpoint that asks `anvil`, and answers with what `lie` makes of it.
async fn endpoint(anvil: &Anvil, lie: Lie) -> String {
    let node = Endpoint::parse(&anvil.url()).unwrap();
    let node = Arc::new(RpcClient::new(
        node,
        Arc::new(TcpDial),
        public_web_tls(),
        DEFAULT_TIMEOUT,
    ));
    serve(move |mut stream, request| {
        let (node, lie) = (Arc::clone(&node), Arc::clone(&lie));
        async move {
            let (method, params) = (request["method"].as_str().unwrap_or_default(), &request["params"]);
            let answer = match node.call::<Value>(method, params.clone()).await {
                Ok(result) => json!({ "result": result }),
                Err(RpcError::Node { code, message, .. }) => {
                    json!({ "error": { "code": code, "message": message } })
                }
                Err(_) => return,
            };
            let mut answer = lie(method, params, answer);
            answer["jsonrpc"] = "2.0".into();
            answer["id"] = request["id"].clone();
            let _ = stream.write_all(&http_ok(&answer.to_string())).await;
        }
    })
    .await
}

/// `quorum` of endpoints that tell these lies.
async fn reader(anvil: &Anvil, quorum: usize, lies: &[Lie]) -> ChainReader {
    let mut endpoints = Vec::new();
    for lie in lies {
        endpoints.push(endpoint(anvil, Arc::clone(lie)).await);
    }
    let config = ReaderConfig {
        plaintext: true,
        ..ReaderConfig::new(endpoints, quorum)
    };
    ChainReader::new(config, Arc::new(TcpDial)).unwrap()
}

fn anvil() -> Anvil {
    Anvil::spawn(&AnvilOptions {
        port: 0,
        block_time: None,
    })
    .unwrap()
}

async fn admit(anvil: &Anvil, at: [u8; 20], id: u8) {
    let proposal = Proposal {
        id: [id; 32],
        release_digest: [0x22; 32],
        version: 3,
        platform: platform::SIMULATED,
        custody: 1,
        flags: 5,
    };
    anvil.admit(at, &proposal).await.unwrap();
}

/// A registry with three measurements.
async fn chain() -> (Anvil, [u8; 20]) {
    let anvil = anvil();
    let at = anvil.deploy_registry().await.unwrap();
    for id in 1..=3 {
        admit(&anvil, at, id).await;
    }
    (anvil, at)
}
