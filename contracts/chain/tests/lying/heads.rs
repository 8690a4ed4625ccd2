//! Heads: old ones, other forks, other chains, and heads that stand still.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jeju_chain::{Block, ChainReader, Finality, GuardLimits, Head, HeadGuard};
use serde_json::{Value, json};

use crate::{CHAIN, Lie, about, anvil, honest, reader};

/// Takes part in a lie that can be changed while it runs.
#[derive(Clone)]
struct Switch(Arc<Mutex<Lie>>);

impl Switch {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(honest())))
    }

    fn set(&self, lie: Lie) {
        *self.0.lock().unwrap() = lie;
    }

    fn lie(&self) -> Lie {
        let current = Arc::clone(&self.0);
        Arc::new(move |method, params, answer| {
            let lie = current.lock().unwrap().clone();
            lie(method, params, answer)
        })
    }
}

pub fn limits() -> GuardLimits {
    GuardLimits {
        max_stall: Duration::from_secs(3600),
        max_age: Duration::from_secs(3600),
        max_lag: 4,
    }
}

async fn code(guard: &HeadGuard, chain: &ChainReader) -> &'static str {
    let code = guard.check(chain, None).await.unwrap_err().code();
    // What a check refused, no admission gets.
    assert_eq!(guard.admission().unwrap_err().code(), code);
    code
}

/// Answers for `finalized` with the block of that number.
fn old_head(block: Value) -> Lie {
    Arc::new(move |method, params, answer| {
        if method == "eth_getBlockByNumber" && params[0] == "finalized" {
            return json!({ "result": block });
        }
        answer
    })
}

#[tokio::test]
async fn a_guard_refuses_until_the_chain_goes_on_where_it_was() {
    let anvil = anvil();
    anvil.mine(10).await.unwrap();
    let switch = Switch::new();
    let chain = reader(&anvil, 1, &[switch.lie()]).await;
    let guard = HeadGuard::new(CHAIN, limits(), None);
    assert_eq!(guard.admission().unwrap_err().code(), "chain-unchecked");
    let early: Value = anvil
        .rpc()
        .call("eth_getBlockByNumber", json!(["0x2", false]))
        .await
        .unwrap();
    let late: Value = anvil
        .rpc()
        .call("eth_getBlockByNumber", json!(["0x7", false]))
        .await
        .unwrap();
    let head = guard.check(&chain, None).await.unwrap();
    assert_eq!((head.block.number, guard.admission().unwrap()), (8, head));

    // An old head beyond what endpoints may differ by; a little behind counts as the highest head.
    switch.set(old_head(early));
    assert_eq!(code(&guard, &chain).await, "chain-rewound");
    switch.set(old_head(late));
    assert_eq!(guard.check(&chain, None).await.unwrap(), head);
    assert_eq!(guard.admission().unwrap(), head);

    switch.set(about("eth_chainId", |id| *id = "0x1".into()));
    assert_eq!(code(&guard, &chain).await, "chain-other");
    // Another block at the height of the highest head, and no block there.
    let fork = |hash: Value| -> Lie {
        Arc::new(move |method, params, mut answer| {
            if method == "eth_getBlockByNumber" && params[0] == "0x8" {
                match &hash {
                    Value::Null => answer["result"] = Value::Null,
                    hash => answer["result"]["hash"] = hash.clone(),
                }
            }
            answer
        })
    };
    anvil.mine(2).await.unwrap();
    switch.set(fork(json!(format!("0x{}", "ee".repeat(32)))));
    assert_eq!(code(&guard, &chain).await, "chain-rewound");
    switch.set(fork(Value::Null));
    assert_eq!(code(&guard, &chain).await, "chain-rewound");
    switch.set(about("eth_getBlockByNumber", |block| *block = Value::Null));
    assert_eq!(code(&guard, &chain).await, "rpc-malformed");
    assert_eq!(guard.highest(), Some(head));

    switch.set(honest());
    let next = guard.check(&chain, None).await.unwrap();
    assert_eq!((next.block.number, guard.admission().unwrap()), (10, next));

    // After a restart, what was stored counts.
    let snapshot = Some(Head {
        block: Block {
            hash: [9; 32],
            ..next.block
        },
        finality: Finality::Finalized,
    });
    let restarted = HeadGuard::new(CHAIN, limits(), snapshot);
    assert_eq!(code(&restarted, &chain).await, "chain-rewound");
    let restarted = HeadGuard::new(CHAIN, limits(), Some(next));
    assert_eq!(restarted.admission().unwrap_err().code(), "chain-unchecked");
    assert_eq!(restarted.check(&chain, None).await.unwrap(), next);
}

