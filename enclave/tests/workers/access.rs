use serde_json::{Value, json};

use super::owner::{Owner, anybody, send, text, value};
use super::{deploy, deploy_with, node, node_with};

const SECRETIVE: &str = "export default { fetch(request, env) { console.log('saw', env.KEY); throw new Error('key ' + env.KEY) } };";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_its_owners_and_nobody_elses() {
    let host = node().await;
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "a", "code": SECRETIVE, "env": {"KEY": "canary-7"}}),
    )
    .await;
    let path = format!("/api/v1/workers/{id}");
    let asked: [(&str, String, Value); 16] = [
        ("GET", path.clone(), Value::Null),
        ("PUT", path.clone(), json!({"code": ""})),
        ("DELETE", path.clone(), Value::Null),
        ("POST", format!("{path}/pause"), Value::Null),
        ("POST", format!("{path}/resume"), Value::Null),
        ("POST", format!("{path}/rollback"), json!({"version": 1})),
        ("POST", format!("{path}/rollback"), json!({})),
        ("GET", format!("{path}/versions"), Value::Null),
        ("GET", format!("{path}/secrets"), Value::Null),
        ("PUT", format!("{path}/secrets/A"), json!({})),
        ("DELETE", format!("{path}/secrets/A"), Value::Null),
        ("GET", format!("{path}/metrics"), Value::Null),
        ("GET", format!("{path}/logs"), Value::Null),
        ("GET", format!("{path}/logs?follow=true"), Value::Null),
        ("GET", format!("{path}/cron"), Value::Null),
        ("POST", format!("{path}/cron"), Value::Null),
    ];
    for (method, path, body) in &asked {
        let unsigned = anybody(&host, method, path, "").await;
        assert_eq!(
            (unsigned.status, &value(&unsigned)["code"]),
            (401, &json!("wallet_signature_missing")),
            "{method} {path}"
        );
        let (status, answer) = other.ask(&host, method, path, body).await;
        // Deleting what isn't there is no error, as the first clients know it.
        let expected = if (*method, path.ends_with(&id)) == ("DELETE", true) {
            200
        } else {
            404
        };
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
    assert_eq!(
        other.get(&host, "/api/v1/workers").await.1,
        json!({"workers": []})
    );
    assert_eq!(owner.get(&host, &path).await.0, 200, "it is still there");

    // A signature is for one request, once.
    let signed = owner.sign("GET", &path, b"");
    assert_eq!(send(&host, "GET", &path, &signed, b"").await.status, 200);
    assert_eq!(send(&host, "GET", &path, &signed, b"").await.status, 401);
    let signed = owner.sign("GET", "/api/v1/workers", b"");
    assert_eq!(send(&host, "GET", &path, &signed, b"").await.status, 401);
    let signed = owner.sign("PUT", &path, b"{}");
    assert_eq!(
        send(&host, "PUT", &path, &signed, b"{\"env\":{}}").await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_exception_says_is_the_owners_alone() {
    let host = node().await;
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let id = deploy_with(
        &host,
        &owner,
        json!({"name": "a", "code": SECRETIVE, "env": {"KEY": "canary-7"}, "routes": ["/a"]}),
    )
    .await;
    for answered in [
        anybody(&host, "GET", "/w/a", "").await,
        anybody(&host, "GET", &format!("/workers/{id}"), "").await,
        anybody(&host, "POST", &format!("/api/v1/workers/{id}/invoke"), "").await,
    ] {
        assert_eq!(answered.status, 500);
        assert!(!text(&answered).contains("canary"), "{}", text(&answered));
        assert!(
            text(&answered).contains("worker_exception"),
            "{}",
            text(&answered)
        );
        assert_eq!(answered.worker.unwrap().id, id);
    }
    let (_, answer) = other.invoke(&host, &id, "").await;
    assert!(!answer.to_string().contains("canary"), "{answer}");
    let (status, answer) = owner.invoke(&host, &id, "").await;
    assert_eq!(status, 500);
    assert_eq!(answer["_execution"]["error"], "key canary-7");
    assert_eq!(answer["_execution"]["logs"][0], "log saw canary-7");
    assert!(answer["body"].as_str().unwrap().contains("canary-7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_do_not_get_into_each_others_way() {
    let host = node().await;
    let (one, two) = (Owner::new(1), Owner::new(2));
    let code = |text: &str| format!("export default {{ fetch: () => new Response({text:?}) }};");
    let first = deploy_with(
        &host,
        &one,
        json!({"name": "shop", "code": code("one"), "routes": ["/shop/*"]}),
    )
    .await;
    for route in ["/shop/checkout", "/shop/:x", "/shop"] {
        let body = json!({"name": "shop", "code": code("two"), "routes": [route]});
        let (status, answer) = two.ask(&host, "POST", "/api/v1/workers", &body).await;
        assert_eq!(
            (status, &answer["code"]),
            (409, &json!("worker_route_taken")),
            "{route}"
        );
    }
    // The same name and the same code have another id for another owner.
    let second = deploy(&host, &two, "shop", &code("one")).await;
    assert_ne!(first, second);
    assert_eq!(text(&anybody(&host, "GET", "/w/shop/checkout", "").await), "one");
    for path in ["/w/shop/../x", "/w/shop/%2E%2e/x", "/w/./shop/x"] {
        let refused = anybody(&host, "GET", path, "").await;
        assert_eq!(value(&refused)["code"], "worker_path_invalid", "{path}");
    }
    // What an owner gives up is to be had.
    one.ask(&host, "DELETE", &format!("/api/v1/workers/{first}"), &Value::Null)
        .await;
    deploy_with(
        &host,
        &two,
        json!({"name": "shop", "code": code("two"), "routes": ["/shop/checkout"]}),
    )
    .await;
    assert_eq!(text(&anybody(&host, "GET", "/w/shop/checkout", "").await), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_be_for_some_accounts_alone() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let host = node_with(&format!("owners = [\"0x{}\"]", hex::encode(one.address()))).await;
    let body = json!({"name": "a", "code": "export default { fetch: () => new Response('a') }"});
    assert_eq!(one.ask(&host, "POST", "/api/v1/workers", &body).await.0, 201);
    let (status, answer) = two.ask(&host, "POST", "/api/v1/workers", &body).await;
    assert_eq!(
        (status, &answer["code"]),
        (403, &json!("worker_owner_not_allowed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_paths_that_there_are_none_of_say_so() {
    let host = node().await;
    let owner = Owner::new(1);
    for (method, path, status) in [
        ("PATCH", "/api/v1/workers", 405),
        ("GET", "/api/v1/workers/a/pause", 405),
        ("POST", "/api/v1/workers/a/logs", 405),
        ("GET", "/api/v1/workers/a/b/c/d", 404),
        ("GET", "/api/v1/workersx", 404),
        ("GET", "/workersx", 404),
        ("GET", "/v1/models", 404),
        ("POST", "/health", 405),
    ] {
        assert_eq!(
            owner.ask(&host, method, path, &Value::Null).await.0,
            status,
            "{method} {path}"
        );
    }
    assert_eq!(
        anybody(&host, "GET", "/.well-known/jeju/evidence", "")
            .await
            .status,
        200
    );
    let malformed = vec![("x-jeju-address".to_owned(), "0x12".to_owned())];
    let refused = send(&host, "GET", "/api/v1/workers", &malformed, b"").await;
    assert_eq!(value(&refused)["code"], "wallet_headers_malformed");
}
