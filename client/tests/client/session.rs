//! Each way in which a node can be wrong is refused, with its own code, before a prompt leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::evidence::Verifier;
use jeju_attestation::policy::Policy;
use jeju_attestation::response::EndReason;
use jeju_attestation::verdict::ReferenceMode;
use jeju_attested_tls::{AttestedVerifier, client_config};
use jeju_client::chat::{self, Prompt};
use jeju_client::error::{Class, Error};
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session, SessionError, VerifiedBody, VerifiedResponse};

use rustls::HandshakeKind;
use rustls::client::Resumption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::node::{ANSWER, Chained, Node, Trick};
use crate::rpc::{Chain, Endpoint};

async fn connect_with(node: &Node, policy: &str, limits: Limits) -> Result<Session, Error> {
    let policy = Policy::parse(policy, true).unwrap();
    let party = Arc::new(RelyingParty::new(policy)?);
    Session::connect(&node.url().parse().unwrap(), party, limits).await
}

async fn connect(node: &Node, policy: &str) -> Result<Session, Error> {
    connect_with(node, policy, Limits::default()).await
}

async fn refused(trick: Trick) -> (Error, Node) {
    let node = Node::start(trick).await;
    let error = connect(&node, &node.policy())
        .await
        .err()
        .expect("must be refused");
    assert!(
        node.requests().is_empty(),
        "something was sent to a node that was refused"
    );
    (error, node)
}

async fn post(session: &mut Session, body: &'static str) -> Result<VerifiedResponse, Error> {
    let path = "/v1/chat/completions?x=1";
    session
        .request(
            Method::POST,
            path,
            HeaderMap::new(),
            Bytes::from_static(body.as_bytes()),
        )
        .await
}

/// All events, and how it ended.
async fn read(response: VerifiedResponse) -> (String, Result<EndReason, Error>) {
    let VerifiedBody::Stream(mut stream) = response.body else {
        panic!("not a stream")
    };
    let mut text = String::new();
    loop {
        match stream.next().await {
            Ok(Some(events)) => text += std::str::from_utf8(&events).unwrap(),
            Ok(None) => return (text, Ok(stream.end().unwrap())),
            Err(error) => {
                assert!(stream.next().await.is_err(), "a refused stream never ends well");
                return (text, Err(error.into()));
            }
        }
    }
}

#[tokio::test]
async fn an_honest_node_is_verified_and_answers() {
    let node = Node::start(Trick::Honest).await;
    let mut session = connect(&node, &node.policy()).await.unwrap();
    let verdict = session.verdict();
    assert!(verdict.channel_bound);
    assert_eq!((verdict.epoch, verdict.reference), (3, ReferenceMode::Pinned));
    assert_eq!(verdict.models, ["tiny"]);

    let response = post(&mut session, "prompt").await.unwrap();
    assert_eq!((response.status, response.epoch), (StatusCode::OK, 3));
    let VerifiedBody::Whole(body) = response.body else {
        panic!("a stream")
    };
    assert_eq!(body, ANSWER);
    let response = post(&mut session, r#"{"stream":true}"#).await.unwrap();
    let (text, end) = read(response).await;
    assert_eq!(end.unwrap(), EndReason::Stop);
    assert!(text.ends_with("data: [DONE]\n\n"));

    let response = session
        .request(Method::GET, "/nothing", HeaderMap::new(), Bytes::new())
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND, "errors are signed too");
    assert_eq!(node.challenges(), 1);
    assert_eq!(node.requests().len(), 3);
    assert_eq!(
        node.requests()[0],
        ("/v1/chat/completions?x=1".to_owned(), b"prompt".to_vec())
    );
}

#[tokio::test]
async fn each_refusal_before_the_first_request_has_its_code() {
    for (trick, code, class) in [
        (
            Trick::CertificateKey,
            "certificate_key_not_in_claims",
            Class::Evidence,
        ),
        (Trick::OtherNode, "claims_of_another_node", Class::Evidence),
        (Trick::ReportData, "report_data_mismatch", Class::Evidence),
        (Trick::OtherNonce, "nonce_mismatch", Class::Evidence),
        (Trick::OtherConnection, "channel_mismatch", Class::Evidence),
        (Trick::UnsignedChallenge, "response_unsigned", Class::Evidence),
        (Trick::LongBundle, "response_too_large", Class::Network),
    ] {
        let (error, _node) = refused(trick).await;
        assert_eq!((error.code(), error.class()), (code, class), "{trick:?}: {error}");
    }
}

