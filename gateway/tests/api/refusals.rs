//! Requests that aren't answered, each for its own reason.

use std::sync::Arc;

use jeju_chain::Offer;
use jeju_contracts::provider;
use jeju_gateway::limits::Rate;
use serde_json::{Value, json};

use crate::market::{Market, OTHER, PROVIDER, USER, nowhere, offer};

fn wanted() -> Value {
    json!({ "provider": PROVIDER, "duration": 2, "sshPublicKey": "k", "containerImage": "busybox" })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = wanted();
    body[field] = value;
    body
}

#[tokio::test]
async fn a_rental_that_the_contract_would_refuse_is_no_transaction() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    let id = format!("0x{}", "07".repeat(32));
    let create = "/v1/rentals";
    let long = "s".repeat(4097);
    for (path, body, status, code) in [
        (create, json!([]), 400, "request_invalid"),
        (create, json!({ "provider": PROVIDER }), 400, "request_invalid"),
        (create, with("duration", json!("2")), 400, "request_invalid"),
        (create, with("duration", json!(-1)), 400, "request_invalid"),
        (create, with("provider", json!("0x01")), 400, "address_invalid"),
        (create, with("provider", json!(OTHER)), 404, "provider_not_found"),
        (create, with("duration", json!(0)), 400, "duration_invalid"),
        (create, with("duration", json!(11)), 400, "duration_invalid"),
        (create, with("duration", json!(u64::MAX)), 400, "duration_invalid"),
        (create, with("sshPublicKey", json!("")), 400, "ssh_key_required"),
        (
            create,
            with("sshPublicKey", json!("k".repeat(1025))),
            400,
            "request_invalid",
        ),
        (
            create,
            with("containerImage", json!("debian")),
            400,
            "image_not_supported",
        ),
        (
            create,
            with("containerImage", json!("--privileged")),
            400,
            "image_not_supported",
        ),
        (
            create,
            with("containerImage", json!("i".repeat(257))),
            400,
            "request_invalid",
        ),
        (create, with("startupScript", json!(long)), 400, "request_invalid"),
        (
            create,
            with("startupScript", json!("s".repeat(60_000))),
            413,
            "body_too_large",
        ),
        (
            "/v1/routes",
            json!({ "rentalId": id, "type": "udp" }),
            400,
            "request_invalid",
        ),
        (
            "/v1/routes",
            json!({ "rentalId": id, "type": "ssh" }),
            404,
            "rental_not_found",
        ),
        ("/v1/rentals/0x07/cancel", Value::Null, 404, "rental_not_found"),
        ("/v1/rentals/quote/cancel", Value::Null, 404, "rental_not_found"),
        (
            "/v1/rentals/0x07/rate",
            json!({ "rating": 6 }),
            400,
            "request_invalid",
        ),
        (
            "/v1/rentals/0x07/rate",
            json!({ "rating": 0 }),
            400,
            "request_invalid",
        ),
        ("/v1/rentals/0x07/extend", json!({}), 400, "request_invalid"),
    ] {
        let reply = market.ask(&gateway, USER, "POST", path, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        reply.refused(status, code);
    }
    let reply = market
        .ask(&gateway, USER, "DELETE", "/v1/routes/no-uuid", Value::Null)
        .await;
    reply.refused(404, "route_not_found");

    // An offer without login takes no key; a provider that has none, or isn't active, rents out nothing.
    market
        .offer(&Offer {
            ssh_enabled: false,
            ..offer()
        })
        .await;
    let keyless = with("sshPublicKey", json!(""));
    market.ask(&gateway, USER, "POST", create, keyless).await.ok();
    let registry = market.contract("computeRegistry").into();
    provider::set_active(&market.sender(), registry, false)
        .await
        .unwrap();
    let inactive = market.ask(&gateway, USER, "POST", create, wanted()).await;
    inactive.refused(400, "provider_inactive");
    let quote = format!("/v1/rentals/quote?provider={PROVIDER}&duration=2");
    gateway.get(&quote).await.refused(400, "provider_inactive");
}

