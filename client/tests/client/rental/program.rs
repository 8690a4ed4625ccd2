//! The program without a node: what tenants and providers do on chain.

use jeju_chain::RentalStatus;
use jeju_client::provider::{Next, Operation, ProviderWallet, Step};
use serde_json::json;

use super::{OTHER, PROVIDER, SSH_KEY, Setting, USER, address, key, name, text};

const ETHER: u128 = 1_000_000_000_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_rents_extends_ends_and_is_paid_the_rest() {
    let setting = Setting::with_offer().await;
    let (user, provider) = (address(USER), address(PROVIDER));
    let script = setting.file("start.sh", b"#!/bin/sh\necho secret\n");
    let more = [
        "--image",
        "busybox",
        "--script",
        name(&script),
        "--max-cost",
        "0.02eth",
    ];
    let id = setting.create(USER, &more).await;
    let digest =
        "sha256:".to_owned() + &hex::encode(jeju_attestation::hash::sha256(b"#!/bin/sh\necho secret\n"));
    let record = setting.record(id).await;
    assert_eq!(
        record.startup_script.as_str(),
        Some(digest.as_str()),
        "not the script itself"
    );
    assert_eq!(
        record.ssh_public_key.as_str(),
        Some(SSH_KEY),
        "without its comment"
    );
    assert_eq!((record.paid, record.status), (ETHER / 50, RentalStatus::Pending));

    let listed = setting.good(USER, &["rental", "list"]).await;
    assert_eq!(listed["rentals"][0]["rentalId"], id.to_string());
    let of_provider = setting
        .good(OTHER, &["rental", "list", "--provider", &provider])
        .await;
    assert_eq!(of_provider["rentals"], listed["rentals"]);
    let nobodys = setting.good(OTHER, &["rental", "list"]).await;
    assert_eq!((&nobodys["rentals"], &nobodys["next"]), (&json!([]), &json!(0)));

    let rental = id.to_string();
    let shown = setting.good(USER, &["rental", "show", &rental]).await;
    assert_eq!(
        (&shown["statusName"], &shown["final"]),
        (&json!("pending"), &json!(false))
    );
    assert_eq!(
        (&shown["user"], &shown["paidWei"]),
        (&json!(user), &json!("20000000000000000"))
    );
    setting.anvil.finalize().await.unwrap();
    let shown = setting.good(USER, &["rental", "show", &rental]).await;
    assert_eq!(shown["final"], true);
    let late = ["rental", "wait", &rental, "--timeout", "1"];
    assert_eq!(setting.bad(USER, &late).await, ("rental_late".into(), 5));
    let early = setting
        .bad(USER, &["rental", "extend", &rental, "--hours", "1"])
        .await;
    assert_eq!(early, ("contract_refused".into(), 2));

    let start = Next {
        rental: id,
        operation: Operation::Start {
            ssh_host: "ssh.example".into(),
            ssh_port: 2222,
            container_id: "jeju-01".into(),
        },
    };
    let wallet = ProviderWallet::new(setting.market(), key(PROVIDER));
    assert!(matches!(wallet.carry_out(&start).await.unwrap(), Step::Sent(_)));
    let active = setting.good(USER, &["rental", "wait", &rental]).await;
    assert_eq!(
        (&active["sshHost"], &active["sshPort"]),
        (&json!("ssh.example"), &json!(2222))
    );
    let extended = setting
        .good(USER, &["rental", "extend", &rental, "--hours", "3"])
        .await;
    assert_eq!(extended["costWei"], "30000000000000000");
    assert_eq!(setting.record(id).await.paid_hours(), 5);
    let lines = setting.run(USER, &["rental", "show", &rental]).await;
    let lines = text(&lines.stdout);
    assert!(lines.contains("0.05 ETH for 5 h at 0.01 ETH an hour"), "{lines}");
    assert!(lines.contains("ssh         ssh.example:2222"), "{lines}");

    setting.anvil.advance_time(3600).await.unwrap();
    let ended = setting.good(USER, &["rental", "end", &rental]).await;
    let owed: u128 = ended["owedWei"].as_str().unwrap().parse().unwrap();
    assert!(
        (ETHER / 25 - ETHER / 10_000..=ETHER / 25).contains(&owed),
        "four of five hours: {owed}"
    );
    let over = setting
        .good(USER, &["rental", "wait", &rental, "--until", "over"])
        .await;
    assert_eq!(over["statusName"], "completed");
    let listed = setting.good(USER, &["rental", "list"]).await;
    assert_eq!(listed["rentals"], json!([]));
    let listed = setting.good(USER, &["rental", "list", "--all"]).await;
    assert_eq!(listed["rentals"][0]["refundedWei"], ended["owedWei"]);

    let to = "0x7777777777777777777777777777777777777777";
    let withdrawn = setting.good(USER, &["rental", "withdraw", "--to", to]).await;
    assert_eq!(withdrawn["withdrawnWei"], ended["owedWei"]);
    let again = setting.good(USER, &["rental", "withdraw"]).await;
    assert_eq!(
        (&again["withdrawnWei"], &again["transaction"]),
        (&json!("0"), &json!(null))
    );
    let earned = setting.good(PROVIDER, &["provider", "withdraw"]).await;
    let earned: u128 = earned["withdrawnWei"].as_str().unwrap().parse().unwrap();
    let used = ETHER / 20 - owed;
    assert_eq!(earned, used - used * 250 / 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_started_is_cancelled_or_expires() {
    let setting = Setting::with_offer().await;
    let script = setting.file("start.sh", b"echo public");
    let first = setting
        .create(USER, &["--script", name(&script), "--public-script"])
        .await;
    let second = setting.create(USER, &[]).await;
    assert_eq!(
        setting.record(first).await.startup_script.as_str(),
        Some("echo public")
    );
    let cancelled = setting
        .good(USER, &["rental", "cancel", &first.to_string()])
        .await;
    assert_eq!(cancelled["owedWei"], "20000000000000000");
    let second = second.to_string();
    let early = setting.run(OTHER, &["rental", "expire", &second]).await;
    assert!(
        text(&early.stderr).contains("StillStartable"),
        "{}",
        text(&early.stderr)
    );
    setting.anvil.advance_time(2 * 3600 + 60).await.unwrap();
    setting.good(OTHER, &["rental", "expire", &second]).await;
    let paid = setting.good(USER, &["rental", "withdraw"]).await;
    assert_eq!(paid["withdrawnWei"], "40000000000000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_ends_the_use_and_is_closed_when_its_time_has_come() {
    let setting = Setting::with_offer().await;
    let id = setting.create(USER, &[]).await;
    let rental = id.to_string();
    let dispute = ["rental", "dispute", &rental, "--reason", "provider-offline"];
    // Before it was started there is nothing to dispute, and nobody else has a say.
    assert_eq!(setting.bad(USER, &dispute).await, ("contract_refused".into(), 2));
    let start = Next {
        rental: id,
        operation: Operation::Start {
            ssh_host: "ssh.example".into(),
            ssh_port: 2222,
            container_id: "jeju-01".into(),
        },
    };
    let wallet = ProviderWallet::new(setting.market(), key(PROVIDER));
    assert!(matches!(wallet.carry_out(&start).await.unwrap(), Step::Sent(_)));
    assert_eq!(setting.bad(OTHER, &dispute).await, ("contract_refused".into(), 2));
    let cheap = [&dispute[..], &["--max-bond", "0.009eth"]].concat();
    assert_eq!(setting.bad(USER, &cheap).await, ("cost_too_high".into(), 2));
    let unknown = format!("0x{}", "09".repeat(32));
    let unknown = ["rental", "dispute", &unknown, "--close"];
    assert_eq!(setting.bad(USER, &unknown).await, ("rental_unknown".into(), 1));

    let evidence = [&dispute[..], &["--evidence", "https://evidence.example/1"]].concat();
    let opened = setting.good(USER, &evidence).await;
    assert_eq!(opened["bondWei"], "10000000000000000");
    assert_eq!(setting.record(id).await.status, RentalStatus::Disputed);
    // The id is the contract's.
    let selector = hex::decode("136ba6aa").unwrap();
    let asked = hex::decode(&opened["disputeId"].as_str().unwrap()[2..]).unwrap();
    let block = setting.block().await;
    let call = [selector, asked].concat();
    let found = setting
        .reader
        .call_at(&block, &setting.contract, &call, 4096)
        .await;
    let found = found.unwrap().unwrap();
    assert!(
        found
            .windows(26)
            .any(|part| part == b"https://evidence.example/1")
    );

    let close = ["rental", "dispute", &rental, "--close"];
    let early = setting.run(OTHER, &close).await;
    assert!(
        text(&early.stderr).contains("TooEarly"),
        "{}",
        text(&early.stderr)
    );
    setting.anvil.advance_time(8 * 24 * 3600).await.unwrap();
    setting.good(OTHER, &close).await;
    assert_eq!(setting.record(id).await.status, RentalStatus::Completed);
    // The bond, and what wasn't used.
    let paid = setting.good(USER, &["rental", "withdraw"]).await;
    let paid: u128 = paid["withdrawnWei"].as_str().unwrap().parse().unwrap();
    assert!((ETHER * 29 / 1000..=ETHER * 3 / 100).contains(&paid), "{paid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_rented_is_refused_before_anything_is_paid() {
    let setting = Setting::with_offer().await;
    let good = setting.file("good.pub", SSH_KEY.as_bytes());
    let rsa = setting.file("rsa.pub", b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQDD me");
    let private = setting.file("id", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n");
    let long = setting.file("long.sh", &[b'x'; 4097]);
    let fake = setting.file("fake.sh", b"sha256:00");
    let (provider, user) = (address(PROVIDER), address(USER));
    let base = ["rental", "create", "--provider", &provider, "--hours", "2"];
    for (arguments, code, exit) in [
        (&["--ssh-key", name(&rsa)][..], "ssh_key_unsupported", 1),
        (&["--ssh-key", name(&private)], "ssh_key_private", 1),
        (&["--ssh-key", name(&fake)], "ssh_key_invalid", 1),
        (&["--ssh-key", "/nonexistent/id.pub"], "file_unreadable", 1),
        (&["--ssh-key", name(&good), "--image=-v"], "image_invalid", 1),
        (
            &[
                "--ssh-key",
                name(&good),
                "--script",
                name(&long),
                "--public-script",
            ],
            "script_too_long",
            1,
        ),
        (
            &[
                "--ssh-key",
                name(&good),
                "--script",
                name(&fake),
                "--public-script",
            ],
            "arguments_invalid",
            1,
        ),
        (
            &["--ssh-key", name(&good), "--max-cost", "0.019eth"],
            "cost_too_high",
            2,
        ),
        (&["--ssh-key", name(&good), "--rpc", "ftp://a"], "rpc_invalid", 1),
    ] {
        let outcome = setting.bad(USER, &[&base[..], arguments].concat()).await;
        assert_eq!(outcome, (code.to_owned(), exit), "{arguments:?}");
    }
    let of = |provider: &str, hours: &str| {
        [
            "rental",
            "create",
            "--provider",
            provider,
            "--hours",
            hours,
            "--ssh-key",
            name(&good),
        ]
        .map(str::to_owned)
    };
    let create = async |provider: &str, hours: &str, more: &[&str]| {
        let arguments = of(provider, hours);
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        setting.bad(USER, &arguments).await.0
    };
    assert_eq!(create(&provider, "11", &[]).await, "hours_out_of_range");
    assert_eq!(create(&user, "2", &[]).await, "offer_missing");
    assert_eq!(
        create(&provider, "2", &["--chain-id", "1"]).await,
        "rpc_other_chain"
    );
    let elsewhere = ["--contract", "0x7777777777777777777777777777777777777777"];
    assert_eq!(create(&provider, "2", &elsewhere).await, "chain_unreadable");
    let closed = ["--rpc", "http://127.0.0.1:1"];
    assert_eq!(create(&provider, "2", &closed).await, "chain_unreadable");
    let id = format!("0x{}", "ab".repeat(32));
    for command in ["show", "end", "cancel", "expire", "wait"] {
        assert_eq!(
            setting.bad(USER, &["rental", command, &id]).await,
            ("rental_unknown".into(), 1),
            "{command}"
        );
    }
    assert_eq!(setting.sent(USER, "pending").await, 0, "nothing was sent");

    let rsa = setting
        .run(USER, &[&base[..], &["--ssh-key", name(&rsa)]].concat())
        .await;
    let words = text(&rsa.stderr);
    assert!(
        words.contains("ssh-keygen -t ed25519") && words.contains("ssh_key_unsupported"),
        "{words}"
    );
    let mut missing = setting.command(USER, &["rental", "list", "--json"]);
    let missing = missing
        .env_remove("COMPUTE_RENTAL_ADDRESS")
        .output()
        .await
        .unwrap();
    assert!(text(&missing.stdout).contains("contract_missing"));
    let mut missing = setting.command(USER, &["rental", "list", "--json"]);
    let missing = missing.env_remove("RPC_URL").output().await.unwrap();
    assert!(text(&missing.stdout).contains("rpc_missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_registers_with_an_agent_and_offers_what_it_has() {
    let setting = Setting::new().await;
    let register = |more: &'static [&'static str]| {
        [
            &["provider", "register", "--name", "p", "--endpoint", "https://p:1"][..],
            more,
        ]
        .concat()
    };
    let little = setting.bad(PROVIDER, &register(&["--stake", "1wei"])).await;
    assert_eq!(little, ("contract_refused".into(), 2));
    let made = setting
        .good(PROVIDER, &register(&["--new-agent", "https://p/agent.json"]))
        .await;
    assert_eq!(
        (made["transactions"].as_array().unwrap().len(), &made["stakeWei"]),
        (2, &json!("10000000000000000"))
    );
    let agent = made["agent"].as_str().unwrap().to_owned();
    let again = setting.run(PROVIDER, &register(&[])).await;
    assert!(
        text(&again.stderr).contains("ProviderAlreadyRegistered"),
        "{}",
        text(&again.stderr)
    );
    let base = [
        "provider",
        "offer",
        "--cpu-cores",
        "8",
        "--memory-gb",
        "64",
        "--storage-gb",
        "500",
        "--price",
        "1gwei",
    ];
    for (more, code) in [
        (&["--gpu", "h100"][..], "arguments_invalid"),
        (&["--gpu-count", "1"], "arguments_invalid"),
        (&["--min-hours", "5", "--max-hours", "4"], "arguments_invalid"),
        (&["--image", ""], "arguments_invalid"),
        (&["--agent", "99"], "contract_refused"),
    ] {
        let arguments = [&base[..], more].concat();
        assert_eq!(setting.bad(PROVIDER, &arguments).await.0, code, "{more:?}");
    }
    let more = [
        "--gpu",
        "h200",
        "--gpu-count",
        "2",
        "--gpu-vram-gb",
        "141",
        "--gpu-price",
        "2gwei",
        "--tee",
        "--image",
        "busybox",
        "--agent",
        &agent,
    ];
    let offered = setting.good(PROVIDER, &[&base[..], &more].concat()).await;
    assert_eq!(
        (
            &offered["hourlyRateWei"],
            offered["transactions"].as_array().unwrap().len()
        ),
        (&json!("5000000000"), 2)
    );
    let again = setting.good(PROVIDER, &[&base[..], &more].concat()).await;
    assert_eq!(
        again["transactions"].as_array().unwrap().len(),
        1,
        "linked before"
    );
    let block = setting.block().await;
    let provider = key(PROVIDER).address().into_array();
    let offer = setting
        .reader
        .offer_at(&block, &setting.contract, &provider)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            offer.resources.gpu_type.name(),
            offer.resources.gpu_count,
            offer.resources.tee_capable
        ),
        ("h200", 2, true)
    );
    let unit = setting
        .run(PROVIDER, &["provider", "offer", "--price", "1"])
        .await;
    assert!(
        text(&unit.stderr).contains("write 0.05eth"),
        "{}",
        text(&unit.stderr)
    );
}
