//! Nodes through gateways, honest and hostile: a hostile one gets no plaintext, and the user a clear error.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use jeju_attestation::policy::Policy;
use jeju_client::error::{Class, Error};
use jeju_client::node_url::NodeUrl;
use jeju_client::relying_party::RelyingParty;
use jeju_client::session::{Limits, Session, VerifiedBody};
use serde_json::Value;
use tokio::process::Command;

use crate::gateway::{Gateway, Manner};
use crate::node::{ANSWER, Chained, Node, Trick};

/// What no gateway may see.
const PROMPT: &str = r#"{"messages":[{"role":"user","content":"the-secret-of-the-user"}]}"#;

/// A node that has a name, which nothing but a gateway leads to.
async fn named(trick: Trick) -> (Node, NodeUrl) {
    let node = Node::start_with(trick, "node.example", Chained::default()).await;
    (node, "https://node.example:4007".parse().unwrap())
}

fn party(node: &Node, gateways: &[&Gateway]) -> Arc<RelyingParty> {
    let policy = Policy::parse(&node.policy(), true).unwrap();
    let gateways = gateways.iter().map(|gateway| gateway.named()).collect();
    Arc::new(RelyingParty::new(policy).unwrap().through(gateways))
}

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(60),
        response: Duration::from_secs(60),
        ..Limits::default()
    }
}

async fn ask(node: &NodeUrl, party: Arc<RelyingParty>) -> Result<String, Error> {
    let mut session = Session::connect(node, party, limits()).await?;
    let response = session
        .request(
            Method::POST,
            "/v1/chat/completions",
            HeaderMap::new(),
            PROMPT.into(),
        )
        .await?;
    match response.body {
        VerifiedBody::Whole(body) => Ok(String::from_utf8(body.into()).unwrap()),
        VerifiedBody::Stream(_) => panic!("nobody asked for a stream"),
    }
}

fn saw_nothing(gateway: &Gateway) {
    for heard in gateway.heard() {
        let has = |needle: &[u8]| heard.windows(needle.len()).any(|bytes| bytes == needle);
        assert!(!has(b"the-secret-of-the-user") && !has(b"/v1/chat"), "plaintext");
    }
}

#[tokio::test]
async fn a_gateway_leads_to_the_node_by_its_name() {
    let (node, url) = named(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    assert_eq!(ask(&url, party(&node, &[&gateway])).await.unwrap(), ANSWER);
    assert_eq!(gateway.names(), ["node.example"]);
    assert_eq!(node.requests().len(), 1);
    saw_nothing(&gateway);
}

#[tokio::test]
async fn a_node_whose_endpoint_is_an_address_is_found_by_its_account_and_checked_by_its_address() {
    let node = Node::start(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    let account = "1f".repeat(20);
    let url: NodeUrl = format!("https://0x{account}@127.0.0.1:4007").parse().unwrap();
    assert_eq!(ask(&url, party(&node, &[&gateway])).await.unwrap(), ANSWER);
    assert_eq!(gateway.names(), [format!("{account}.gw.example")]);

    // Another node's certificate has another name, whatever the gateway was told.
    let (other, _) = named(Trick::Honest).await;
    gateway.leads_to(other.port);
    let error = ask(&url, party(&other, &[&gateway])).await.unwrap_err();
    assert_eq!(error.code(), "certificate_name_mismatch");
    assert!(other.requests().is_empty() && other.challenges() == 0);

    let nameless: NodeUrl = "https://127.0.0.1:4007".parse().unwrap();
    let error = ask(&nameless, party(&node, &[&gateway])).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("gateway_name_missing", Class::Usage)
    );
}

#[tokio::test]
async fn a_gateway_that_leads_elsewhere_gets_nothing() {
    let (node, url) = named(Trick::Honest).await;
    // Somebody else's silicon, with the right name in its certificate.
    let (stranger, _) = named(Trick::Honest).await;
    let gateway = Gateway::start(stranger.port, Manner::Honest).await;
    let error = ask(&url, party(&node, &[&gateway])).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("root_not_trusted", Class::Evidence)
    );
    assert!(
        error.to_string().starts_with("through gw.example@127.0.0.1:"),
        "{error}"
    );
    assert!(stranger.requests().is_empty() && stranger.challenges() == 0);

    // A genuine node that the policy accepts, but not the one of this name.
    let other = Node::start_with(Trick::Honest, "other.example", Chained::default()).await;
    gateway.leads_to(other.port);
    let error = ask(&url, party(&other, &[&gateway])).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("certificate_name_mismatch", Class::Evidence)
    );
    assert!(other.requests().is_empty());

    // A node that runs something else than the policy accepts.
    gateway.leads_to(node.port);
    let text = node.policy().replace(
        &Node::measurement().to_string(),
        &format!("0x{}", "22".repeat(32)),
    );
    let strict = RelyingParty::new(Policy::parse(&text, true).unwrap()).unwrap();
    let strict = Arc::new(strict.through(vec![gateway.named()]));
    let error = ask(&url, strict).await.unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("measurement_unknown", Class::Policy)
    );
    assert!(node.requests().is_empty());

    gateway.manner(Manner::AnswersItself);
    let error = ask(&url, party(&node, &[&gateway])).await.unwrap_err();
    assert_eq!(error.class(), Class::Network, "{error}");
    saw_nothing(&gateway);
}

