//! JSON that no node would send.

use jeju_chain::HeadGuard;
use serde_json::{Value, json};

use crate::events::read;
use crate::heads::limits;
use crate::{CHAIN, about, chain, reader};

/// Results of no method, and some that are nearly those of one.
pub fn hostile() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let long = "f".repeat(100_000);
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("0x"),
        json!("0xé"),
        json!(format!("0x{long}")),
        json!([]),
        json!([null]),
        json!([[], {}]),
        json!({}),
        deep,
        json!({ "number": "0x0", "hash": "0x", "timestamp": "0x" }),
        json!({ "number": format!("0x{long}"), "hash": null, "timestamp": -5, "parentHash": [] }),
        json!({ "accountProof": [], "storageHash": "0x", "storageProof": [] }),
        json!({ "accountProof": vec!["0x80"; 20_000], "storageHash": "0x", "storageProof": [{}] }),
        json!([{ "address": "0x", "topics": [], "data": "0x", "blockNumber": "0x", "blockHash": "0x",
                 "transactionHash": "0x", "logIndex": "0x" }]),
    ]
}

#[tokio::test]
async fn hostile_results_are_errors_with_codes() {
    let (anvil, at) = chain().await;
    let said = anvil.reader().measurement(&at, &[1; 32]).await.unwrap();
    let methods = [
        "eth_chainId",
        "eth_getBlockByNumber",
        "eth_getBlockByHash",
        "eth_getLogs",
        "eth_getProof",
        "eth_call",
        "eth_getStorageAt",
    ];
    for method in methods {
        for result in hostile() {
            let shown = result.to_string().chars().take(60).collect::<String>();
            let answer = result.clone();
            let chain = reader(
                &anvil,
                1,
                &[about(method, move |result| *result = answer.clone())],
            )
            .await;
            let guard = HeadGuard::new(CHAIN, limits(), None);
            let outcomes = [
                guard.check(&chain, None).await.err().map(|error| error.code()),
                read(&chain, at, None).await.err(),
                chain
                    .measurement(&at, &[1; 32])
                    .await
                    .err()
                    .map(|error| error.code()),
                chain
                    .proved_measurement(said.head, &at, &[1; 32])
                    .await
                    .err()
                    .map(|error| error.code()),
            ];
            let used = match method {
                "eth_chainId" | "eth_getBlockByNumber" => [true, true, false, false],
                "eth_getLogs" => [false, result != json!([]), false, false],
                "eth_getBlockByHash" | "eth_getProof" => [false, false, false, true],
                _ => [false, false, true, false],
            };
            for (outcome, used) in outcomes.iter().zip(used) {
                assert!(!used || outcome.is_some(), "{method}: {shown}: {outcomes:?}");
            }
        }
    }
}
