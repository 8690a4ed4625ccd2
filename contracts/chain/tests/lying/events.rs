//! Logs: forged, withheld, invented; ranges that are refused; chains that go back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jeju_chain::{ChainReader, Cursor, Event, EventReader, Filter};
use serde_json::{Value, json};

use crate::{CHAIN, Lie, about, admit, chain, honest, reader};

fn filter(at: [u8; 20]) -> Filter {
    Filter::new(vec![at], vec![]).unwrap()
}

/// All events after `cursor`, or the code of what is wrong.
pub async fn read(
    chain: &ChainReader,
    at: [u8; 20],
    cursor: Option<Cursor>,
) -> Result<(Vec<Event>, Cursor), &'static str> {
    let mut reader = EventReader::new(chain, CHAIN, filter(at));
    let mut cursor = match cursor {
        Some(cursor) => cursor,
        None => reader.start_after(0).await.map_err(|error| error.code())?,
    };
    let mut events = Vec::new();
    loop {
        let page = reader.next(&cursor).await.map_err(|error| error.code())?;
        events.extend(page.events.iter().cloned());
        cursor = page.cursor.clone();
        if page.is_last() {
            return Ok((events, cursor));
        }
    }
}

#[tokio::test]
async fn every_log_is_read_once_across_pages_and_restarts() {
    let (anvil, at) = chain().await;
    let query =
        json!([{ "address": format!("0x{}", hex::encode(at)), "fromBlock": "0x1", "toBlock": "latest" }]);
    let logs: Vec<Value> = anvil.rpc().call("eth_getLogs", query.clone()).await.unwrap();
    let direct = anvil.reader();
    let (events, cursor) = read(&direct, at, None).await.unwrap();
    assert!(events.len() >= 6, "{}", events.len());
    assert_eq!(events.len(), logs.len());
    for (event, log) in events.iter().zip(&logs) {
        assert_eq!(log["data"], format!("0x{}", hex::encode(&event.data)));
        assert_eq!(log["blockHash"], format!("0x{}", hex::encode(event.block_hash)));
        assert_eq!(
            log["transactionHash"],
            format!("0x{}", hex::encode(event.transaction_hash))
        );
        assert_eq!(log["topics"][0], format!("0x{}", hex::encode(event.topics[0])));
    }

    // Nothing new, then one more measurement, by a reader that has only the stored text.
    let again = Cursor::from_json(&cursor.to_json()).unwrap();
    assert_eq!(
        read(&direct, at, Some(again.clone())).await.unwrap(),
        (vec![], cursor.clone())
    );
    admit(&anvil, at, 9).await;
    let (more, _) = read(&direct, at, Some(again)).await.unwrap();
    assert_eq!(more.len(), 2);
    assert!(more.iter().all(|event| event.block_number > cursor.number()));

    // One of the events only.
    let one = Filter::new(vec![at], vec![vec![more[1].topics[0]], vec![[9; 32]]]).unwrap();
    let mut reader = EventReader::new(&direct, CHAIN, one);
    let start = reader.start_after(0).await.unwrap();
    assert_eq!(reader.next(&start).await.unwrap().events, more[1..]);
    // A cursor says what it is good for.
    assert_eq!(
        reader.next(&cursor).await.unwrap_err().code(),
        "chain-cursor-other"
    );
    let unborn = reader.start_after(1_000_000).await.unwrap_err();
    assert_eq!(unborn.code(), "chain-block-not-found");
}

