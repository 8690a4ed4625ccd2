//! Snapshots of a real registry: taken from a chain, signed by governance, and a node that is verified by them with no
//! chain at hand. What isn't governance's word, is old, or goes back, is refused.

use std::path::{Path, PathBuf};
use std::process::Output;

use jeju_attestation::hex_bytes::HexBytes;
use jeju_contracts::localnet::{self, Anvil, AnvilOptions};
use jeju_contracts::registry::{self, Proposal};
use jeju_contracts::sender::Sender;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::node::{Chained, Node, Trick};

/// Anvil's third account, governance here, and its fourth.
const GOVERNANCE: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const ACCOUNT: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";
const OTHER: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";

/// A chain whose registry accepts the node's measurement, and a folder of files.
struct World {
    anvil: Anvil,
    registry: [u8; 20],
    node: Node,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let options = AnvilOptions {
            port: 0,
            block_time: None,
        };
        let anvil = tokio::task::spawn_blocking(move || Anvil::spawn(&options))
            .await
            .unwrap()
            .expect("anvil starts (npm ci in contracts/)");
        let registry = anvil.deploy_registry().await.unwrap();
        anvil.finalize().await.unwrap();
        let block = anvil.reader().finalized_block().await.unwrap().block;
        let chained = Chained {
            registry,
            anchor: (block.number, block.hash),
        };
        let world = Self {
            node: Node::start_with(Trick::Honest, "127.0.0.1", chained).await,
            registry,
            anvil,
            folder: tempfile::tempdir().unwrap(),
        };
        world.admit(Node::measurement().0, 3).await;
        world.write("policy.toml", &world.policy(""));
        world.secret("governance.key", GOVERNANCE);
        world.secret("other.key", OTHER);
        world
    }

    async fn admit(&self, id: [u8; 32], version: u32) {
        self.anvil
            .admit(self.registry, &proposal(id, version))
            .await
            .unwrap();
    }

    /// The node's policy with governance in the place of a list, and `more` of its registry.
    fn policy(&self, more: &str) -> String {
        let pinned = format!("measurements = [\"{}\"]\n", Node::measurement());
        let governance = format!("governance = \"{ACCOUNT}\"\n{more}chain_id");
        self.node
            .policy()
            .replace(&pinned, "")
            .replacen("chain_id", &governance, 1)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, text);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    async fn jeju(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jeju"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    /// Writes a snapshot of the chain as it is now.
    async fn take(&self, name: &str) -> Value {
        let registry = HexBytes(self.registry).to_string();
        let (url, out) = (self.anvil.url(), self.text(name));
        let output = self
            .jeju(&[
                "policy",
                "snapshot",
                "--rpc",
                &url,
                "--registry",
                &registry,
                "--chain-id",
                "31337",
                "--out",
                &out,
            ])
            .await;
        assert!(output.status.success(), "{}", error(&output));
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    async fn sign(&self, name: &str, key: &str) -> Output {
        let (file, key) = (self.text(name), self.text(key));
        self.jeju(&["policy", "sign", &file, "--key", &key]).await
    }

    /// What comes of verifying the node by a snapshot, as JSON.
    async fn verify(&self, snapshot: &str, more: &[&str]) -> (i32, Value) {
        let (url, policy, snapshot) = (self.node.url(), self.text("policy.toml"), self.text(snapshot));
        let mut arguments = vec!["verify", &url, "--policy", &policy, "--development", "--json"];
        arguments.extend(["--snapshot", &snapshot]);
        arguments.extend(more);
        let output = self.jeju(&arguments).await;
        let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), value)
    }

    async fn refused(&self, snapshot: &str, more: &[&str]) -> (i32, String) {
        let (exit, value) = self.verify(snapshot, more).await;
        (exit, value["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn proposal(id: [u8; 32], version: u32) -> Proposal {
    Proposal {
        id,
        release_digest: [7; 32],
        version,
        platform: jeju_chain::platform::SIMULATED,
        custody: 0,
        flags: 0,
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn changed(from: &Path, to: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(from).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(to, value.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_verified_by_a_signed_snapshot_without_a_chain() {
    let mut world = World::new().await;
    // What isn't in force isn't in the snapshot.
    let owner = localnet::owner_key();
    let sender = Sender::new(world.anvil.rpc(), &owner, 31337);
    let only_proposed = proposal([0x21; 32], 3);
    registry::propose(&sender, world.registry.into(), &only_proposed)
        .await
        .unwrap();
    world.admit([0x22; 32], 3).await;
    world.anvil.revoke(world.registry, [0x22; 32]).await.unwrap();
    let snapshot = world.take("snapshot.json").await;
    let entries = snapshot["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{snapshot}");
    assert_eq!(entries[0]["id"], Node::measurement().to_string());
    assert_eq!(
        (&entries[0]["platform"], &entries[0]["version"]),
        (&json!("simulated"), &json!(3))
    );
    assert_eq!(snapshot["policyEpoch"], 3);

    assert_eq!(
        world.refused("snapshot.json", &[]).await,
        (3, "snapshot_unsigned".into())
    );
    assert!(world.sign("snapshot.json", "other.key").await.status.success());
    let other = world.refused("snapshot.json", &[]).await;
    assert_eq!(other, (3, "snapshot_signature_invalid".into()));
    let signed = world.sign("snapshot.json", "governance.key").await;
    assert!(signed.status.success(), "{}", error(&signed));

    // No endpoint answers any more.
    world.anvil = another_chain().await;
    let (exit, verdict) = world.verify("snapshot.json", &[]).await;
    assert_eq!(exit, 0, "{verdict}");
    let reference = &verdict["reference"];
    assert_eq!(
        (&reference["mode"], &reference["block"]),
        (&json!("pinned"), &snapshot["block"])
    );
    assert_eq!(reference["policyEpoch"], 3);
    assert!(verdict["age_seconds"].is_null(), "no block could be looked up");
    assert!(!world.path(".local").exists(), "a local chain is not remembered");

    // One field changed, another registry's, another node.
    let (from, to) = (world.path("snapshot.json"), world.path("changed.json"));
    changed(&from, &to, |value| value["entries"][0]["version"] = json!(4));
    let forged = world.refused("changed.json", &[]).await;
    assert_eq!(forged, (3, "snapshot_signature_invalid".into()));
    changed(&from, &to, |value| value["registry"] = json!(HexBytes([9; 20])));
    world.sign("changed.json", "governance.key").await;
    let elsewhere = world.refused("changed.json", &[]).await;
    assert_eq!(elsewhere, (2, "snapshot_other_registry".into()));
    changed(&from, &to, |value| value["entries"] = json!([]));
    world.sign("changed.json", "governance.key").await;
    let unlisted = world.refused("changed.json", &[]).await;
    assert_eq!(unlisted, (2, "measurement_unknown".into()));
    changed(&from, &to, |value| {
        value["timestamp"] = json!(1_000_000);
        value["notAfter"] = json!(1_000_000 + 7 * 24 * 3600);
    });
    world.sign("changed.json", "governance.key").await;
    assert_eq!(
        world.refused("changed.json", &[]).await,
        (4, "snapshot_expired".into())
    );

    // Without the snapshot, or without who signs it, there is nothing to trust.
    let (url, policy) = (world.node.url(), world.text("policy.toml"));
    let without = world
        .jeju(&["verify", &url, "--policy", &policy, "--development"])
        .await;
    assert_eq!(without.status.code(), Some(1));
    assert!(
        error(&without).contains("snapshot_missing"),
        "{}",
        error(&without)
    );
    let anyone = world.policy("").replace(
        &format!("governance = \"{ACCOUNT}\"\n"),
        "rpc = [\"http://127.0.0.1:1\"]\n",
    );
    world.write("policy.toml", &anyone);
    let unnamed = world.refused("snapshot.json", &[]).await;
    assert_eq!(unnamed, (1, "snapshot_without_governance".into()));
    assert!(
        world.node.requests().is_empty(),
        "nothing was sent to anybody who wasn't verified"
    );
}

/// A chain without the registry.
async fn another_chain() -> Anvil {
    let options = AnvilOptions {
        port: 0,
        block_time: None,
    };
    tokio::task::spawn_blocking(move || Anvil::spawn(&options))
        .await
        .unwrap()
        .unwrap()
}

/// What is signed is the message that another wallet shows and signs.
#[tokio::test(flavor = "multi_thread")]
async fn another_wallet_signs_the_same_snapshot() {
    let world = World::new().await;
    world.take("ours.json").await;
    std::fs::copy(world.path("ours.json"), world.path("theirs.json")).unwrap();
    assert!(world.sign("ours.json", "governance.key").await.status.success());
    let file = world.text("theirs.json");
    let shown = world
        .jeju(&["policy", "show", &file, "--typed-data", "--json"])
        .await;
    let data = String::from_utf8(shown.stdout).unwrap();
    let cast = localnet::anvil_binary().unwrap().with_file_name("cast");
    let signed = Command::new(cast)
        .args([
            "wallet",
            "sign",
            "--private-key",
            GOVERNANCE,
            "--data",
            data.trim(),
        ])
        .output()
        .await
        .unwrap();
    assert!(signed.status.success(), "{}", error(&signed));
    let signature = String::from_utf8(signed.stdout).unwrap();
    let add = async |signature: &str, governance: &str| {
        world
            .jeju(&[
                "policy",
                "sign",
                &file,
                "--signature",
                signature,
                "--governance",
                governance,
            ])
            .await
    };
    let before = std::fs::read(&file).unwrap();
    let zeros = format!("0x{}", "00".repeat(20));
    assert_eq!(add(signature.trim(), &zeros).await.status.code(), Some(3));
    assert_eq!(
        std::fs::read(&file).unwrap(),
        before,
        "nothing is written that is not governance's"
    );
    let added = add(signature.trim(), ACCOUNT).await;
    assert!(added.status.success(), "{}", error(&added));
    let (ours, theirs) = (world.path("ours.json"), world.path("theirs.json"));
    assert_eq!(std::fs::read(ours).unwrap(), std::fs::read(theirs).unwrap());
    assert_eq!(world.verify("theirs.json", &[]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_is_refused_and_the_chain_can_only_take_away() {
    let world = World::new().await;
    world.take("first.json").await;
    world.admit([0x31; 32], 3).await;
    world.take("second.json").await;
    for name in ["first.json", "second.json"] {
        assert!(world.sign(name, "governance.key").await.status.success());
    }
    let state = world.text("state");
    let remembering = ["--policy-state", state.as_str()];
    assert_eq!(world.verify("first.json", &remembering).await.0, 0);
    assert_eq!(world.verify("second.json", &remembering).await.0, 0);
    let back = world.refused("first.json", &remembering).await;
    assert_eq!(back, (4, "policy_rolled_back".into()));
    assert_eq!(
        world.verify("first.json", &[]).await.0,
        0,
        "who remembers nothing can't tell"
    );

    // Endpoints beside the snapshot: they say that it is over, and what they say is remembered as well.
    let rpc = world.anvil.url();
    let asking = [&remembering[..], &["--rpc", rpc.as_str()]].concat();
    let (exit, verdict) = world.verify("second.json", &asking).await;
    assert_eq!((exit, &verdict["reference"]["mode"]), (0, &json!("pinned")));
    assert!(verdict["age_seconds"].is_u64());
    world
        .anvil
        .revoke(world.registry, Node::measurement().0)
        .await
        .unwrap();
    let revoked = world.refused("second.json", &asking).await;
    assert_eq!(revoked, (2, "measurement_revoked".into()));
    let known = world.refused("second.json", &remembering).await;
    assert_eq!(
        known,
        (4, "policy_rolled_back".into()),
        "a later policy epoch was seen"
    );
    let third = world.take("third.json").await;
    assert_eq!(third["entries"].as_array().unwrap().len(), 1);
    assert!(world.sign("third.json", "governance.key").await.status.success());
    let unlisted = world.refused("third.json", &remembering).await;
    assert_eq!(unlisted, (2, "measurement_unknown".into()));

    // A file that somebody spoilt is no empty one.
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            std::fs::write(path, "{").unwrap();
        }
    }
    let spoilt = world.refused("third.json", &remembering).await;
    assert_eq!(spoilt, (1, "policy_state_unusable".into()));
}

/// Endpoints alone, with a memory: another chain, or an older state of the same one, isn't believed.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_can_not_go_back_either() {
    let world = World::new().await;
    let rpc = format!("rpc = [\"{}\"]\n", world.anvil.url());
    world.write(
        "policy.toml",
        &world
            .policy(&rpc)
            .replace(&format!("governance = \"{ACCOUNT}\"\n"), ""),
    );
    let (url, policy, state) = (world.node.url(), world.text("policy.toml"), world.text("state"));
    let verify = async || {
        let arguments = [
            "verify",
            &url,
            "--policy",
            &policy,
            "--development",
            "--policy-state",
            &state,
        ];
        let output = world.jeju(&arguments).await;
        (output.status.code().unwrap(), error(&output))
    };
    let (exit, text) = verify().await;
    assert_eq!(exit, 0, "{text}");
    let snapshot: Value = world.anvil.rpc().call("evm_snapshot", json!([])).await.unwrap();
    world.admit([0x41; 32], 3).await;
    assert_eq!(verify().await.0, 0);
    // The node of the chain forgets what it showed: the epoch is lower, or the block another one.
    let _: Value = world
        .anvil
        .rpc()
        .call("evm_revert", json!([snapshot]))
        .await
        .unwrap();
    world.anvil.mine(8).await.unwrap();
    let (exit, text) = verify().await;
    assert_ne!(exit, 0);
    assert!(
        text.contains("chain_refused") || text.contains("policy_rolled_back"),
        "{text}"
    );
}