#[tokio::test]
async fn a_gateway_that_drops_cuts_or_stalls_is_an_error_and_no_answer() {
    let (node, url) = named(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    for manner in [
        Manner::Closes,
        Manner::Truncates(0),
        Manner::Truncates(100),
        Manner::Truncates(3000),
    ] {
        gateway.manner(manner);
        let error = ask(&url, party(&node, &[&gateway])).await.unwrap_err();
        assert_eq!(error.class(), Class::Network, "{manner:?}: {error}");
        assert!(node.requests().is_empty(), "{manner:?}");
    }
    gateway.manner(Manner::Silent);
    let hurried = Limits {
        connect: Duration::from_millis(300),
        ..limits()
    };
    let stalled = Session::connect(&url, party(&node, &[&gateway]), hurried).await;
    assert_eq!(stalled.err().unwrap().code(), "timeout");
    let nowhere = Gateway::start(1, Manner::Honest).await;
    let error = ask(&url, party(&node, &[&nowhere])).await.unwrap_err();
    assert_eq!(error.class(), Class::Network);
    saw_nothing(&gateway);
}

#[tokio::test]
async fn what_a_gateway_changes_or_injects_is_noticed() {
    let (node, url) = named(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    assert!(ask(&url, party(&node, &[&gateway])).await.is_ok());
    let asked = node.requests().len();
    // In the ServerHello, in the certificate, in the answer to the challenge.
    for place in [60, 900, 4000] {
        for manner in [Manner::Changes(place), Manner::Injects(place)] {
            gateway.manner(manner);
            let error = ask(&url, party(&node, &[&gateway])).await.unwrap_err();
            assert!(
                matches!(error.class(), Class::Network | Class::Evidence),
                "{manner:?}: {error}"
            );
            assert_eq!(node.requests().len(), asked, "{manner:?}: no prompt was sent");
        }
    }
    saw_nothing(&gateway);
}

#[tokio::test]
async fn what_a_gateway_replays_reaches_no_prompt() {
    let (node, url) = named(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    assert!(ask(&url, party(&node, &[&gateway])).await.is_ok());
    let (requests, challenges) = (node.requests().len(), node.challenges());
    let answer = gateway.replay(0).await;
    assert!(!answer.windows(5).any(|bytes| bytes == b"hello"));
    assert_eq!((node.requests().len(), node.challenges()), (requests, challenges));
}

#[tokio::test]
async fn the_next_gateway_is_tried_when_one_fails() {
    let (node, url) = named(Trick::Honest).await;
    let (stranger, _) = named(Trick::Honest).await;
    let honest = Gateway::start(node.port, Manner::Honest).await;
    let closes = Gateway::start(node.port, Manner::Closes).await;
    let astray = Gateway::start(stranger.port, Manner::Honest).await;
    let both = party(&node, &[&closes, &astray, &honest]);
    assert_eq!(ask(&url, both.clone()).await.unwrap(), ANSWER);
    assert_eq!(ask(&url, both.clone()).await.unwrap(), ANSWER);
    assert_eq!(closes.heard().len(), 1, "who led last is tried first");
    assert!(stranger.requests().is_empty());

    // A session whose gateway dies is over; the next goes through another.
    let second = Gateway::start(node.port, Manner::Honest).await;
    let pair = party(&node, &[&honest, &second]);
    assert!(ask(&url, pair.clone()).await.is_ok());
    drop(honest);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(ask(&url, pair).await.is_ok());
    assert_eq!(second.names().len(), 1);

    // Of several failures the one that says most is told.
    let none = party(&node, &[&astray, &closes]);
    let error = ask(&url, none).await.unwrap_err();
    assert_eq!(error.code(), "root_not_trusted");
}

async fn jeju(arguments: &[&str], config: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
    command.args(arguments).kill_on_drop(true);
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
    match config {
        Some(path) => command.env("JEJU_CONFIG", path),
        None => command.env_remove("JEJU_CONFIG"),
    };
    command.output().await.unwrap()
}

#[tokio::test]
async fn commands_take_gateways_and_the_configuration_names_them() {
    let (node, url) = named(Trick::Honest).await;
    let gateway = Gateway::start(node.port, Manner::Honest).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.toml"), node.policy()).unwrap();
    let policy = dir.path().join("policy.toml");
    let (url, via) = (url.to_string(), gateway.named().to_string());
    let policy = policy.to_str().unwrap();
    let verify = ["verify", &url, "--development", "--json"];

    let named = [&verify[..], &["--policy", policy, "--via", &via]].concat();
    let output = jeju(&named, None).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let config = dir.path().join("config.toml");
    std::fs::write(
        &config,
        format!("policy = \"policy.toml\"\ngateways = [\"{via}\"]\n"),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    assert_eq!(jeju(&verify, Some(config)).await.status.code(), Some(0));
    let chat = ["chat", "the-secret-of-the-user", "--node", &url, "--development"];
    let output = jeju(&chat, Some(config)).await;
    assert_eq!(output.stdout, b"hello\n", "{output:?}");
    let output = jeju(&[&chat[..], &["--json"]].concat(), Some(config)).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&answer["text"], &answer["promptTokens"]),
        (&"hello".into(), &3.into())
    );
    assert_eq!(answer["verdict"]["status"], "affirming");
    let pem = dir.path().join("node.pem");
    let cert = [
        "cert",
        &url,
        "--out",
        pem.to_str().unwrap(),
        "--development",
        "--json",
    ];
    let output = jeju(&cert, Some(config)).await;
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(verdict["status"] == "affirming" && pem.exists());
    let explicit = [&verify[..], &["--config", config]].concat();
    assert_eq!(jeju(&explicit, None).await.status.code(), Some(0));
    assert_eq!(gateway.names().len(), 6);

    // Without gateways nothing leads there.
    let direct = [&verify[..], &["--direct"]].concat();
    assert_eq!(jeju(&direct, Some(config)).await.status.code(), Some(5));
    let output = jeju(&[&chat[..], &["--json", "--direct"]].concat(), Some(config)).await;
    let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &failure["code"]),
        (Some(5), &"node_unreachable".into())
    );
    let missing = jeju(&verify, Some("/nonexistent/config.toml")).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("file_unreadable"));
    saw_nothing(&gateway);
}

#[tokio::test]
async fn shells_complete_commands() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef jeju"),
        ("fish", "complete -c jeju"),
    ] {
        let output = jeju(&["completion", shell], None).await;
        assert_eq!(output.status.code(), Some(0));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains(word) && script.contains("providers"), "{shell}");
    }
    // What bash makes of it.
    let script = jeju(&["completion", "bash"], None).await.stdout;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jeju.bash");
    std::fs::write(&path, script).unwrap();
    let asked = format!(
        "source {} && COMP_WORDS=(jeju prov) COMP_CWORD=1 && _jeju jeju prov jeju; echo ${{COMPREPLY[@]}}",
        path.display()
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &asked])
        .output()
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "providers provider"
    );
}
