//! What a node asks the provider's wallet to send.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::MAX_HOST_BYTES;
use serde_json::Value;

/// Most rentals that are read of an answer.
const MAX_RENTALS: usize = 4096;

/// What a rental needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The rental.
    pub rental: HexBytes<32>,
    /// What is to be sent.
    pub operation: Operation,
}

/// A transaction of the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// The container runs: the rental's time begins.
    Start {
        /// Where the tenant logs in.
        ssh_host: String,
        /// The port.
        ssh_port: u16,
        /// The container's name.
        container_id: String,
    },
    /// The container is gone: the rental is over.
    Complete,
}

impl Operation {
    /// A stable name for output.
    pub const fn name(&self) -> &'static str {
        match self {
            Operation::Start { .. } => "start",
            Operation::Complete => "complete",
        }
    }
}

impl Next {
    /// What the answer of `GET /v1/rentals` asks for. Operations of later nodes are passed over.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn of(document: &Value) -> Result<Vec<Self>, &'static str> {
        let rentals = document["rentals"].as_array().ok_or("no list of rentals")?;
        if rentals.len() > MAX_RENTALS {
            return Err("too many rentals");
        }
        let mut all = Vec::new();
        for rental in rentals {
            let next = &rental["next"];
            if next.is_null() {
                continue;
            }
            let id = rental["rentalId"].as_str().and_then(HexBytes::parse);
            let rental = id.ok_or("rentalId is not 32 bytes")?;
            let operation = match next["operation"].as_str().ok_or("next has no operation")? {
                "start" => start(next)?,
                "complete" => Operation::Complete,
                _ => continue,
            };
            all.push(Self { rental, operation });
        }
        Ok(all)
    }
}

fn start(next: &Value) -> Result<Operation, &'static str> {
    let text = |name: &str| {
        let text = next[name].as_str()?;
        let is_short = text.len() <= MAX_HOST_BYTES;
        (is_short && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
    };
    let port = next["sshPort"].as_u64().and_then(|port| u16::try_from(port).ok());
    Ok(Operation::Start {
        ssh_host: text("sshHost")
            .filter(|host| !host.is_empty())
            .ok_or("sshHost is no host name")?,
        ssh_port: port.filter(|port| *port != 0).ok_or("sshPort is no port")?,
        container_id: text("containerId").ok_or("containerId is no name")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(byte: u8) -> String {
        HexBytes([byte; 32]).to_string()
    }

    fn started() -> Value {
        json!({ "operation": "start", "sshHost": "ssh.example", "sshPort": 2222, "containerId": "jeju-01" })
    }

    #[test]
    fn what_a_node_asks_for_is_read() {
        let answer = json!({ "rentals": [
            { "rentalId": id(1), "next": started(), "status": 0 },
            { "rentalId": id(2), "next": null },
            { "rentalId": id(3) },
            { "rentalId": id(4), "next": { "operation": "complete" } },
            { "rentalId": id(5), "next": { "operation": "something later" } },
        ]});
        let start = Operation::Start {
            ssh_host: "ssh.example".into(),
            ssh_port: 2222,
            container_id: "jeju-01".into(),
        };
        let expected = [(1, start), (4, Operation::Complete)].map(|(byte, operation)| Next {
            rental: HexBytes([byte; 32]),
            operation,
        });
        assert_eq!(Next::of(&answer), Ok(expected.to_vec()));
        assert_eq!(Next::of(&json!({ "rentals": [] })), Ok(Vec::new()));
    }

    #[test]
    fn answers_that_make_no_transaction_are_refused() {
        let one = |next: Value| Next::of(&json!({ "rentals": [{ "rentalId": id(1), "next": next }] }));
        let with = |name: &str, value: Value| {
            let mut next = started();
            next[name] = value;
            one(next)
        };
        for refused in [
            Next::of(&json!([])),
            Next::of(&json!({ "rentals": {} })),
            Next::of(&json!({ "rentals": vec![0; MAX_RENTALS + 1] })),
            Next::of(&json!({ "rentals": [{ "rentalId": "0x01", "next": started() }] })),
            one(json!(1)),
            one(json!({})),
            one(json!({ "operation": "start" })),
            with("sshHost", json!("")),
            with("sshHost", json!("a b")),
            with("sshHost", json!("a\u{1b}")),
            with("sshHost", json!("h".repeat(257))),
            with("sshPort", json!(0)),
            with("sshPort", json!(65_536)),
            with("sshPort", json!("22")),
            with("containerId", json!("c".repeat(257))),
            with("containerId", json!(null)),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
    }
}
