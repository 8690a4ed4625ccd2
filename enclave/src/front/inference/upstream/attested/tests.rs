//! Each way in which another node can be wrong is refused, with its own code, before a prompt leaves. The other node is the
//! one that the client is tested against: attested TLS, simulated silicon and signatures are real, all else may be wrong.

mod answers;
mod hardware;
#[path = "../../../../../../client/tests/client/node.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the client's tests")]
mod node;
mod relay;
#[path = "../../../../../../client/tests/client/rpc.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the client's tests")]
mod rpc;
#[path = "../../../../../../client/tests/client/silicon.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the client's tests")]
mod silicon;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_chain::{ReaderConfig, TcpDial};

use super::*;
use node::{Chained, Node, Trick};
use rpc::{Chain, Endpoint};

/// Launch document of another node, as the one of the client's tests has it.
pub(super) const OTHER: &str = r#"
version = 1
[node]
agent = "0x0808080808080808080808080808080808080808080808080808080808080808"
names = ["127.0.0.1"]
[chain]
profile = "localnet"
id = 31337
registry = "0x0909090909090909090909090909090909090909"
rpc = ["http://127.0.0.1:8545"]
[services]
inference = true
[egress]
allow = ["127.0.0.1:8545"]
[[models]]
id = "tiny"
sha256 = "0x0707070707070707070707070707070707070707070707070707070707070707"
"#;

/// What the launch document of a node says of another one.
struct Wanted<'a> {
    port: u16,
    agent: [u8; 32],
    measurement: String,
    root: [u8; 65],
    /// More about the model.
    more: &'a str,
}

impl Wanted<'_> {
    /// As it is.
    fn of(node: &Node) -> Wanted<'static> {
        Wanted {
            port: node.port,
            agent: node::AGENT,
            measurement: Node::measurement().to_string(),
            root: node.root,
            more: "",
        }
    }

    fn document(&self) -> String {
        format!(
            "version = 1\n[node]\nagent = \"{}\"\nnames = [\"localhost\"]\n[chain]\nprofile = \"localnet\"\nid = 31337\n\
             registry = \"{}\"\nrpc = [\"http://127.0.0.1:8545\"]\n[services]\ninference = true\n[egress]\n\
             allow = [\"127.0.0.1:8545\", \"127.0.0.1:{port}\"]\n[[upstreams]]\nname = \"far\"\nkind = \"openai\"\n\
             url = \"https://127.0.0.1:{port}\"\n[upstreams.attested]\nagent = \"{}\"\nmeasurements = [\"{}\"]\n\
             simulated_roots = [\"{}\"]\n[[upstreams.models]]\nid = \"tiny-far\"\nname = \"tiny\"\n{}",
            HexBytes([1; 32]),
            HexBytes(node::REGISTRY),
            HexBytes(self.agent),
            self.measurement,
            HexBytes(self.root),
            self.more,
            port = self.port,
        )
    }

    fn connector(&self, endpoint: &Endpoint, limits: Limits) -> Attested {
        self.connector_with(endpoint, limits, |_| {})
    }

    /// With a change to the policy that the launch document gives.
    fn connector_with(
        &self,
        endpoint: &Endpoint,
        limits: Limits,
        change: impl FnOnce(&mut Policy),
    ) -> Attested {
        let launch = LaunchDocument::parse(self.document().as_bytes()).unwrap();
        let upstream = &launch.upstreams[0];
        let mut policy = policy::of(&launch, upstream.attested.as_ref().unwrap()).unwrap();
        change(&mut policy);
        let reader = ChainReader::new(ReaderConfig::localnet(&endpoint.url), Arc::new(TcpDial)).unwrap();
        let registry = (&launch, Arc::new(reader));
        Attested::with(upstream, policy, Arc::new(TcpDial), registry, limits).unwrap()
    }

    async fn connect(&self, chain: Chain) -> Result<Connection, ConnectError> {
        let endpoint = Endpoint::start(chain).await;
        self.connector(&endpoint, LIMITS).connect().await
    }
}

/// A launch document on a development chain; `more` is added to the upstream's model.
pub(super) fn document(more: &str) -> LaunchDocument {
    let wanted = Wanted {
        port: 4007,
        agent: [8; 32],
        measurement: HexBytes([5; 32]).to_string(),
        root: [4; 65],
        more,
    };
    LaunchDocument::parse(wanted.document().as_bytes()).unwrap()
}

/// The same on a public chain.
pub(super) fn public_document() -> LaunchDocument {
    let mut document = document("");
    document.chain.profile = "mainnet".to_owned();
    document.chain.id = 1;
    document.upstreams[0]
        .attested
        .as_mut()
        .unwrap()
        .simulated_roots
        .clear();
    document
}

fn code(outcome: Result<Connection, ConnectError>) -> String {
    match outcome.err().expect("must be refused") {
        ConnectError::NotVerified(code) => code,
        ConnectError::Unreachable => "unreachable".to_owned(),
    }
}

async fn refused(wanted: &Wanted<'_>, node: &Node, chain: Chain) -> String {
    let code = code(wanted.connect(chain).await);
    assert!(
        node.requests().is_empty(),
        "something was sent to a node that was refused"
    );
    code
}

