//! What a tenant asks of a verified node: signed for that node and that request.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::replay::ReplayCache;
use jeju_wallet_auth::v2::{self, Audience, Request, Signer};
use serde_json::json;

use super::{AGENT, CHAIN, PROVIDER, RentingNode, SSH_KEY, Setting, USER, address, key, name, text};
use crate::node::REGISTRY;

fn header<'a>(head: &'a str, wanted: &str) -> &'a str {
    let found = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case(wanted).then_some(value)
    });
    found.unwrap_or_else(|| panic!("no {wanted} in {head}"))
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap(), &mut bytes).unwrap();
    bytes
}

/// Judges the node's last request as a node does.
fn signer(node: &RentingNode, now: u64) -> Signer {
    let (target, body) = node.node.requests().pop().unwrap();
    let head = node.node.heads().pop().unwrap();
    let method = head.split(' ').next().unwrap();
    let request = Request {
        account: Account(bytes(header(&head, "x-jeju-address"))),
        method,
        path: &target,
        body_digest: Request::digest_of_body(&body),
        nonce: bytes(header(&head, "x-jeju-nonce")),
        expiry: header(&head, "x-jeju-expiry").parse().unwrap(),
    };
    let signature: [u8; 65] = bytes(header(&head, "x-jeju-signature"));
    let audience = Audience {
        chain_id: CHAIN,
        registry: Account(REGISTRY),
        node: AGENT,
    };
    let mut used = ReplayCache::new(10, v2::MAX_REQUEST_LIFE);
    v2::verify(&request, &signature, None, &audience, now, &mut used).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_about_a_container_are_the_renters() {
    let setting = Setting::with_offer().await;
    let node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    let script = setting.file("start.sh", b"echo hello");
    let id = setting.create(USER, &["--script", name(&script)]).await;
    // The chain's clock is what nodes judge by, also where it is far from this machine's.
    setting.anvil.advance_time(3600).await.unwrap();
    let now = setting.block().await.timestamp;
    let user = Signer::Account(Account(key(USER).address().into_array()));
    let (rental, url) = (id.to_string(), node.node.url());
    let policy = node.policy.to_str().unwrap();
    let trust = ["--node", &url, "--policy", policy, "--development"];
    let path = |what: &str| format!("/v1/rentals/{id}/{what}");
    let asked = |command: &'static str, more: &'static [&'static str]| {
        [&["rental", command, &rental][..], &trust, more].concat()
    };

    node.answer(&path("logs"), 200, &json!("line\u{1b}[2J"));
    let output = setting.run(USER, &asked("logs", &["--tail", "7"])).await;
    assert_eq!(
        text(&output.stdout),
        r#""line\u001b[2J""#,
        "{}",
        text(&output.stderr)
    );
    assert_eq!(node.node.requests().pop().unwrap().0, path("logs?tail=7"));
    assert_eq!(signer(&node, now), user);

    node.answer(
        &path("exec"),
        200,
        &json!({ "exitCode": 3, "stdout": "out\n", "stderr": "err\n", "truncated": true }),
    );
    let output = setting
        .run(USER, &asked("exec", &["--", "ls", "-l", "a b"]))
        .await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "out\n"));
    assert!(text(&output.stderr).starts_with("err\njeju: the output was cut off"));
    let (_, body) = node.node.requests().pop().unwrap();
    assert_eq!(body, br#"{"command":["ls","-l","a b"]}"#);
    assert!(node.node.heads().pop().unwrap().starts_with("POST "));
    assert_eq!(signer(&node, now), user);
    let whole = setting
        .good(USER, &asked("exec", &["--json", "--", "ls"])[..])
        .await;
    assert_eq!(whole["exitCode"], 3);

    node.answer(
        &path("metrics"),
        200,
        &json!({ "metrics": { "cpuUsage": 12, "uptime": 5 } }),
    );
    let metrics = setting.good(USER, &asked("metrics", &[])).await;
    assert_eq!(metrics["metrics"]["cpuUsage"], 12);
    assert_eq!(signer(&node, now), user);

    node.answer(&path("script"), 200, &json!({ "accepted": true }));
    let script = setting.file("start.sh", b"echo hello");
    let hand_over = [&asked("script", &[])[..], &["--script", name(&script)]].concat();
    let taken = setting.good(USER, &hand_over).await;
    assert_eq!(taken["scriptUploaded"], true);
    let (_, body) = node.node.requests().pop().unwrap();
    assert_eq!(body, b"echo hello");
    assert!(node.node.heads().pop().unwrap().starts_with("PUT "));
    assert_eq!(signer(&node, now), user);
    setting.file("start.sh", b"echo other");
    let before = node.node.requests().len();
    assert_eq!(
        setting.bad(USER, &hand_over).await,
        ("rental_script_mismatch".into(), 1)
    );
    assert_eq!(
        node.node.requests().len(),
        before,
        "another script never leaves this machine"
    );

    node.answer(
        &path("metrics"),
        403,
        &json!({ "error": { "code": "rental_not_yours", "message": "no" } }),
    );
    assert_eq!(
        setting.bad(USER, &asked("metrics", &[])).await,
        ("rental_not_yours".into(), 2)
    );
    node.answer(&path("metrics"), 500, &json!("<html>"));
    assert_eq!(
        setting.bad(USER, &asked("metrics", &[])).await,
        ("answer_malformed".into(), 3)
    );
    node.answer(&path("exec"), 200, &json!({ "stdout": "" }));
    assert_eq!(
        setting
            .bad(USER, &asked("exec", &["--json", "--", "ls"])[..])
            .await
            .0,
        "answer_malformed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_verified_before_anything_is_paid_and_then_gets_the_script() {
    let setting = Setting::with_offer().await;
    let node = RentingNode::start(&setting, setting.contract, PROVIDER).await;
    let url = node.node.url();
    let policy = node.policy.to_str().unwrap();
    let ssh_key = setting.file("id.pub", SSH_KEY.as_bytes());
    let script = setting.file("start.sh", b"echo hello");
    let base = [
        "rental",
        "create",
        "--hours",
        "1",
        "--ssh-key",
        name(&ssh_key),
        "--script",
        name(&script),
        "--node",
        &url,
    ];
    let trusted = [&base[..], &["--policy", policy, "--development"]].concat();
    // Not what the policy asks for; another contract; another provider; no trust at all.
    let strict = std::fs::read_to_string(policy)
        .unwrap()
        .replace("rentals = [\"host\"]", "");
    let strict = setting.file("strict.toml", strict.as_bytes());
    let refused = [&base[..], &["--policy", name(&strict), "--development"]].concat();
    assert_eq!(setting.bad(USER, &refused).await.1, 2);
    let elsewhere = [
        &trusted[..],
        &["--contract", "0x7777777777777777777777777777777777777777"],
    ]
    .concat();
    assert_eq!(setting.bad(USER, &elsewhere).await.0, "node_other_contract");
    let user = address(USER);
    let another = [&trusted[..], &["--provider", &user]].concat();
    assert_eq!(setting.bad(USER, &another).await.0, "node_other_provider");
    assert_eq!(setting.bad(USER, &base).await.0, "policy_missing");
    assert_eq!(setting.sent(USER, "pending").await, 0, "nothing was paid");

    // The node sees the rental only when it is final.
    let task = async {
        let id = loop {
            let block = setting.block().await;
            let user = key(USER).address().into_array();
            let made = setting
                .reader
                .user_rentals_at(&block, &setting.contract, &user, 0, 1)
                .await;
            if let Some(id) = made.unwrap().first() {
                break HexBytes(*id);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        while node.node.requests().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        node.answer(&format!("/v1/rentals/{id}/script"), 200, &json!({}));
        id
    };
    let (made, id) = tokio::join!(setting.good(USER, &trusted), task);
    assert_eq!(
        (&made["rentalId"], &made["scriptUploaded"]),
        (&json!(id), &json!(true))
    );
    assert_eq!(
        (&made["provider"], &made["isolation"]),
        (&json!(address(PROVIDER)), &json!("host"))
    );

    // What fails after the payment names the rental.
    let (path, _) = node.node.requests().pop().unwrap();
    node.answers.lock().unwrap().clear();
    let short = [&trusted[..], &["--timeout", "0"]].concat();
    let output = setting.run(USER, &short).await;
    assert_eq!(output.status.code(), Some(1));
    let words = text(&output.stderr);
    assert!(
        words.contains("is made and paid, but") && words.contains("rental_unknown"),
        "{words}"
    );
    assert_ne!(node.node.requests().pop().unwrap().0, path);
}
