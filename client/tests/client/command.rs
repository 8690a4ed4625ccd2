//! The program: output, exit codes, files.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::node::{Node, Trick};
use crate::rpc::{Chain, Endpoint};

async fn jeju(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jeju"))
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

fn file(policy: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    std::fs::write(&path, policy).unwrap();
    (dir, path)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn verify_prints_at_most_ten_marked_lines() {
    let node = Node::start(Trick::Honest).await;
    let endpoint = Endpoint::start(Chain::default()).await;
    let (_dir, policy) = file(&node.policy_with_rpc(&endpoint.url));
    let policy = policy.to_str().unwrap();
    let output = jeju(&["verify", &node.url(), "--policy", policy, "--development"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert!((8..=10).contains(&lines.len()), "{lines:#?}");
    for line in &lines {
        assert!(line.starts_with("[development] "), "{line}");
    }
    assert!(
        lines[0].contains("mode channel") && lines[0].contains("rpc, not proved"),
        "{}",
        lines[0]
    );

    let output = jeju(&[
        "verify",
        &node.url(),
        "--policy",
        policy,
        "--development",
        "--json",
    ])
    .await;
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&verdict["status"], &verdict["kind"]),
        (&"affirming".into(), &"development".into())
    );
    assert_eq!(verdict["node"], node.url());
}

#[tokio::test]
async fn exit_codes_and_json_on_failure() {
    let node = Node::start(Trick::Honest).await;
    let stale = Endpoint::start(Chain {
        anchor_age: Some(86_400),
        ..Chain::default()
    })
    .await;
    let forged = Node::start(Trick::OtherNode).await;
    let (_a, good) = file(&node.policy());
    let (_b, unknown) = file(&node.policy().replace(
        &Node::measurement().to_string(),
        &format!("0x{}", "22".repeat(32)),
    ));
    let (_c, stale_policy) = file(&node.policy_with_rpc(&stale.url));
    let (_d, forged_policy) = file(&forged.policy());
    let nowhere = "https://127.0.0.1:1".to_owned();
    for (url, policy, exit, code, class) in [
        (node.url(), &unknown, 2, "measurement_unknown", "policy"),
        (
            forged.url(),
            &forged_policy,
            3,
            "claims_of_another_node",
            "evidence",
        ),
        (node.url(), &stale_policy, 4, "evidence_stale", "stale"),
        (nowhere, &good, 5, "node_unreachable", "network"),
    ] {
        let policy = policy.to_str().unwrap();
        let output = jeju(&["verify", &url, "--policy", policy, "--development", "--json"]).await;
        assert_eq!(output.status.code(), Some(exit), "{code}");
        let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(failure["status"], "contraindicated");
        assert_eq!(
            (&failure["code"], &failure["class"]),
            (&code.into(), &class.into())
        );
        assert!(failure["message"].is_string());
        let output = jeju(&["verify", &url, "--policy", policy, "--development"]).await;
        assert_eq!(output.status.code(), Some(exit), "{code}");
        assert!(output.stdout.is_empty() && text(&output.stderr).contains(code));
    }
    // Without the user's own word a development policy is not read; without any policy there is nothing to trust.
    let good = good.to_str().unwrap();
    for arguments in [
        vec!["verify", "https://127.0.0.1:1", "--policy", good],
        vec!["verify", "https://127.0.0.1:1"],
    ] {
        assert_eq!(jeju(&arguments).await.status.code(), Some(1));
    }
    let (url, registry) = (node.url(), format!("0x{}", "09".repeat(20)));
    let mut hardware = vec!["verify", &url, "--rpc", &stale.url, "--registry", &registry];
    hardware.extend(["--chain-id", "31337"]);
    let output = jeju(&hardware).await;
    assert_eq!(
        output.status.code(),
        Some(2),
        "endpoints that agree, and nobody said that this is enough"
    );
    assert!(text(&output.stderr).contains("reference_not_proved"));
    hardware.push("--allow-rpc");
    let output = jeju(&hardware).await;
    assert_eq!(
        output.status.code(),
        Some(2),
        "simulated silicon under a policy that does not name it"
    );
    assert!(text(&output.stderr).contains("tee_not_accepted"));
}

#[tokio::test]
async fn cert_writes_the_verified_leaf_only() {
    let node = Node::start(Trick::Honest).await;
    let (dir, policy) = file(&node.policy());
    let policy = policy.to_str().unwrap();
    let out = dir.path().join("node.pem");
    let out_text = out.to_str().unwrap();
    let output = jeju(&[
        "cert",
        &node.url(),
        "--out",
        out_text,
        "--policy",
        policy,
        "--development",
    ])
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let pem = std::fs::read_to_string(&out).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));

    let other = Node::start(Trick::Honest).await;
    let refused = dir.path().join("refused.pem");
    let out_text = refused.to_str().unwrap();
    let output = jeju(&[
        "cert",
        &other.url(),
        "--out",
        out_text,
        "--policy",
        policy,
        "--development",
    ])
    .await;
    assert_eq!(output.status.code(), Some(3));
    assert!(!refused.exists());
}

#[tokio::test]
async fn chat_prints_the_answer() {
    let node = Node::start(Trick::Honest).await;
    let (_dir, policy) = file(&node.policy());
    let policy = policy.to_str().unwrap();
    let arguments = [
        "chat",
        "hi",
        "--node",
        &node.url(),
        "--policy",
        policy,
        "--development",
        "--stream",
    ];
    let output = jeju(&arguments).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "hello\n"));
    node.trick(Trick::StreamForged);
    let output = jeju(&arguments).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("stream_signature_invalid"));
    // What came is shown, and that it isn't all.
    node.trick(Trick::StreamFailed);
    let output = jeju(&arguments).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(5), "hel"));
    assert!(text(&output.stderr).contains("answer_incomplete"));
}

#[tokio::test]
async fn the_proxy_refuses_other_interfaces() {
    let node = Node::start(Trick::Honest).await;
    let (_dir, policy) = file(&node.policy());
    let policy = policy.to_str().unwrap();
    let arguments = [
        "proxy",
        "--node",
        &node.url(),
        "--listen",
        "0.0.0.0:0",
        "--policy",
        policy,
        "--development",
    ];
    let output = jeju(&arguments).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not a loopback address"));
}
