use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::host::{Host, PATIENCE};
use super::owner::{Owner, anybody, send, text};
use super::{deploy, deploy_with, node};

const CODE: &str = "export default {
    async fetch(request) { console.info('at', new URL(request.url).searchParams.get('n')); return new Response('') },
    scheduled(event) { console.log('woken', event.cron); if (!event.cron) throw new Error('no schedule') }
};";

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_read_on_and_followed() {
    let host = node().await;
    let owner = Owner::new(1);
    let id = deploy(&host, &owner, "logs", CODE).await;
    for n in 0..3 {
        anybody(&host, "GET", &format!("/workers/{id}?n={n}"), "").await;
    }
    let path = format!("/api/v1/workers/{id}/logs");
    let (_, first) = owner.get(&host, &format!("{path}?since=1&limit=2")).await;
    assert_eq!(
        (first["logs"].as_array().unwrap().len(), &first["next"]),
        (2, &json!(3))
    );
    let line = &first["logs"][0];
    assert_eq!(
        (&line["level"], &line["text"], &line["version"]),
        (&json!("info"), &json!("at 0"), &json!(1))
    );
    let (_, rest) = owner.get(&host, &format!("{path}?since=3")).await;
    assert_eq!(rest["logs"][0]["text"], "at 2");
    for query in [
        "since=x",
        "limit=0",
        "limit=1001",
        "follow=maybe",
        "since=1&since=2",
        "other=1",
    ] {
        let (status, answer) = owner.get(&host, &format!("{path}?{query}")).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("worker_log_query_invalid")),
            "{query}"
        );
    }

    // A stream has what was there, then what comes, and ends with the worker, signed.
    let follow = format!("{path}?since=1&follow=true");
    let signed = owner.sign("GET", &follow, b"");
    let followed = async { send(&host, "GET", &follow, &signed, b"").await };
    let acting = async {
        anybody(&host, "GET", &format!("/workers/{id}?n=3"), "").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        owner
            .ask(&host, "DELETE", &format!("/api/v1/workers/{id}"), &Value::Null)
            .await;
    };
    let (followed, ()) = timeout(PATIENCE, async { tokio::join!(followed, acting) })
        .await
        .unwrap();
    assert_eq!(followed.end.as_deref(), Some("stop"));
    for n in 0..=3 {
        assert!(
            text(&followed).contains(&format!("\"at {n}\"")),
            "{}",
            text(&followed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_is_run_when_its_owner_asks() {
    let host = node().await;
    let owner = Owner::new(1);
    let id = deploy(&host, &owner, "cron", CODE).await;
    let path = format!("/api/v1/workers/{id}");
    let (_, ran) = owner
        .ask(&host, "POST", &format!("{path}/cron"), &Value::Null)
        .await;
    assert_eq!(ran["_execution"]["error"], "no schedule");
    owner
        .ask(&host, "PUT", &path, &json!({"cronSchedule": "0 0 1 1 *"}))
        .await;
    let (_, ran) = owner
        .ask(&host, "POST", &format!("{path}/cron"), &Value::Null)
        .await;
    assert_eq!(ran["_execution"]["logs"], json!(["log woken 0 0 1 1 *"]));
    let (_, cron) = owner.get(&host, &format!("{path}/cron")).await;
    assert_eq!(cron["cronSchedule"], "0 0 1 1 *");
    assert!(cron["next"].as_u64().unwrap() > 1_700_000_000_000, "{cron}");
    assert_eq!(cron["last"]["code"], json!(null), "{cron}");
    let (_, metrics) = owner.get(&host, &format!("{path}/metrics")).await;
    assert_eq!(
        (
            &metrics["metrics"]["scheduledRuns"],
            &metrics["metrics"]["scheduledErrors"]
        ),
        (&json!(2), &json!(1))
    );
}

const LATE: &str = "export default { fetch(request, env, ctx) {
    const what = new URL(request.url).searchParams.get('do');
    ctx.waitUntil((async () => {
        await new Promise((go) => setTimeout(go, 20));
        console.log(what, 'begun');
        if (what === 'loop') for (;;);
        if (what === 'wait') await new Promise((go) => setTimeout(go, 60000));
        console.log(what, 'done');
    })());
    return new Response('answered');
} };";

/// The texts of a worker's log, once one of them is as wanted.
async fn lines(host: &Host, owner: &Owner, path: &str, wanted: &str) -> Vec<String> {
    let found = async {
        loop {
            let (_, answer) = owner.get(host, &format!("{path}/logs")).await;
            let lines = answer["logs"].as_array().unwrap().iter();
            let texts: Vec<_> = lines
                .map(|line| line["text"].as_str().unwrap().to_owned())
                .collect();
            if texts.iter().any(|text| text.contains(wanted)) {
                return texts;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, found).await.expect(wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn work_behind_an_answer_is_logged_counted_and_cut_off() {
    let host = node().await;
    let owner = Owner::new(1);
    // A loaded machine may take long for 100 ms on a CPU, so only one that waits has little time.
    for (what, last, timeout_ms, errors) in [
        ("finish", "finish done", 30_000, 0),
        ("loop", "its 100 ms on a CPU", 30_000, 1),
        ("wait", "imeout", 3_000, 1),
    ] {
        let body = json!({"name": what, "code": LATE, "cpuMs": 100, "timeoutMs": timeout_ms});
        let id = deploy_with(&host, &owner, body).await;
        let path = format!("/api/v1/workers/{id}");
        let answered = anybody(&host, "GET", &format!("/workers/{id}?do={what}"), "").await;
        assert_eq!((answered.status, text(&answered)), (200, "answered"), "{what}");
        let lines = lines(&host, &owner, &path, last).await;
        assert!(lines.contains(&format!("{what} begun")), "{lines:?}");
        let done = lines.contains(&format!("{what} done"));
        assert_eq!(done, what == "finish", "{lines:?}");
        // The answer was whole: what fails behind it counts as the event's failure.
        let (_, metrics) = owner.get(&host, &format!("{path}/metrics")).await;
        let counted = &metrics["metrics"];
        assert_eq!(
            (&counted["totalRequests"], &counted["totalErrors"]),
            (&json!(1), &json!(errors)),
            "{metrics}"
        );
    }
}