#[tokio::test]
async fn a_node_that_lies_is_sent_nothing() {
    for (trick, expected) in [
        (Trick::CertificateKey, "certificate_key_not_in_claims"),
        (Trick::OtherNode, "claims_of_another_node"),
        (Trick::ReportData, "report_data_mismatch"),
        (Trick::OtherNonce, "nonce_mismatch"),
        // What a relay between this node and a genuine one would have to show.
        (Trick::OtherConnection, "channel_mismatch"),
        (Trick::UnsignedChallenge, "response_unsigned"),
        (Trick::LongBundle, "response_too_large"),
        (Trick::Busy(1000), "attestation_busy"),
    ] {
        let node = Node::start(trick).await;
        let found = refused(&Wanted::of(&node), &node, Chain::default()).await;
        assert_eq!(found, expected, "{trick:?}");
    }
    let named = Node::start_with(Trick::Honest, "node.example", Chained::default()).await;
    let found = refused(&Wanted::of(&named), &named, Chain::default()).await;
    assert_eq!(found, "certificate_name_mismatch");
    let chained = Chained {
        registry: [0x19; 20],
        ..Chained::default()
    };
    let elsewhere = Node::start_with(Trick::Honest, "127.0.0.1", chained).await;
    let found = refused(&Wanted::of(&elsewhere), &elsewhere, Chain::default()).await;
    assert_eq!(found, "registry_mismatch");
}

#[tokio::test]
async fn a_node_that_the_launch_document_does_not_name_is_sent_nothing() {
    let node = Node::start(Trick::Honest).await;
    let other = Node::start(Trick::Honest).await;
    let named = || Wanted::of(&node);
    let weights = format!("weights = \"{}\"\n", HexBytes([8; 32]));
    for (wanted, expected) in [
        (
            Wanted {
                agent: [9; 32],
                ..named()
            },
            "agent_not_accepted",
        ),
        (
            Wanted {
                measurement: HexBytes([2; 32]).to_string(),
                ..named()
            },
            "measurement_unknown",
        ),
        (
            Wanted {
                root: other.root,
                ..named()
            },
            "root_not_trusted",
        ),
        (
            Wanted {
                more: &weights,
                ..named()
            },
            "upstream_model_mismatch",
        ),
    ] {
        assert_eq!(refused(&wanted, &node, Chain::default()).await, expected);
    }
    let gone = Wanted::of(&node);
    drop(node);
    assert_eq!(code(gone.connect(Chain::default()).await), "unreachable");
}

#[tokio::test]
async fn what_the_chain_does_not_have_in_force_is_sent_nothing() {
    let node = Node::start(Trick::Honest).await;
    let good = Chain::default;
    for (chain, expected) in [
        // Listed by the provider, and by nobody else.
        (Chain { stage: 0, ..good() }, "measurement_unknown"),
        (Chain { stage: 1, ..good() }, "measurement_pending"),
        (Chain { stage: 3, ..good() }, "measurement_revoked"),
        (Chain { floor: 2, ..good() }, "measurement_below_floor"),
        (
            Chain {
                platform: 1,
                ..good()
            },
            "measurement_unknown",
        ),
        (
            Chain {
                valid_until: 1_700_000_100,
                ..good()
            },
            "measurement_revoked",
        ),
        (
            Chain {
                anchor_age: Some(1900),
                ..good()
            },
            "evidence_stale",
        ),
        (
            Chain {
                anchor_age: None,
                ..good()
            },
            "anchor_unknown",
        ),
        (Chain { id: 1, ..good() }, "chain_unreadable"),
        (Chain { stage: 9, ..good() }, "chain_unreadable"),
    ] {
        assert_eq!(refused(&Wanted::of(&node), &node, chain).await, expected);
    }
    let silent = Endpoint::start(Chain::default()).await;
    let connector = Wanted::of(&node).connector(&silent, LIMITS);
    drop(silent);
    assert_eq!(code(connector.connect().await), "chain_unreadable");
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn open_connections_end_with_a_revocation_and_without_a_chain() {
    let node = Node::start(Trick::Honest).await;
    let endpoint = Endpoint::start(Chain::default()).await;
    let limits = |within| Limits {
        watch_every: Duration::from_millis(20),
        in_force_within: Duration::from_secs(within),
        keep: Duration::ZERO,
    };
    let usable = |connection: &Connection| connection.session.as_ref().unwrap().is_usable();
    let connector = Wanted::of(&node).connector(&endpoint, limits(3600));
    let open = connector.connect().await.unwrap();
    assert!(usable(&open));
    *endpoint.chain.lock().unwrap() = Chain {
        stage: 3,
        ..Chain::default()
    };
    while usable(&open) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(code(connector.connect().await), "measurement_revoked");

    *endpoint.chain.lock().unwrap() = Chain::default();
    let connector = Wanted::of(&node).connector(&endpoint, limits(1));
    let open = connector.connect().await.unwrap();
    drop(endpoint);
    while usable(&open) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn connections_end_with_the_policys_age() {
    let node = Node::start(Trick::Honest).await;
    let open = Wanted::of(&node).connect(Chain::default()).await.unwrap();
    let session = open.session.as_ref().unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1790)).await;
    assert!(session.is_usable());
    tokio::time::advance(Duration::from_secs(15)).await;
    assert!(!session.is_usable());
}
