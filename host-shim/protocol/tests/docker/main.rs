//! The Docker API subset: what is emitted parses to the same, and nothing else parses.

mod bodies;
mod calls;
mod random;

use jeju_shim_protocol::docker::{
    ContainerName, ContainerSpec, Emitted, ExecId, ExecSpec, ImageReference, Labels, Network, NetworkSpec,
    Refusal, Request, archive,
};
use serde_json::{Value, json};

fn name(byte: u8) -> ContainerName {
    ContainerName::from_id([byte; 32])
}

fn image(text: &str) -> ImageReference {
    text.parse().unwrap()
}

fn spec() -> ContainerSpec {
    ContainerSpec {
        name: name(0xab),
        agent: [0xcd; 32],
        image: image("127.0.0.1:5000/debian:12"),
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), "sleep 1".to_owned()],
        labels: Labels::from([("jeju.image".to_owned(), "x".to_owned())]),
        memory: 1 << 30,
        nano_cpus: 2_000_000_000,
        pids: 4096,
        network: Network::Own,
        storage: Some(10_000_000_000),
        memory_paths: vec!["/var/lib/data".to_owned()],
    }
}

/// One of each call.
fn requests() -> Vec<Request> {
    let exec: ExecId = "0123456789abcdef".repeat(4).parse().unwrap();
    let (name, agent) = (name(0xab), [0xcd; 32]);
    vec![
        Request::Ping,
        Request::Info,
        Request::CreateNetwork(NetworkSpec {
            name,
            agent,
            internal: true,
        }),
        Request::RemoveNetwork(name),
        Request::PullImage(image("docker.io/library/debian:12")),
        Request::PullImage(image(&format!("localhost:5000/a/b:t@sha256:{}", "a1".repeat(32)))),
        Request::InspectImage(image("a/json")),
        Request::CreateContainer(Box::new(spec())),
        Request::StartContainer(name),
        Request::StopContainer { name, seconds: 10 },
        Request::KillContainer { name },
        Request::RemoveContainer(name),
        Request::InspectContainer { name, size: false },
        Request::InspectContainer { name, size: true },
        Request::ListContainers { agent },
        Request::ListNetworks { agent },
        Request::Stats(name),
        Request::Logs { name, tail: 100 },
        Request::PutArchive { name },
        Request::CreateExec {
            name,
            spec: ExecSpec::agent(),
        },
        Request::StartExec { id: exec },
        Request::InspectExec { id: exec },
    ]
}

fn tar() -> Vec<u8> {
    let entry = archive::Entry {
        path: ".jeju/agent",
        mode: 0o755,
        content: Some(b"\x7fELF"),
    };
    archive::encode(&[entry]).unwrap()
}

fn parse(emitted: &Emitted) -> Result<Request, Refusal> {
    let tar = tar();
    let body = match (&emitted.body, emitted.content_type) {
        (Some(body), _) => &body[..],
        (None, Some("application/x-tar")) => &tar,
        (None, _) => &[],
    };
    Request::parse(emitted.method, &emitted.target, emitted.content_type, body)
}

fn create_body() -> Value {
    let emitted = Request::CreateContainer(Box::new(spec())).emit();
    serde_json::from_slice(&emitted.body.unwrap()).unwrap()
}

/// How a body for `containers/create` is refused.
fn create(body: &[u8]) -> Refusal {
    let target = format!("/v1.41/containers/create?name={}", name(0xab));
    Request::parse("POST", &target, Some("application/json"), body).unwrap_err()
}

#[test]
fn every_call_round_trips() {
    for request in requests() {
        request.check().unwrap();
        assert_eq!(parse(&request.emit()), Ok(request));
    }
}

fn create_body_bytes() -> Vec<u8> {
    Request::CreateContainer(Box::new(spec())).emit().body.unwrap()
}
