//! A provider's registration, stake, services and seeds, by the program.

use serde_json::{Value, json};

use super::{PaidNode, Setting, name, stranger};
use crate::rental::{OTHER, PROVIDER, address};

async fn status(setting: &Setting) -> Value {
    setting.good(PROVIDER, &["provider", "status"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_registers_without_rentals_and_changes_what_it_said() {
    let setting = Setting::new().await;
    let nobody = setting.bad(PROVIDER, &["provider", "status"]).await;
    assert_eq!(nobody, ("nothing_to_do".to_owned(), 1));
    setting.register(PROVIDER).await;
    let shown = status(&setting).await;
    assert_eq!(shown["endpoint"], "https://p.example:4007");
    assert_eq!((&shown["active"], &shown["agent"]), (&json!(true), &Value::Null));
    let nothing = setting.bad(PROVIDER, &["provider", "update"]).await;
    assert_eq!(nothing, ("arguments_invalid".to_owned(), 1));

    let uri = ["--uri", "https://p.example/agent.json"];
    let made = setting
        .good(PROVIDER, &[&["provider", "agent", "register"][..], &uri].concat())
        .await;
    let agent = made["agent"].as_str().unwrap();
    let moved = ["--endpoint", "https://q.example:4007", "--agent", agent];
    setting
        .good(PROVIDER, &[&["provider", "update"][..], &moved].concat())
        .await;
    let shown = status(&setting).await;
    assert_eq!(shown["endpoint"], "https://q.example:4007");
    assert_eq!(shown["agent"], agent);
    setting
        .good(
            PROVIDER,
            &["provider", "agent", "set-uri", agent, "--uri", "ipfs://x"],
        )
        .await;
    setting
        .good(PROVIDER, &["provider", "update", "--inactive"])
        .await;
    assert_eq!(status(&setting).await["active"], false);
    setting.good(PROVIDER, &["provider", "update", "--active"]).await;
    assert_eq!(status(&setting).await["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn stake_is_added_and_comes_back_once_it_is_unbound() {
    let setting = Setting::new().await;
    setting.register(PROVIDER).await;
    let before: u128 = number(&status(&setting).await["stakeWei"]);
    setting
        .good(PROVIDER, &["provider", "stake", "add", "0.5eth"])
        .await;
    setting
        .good(PROVIDER, &["provider", "stake", "remove", "0.2eth"])
        .await;
    let shown = status(&setting).await;
    assert_eq!(number(&shown["unbindingWei"]), 200_000_000_000_000_000);
    assert_eq!(number(&shown["stakeWei"]), before + 300_000_000_000_000_000);
    let early = setting.bad(PROVIDER, &["provider", "stake", "withdraw"]).await;
    assert_eq!(early, ("nothing_to_do".to_owned(), 1));
    setting.anvil.advance_time(40 * 24 * 3600).await.unwrap();
    let fetched = setting.good(PROVIDER, &["provider", "stake", "withdraw"]).await;
    assert_eq!(fetched["withdrawn"], "0.2 ETH");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_found_paid_and_ended() {
    let setting = Setting::with_service().await;
    let add = |input: &'static str| {
        let prices = ["--price-in", input, "--price-out", "100wei"];
        [&["provider", "service", "add", "--model", "tiny"][..], &prices].concat()
    };
    // Twice is once.
    let before = setting.sent(PROVIDER).await;
    assert_eq!(setting.good(PROVIDER, &add("10wei")).await["service"], 0);
    assert_eq!(setting.sent(PROVIDER).await, before);
    let other_price = setting.bad(PROVIDER, &add("11wei")).await;
    assert_eq!(other_price, ("nothing_to_do".to_owned(), 1));
    let registry = setting.contract("computeRegistry");
    let provider = super::account(PROVIDER).account();
    let block = setting.block().await;
    let listed = setting.reader.capabilities_at(&block, &registry, &provider.0);
    let listed = listed.await.unwrap();
    assert_eq!((listed.len(), listed[0].model.as_str()), (1, Some("tiny")));

    let end = ["provider", "service", "end", "--model", "tiny"];
    assert_eq!(setting.good(PROVIDER, &end).await["service"], 0);
    assert_eq!(setting.bad(PROVIDER, &end).await.0, "nothing_to_do");
    let list = setting.good(PROVIDER, &["provider", "service", "list"]).await;
    assert_eq!(list["services"], json!([]));
    assert_eq!(setting.good(PROVIDER, &add("11wei")).await["service"], 1);
    let all = setting
        .good(PROVIDER, &["provider", "service", "list", "--all"])
        .await;
    let active: Vec<_> = all["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["active"].clone())
        .collect();
    assert_eq!(active, [json!(false), json!(true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_nodes_boot_signs_settlements() {
    let setting = Setting::with_service().await;
    let node = PaidNode::start(&setting).await;
    let (show, set) = (["provider", "signer", "show"], ["provider", "signer", "set"]);
    assert_eq!(setting.good(PROVIDER, &show).await["signer"], address(PROVIDER));
    let stranger = stranger();
    setting
        .good(PROVIDER, &[&set[..], &["--address", &stranger]].concat())
        .await;
    assert_eq!(setting.good(PROVIDER, &show).await["signer"], stranger);
    let url = node.node.url();
    let of_node = [&set[..], &node.options(&url)].concat();
    let named = setting.good(PROVIDER, &of_node).await["signer"].clone();
    let signer = node.session().await.signer().unwrap().to_string();
    assert_eq!(
        (&named, &setting.good(PROVIDER, &show).await["signer"]),
        (&json!(signer), &named)
    );
    let before = setting.sent(PROVIDER).await;
    setting.good(PROVIDER, &of_node).await;
    assert_eq!(setting.sent(PROVIDER).await, before);
    // Another provider's node.
    let other = setting.bad(OTHER, &of_node).await;
    assert_eq!(other, ("node_other_payments".to_owned(), 2));
    setting.good(PROVIDER, &[&set[..], &["--none"]].concat()).await;
    assert_eq!(setting.good(PROVIDER, &show).await["signer"], address(PROVIDER));
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_are_registered_if_they_verify_and_named_if_they_do_not() {
    let setting = Setting::new().await;
    let node = PaidNode::start(&setting).await;
    let phala = format!("phala={}", node.node.url());
    // Nobody listens there.
    let others = [
        "--endpoint",
        "marlin=https://127.0.0.1:1",
        "--endpoint",
        "oasis=https://127.0.0.1:1",
    ];
    let base = ["provider", "seed", "--network", "localnet", "--endpoint", &phala];
    let trust = ["--policy", name(&node.policy), "--development"];
    let keys = setting.folder.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    for (name, key) in [
        ("phala", PROVIDER),
        ("marlin", OTHER),
        ("oasis", crate::rental::USER),
    ] {
        let path = keys.join(name);
        std::fs::write(&path, key).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let keys = ["--keys", name(&keys)];
    let seed = async |more: &[&str]| {
        let output = setting
            .run(
                PROVIDER,
                &[&base[..], &others, &trust, more, &["--json"]].concat(),
            )
            .await;
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (report, output.status.code())
    };
    let (report, code) = seed(&["--dry-run"]).await;
    assert_eq!(code, Some(5));
    assert_eq!(setting.sent(PROVIDER).await, 0);
    let (phala, marlin) = (&report["providers"][0], &report["providers"][1]);
    assert_eq!(phala["done"], json!(["verified, and nothing was sent"]));
    assert_eq!(phala["funding"]["amount"], "100 PHA");
    assert_eq!(marlin["code"], "provider_unverified");
    let message = marlin["message"].as_str().unwrap();
    assert!(
        message.contains("Jeju-Marlin-Testnet-1") && message.contains("Oyster"),
        "{message}"
    );

    let (report, _) = seed(&keys).await;
    let done = report["providers"][0]["done"].as_array().unwrap();
    assert_eq!(done.len(), 7, "{done:?}");
    let shown = status(&setting).await;
    assert_eq!(
        (&shown["name"], &shown["endpoint"]),
        (&json!("Jeju-Phala-Testnet-1"), &json!(node.node.url()))
    );
    assert_eq!(shown["services"].as_array().unwrap().len(), 3);
    let sent = setting.sent(PROVIDER).await;
    let (again, _) = seed(&keys).await;
    assert_eq!(again["providers"][0]["done"], json!(["was registered before"]));
    assert_eq!(
        (setting.sent(PROVIDER).await, setting.sent(OTHER).await),
        (sent, 0)
    );

    // One key for three: an account can hold one registration.
    let one = seed_keys(&setting);
    let shared = setting
        .bad(PROVIDER, &[&base[..], &trust, &["--keys", &one]].concat())
        .await;
    assert_eq!(shared, ("arguments_invalid".to_owned(), 1));
}

fn seed_keys(setting: &Setting) -> String {
    let folder = setting.folder.path().join("one");
    std::fs::create_dir(&folder).unwrap();
    for name in ["phala", "marlin", "oasis"] {
        let path = folder.join(name);
        std::fs::write(&path, PROVIDER).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    name(&folder).to_owned()
}

fn number(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}
