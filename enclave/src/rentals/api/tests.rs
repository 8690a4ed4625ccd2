use std::time::Duration;

use jeju_attestation::hex_bytes::HexBytes;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::rentals::manager::tests::chain::Wish;
use crate::rentals::manager::tests::{IMAGE, Stage, script_digest, wish};

const RENTER: Option<[u8; 20]> = Some([1; 20]);
const OTHER: Option<[u8; 20]> = Some([9; 20]);

async fn document(stage: &Stage, account: Option<[u8; 20]>, action: Action) -> Value {
    match stage.ask(account, action).await {
        Some(Answer::Document(document)) => document,
        other => panic!("{other:?}"),
    }
}

async fn refusal(stage: &Stage, account: Option<[u8; 20]>, action: Action) -> Option<Refusal> {
    match stage.ask(account, action).await {
        Some(Answer::Refused { refusal, .. }) => Some(refusal),
        _ => None,
    }
}

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn with_a_rental() -> (Arc<Stage>, RentalId) {
    let stage = Stage::new();
    tokio::spawn(stage.clone().wallet());
    let id = stage.chain.create(Wish { hours: 5, ..wish(1) });
    stage.until("login", async |stage| stage.may_log_in(id)).await;
    (stage, id)
}

#[tokio::test(start_paused = true)]
async fn documents_have_the_names_of_the_seed_and_ours() {
    let (stage, id) = with_a_rental().await;
    stage.until_state(id, "running").await;
    sleep(Duration::from_secs(15)).await;
    let record = stage.chain.record(id);

    let list = document(&stage, None, Action::List).await;
    let listed = &list["rentals"][0];
    let expected = json!({
        "rentalId": format!("0x{}", hex::encode(id)),
        "user": "0x0101010101010101010101010101010101010101",
        "status": 1,
        "statusName": "active",
        "startTime": record.start_time * 1000,
        "endTime": record.end_time * 1000,
        "hasContainer": true,
        "containerStatus": "running",
        "imageDigest": format!("sha256:{}", "ab".repeat(32)),
        "activeSessions": null,
        "isolation": "host",
        "state": "running",
        "progress": null,
        "refusal": null,
        "next": null,
    });
    assert_eq!(listed, &expected);
    let own = document(&stage, RENTER, Action::List).await;
    assert_eq!(own["rentals"][0]["activeSessions"], 0);

    let shown = document(&stage, RENTER, Action::Show(HexBytes(id))).await;
    assert_eq!(
        shown["container"],
        json!({
            "containerId": hex::encode(&id[..6]),
            "image": IMAGE,
            "imageDigest": format!("sha256:{}", "ab".repeat(32)),
            "status": "running",
            "ports": [],
        })
    );
    assert_eq!(
        shown["resources"],
        json!({ "cpuCores": 2, "memory": 4, "storage": 10, "bandwidth": 100 })
    );
    assert_eq!(
        shown["limits"],
        json!({
            "cpu": "cgroup",
            "memory": "cgroup",
            "processes": "cgroup",
            "disk": "measured every 10 s, enforced by stopping",
            "bandwidth": "by the node",
        })
    );
    let left = shown["remainingSeconds"].as_u64().unwrap();
    assert!((200..300).contains(&left), "{left}");
    assert_eq!(shown["sshSessions"], 0);
    let mut metrics = keys(&shown["metrics"]);
    metrics.sort_unstable();
    assert_eq!(
        metrics,
        [
            "cpuUsage",
            "diskUsage",
            "gpuMemoryUsage",
            "gpuUsage",
            "lastUpdated",
            "memoryUsage",
            "networkRx",
            "networkTx",
            "processes",
            "uptime",
        ]
    );
    let asked = document(&stage, RENTER, Action::Metrics(HexBytes(id))).await;
    assert_eq!(asked["metrics"]["memoryUsage"], 4096);

    let resources = document(&stage, None, Action::Resources).await;
    assert_eq!(
        resources["resources"],
        json!({
            "gpuType": 0, "gpuCount": 0, "gpuVram": 0, "cpuCores": 2, "memory": 4, "storage": 10, "bandwidth": 100,
            "teeCapable": false,
        })
    );
    assert_eq!(
        (&resources["activeRentals"], &resources["maxRentals"]),
        (&1.into(), &3.into())
    );
    assert_eq!(
        (&resources["sshEnabled"], &resources["dockerEnabled"]),
        (&true.into(), &true.into())
    );
    assert_eq!(resources["chain"]["readable"], true);
    assert_eq!(resources["docker"]["reachable"], true);
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_inside_is_the_renters_alone() {
    let (stage, id) = with_a_rental().await;
    sleep(Duration::from_secs(15)).await;
    let rental = HexBytes(id);
    let command = vec!["ls".to_owned()];
    for action in [
        Action::Logs { rental, tail: 9 },
        Action::Metrics(rental),
        Action::Exec { rental, command },
        Action::Script {
            rental,
            script: String::new(),
        },
    ] {
        assert_eq!(
            refusal(&stage, None, action.clone()).await,
            Some(Refusal::Unauthorised)
        );
        assert_eq!(refusal(&stage, OTHER, action).await, Some(Refusal::NotRenter));
    }
    for account in [None, OTHER] {
        let shown = document(&stage, account, Action::Show(rental)).await;
        assert!(shown["metrics"].is_null() && shown["sshSessions"].is_null());
        assert!(shown["activeSessions"].is_null());
    }
    let unknown = HexBytes([0xee; 32]);
    assert_eq!(
        refusal(&stage, None, Action::Show(unknown)).await,
        Some(Refusal::Unknown)
    );
    assert_eq!(
        refusal(&stage, RENTER, Action::Metrics(unknown)).await,
        Some(Refusal::Unknown)
    );
}

#[tokio::test(start_paused = true)]
async fn a_renter_reads_logs_and_runs_commands_while_the_rental_runs() {
    let (stage, id) = with_a_rental().await;
    let rental = HexBytes(id);
    let logs = stage.ask(RENTER, Action::Logs { rental, tail: 9 }).await;
    assert_eq!(logs, Some(Answer::Text("last 9 lines\n".into())));
    let exec = |command: &[&str]| Action::Exec {
        rental,
        command: command.iter().map(|part| (*part).to_owned()).collect(),
    };
    let output = document(&stage, RENTER, exec(&["uname", "-a"])).await;
    assert_eq!(
        output,
        json!({ "exitCode": 7, "stdout": "uname -a", "stderr": "\u{fffd}no", "truncated": false })
    );
    let long = "x".repeat(MAX_COMMAND);
    let many = vec!["x"; MAX_ARGUMENTS + 1];
    for command in [&[][..], &[""], &["a\0b"], &[&long], &many] {
        assert_eq!(
            refusal(&stage, RENTER, exec(command)).await,
            Some(Refusal::CommandInvalid)
        );
    }
    assert_eq!(
        refusal(&stage, RENTER, exec(&["sleep"])).await,
        Some(Refusal::CommandTimedOut)
    );
    let busy = (0..=OF_ONE_RENTAL).map(|_| refusal(&stage, RENTER, exec(&["sleep"])));
    let busy = futures_util::future::join_all(busy).await;
    assert_eq!(
        busy.iter()
            .filter(|refused| **refused == Some(Refusal::Busy))
            .count(),
        1
    );
    stage.until("the end", async |stage| !stage.may_log_in(id)).await;
    assert_eq!(
        refusal(&stage, RENTER, exec(&["ls"])).await,
        Some(Refusal::NotRunning)
    );
}

#[tokio::test(start_paused = true)]
async fn before_the_chain_is_read_nothing_is_said_of_rentals() {
    let stage = Stage::new();
    stage.chain.set_down(true);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(
        refusal(&stage, None, Action::List).await,
        Some(Refusal::ChainUnavailable)
    );
    let unknown = HexBytes([0xee; 32]);
    assert_eq!(
        refusal(&stage, None, Action::Show(unknown)).await,
        Some(Refusal::ChainUnavailable)
    );
    let resources = document(&stage, None, Action::Resources).await;
    assert_eq!(resources["chain"]["error"], "down");
    assert!(resources["resources"].is_null());
}

#[tokio::test(start_paused = true)]
async fn scripts_that_wait_have_a_bound() {
    let stage = Stage::new();
    let digest = script_digest();
    let waits = |user| {
        stage.chain.create(Wish {
            script: &digest,
            ..wish(user)
        })
    };
    let (id, second, third) = (waits(1), waits(2), waits(3));
    for rental in [id, second, third] {
        stage.until_state(rental, "waiting_script").await;
    }
    let board = stage.board().unwrap();
    let megabytes = |count: usize| Bytes::from(vec![0; count << 20]);
    assert!(board.keep_script(second, megabytes(63)));
    assert!(!board.keep_script(third, megabytes(2)));
    assert!(board.keep_script(third, megabytes(1)));
    assert_eq!(
        stage.upload(id, crate::rentals::manager::tests::SCRIPT).await,
        Err(Refusal::Busy)
    );
}

#[test]
fn texts_are_cut_to_what_a_frame_holds() {
    let hostile = "\u{1}".repeat(MAX_FRAME);
    let cut = end_of(&hostile, MAX_TEXT);
    assert!(serde_json::to_string(cut).unwrap().len() <= MAX_TEXT + 2);
    assert_eq!(end_of("a\nbé", 4), "bé".trim_start_matches('x'));
    assert_eq!(end_of("abc", 3), "abc");
    assert_eq!(beginning_of("é\"b", 4), "é\"");
    assert_eq!(beginning_of("abc", 9), "abc");
    for text in ["\"\\\n\r\t\u{8}\u{c}\u{1f}\u{7f}é€😀", "plain"] {
        let sum: usize = text.chars().map(written).sum();
        assert!(serde_json::to_string(text).unwrap().len() - 2 <= sum, "{text:?}");
    }
}