#[tokio::test]
async fn a_guard_refuses_a_chain_that_really_rewound() {
    let anvil = anvil();
    anvil.mine(4).await.unwrap();
    let chain = anvil.reader();
    let snapshot: Value = anvil.rpc().call("evm_snapshot", json!([])).await.unwrap();
    anvil.mine(3).await.unwrap();
    let guard = HeadGuard::new(CHAIN, limits(), None);
    assert_eq!(guard.check(&chain, None).await.unwrap().block.number, 5);
    let _: Value = anvil.rpc().call("evm_revert", json!([snapshot])).await.unwrap();
    assert_eq!(code(&guard, &chain).await, "chain-rewound");
    anvil.advance_time(1000).await.unwrap();
    anvil.mine(20).await.unwrap();
    assert_eq!(code(&guard, &chain).await, "chain-rewound");
}

#[tokio::test]
async fn a_guard_refuses_a_head_that_stands_still() {
    let anvil = anvil();
    anvil.mine(10).await.unwrap();
    let chain = anvil.reader();
    let short = GuardLimits {
        max_stall: Duration::from_millis(300),
        ..limits()
    };
    let guard = HeadGuard::new(CHAIN, short, None);
    let head = guard.check(&chain, None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    // Without another check, and with one.
    assert_eq!(guard.admission().unwrap_err().code(), "chain-stalled");
    assert_eq!(code(&guard, &chain).await, "chain-stalled");
    anvil.mine(1).await.unwrap();
    assert_eq!(guard.check(&chain, None).await.unwrap().block.number, 9);
    assert!(guard.admission().is_ok());

    // By a clock, an old head is noticed at once.
    let guard = HeadGuard::new(CHAIN, limits(), None);
    let late = head.block.timestamp + 3700;
    let stalled = guard.check(&chain, Some(late)).await.unwrap_err();
    assert_eq!(stalled.code(), "chain-stalled");
    assert!(guard.check(&chain, Some(head.block.timestamp)).await.is_ok());
}

#[tokio::test]
async fn a_guard_refuses_endpoints_that_differ() {
    let anvil = anvil();
    anvil.mine(10).await.unwrap();
    let forger = |byte: &'static str| {
        about("eth_getBlockByNumber", move |block| {
            block["hash"] = json!(format!("0x{}", byte.repeat(32)))
        })
    };
    let guard = HeadGuard::new(CHAIN, limits(), None);
    let split = reader(&anvil, 2, &[forger("ee"), forger("dd"), honest()]).await;
    assert_eq!(code(&guard, &split).await, "chain-disagreement");
    let enough = reader(&anvil, 2, &[forger("ee"), honest(), honest()]).await;
    assert_eq!(guard.check(&enough, None).await.unwrap().block.number, 8);
    assert_eq!(code(&guard, &split).await, "chain-disagreement");
    assert!(guard.check(&enough, None).await.is_ok() && guard.admission().is_ok());
}

/// What enclaves read by: no read at a block goes around the guard.
#[tokio::test]
async fn a_guarded_reader_reads_at_no_block_that_the_guard_refuses() {
    let anvil = anvil();
    let registry = anvil.deploy_registry().await.unwrap();
    anvil.mine(10).await.unwrap();
    let switch = Switch::new();
    let chain = reader(&anvil, 1, &[switch.lie()]).await.guarded(CHAIN, limits());
    let block = async |number: &str| -> Value {
        let params = json!([number, false]);
        anvil.rpc().call("eth_getBlockByNumber", params).await.unwrap()
    };
    let (early, middle) = (block("0x2").await, block("0x5").await);
    let head = chain.finalized_block().await.unwrap().block;
    assert!(chain.newest_block().await.unwrap().number >= head.number);

    let refused = async |code: &str| {
        let errors = [
            chain.finalized_block().await.map(drop),
            chain.newest_block().await.map(drop),
            chain.measurement(&registry, &[1; 32]).await.map(drop),
            chain.policy_epoch(&registry).await.map(drop),
            chain.call(&registry, &[0; 4]).await.map(drop),
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().code(), code);
        }
    };
    // An old head, another chain, and endpoints that say nothing of it.
    switch.set(old_head(early));
    refused("chain-rewound").await;
    switch.set(about("eth_chainId", |id| *id = "0x1".into()));
    refused("chain-other").await;
    switch.set(honest());
    assert_eq!(chain.finalized_block().await.unwrap().block, head);
    // The newest block alone is an old one, though the finalised one is right.
    switch.set(Arc::new(move |method, params, answer| {
        match method == "eth_getBlockByNumber" && params[0] == "latest" {
            true => json!({ "result": middle }),
            false => answer,
        }
    }));
    assert_eq!(chain.newest_block().await.unwrap_err().code(), "chain-rewound");
    switch.set(honest());
    assert!(chain.newest_block().await.is_ok());

    // One that stands still, by this machine's own counting.
    let short = GuardLimits {
        max_stall: Duration::from_millis(300),
        ..limits()
    };
    let still = anvil.reader().guarded(CHAIN, short);
    still.finalized_block().await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(still.newest_block().await.unwrap_err().code(), "chain-stalled");
    assert_eq!(still.finalized_block().await.unwrap_err().code(), "chain-stalled");
    anvil.mine(1).await.unwrap();
    assert!(still.finalized_block().await.is_ok() && still.newest_block().await.is_ok());
}
