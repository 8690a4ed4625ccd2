use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::host::now;
use super::owner::{Owner, anybody, text, value};
use super::secrets::{SHOWS, key, seal};
use super::{deploy, deploy_with, document, machine};

#[tokio::test(flavor = "multi_thread")]
async fn workers_versions_secrets_and_routes_survive() {
    let host = machine().start(document("")).await;
    let owner = Owner::new(1);
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "a", "code": SHOWS, "routes": ["/a"], "env": {"TOKEN": "v"}}),
    )
    .await;
    let gone = deploy(&host, &owner, "gone", SHOWS).await;
    let path = format!("/api/v1/workers/{id}");
    let long = format!("/* {} */ {SHOWS}", "x".repeat(3 << 20));
    let (status, answer) = owner
        .ask(&host, "PUT", &path, &json!({"code": long, "timeoutMs": 1234}))
        .await;
    assert_eq!(status, 200, "{answer}");
    let sealed = seal(&key(&host).await, &owner, &id, "TOKEN", "canary-secret");
    owner
        .ask(&host, "PUT", &format!("{path}/secrets/TOKEN"), &sealed)
        .await;
    owner
        .ask(&host, "POST", &format!("{path}/rollback"), &json!({"version": 1}))
        .await;
    owner
        .ask(&host, "DELETE", &format!("/api/v1/workers/{gone}"), &Value::Null)
        .await;
    let before = owner.get(&host, &format!("{path}/versions")).await.1;

    let machine = host.kill().await;
    {
        // What the host keeps says nothing of it.
        let kept = machine.blobs.as_ref().unwrap().lock().unwrap();
        for blob in kept.values() {
            for canary in ["canary-secret", "export default", "TOKEN"] {
                assert!(
                    !blob.windows(canary.len()).any(|bytes| bytes == canary.as_bytes()),
                    "{canary}"
                );
            }
        }
    }
    let host = machine.start(document("")).await;
    assert_eq!(value(&anybody(&host, "GET", "/health", "").await)["workers"], 1);
    assert_eq!(owner.get(&host, &format!("{path}/versions")).await.1, before);
    let answered = anybody(&host, "GET", "/w/a", "").await;
    assert_eq!(
        (text(&answered), answered.worker.as_ref().unwrap().version),
        ("canary-secret", 1)
    );
    let (_, answer) = owner
        .ask(&host, "POST", &format!("{path}/rollback"), &json!({"version": 2}))
        .await;
    assert_eq!(answer["deployment"]["version"], 2);
    assert_eq!(text(&anybody(&host, "GET", "/w/a", "").await), "canary-secret");
    let (_, shown) = owner.get(&host, &path).await;
    assert_eq!(
        (
            &shown["worker"]["config"]["timeoutMs"],
            &shown["worker"]["config"]["code"]
        ),
        (&json!(1234), &json!(long))
    );
    let (_, next) = owner.ask(&host, "PUT", &path, &json!({"env": {}})).await;
    assert_eq!(next["deployment"]["version"], 3);
}

/// Takes up to two minutes: a schedule's smallest step is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_minute_runs_once_even_if_the_node_starts_again_in_it() {
    let host = machine().start(document("")).await;
    let owner = Owner::new(1);
    let code = "export default { scheduled(event) { console.log(event.scheduledTime) } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "cron", "code": code, "cronSchedule": "* * * * *"}),
    )
    .await;
    let metrics = format!("/api/v1/workers/{id}/metrics");
    while owner.get(&host, &metrics).await.1["metrics"]["scheduledRuns"] == 0 {
        sleep(Duration::from_millis(500)).await;
    }
    let (_, logs) = owner
        .get(&host, &format!("/api/v1/workers/{id}/logs?since=1"))
        .await;
    let ran: u64 = logs["logs"][0]["text"].as_str().unwrap().parse().unwrap();
    assert_eq!(ran % 60_000, 0);
    let host = host.kill().await.start(document("")).await;
    sleep(Duration::from_secs(6)).await;
    let runs = owner.get(&host, &metrics).await.1["metrics"]["scheduledRuns"].clone();
    // By the chain's clock, which isn't behind by more than a second here.
    if (now() - 8) * 1000 < ran + 60_000 && now() * 1000 < ran + 60_000 {
        assert_eq!(runs, 0, "it ran a second time");
    }
    while owner.get(&host, &metrics).await.1["metrics"]["scheduledRuns"] == 0 {
        sleep(Duration::from_millis(500)).await;
    }
    let (_, logs) = owner
        .get(&host, &format!("/api/v1/workers/{id}/logs?since=1"))
        .await;
    let next: u64 = logs["logs"][0]["text"].as_str().unwrap().parse().unwrap();
    assert!(next > ran, "{next} after {ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_workers_last_as_long_as_the_node() {
    let host = super::host::Machine::new().start(document("")).await;
    let owner = Owner::new(1);
    let id = deploy(&host, &owner, "a", SHOWS).await;
    assert_eq!(
        value(&anybody(&host, "GET", "/health", "").await)["storage"],
        "volatile"
    );
    assert_eq!(
        text(&anybody(&host, "GET", &format!("/workers/{id}"), "").await),
        "undefined"
    );
    let host = host.kill().await.start(document("")).await;
    assert_eq!(value(&anybody(&host, "GET", "/health", "").await)["workers"], 0);
}
