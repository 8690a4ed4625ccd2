//! What the tests of the first nodes' workers check, in the form of handlers that they use, over HTTP.

use serde_json::{Value, json};

use super::owner::{Owner, anybody, text, value};
use super::{deploy, deploy_with, node};

#[tokio::test(flavor = "multi_thread")]
async fn plain_objects_go_in_and_come_out() {
    let host = node().await;
    let owner = Owner::new(1);
    let simple = "export default { async fetch(request, env) { return { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'Hello from worker!' }; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "simple", "code": simple, "runtime": "javascript", "entrypoint": "index.js",
        "compatibility": "legacy"}),
    )
    .await;
    let (status, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(
        (status, &invoked["status"], &invoked["body"]),
        (200, &json!(200), &json!("Hello from worker!"))
    );
    assert_eq!(invoked["headers"]["content-type"], "text/plain");

    let echo = "export default { async fetch(request) { return { status: 200, headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: request.body }) }; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "echo", "code": echo, "compatibility": "legacy"}),
    )
    .await;
    let (_, invoked) = owner.invoke(&host, &id, "{\"a\":1}").await;
    let seen: Value = serde_json::from_str(invoked["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&seen["method"], &seen["body"]),
        (&json!("POST"), &json!("{\"a\":1}"))
    );
    assert_eq!(seen["headers"]["host"], "localhost");
    assert!(
        seen["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/api/v1/workers/{id}/invoke"))
    );

    let sums = "export default { async fetch(request) { const data = JSON.parse(request.body); return { status: 200, headers: {}, body: JSON.stringify({sum: data.a + data.b}) }; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "sums", "code": sums, "compatibility": "legacy"}),
    )
    .await;
    assert_eq!(
        owner.invoke(&host, &id, "{\"a\":2,\"b\":3}").await.1["body"],
        "{\"sum\":5}"
    );
    let env =
        "export default { fetch(request, env) { return { status: 200, headers: {}, body: env.API_KEY }; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "env", "code": env, "env": {"API_KEY": "k"}, "compatibility": "legacy"}),
    )
    .await;
    assert_eq!(owner.invoke(&host, &id, "").await.1["body"], "k");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_answers_as_it_did() {
    let host = node().await;
    let owner = Owner::new(1);
    let throws = "export default { async fetch() { throw new Error('Test error'); } };";
    let id = deploy(&host, &owner, "throws", throws).await;
    let (status, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(
        (status, &invoked["_execution"]["error"]),
        (500, &json!("Test error"))
    );
    let body: Value = serde_json::from_str(invoked["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&body["error"], &body["code"]),
        (&json!("Test error"), &json!("worker_exception"))
    );

    let slow = "export default { async fetch() { await new Promise((resolve) => setTimeout(resolve, 5000)); return {status: 200, headers: {}, body: ''}; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "slow", "code": slow, "timeoutMs": 100}),
    )
    .await;
    let (status, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(status, 500);
    assert!(
        invoked["_execution"]["error"]
            .as_str()
            .unwrap()
            .contains("timeout"),
        "{invoked}"
    );

    let loops = "export default { fetch() { for (;;); } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "loops", "code": loops, "cpuMs": 100}),
    )
    .await;
    assert_eq!(
        owner.invoke(&host, &id, "").await.1["_execution"]["code"],
        "worker_cpu_limit"
    );

    let id = deploy(&host, &owner, "nothing", "export const nothing = 1;").await;
    let (status, invoked) = owner.invoke(&host, &id, "").await;
    let body: Value = serde_json::from_str(invoked["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (status, &body["error"]),
        (500, &json!("No fetch handler exported"))
    );

    let (status, answer) = owner.invoke(&host, "worker-none-00000000", "").await;
    assert_eq!(
        (status, answer),
        (
            404,
            json!({"error": "Worker not found", "code": "worker_not_found"})
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_numbers_and_routes_are_as_they_were() {
    let host = node().await;
    let owner = Owner::new(1);
    let logging = "export default { async fetch() { console.log('Log message'); console.warn('Warn message'); console.error('Error message');
        return { status: 200, headers: {}, body: 'ok' }; } };";
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "logging", "code": logging, "routes": ["/api/test/*"]}),
    )
    .await;
    let (_, invoked) = owner.invoke(&host, &id, "").await;
    assert_eq!(
        invoked["_execution"]["logs"],
        json!(["log Log message", "warn Warn message", "error Error message"])
    );
    assert!(invoked["_execution"]["durationMs"].as_f64().unwrap() > 0.0);
    assert!(invoked["_execution"]["memoryUsedMb"].as_f64().unwrap() > 0.0);
    assert_eq!(
        text(&anybody(&host, "GET", "/w/api/test/anything", "").await),
        "ok"
    );
    assert_eq!(
        text(&anybody(&host, "DELETE", "/w/api/test/any/depth?x=y", "").await),
        "ok"
    );
    assert_eq!(
        value(&anybody(&host, "GET", "/w/api/other", "").await)["error"],
        "No worker found for route: /api/other"
    );
    let (_, metrics) = owner.get(&host, &format!("/api/v1/workers/{id}/metrics")).await;
    let metrics = &metrics["metrics"];
    assert_eq!(
        (&metrics["totalRequests"], &metrics["totalErrors"]),
        (&json!(3), &json!(0))
    );
    assert!(metrics["p99DurationMs"].as_f64().unwrap() >= metrics["p50DurationMs"].as_f64().unwrap());
    assert!(metrics["lastInvoked"].as_u64().unwrap() > 1_700_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_readmes_example_says_hello() {
    let host = node().await;
    let owner = Owner::new(1);
    let code = "export default {
  async fetch(request: Request): Promise<Response> {
    return new Response('Hello from Jeju!', {
      headers: { 'Content-Type': 'text/plain' },
    });
  },
};";
    deploy_with(
        &host,
        &owner,
        json!({"name": "hello-world", "code": code, "runtime": "typescript", "routes": ["/hello"]}),
    )
    .await;
    let answered = anybody(&host, "GET", "/w/hello", "").await;
    assert_eq!(
        (text(&answered), &answered.headers["content-type"]),
        ("Hello from Jeju!", &"text/plain".parse().unwrap())
    );
}