#[tokio::test]
async fn who_does_not_sign_gets_no_transaction() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    let body = wanted().to_string();
    let send = async |headers: &[String]| gateway.send("POST", "/v1/rentals", headers, &body).await;
    send(&[]).await.refused(401, "wallet_auth_required");
    let signed = market.signed(USER).await;
    for header in 0..signed.len() {
        let mut without = signed.clone();
        without.remove(header);
        send(&without).await.refused(401, "wallet_auth_required");
    }
    let theirs = market.signed(OTHER).await;
    let mut forged = signed.clone();
    forged[3] = theirs[3].clone();
    send(&forged).await.refused(401, "wallet_signature_mismatch");
    let mut old = signed.clone();
    old[2] = "x-jeju-timestamp: 1700000000000".to_owned();
    send(&old).await.refused(401, "wallet_timestamp_expired");
    // What was refused spent nothing; what passes does.
    send(&signed).await.ok();
    send(&signed).await.refused(401, "wallet_nonce_used");
    for (method, path) in [
        ("POST", "/v1/routes"),
        ("GET", "/v1/routes"),
        ("DELETE", "/v1/routes/x"),
        ("PUT", "/v1/routes/x"),
        ("POST", "/v1/rentals/0x07/cancel"),
    ] {
        gateway
            .send(method, path, &[], "")
            .await
            .refused(401, "wallet_auth_required");
    }
}

#[tokio::test]
async fn prompts_are_not_carried_in_the_clear() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    let path = format!("/v1/proxy/{PROVIDER}/v1/chat/completions");
    for method in ["POST", "GET", "PUT", "PATCH", "DELETE"] {
        let body = if method == "GET" {
            ""
        } else {
            "{\"messages\":[\"secret\"]}"
        };
        let reply = gateway.send(method, &path, &[], body).await;
        reply.refused(403, "proxy_refused");
        let text = reply.body["error"].as_str().unwrap();
        assert!(text.contains("gw.example") && !text.contains("secret"), "{text}");
    }
    let inference = gateway.send("POST", "/v1/cloud/inference", &[], "{}").await;
    inference.refused(503, "cloud_disabled");
    let skill = gateway.send("POST", "/v1/cloud/skills/x", &[], "{}").await;
    skill.refused(501, "skills_unsupported");
}

