//! Logs, and what is asked for.

use serde::Deserialize;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use crate::hexadecimal::{parse_data, parse_quantity, parse_word};
use crate::reader::Block;
use crate::rpc::RpcError;

/// Most contracts of a filter.
pub const MAX_ADDRESSES: usize = 32;

/// Most values that one topic may have.
pub const MAX_TOPIC_ALTERNATIVES: usize = 64;

/// Topics of a log.
const MAX_TOPICS: usize = 4;

/// Which logs are wanted: of any of these contracts, and with one of the values at each topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    addresses: Vec<[u8; 20]>,
    topics: Vec<Vec<[u8; 32]>>,
}

/// Why a filter is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No contract, or too many.
    #[error("{0} addresses, where 1 to {MAX_ADDRESSES} are allowed")]
    Addresses(usize),
    /// More topics than logs have, or too many values of one.
    #[error("more than {MAX_TOPICS} topics, or than {MAX_TOPIC_ALTERNATIVES} values of one")]
    Topics,
}

impl Filter {
    /// Logs of `addresses`. `topics` lists for each topic the values that it may have; an empty list allows any.
    pub fn new(mut addresses: Vec<[u8; 20]>, mut topics: Vec<Vec<[u8; 32]>>) -> Result<Self, FilterError> {
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return Err(FilterError::Addresses(addresses.len()));
        }
        if topics.len() > MAX_TOPICS || topics.iter().any(|values| values.len() > MAX_TOPIC_ALTERNATIVES) {
            return Err(FilterError::Topics);
        }
        // One form for one meaning, because the digest ties cursors to it.
        addresses.sort_unstable();
        addresses.dedup();
        for values in &mut topics {
            values.sort_unstable();
            values.dedup();
        }
        Ok(Self { addresses, topics })
    }

    /// What tells filters apart.
    pub(super) fn digest(&self) -> [u8; 32] {
        Keccak256::digest(self.query().to_string()).into()
    }

    /// The filter as `eth_getLogs` takes it, without a range.
    pub(super) fn query(&self) -> Value {
        let addresses: Vec<_> = self.addresses.iter().map(|address| hex_of(address)).collect();
        let topics: Vec<_> = self
            .topics
            .iter()
            .map(|values| match values.as_slice() {
                [] => Value::Null,
                values => values.iter().map(|value| hex_of(value)).collect(),
            })
            .collect();
        json!({ "address": addresses, "topics": topics })
    }

    fn lets_through(&self, event: &Event) -> bool {
        // A log without a topic that the filter names doesn't match, even where any value would do.
        self.addresses.binary_search(&event.address).is_ok()
            && self.topics.len() <= event.topics.len()
            && self
                .topics
                .iter()
                .zip(&event.topics)
                .all(|(values, topic)| values.is_empty() || values.binary_search(topic).is_ok())
    }
}

/// A log of a final block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The contract.
    pub address: [u8; 20],
    /// Up to four, the first of which is the event's signature unless it is anonymous.
    pub topics: Vec<[u8; 32]>,
    /// The rest.
    pub data: Vec<u8>,
    /// The block's number.
    pub block_number: u64,
    /// The block's hash.
    pub block_hash: [u8; 32],
    /// The transaction.
    pub transaction_hash: [u8; 32],
    /// Place among the block's logs.
    pub log_index: u64,
}

/// A log as `eth_getLogs` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogJson {
    address: String,
    topics: Vec<String>,
    data: String,
    block_number: String,
    block_hash: String,
    transaction_hash: String,
    log_index: String,
    #[serde(default)]
    removed: bool,
}

/// Reads an answer. All of it must be what was asked for: logs of the filter, of blocks from `first` to `end`, in order.
pub(super) fn read(
    logs: Vec<LogJson>,
    filter: &Filter,
    first: u64,
    end: &Block,
) -> Result<Vec<Event>, RpcError> {
    let mut events: Vec<Event> = Vec::with_capacity(logs.len());
    for log in logs {
        let event = event(&log)?;
        if !filter.lets_through(&event) {
            return Err(RpcError::Malformed("log that was not asked for"));
        }
        if event.block_number < first || event.block_number > end.number {
            return Err(RpcError::Malformed("log of a block outside the range"));
        }
        if event.block_number == end.number && event.block_hash != end.hash {
            return Err(RpcError::Malformed("log of another block"));
        }
        if let Some(last) = events.last() {
            if (event.block_number, event.log_index) <= (last.block_number, last.log_index) {
                return Err(RpcError::Malformed("logs out of order"));
            }
            if event.block_number == last.block_number && event.block_hash != last.block_hash {
                return Err(RpcError::Malformed("logs of two blocks of one number"));
            }
        }
        events.push(event);
    }
    Ok(events)
}