/// Anvil sets no limits; this endpoint does, in the words of a hosted one.
fn limited(blocks: u64, asked: Arc<AtomicU64>) -> Lie {
    Arc::new(move |method, params, answer| {
        if method != "eth_getLogs" {
            return answer;
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let number = |name: &str| u64::from_str_radix(&params[0][name].as_str().unwrap()[2..], 16).unwrap();
        if number("toBlock") - number("fromBlock") < blocks {
            return answer;
        }
        json!({ "error": { "code": -32005, "message": "query exceeds max block range" } })
    })
}

#[tokio::test]
async fn ranges_are_split_where_an_endpoint_refuses_them() {
    let (anvil, at) = chain().await;
    let (whole, end) = read(&anvil.reader(), at, None).await.unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let small = reader(
        &anvil,
        2,
        &[
            limited(3, Arc::clone(&asked)),
            limited(2, Arc::clone(&asked)),
            honest(),
        ],
    )
    .await;
    assert_eq!(read(&small, at, None).await.unwrap(), (whole, end));
    assert!(asked.load(Ordering::Relaxed) < 100);

    // One that refuses every range ends, too.
    let asked = Arc::new(AtomicU64::new(0));
    let none = reader(&anvil, 1, &[limited(0, Arc::clone(&asked))]).await;
    assert_eq!(read(&none, at, None).await, Err("rpc-node-error"));
    assert!(asked.load(Ordering::Relaxed) <= 12);
}

/// Lies about logs: forged, withheld, invented, of other contracts, other blocks, removed, out of order.
fn log_lies() -> Vec<(&'static str, Lie)> {
    let on_logs = |change: fn(&mut Vec<Value>)| {
        about("eth_getLogs", move |result| {
            if let Some(logs) = result.as_array_mut() {
                change(logs);
            }
        })
    };
    vec![
        ("forged data", on_logs(|logs| logs[0]["data"] = "0x01".into())),
        (
            "forged topic",
            on_logs(|logs| logs[0]["topics"][1] = json!(format!("0x{}", "ee".repeat(32)))),
        ),
        ("one withheld", on_logs(|logs| drop(logs.remove(1)))),
        ("all withheld", on_logs(Vec::clear)),
        (
            "invented",
            on_logs(|logs| {
                let mut more = logs[logs.len() - 1].clone();
                more["logIndex"] = "0x77".into();
                logs.push(more);
            }),
        ),
        ("twice", on_logs(|logs| logs.insert(0, logs[0].clone()))),
        (
            "another contract",
            on_logs(|logs| logs[0]["address"] = json!(format!("0x{}", "ee".repeat(20)))),
        ),
        (
            "a later block",
            on_logs(|logs| logs[0]["blockNumber"] = "0xffff".into()),
        ),
        (
            "a fork",
            on_logs(|logs| logs[0]["blockHash"] = json!(format!("0x{}", "ee".repeat(32)))),
        ),
        ("removed", on_logs(|logs| logs[0]["removed"] = true.into())),
        ("reversed", on_logs(|logs| logs.reverse())),
    ]
}

#[tokio::test]
async fn lies_about_logs_change_nothing_or_give_no_page() {
    let (anvil, at) = chain().await;
    let truth = read(&anvil.reader(), at, None).await.unwrap();
    for (what, lie) in log_lies() {
        let minority = reader(&anvil, 2, &[Arc::clone(&lie), honest(), honest()]).await;
        assert_eq!(read(&minority, at, None).await.as_ref(), Ok(&truth), "{what}");
        // Two of three say the same; the user asked for three. What can't be read at all isn't an answer.
        let majority = reader(&anvil, 3, &[Arc::clone(&lie), Arc::clone(&lie), honest()]).await;
        let code = read(&majority, at, None).await.unwrap_err();
        let expected = match what {
            "twice" | "another contract" | "a later block" | "a fork" | "removed" | "reversed" => {
                "chain-unavailable"
            }
            _ => "chain-disagreement",
        };
        assert_eq!(code, expected, "{what}");
    }
    // Two different lies against one truth.
    let lies = log_lies();
    let split = reader(&anvil, 2, &[lies[0].1.clone(), lies[2].1.clone(), honest()]).await;
    assert_eq!(read(&split, at, None).await, Err("chain-disagreement"));
}

#[tokio::test]
async fn a_cursor_whose_block_left_the_chain_is_refused() {
    let (anvil, at) = chain().await;
    let snapshot: Value = anvil.rpc().call("evm_snapshot", json!([])).await.unwrap();
    admit(&anvil, at, 7).await;
    let direct = anvil.reader();
    let (_, cursor) = read(&direct, at, None).await.unwrap();

    let _: Value = anvil.rpc().call("evm_revert", json!([snapshot])).await.unwrap();
    // The head lies before the cursor, and later beyond it, on another branch.
    assert_eq!(
        read(&direct, at, Some(cursor.clone())).await,
        Err("chain-rewound")
    );
    admit(&anvil, at, 8).await;
    anvil.mine(20).await.unwrap();
    assert_eq!(
        read(&direct, at, Some(cursor.clone())).await,
        Err("chain-rewound")
    );

    // A branch that shows the cursor's block, and goes on from another one.
    let (_, cursor) = read(&direct, at, None).await.unwrap();
    admit(&anvil, at, 10).await;
    let parent = about("eth_getBlockByNumber", |block| {
        block["parentHash"] = json!(format!("0x{}", "ee".repeat(32)));
    });
    let forked = reader(&anvil, 1, &[parent]).await;
    assert_eq!(
        read(&forked, at, Some(cursor.clone())).await,
        Err("chain-rewound")
    );

    let other = reader(&anvil, 1, &[about("eth_chainId", |id| *id = "0x1".into())]).await;
    assert_eq!(read(&other, at, Some(cursor)).await, Err("chain-other"));
}