#[tokio::test]
async fn paths_methods_and_questions_are_told_apart() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    for (path, status, code) in [
        ("/v2", 404, "not_found"),
        ("/v1/moderation/incidents", 404, "not_found"),
        ("/v1/rentals", 400, "filter_invalid"),
        ("/v1/rentals?user=0x01", 400, "address_invalid"),
        ("/v1/rentals/0x07", 404, "rental_not_found"),
        ("/v1/rentals/quote", 400, "filter_invalid"),
        ("/v1/reputation/user/0x01", 400, "address_invalid"),
        ("/v1/reputation/provider/x", 400, "address_invalid"),
        ("/v1/providers/x", 404, "provider_not_found"),
        ("/v1/providers?healthy=true", 400, "filter_invalid"),
        ("/v1/models?x=1", 400, "filter_invalid"),
    ] {
        gateway.get(path).await.refused(status, code);
    }
    let unknown = format!("/v1/rentals/0x{}", "07".repeat(32));
    gateway.get(&unknown).await.refused(404, "rental_not_found");
    for (method, path, allow) in [
        ("POST", "/health", "allow: get, head"),
        ("DELETE", "/v1/rentals", "allow: get, head, post"),
        ("GET", "/v1/rentals/0x07/cancel", "allow: post"),
        ("GET", "/v1/routes/x", "allow: put, delete"),
    ] {
        let reply = gateway.send(method, path, &[], "").await;
        reply.refused(405, "method_not_allowed");
        assert!(reply.head.contains(allow), "{reply:?}");
    }
    // Browsers ask first, and pages of any origin may.
    let preflight = gateway.send("OPTIONS", "/v1/rentals", &[], "").await;
    assert_eq!(preflight.status, 204);
    for line in [
        "access-control-allow-origin: *",
        "access-control-allow-methods: get,head,post,put,delete",
        "x-jeju-signature",
    ] {
        assert!(preflight.head.contains(line), "{preflight:?}");
    }
    let read = gateway.get("/v1/providers?model=m&healthy=true").await;
    assert!(read.head.contains("access-control-allow-origin: *"));
    assert_eq!(read.ok(), json!({ "providers": [], "next": null }));
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let market = Market::open().await;
    let rate = Rate {
        per_minute: 1,
        burst: 2,
    };
    let by_wallet = market.gateway_with(|parts| parts.rates.wallet = rate).await;
    for _ in 0..2 {
        market
            .ask(&by_wallet, USER, "GET", "/v1/routes", Value::Null)
            .await
            .ok();
    }
    let third = market
        .ask(&by_wallet, USER, "GET", "/v1/routes", Value::Null)
        .await;
    third.refused(429, "rate_limited");
    assert!(third.head.contains("retry-after: "), "{third:?}");
    market
        .ask(&by_wallet, OTHER, "GET", "/v1/routes", Value::Null)
        .await
        .ok();

    // An address; or what the web server in front says, whose word is the last one.
    let by_address = market.gateway_with(|parts| parts.rates.address = rate).await;
    let path = format!("/v1/reputation/user/{USER}");
    let from = |header: &str| vec![format!("x-forwarded-for: {header}")];
    by_address.get(&path).await.ok();
    by_address.send("GET", &path, &from("192.0.2.1"), "").await.ok();
    let third = by_address.send("GET", &path, &from("192.0.2.2"), "").await;
    third.refused(429, "rate_limited");
    by_address.get("/v1/providers").await.ok();
    // What is in memory has a limit of its own, and whoever watches the gateway has none.
    let by_reads = market.gateway_with(|parts| parts.rates.reads = rate).await;
    for path in ["/v1/providers", "/v1/models"] {
        by_reads.get(path).await.ok();
    }
    for path in [
        "/v1/providers?active=true",
        "/v1/stats",
        "/.well-known/agent-card.json",
    ] {
        by_reads.get(path).await.refused(429, "rate_limited");
    }
    by_reads.get("/health").await.ok();
    by_reads.get(&path).await.ok();
    let forwarded = market.gateway_with(|parts| {
        parts.rates.address = rate;
        parts.rates.forwarded = true;
    });
    let forwarded = forwarded.await;
    for spoofed in ["198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1"] {
        forwarded.send("GET", &path, &from(spoofed), "").await.ok();
    }
    let third = forwarded
        .send("GET", &path, &from("198.51.100.3, 192.0.2.1"), "")
        .await;
    third.refused(429, "rate_limited");
    forwarded.send("GET", &path, &from("192.0.2.3"), "").await.ok();
    let metrics = forwarded.send("GET", "/metrics", &[], "").await;
    assert_eq!(metrics.status, 200);
}

#[tokio::test]
async fn a_chain_that_cannot_be_read_and_a_contract_that_is_not_known_are_said() {
    let market = Market::open().await;
    let blind = market
        .gateway_with(|parts| parts.chain = Arc::new(nowhere()))
        .await;
    for path in [
        format!("/v1/rentals?user={USER}"),
        format!("/v1/rentals/0x{}", "07".repeat(32)),
        format!("/v1/rentals/quote?provider={PROVIDER}&duration=1"),
        format!("/v1/reputation/user/{USER}"),
        format!("/v1/reputation/provider/{PROVIDER}"),
    ] {
        blind.get(&path).await.refused(503, "chain_unreadable");
    }
    let made = market.ask(&blind, USER, "POST", "/v1/rentals", wanted()).await;
    made.refused(503, "chain_unreadable");
    let provider = blind.get(&format!("/v1/providers/{PROVIDER}")).await.ok();
    assert_eq!(
        (&provider["name"], &provider["reputation"]),
        (&json!("Pea"), &Value::Null)
    );

    let none = market
        .gateway_with(|parts| parts.info.contracts.compute_rental = None)
        .await;
    none.get(&format!("/v1/rentals?user={USER}"))
        .await
        .refused(503, "rentals_unavailable");
    none.get(&format!("/v1/reputation/user/{USER}"))
        .await
        .refused(503, "rentals_unavailable");
    // An address where another contract is, or nothing.
    for contract in [market.contract("computeRegistry"), [9; 20]] {
        let wrong = market.gateway_with(|parts| parts.info.contracts.compute_rental = Some(contract));
        let reply = wrong.await.get(&format!("/v1/rentals?user={USER}")).await;
        reply.refused(503, "chain_unreadable");
    }
}