fn event(log: &LogJson) -> Result<Event, RpcError> {
    if log.removed {
        return Err(RpcError::Malformed("removed log in a final block"));
    }
    if log.topics.len() > MAX_TOPICS {
        return Err(RpcError::Malformed("too many topics"));
    }
    let topics = log.topics.iter().map(|topic| parse_word(topic));
    let parsed = (|| {
        Ok::<_, crate::hexadecimal::HexError>(Event {
            address: parse_word(&log.address)?,
            topics: topics.collect::<Result<_, _>>()?,
            data: parse_data(&log.data)?,
            block_number: parse_quantity(&log.block_number)?,
            block_hash: parse_word(&log.block_hash)?,
            transaction_hash: parse_word(&log.transaction_hash)?,
            log_index: parse_quantity(&log.log_index)?,
        })
    })();
    parsed.map_err(|_| RpcError::Malformed("log"))
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Block = Block {
        number: 20,
        hash: [20; 32],
        timestamp: 0,
    };

    fn filter() -> Filter {
        Filter::new(vec![[1; 20]], vec![vec![[2; 32], [3; 32]], vec![]]).unwrap()
    }

    fn log(block: u64, index: u64) -> Value {
        json!({
            "address": hex_of(&[1; 20]),
            "topics": [hex_of(&[3; 32]), hex_of(&[9; 32])],
            "data": "0x0102",
            "blockNumber": format!("{block:#x}"),
            "blockHash": hex_of(&[block as u8; 32]),
            "transactionHash": hex_of(&[7; 32]),
            "transactionIndex": "0x0",
            "logIndex": format!("{index:#x}"),
            "removed": false,
        })
    }

    fn parse(logs: Value) -> Result<Vec<Event>, RpcError> {
        read(serde_json::from_value(logs).unwrap(), &filter(), 10, &END)
    }

    #[test]
    fn logs_in_order() {
        let events = parse(json!([log(10, 0), log(10, 5), log(11, 0), log(20, 1)])).unwrap();
        let places: Vec<_> = events
            .iter()
            .map(|event| (event.block_number, event.log_index))
            .collect();
        assert_eq!(places, [(10, 0), (10, 5), (11, 0), (20, 1)]);
        assert_eq!(
            (events[0].data.as_slice(), events[0].topics[1]),
            (&[1, 2][..], [9; 32])
        );
        assert_eq!(parse(json!([])).unwrap(), []);
    }

    #[test]
    fn anything_else_than_what_was_asked_for_is_refused() {
        let with = |member: &str, value: Value| {
            let mut log = log(12, 0);
            log[member] = value;
            json!([log])
        };
        let two = |word: u8| hex_of(&[word; 32]);
        for (logs, reason) in [
            (
                with("address", hex_of(&[2; 20]).into()),
                "log that was not asked for",
            ),
            (
                with("topics", json!([two(4), two(9)])),
                "log that was not asked for",
            ),
            (with("topics", json!([two(3)])), "log that was not asked for"),
            (with("topics", json!([])), "log that was not asked for"),
            (
                with("topics", json!([two(3), two(3), two(3), two(3), two(3)])),
                "too many topics",
            ),
            (with("removed", true.into()), "removed log in a final block"),
            (with("data", "0x0".into()), "log"),
            (with("logIndex", "0x00".into()), "log"),
            (with("blockHash", "0x".into()), "log"),
            (json!([log(9, 0)]), "log of a block outside the range"),
            (json!([log(21, 0)]), "log of a block outside the range"),
            (json!([log(12, 0), log(12, 0)]), "logs out of order"),
            (json!([log(12, 1), log(12, 0)]), "logs out of order"),
            (json!([log(12, 1), log(11, 2)]), "logs out of order"),
        ] {
            match parse(logs) {
                Err(RpcError::Malformed(found)) => assert_eq!(found, reason),
                other => panic!("{reason}: {other:?}"),
            }
        }
        let mut fork = log(12, 1);
        fork["blockHash"] = two(99).into();
        let refused = parse(json!([log(12, 0), fork])).unwrap_err();
        assert!(matches!(
            refused,
            RpcError::Malformed("logs of two blocks of one number")
        ));
        let mut end = log(20, 0);
        end["blockHash"] = two(99).into();
        let refused = parse(json!([end])).unwrap_err();
        assert!(matches!(refused, RpcError::Malformed("log of another block")));
    }

    #[test]
    fn filters_have_bounds_and_one_form() {
        assert_eq!(Filter::new(vec![], vec![]), Err(FilterError::Addresses(0)));
        assert_eq!(
            Filter::new(vec![[1; 20]; 33], vec![]),
            Err(FilterError::Addresses(33))
        );
        assert_eq!(
            Filter::new(vec![[1; 20]], vec![vec![]; 5]),
            Err(FilterError::Topics)
        );
        assert_eq!(
            Filter::new(vec![[1; 20]], vec![vec![[1; 32]; 65]]),
            Err(FilterError::Topics)
        );
        let one = Filter::new(vec![[2; 20], [1; 20], [2; 20]], vec![vec![[4; 32], [3; 32]]]).unwrap();
        let other = Filter::new(vec![[1; 20], [2; 20]], vec![vec![[3; 32], [4; 32]]]).unwrap();
        assert_eq!((&one, one.digest()), (&other, other.digest()));
        assert_ne!(one.digest(), filter().digest());
        assert_eq!(filter().query()["topics"][1], Value::Null);
    }
}
