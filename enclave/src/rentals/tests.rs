use std::io::Write;

use jeju_attestation::tee::Tee;
use jeju_quote::launch_binding::LaunchBinding;
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use tokio::io::AsyncReadExt;

use super::*;
use crate::ipc::control::{self, Control, Received};
use crate::ipc::rentals::{Action, Answer, Call, Refusal, RentalsClient};

const LAUNCH: &str = r#"
version = 1
[node]
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
names = ["localhost"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0909090909090909090909090909090909090909"
rpc = ["https://127.0.0.1:8545"]
[services]
rentals = true
[egress]
allow = ["127.0.0.1:8545"]
[rentals]
contract = "0x0101010101010101010101010101010101010101"
provider = "0x0202020202020202020202020202020202020202"
host = "ssh.example"
isolation = "host"
"#;

fn file(length: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; length]).unwrap();
    file
}

#[test]
fn an_agent_that_is_empty_or_too_long_is_none() {
    assert_eq!(read_agent(&file(MAX_AGENT)).unwrap().len(), MAX_AGENT);
    assert!(read_agent(&file(0)).is_err());
    assert!(read_agent(&file(MAX_AGENT + 1)).is_err());
}

#[tokio::test]
async fn a_node_starts_without_docker_and_chain_and_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let (front, role) = control::socketpair(libc::SOCK_STREAM).unwrap();
    let (inbox, control) = control::pair().unwrap();
    let handover = Handover {
        tee: Tee::Simulated,
        image: false,
        transport: GuestTransport::Unix(directory.path().into()),
        launch_document: LAUNCH.as_bytes().to_vec(),
        binding: LaunchBinding::Bound,
        state: None,
        models: Vec::new(),
    };
    let role = tokio::spawn(run(role, file(100), handover, Reporter::new(control)));
    let (client, key) = RentalsClient::connect(front).await.unwrap();
    assert_ne!(key, [0; 32]);
    let ask = |action| {
        let client = client.clone();
        async move {
            let account = None;
            client.ask(&Call { account, action }).await.unwrap()
        }
    };
    let Answer::Document(resources) = ask(Action::Resources).await else {
        panic!("resources");
    };
    assert_eq!(resources["docker"]["reachable"], false);
    assert_eq!(resources["chain"]["readable"], false);
    assert_eq!(resources["isolation"], "host");
    let listed = ask(Action::List).await;
    assert!(
        matches!(
            &listed,
            Answer::Refused {
                refusal: Refusal::ChainUnavailable,
                ..
            }
        ),
        "{listed:?}"
    );
    assert_eq!(inbox.receive(), Received::Message(Control::Ready));

    let host = HostTransport::Unix(directory.path().into());
    let mut tenant = host.dial(Port::Ssh).await.unwrap();
    let mut greeting = [0; 8];
    tenant.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    assert!(!role.is_finished());
    role.abort();
}