#[tokio::test]
async fn each_refusal_of_a_response_has_its_code() {
    for (trick, code) in [
        (Trick::Unsigned, "response_unsigned"),
        (Trick::OtherKey, "response_signature_invalid"),
        (Trick::ChangedBody, "response_body_changed"),
        (Trick::OtherRequest, "response_for_another_request"),
        (Trick::OtherChannel, "response_of_another_connection"),
        (Trick::ForeignEpoch, "claims_of_another_node"),
        (Trick::TooLong, "response_too_large"),
    ] {
        let node = Node::start(Trick::Honest).await;
        let mut session = connect(&node, &node.policy()).await.unwrap();
        node.trick(trick);
        let error = post(&mut session, "prompt").await.unwrap_err();
        assert_eq!(error.code(), code, "{trick:?}: {error}");
        assert!(
            session.is_over(),
            "{trick:?}: a refused session sends nothing more"
        );
        assert!(matches!(
            post(&mut session, "prompt").await,
            Err(Error::Session(SessionError::SessionOver))
        ));
        assert_eq!(node.requests().len(), 1);
    }
}

#[tokio::test]
async fn each_refusal_of_a_stream_has_its_code() {
    for (trick, code) in [
        (Trick::StreamCut, "stream_unsigned"),
        (Trick::StreamBroken, "stream_unsigned"),
        (Trick::StreamUnsigned, "stream_unsigned"),
        (Trick::StreamChanged, "stream_changed"),
        (Trick::StreamForged, "stream_signature_invalid"),
        (Trick::StreamTrailing, "stream_trailing_bytes"),
    ] {
        let node = Node::start(Trick::Honest).await;
        let mut session = connect(&node, &node.policy()).await.unwrap();
        node.trick(trick);
        let response = post(&mut session, r#"{"stream":true}"#).await.unwrap();
        let (text, end) = read(response).await;
        assert_eq!(end.unwrap_err().code(), code, "{trick:?}");
        assert!(!text.contains("[DONE]"), "{trick:?}");
    }
}

#[tokio::test]
async fn policy_decides() {
    let node = Node::start(Trick::Honest).await;
    let with = |from: &str, to: &str| {
        let policy = node.policy();
        assert!(policy.contains(from), "{from}");
        policy.replacen(from, to, 1)
    };
    let image = Node::measurement().to_string();
    for (policy, code) in [
        (
            with(&image, &format!("0x{}", "22".repeat(32))),
            "measurement_unknown",
        ),
        (
            with("tees = [\"simulated\"]", "tees = [\"tdx\"]"),
            "tee_not_accepted",
        ),
        (with(&"08".repeat(32), &"18".repeat(32)), "agent_not_accepted"),
        (with(&"09".repeat(20), &"19".repeat(20)), "registry_mismatch"),
        (with("services = [\"inference\"]", ""), "service_not_accepted"),
        (with(&"07".repeat(32), &"17".repeat(32)), "model_not_accepted"),
        (with("egress = [\"127.0.0.1:8545\"]", ""), "egress_not_accepted"),
    ] {
        let error = connect(&node, &policy).await.err().expect(code);
        assert_eq!((error.code(), error.class()), (code, Class::Policy));
    }
    let other = Node::start(Trick::Honest).await;
    let error = connect(&node, &other.policy()).await.err().unwrap();
    assert_eq!(
        (error.code(), error.class()),
        ("root_not_trusted", Class::Evidence)
    );
    // A production policy has no word for simulated silicon.
    let production = node
        .policy()
        .replace("development", "production")
        .replace("\"simulated\"", "\"tdx\"");
    let production = production.split("[simulated]").next().unwrap();
    let error = connect(&node, production).await.err().unwrap();
    assert_eq!((error.code(), error.class()), ("tee_not_accepted", Class::Policy));
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn the_chain_decides() {
    let node = Node::start(Trick::Honest).await;
    let endpoint = Endpoint::start(Chain::default()).await;
    let policy = node.policy_with_rpc(&endpoint.url);
    let session = connect(&node, &policy).await.unwrap();
    assert_eq!(
        session.verdict().reference,
        ReferenceMode::Rpc { agree: 1, of: 1 }
    );
    let age = session.verdict().age_seconds.unwrap();
    assert!((20..60).contains(&age), "{age}");

    let good = Chain::default();
    for (chain, code, class) in [
        (
            Chain {
                stage: 0,
                ..good.clone()
            },
            "measurement_unknown",
            Class::Policy,
        ),
        (
            Chain {
                stage: 1,
                ..good.clone()
            },
            "measurement_pending",
            Class::Policy,
        ),
        (
            Chain {
                stage: 3,
                ..good.clone()
            },
            "measurement_revoked",
            Class::Policy,
        ),
        // Nobody called `expire`; the end counts all the same.
        (
            Chain {
                valid_until: 1_700_000_100,
                ..good.clone()
            },
            "measurement_revoked",
            Class::Policy,
        ),
        (
            Chain {
                floor: 2,
                ..good.clone()
            },
            "measurement_below_floor",
            Class::Policy,
        ),
        (
            Chain {
                platform: 1,
                ..good.clone()
            },
            "measurement_unknown",
            Class::Policy,
        ),
        (
            Chain {
                anchor_age: Some(1900),
                ..good.clone()
            },
            "evidence_stale",
            Class::Stale,
        ),
        (
            Chain {
                anchor_age: None,
                ..good.clone()
            },
            "anchor_unknown",
            Class::Stale,
        ),
        (
            Chain {
                id: 1,
                ..good.clone()
            },
            "rpc_other_chain",
            Class::Network,
        ),
        (
            Chain {
                stage: 9,
                ..good.clone()
            },
            "chain_unreadable",
            Class::Network,
        ),
    ] {
        *endpoint.chain.lock().unwrap() = chain;
        let error = connect(&node, &policy).await.err().expect(code);
        assert_eq!((error.code(), error.class()), (code, class), "{error}");
    }
    drop(endpoint);
    let error = connect(&node, &policy).await.err().unwrap();
    assert_eq!(
        (error.code(), error.class()),
        ("chain_unreadable", Class::Network)
    );
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn a_new_epoch_is_verified_and_appraised_on_the_way() {
    let node = Node::start(Trick::Honest).await;
    let endpoint = Endpoint::start(Chain::default()).await;
    let policy = node.policy_with_rpc(&endpoint.url);
    let mut session = connect(&node, &policy).await.unwrap();
    node.rotate();
    assert_eq!(post(&mut session, "prompt").await.unwrap().epoch, 4);
    let mut pinned = connect(&node, &node.policy()).await.unwrap();
    assert_eq!(post(&mut pinned, "prompt").await.unwrap().epoch, 4);

    for (chain, code) in [
        (
            Chain {
                stage: 3,
                ..Chain::default()
            },
            "measurement_revoked",
        ),
        (
            Chain {
                anchor_age: Some(9999),
                ..Chain::default()
            },
            "evidence_stale",
        ),
        // A block that was final is another one now.
        (
            Chain {
                head: 0x65,
                ..Chain::default()
            },
            "chain_refused",
        ),
    ] {
        let node = Node::start(Trick::Honest).await;
        let policy = node.policy_with_rpc(&endpoint.url);
        *endpoint.chain.lock().unwrap() = Chain::default();
        let mut session = connect(&node, &policy).await.unwrap();
        *endpoint.chain.lock().unwrap() = chain;
        node.rotate();
        assert_eq!(post(&mut session, "prompt").await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn an_old_appraisal_is_renewed_before_anything_is_sent() {
    let node = Node::start(Trick::Honest).await;
    let endpoint = Endpoint::start(Chain::default()).await;
    let policy = node.policy_with_rpc(&endpoint.url);
    let at_once = Limits {
        appraised_within: Duration::ZERO,
        ..Limits::default()
    };
    let mut session = connect_with(&node, &policy, at_once).await.unwrap();
    assert!(post(&mut session, "prompt").await.is_ok());
    let sent = node.requests().len();
    *endpoint.chain.lock().unwrap() = Chain {
        stage: 3,
        ..Chain::default()
    };
    let error = post(&mut session, "prompt").await.unwrap_err();
    assert_eq!(error.code(), "measurement_revoked");
    assert_eq!(node.requests().len(), sent, "the prompt was sent all the same");
    assert!(session.is_over());
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let node = Node::start(Trick::Tickets).await;
    let kinds = resuming_handshakes(&node).await;
    assert_eq!(
        kinds[1],
        HandshakeKind::Resumed,
        "the node does resume for who asks"
    );
    let party = Arc::new(RelyingParty::new(Policy::parse(&node.policy(), true).unwrap()).unwrap());
    for connections in 1..=3 {
        let url = node.url().parse().unwrap();
        let mut session = Session::connect(&url, party.clone(), Limits::default())
            .await
            .unwrap();
        // Reads what came after the handshake, tickets included.
        assert!(post(&mut session, "prompt").await.is_ok());
        assert_eq!(node.challenges(), connections, "each connection is attested anew");
    }
}

/// Two handshakes of a client that keeps tickets.
async fn resuming_handshakes(node: &Node) -> [HandshakeKind; 2] {
    let policy = Policy::parse(&node.policy(), true).unwrap();
    let verifier = Arc::new(AttestedVerifier::new(Arc::new(Verifier::simulated(
        policy.simulated_roots(),
    ))));
    let mut config = client_config(verifier).unwrap();
    config.resumption = Resumption::in_memory_sessions(8);
    let connector = TlsConnector::from(Arc::new(config));
    let mut kinds = [HandshakeKind::Full; 2];
    for kind in &mut kinds {
        let stream = TcpStream::connect(("127.0.0.1", node.port)).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream
            .write_all(b"GET /v1/models HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        stream.read_exact(&mut [0; 16]).await.unwrap();
        *kind = stream.get_ref().1.handshake_kind().unwrap();
    }
    kinds
}

#[tokio::test]
async fn sessions_end_with_the_policys_age() {
    let node = Node::start(Trick::Honest).await;
    let policy = format!("max_age_seconds = 5\n{}", node.policy());
    let mut session = connect(&node, &policy).await.unwrap();
    assert!(!session.is_over());
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert!(session.is_over());
    assert!(matches!(
        post(&mut session, "prompt").await,
        Err(Error::Session(SessionError::SessionOver))
    ));
    assert!(node.requests().is_empty());
}

#[tokio::test]
async fn a_busy_node_is_asked_again_within_a_bound() {
    let node = Node::start(Trick::Busy(2)).await;
    assert!(connect(&node, &node.policy()).await.is_ok());
    let node = Node::start(Trick::Busy(1000)).await;
    let error = connect(&node, &node.policy()).await.err().unwrap();
    assert_eq!(
        (error.code(), error.class()),
        ("attestation_busy", Class::Network)
    );
    assert_eq!(node.challenges(), 0);
}

#[tokio::test]
async fn names_and_networks() {
    let node = Node::start_with(Trick::Honest, "node.example", Chained::default()).await;
    let error = connect(&node, &node.policy()).await.err().unwrap();
    assert_eq!(error.code(), "certificate_name_mismatch");

    let url = node.url();
    let policy = Policy::parse(&node.policy(), true).unwrap();
    let party = Arc::new(RelyingParty::new(policy).unwrap());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits {
        connect: Duration::from_millis(200),
        ..Limits::default()
    };
    let silent_url = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let connected = Session::connect(&silent_url.parse().unwrap(), party.clone(), limits).await;
    assert_eq!(connected.err().unwrap().code(), "timeout");
    drop((node, silent));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let connected = Session::connect(&url.parse().unwrap(), party, limits).await;
    let error = connected.err().unwrap();
    assert_eq!(
        (error.code(), error.class()),
        ("node_unreachable", Class::Network)
    );
}

#[tokio::test]
async fn waits_for_a_response_are_bounded() {
    let node = Node::start(Trick::Honest).await;
    let limits = Limits {
        response: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut session = connect_with(&node, &node.policy(), limits).await.unwrap();
    node.trick(Trick::Silent);
    assert_eq!(post(&mut session, "prompt").await.unwrap_err().code(), "timeout");
}

#[tokio::test]
async fn chat_asks_the_first_model() {
    let node = Node::start(Trick::Honest).await;
    let mut session = connect(&node, &node.policy()).await.unwrap();
    for (stream, tokens) in [(false, 1), (true, 2)] {
        let prompt = Prompt {
            text: "hi".into(),
            model: None,
            max_tokens: Some(5),
            stream,
        };
        let mut output = Vec::new();
        let answer = chat::ask(&mut session, &prompt, &mut output).await.unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.completion_tokens),
            ("hello", Some(tokens))
        );
        assert_eq!(output, b"hello");
    }
    let (path, body) = node.requests().remove(1);
    assert_eq!(path, "/v1/chat/completions");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&"tiny".into(), &5.into()));
}
