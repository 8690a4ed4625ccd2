//! Workers on a node that runs as processes: the API of 4020 as owners and everybody else see it.

#[path = "../host/mod.rs"]
#[allow(unused, reason = "each test uses a part of it")]
mod host;

mod access;
mod answers;
mod deploying;
mod fetching;
mod legacy;
mod logs;
mod owner;
mod restart;
mod secrets;

use host::{DOCUMENT, Host, Machine};
use owner::Owner;
use serde_json::{Value, json};

/// A node that runs workers, with further lines in its `[workers]`.
async fn node_with(workers: &str) -> Host {
    machine().start(document(workers)).await
}

async fn node() -> Host {
    node_with("").await
}

/// A machine whose host keeps blobs.
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.blobs = Some(Default::default());
    machine
}

fn document(workers: &str) -> String {
    format!("{DOCUMENT}\n[services]\nworkers = true\n[workers]\nreach = \"none\"\n{workers}\n")
}

/// Deploys one module; gives its id.
async fn deploy(host: &Host, owner: &Owner, name: &str, code: &str) -> String {
    deploy_with(host, owner, json!({"name": name, "code": code})).await
}

async fn deploy_with(host: &Host, owner: &Owner, body: Value) -> String {
    let (status, answer) = owner.ask(host, "POST", "/api/v1/workers", &body).await;
    assert!(matches!(status, 200 | 201), "{answer}");
    answer["deployment"]["workerId"].as_str().unwrap().to_owned()
}
