//! A rental's life, through a gateway and a wallet.

use jeju_chain::CallData;
use jeju_contracts::{provider, rental};
use jeju_gateway::routes::{RouteKind, review_once};
use serde_json::{Value, json};

use crate::market::{Gateway, Market, OTHER, PROVIDER, RATE, USER};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjUn \"me\"";

fn wanted() -> Value {
    json!({ "provider": PROVIDER, "duration": 2, "sshPublicKey": KEY, "containerImage": "busybox", "startupScript": "sha256:00" })
}

async fn rentals(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.get(&format!("/v1/rentals?user={USER}")).await.ok();
    list["rentals"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_renters_wallet_signs_what_the_gateway_hands_out() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    let ask =
        async |account, method, path: &str, body| market.ask(&gateway, account, method, path, body).await;

    let quote = gateway
        .get(&format!("/v1/rentals/quote?provider={PROVIDER}&duration=2"))
        .await
        .ok();
    let price = (2 * RATE).to_string();
    let expected = json!({
        "provider": PROVIDER, "providerName": "Pea", "durationHours": 2, "totalCostWei": price, "totalCostEth": "0.02",
    });
    assert_eq!(quote, expected);
    assert!(rentals(&gateway).await.is_empty());

    // Two rentals; one is given up.
    for _ in 0..2 {
        let made = ask(USER, "POST", "/v1/rentals", wanted()).await.ok();
        assert_eq!(
            (&made["estimatedCost"], &made["duration"]),
            (&json!(price), &json!(2))
        );
        market.execute(USER, &made).await.unwrap();
    }
    let [first, second] = &rentals(&gateway).await[..] else {
        panic!("not two rentals");
    };
    let id = first["rentalId"].as_str().unwrap().to_owned();
    let path = format!("/v1/rentals/{id}");
    for (field, value) in [
        ("user", json!(USER)),
        ("provider", json!(PROVIDER)),
        ("providerName", json!("Pea")),
        ("status", json!("PENDING")),
        ("startTime", json!(0)),
        ("totalCost", json!(price)),
        ("sshPort", json!(0)),
        ("containerImage", json!("busybox")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    let whole = gateway.get(&path).await.ok();
    assert_eq!(
        (&whole["sshPublicKey"], &whole["startupScript"]),
        (&json!(KEY), &json!("sha256:00"))
    );
    let other_path = format!("/v1/rentals/{}/cancel", second["rentalId"].as_str().unwrap());
    let cancel = ask(USER, "POST", &other_path, Value::Null).await.ok();
    market.execute(USER, &cancel).await.unwrap();
    assert_eq!(rentals(&gateway).await[1]["status"], "CANCELLED");
    let part = gateway
        .get(&format!("/v1/rentals?user={USER}&offset=1&limit=1"))
        .await
        .ok();
    assert_eq!(
        (&part["rentals"][0]["status"], &part["next"]),
        (&json!("CANCELLED"), &json!(2))
    );

    // Not started yet.
    let route = json!({ "rentalId": id, "type": "ssh" });
    ask(USER, "POST", "/v1/routes", route.clone())
        .await
        .refused(400, "rental_not_active");
    let extend = format!("{path}/extend");
    ask(USER, "POST", &extend, json!({ "additionalHours": 1 }))
        .await
        .refused(400, "rental_not_active");

    let contract = market.contract("computeRental").into();
    let rental_id: [u8; 32] = hex::decode(&id[2..]).unwrap().try_into().unwrap();
    rental::start(
        &market.sender(),
        contract,
        rental_id.into(),
        "ssh.p.example",
        2022,
        "c",
    )
    .await
    .unwrap();
    let active = gateway.get(&path).await.ok();
    assert_eq!(
        (&active["status"], &active["sshHost"]),
        (&json!("ACTIVE"), &json!("ssh.p.example"))
    );
    let end = active["endTime"].as_u64().unwrap();
    assert_eq!(end - active["startTime"].as_u64().unwrap(), 2 * 3_600_000);
    let busy = ask(OTHER, "POST", "/v1/rentals", wanted()).await;
    busy.refused(400, "provider_at_capacity");
    let cancel = ask(USER, "POST", &format!("{path}/cancel"), Value::Null).await;
    cancel.refused(400, "rental_not_pending");
    let rate = format!("{path}/rate");
    let early = ask(USER, "POST", &rate, json!({ "rating": 4 })).await;
    early.refused(400, "rental_not_completed");
    for (change, body) in [
        ("extend", json!({ "additionalHours": 1 })),
        ("cancel", Value::Null),
        ("rate", json!({ "rating": 1 })),
    ] {
        let theirs = ask(OTHER, "POST", &format!("{path}/{change}"), body).await;
        theirs.refused(404, "rental_not_found");
    }

    // A way to it lasts as long as it does.
    ask(OTHER, "POST", "/v1/routes", route.clone())
        .await
        .refused(403, "rental_not_owned");
    let made = ask(USER, "POST", "/v1/routes", route).await.ok();
    assert_eq!(
        (&made["proxyHost"], &made["proxyPort"]),
        (&json!("gw.example"), &json!(2222))
    );
    assert_eq!(made["expiresAt"], end);
    let tcp = ask(
        USER,
        "POST",
        "/v1/routes",
        json!({ "rentalId": id, "type": "tcp" }),
    )
    .await
    .ok();
    assert_eq!(tcp["proxyPort"], 30_000);
    let again = ask(
        USER,
        "POST",
        "/v1/routes",
        json!({ "rentalId": id, "type": "tcp" }),
    )
    .await;
    again.refused(503, "route_port_unavailable");
    let http = ask(
        USER,
        "POST",
        "/v1/routes",
        json!({ "rentalId": id, "type": "http" }),
    )
    .await;
    http.refused(400, "route_type_unavailable");
    let route_id = made["routeId"].as_str().unwrap();
    let session = gateway
        .routes
        .open(&route_id.parse().unwrap(), RouteKind::Ssh)
        .unwrap();
    let health = gateway.get("/health").await.ok();
    assert_eq!(
        (&health["activeRoutes"], &health["activeSessions"]),
        (&json!(2), &json!(0)),
        "nothing is carried yet"
    );
    let list = ask(USER, "GET", "/v1/routes", Value::Null).await.ok();
    let listed = list["routes"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[0]["targetHost"], &listed[0]["targetPort"]),
        (&json!("ssh.p.example"), &json!(2022))
    );
    let none = ask(OTHER, "GET", "/v1/routes", Value::Null).await.ok();
    assert_eq!(none["routes"], json!([]));

    let longer = ask(USER, "POST", &extend, json!({ "additionalHours": 3 }))
        .await
        .ok();
    assert_eq!(longer["estimatedCost"], (3 * RATE).to_string());
    market.execute(USER, &longer).await.unwrap();
    let reader = market.anvil.reader();
    let contract = market.contract("computeRental");
    review_once(&gateway.routes, &reader, &contract).await.unwrap();
    let end = end + 3 * 3_600_000;
    assert_eq!(gateway.get(&path).await.ok()["endTime"], end);
    assert_eq!(session.route().expires_at(), end);

    let path_of_route = format!("/v1/routes/{route_id}");
    ask(OTHER, "DELETE", &path_of_route, Value::Null)
        .await
        .refused(403, "route_not_owned");
    let deleted = ask(USER, "DELETE", &path_of_route, Value::Null).await.ok();
    assert_eq!(deleted, json!({ "success": true }));
    session.over().await;
    ask(USER, "DELETE", &path_of_route, Value::Null)
        .await
        .refused(404, "route_not_found");

    // The end takes the other route, and the rating counts.
    rental::complete(&market.sender(), contract.into(), rental_id.into())
        .await
        .unwrap();
    review_once(&gateway.routes, &reader, &contract).await.unwrap();
    assert!(gateway.routes.is_empty());
    let rated = ask(USER, "POST", &rate, json!({ "rating": 4, "review": "good" }))
        .await
        .ok();
    market.execute(USER, &rated).await.unwrap();
    assert_eq!(gateway.get(&path).await.ok()["status"], "COMPLETED");
    let reputation = json!({
        "banned": false, "rating": 8000, "ratingCount": 1, "totalRentals": 2, "completedRentals": 1, "failedRentals": 0,
    });
    let of_provider = gateway
        .get(&format!("/v1/reputation/provider/{PROVIDER}"))
        .await
        .ok();
    let mut with_agent = reputation.clone();
    with_agent["agent"] = Value::Null;
    assert_eq!(of_provider, with_agent);
    let of_user = gateway.get(&format!("/v1/reputation/user/{USER}")).await.ok();
    let expected = json!({ "banned": false, "totalRentals": 2, "completedRentals": 1, "abuseReports": 0 });
    assert_eq!(of_user, expected);
    let provider = gateway.get(&format!("/v1/providers/{PROVIDER}")).await.ok();
    assert_eq!(
        (&provider["name"], &provider["reputation"]),
        (&json!("Pea"), &reputation)
    );
    assert_eq!(provider["healthy"], Value::Null, "never checked");
}

#[tokio::test]
async fn feedback_counts_of_those_alone_whom_the_asker_names() {
    let market = Market::open().await;
    let reputation = market.contract("reputationRegistry");
    let gateway = market
        .gateway_with(|parts| parts.info.contracts.reputation_registry = Some(reputation))
        .await;
    let path = format!("/v1/reputation/provider/{PROVIDER}");
    assert_eq!(
        gateway.get(&path).await.ok()["agent"],
        Value::Null,
        "it has no agent"
    );
    let identities = market.contract("identityRegistry").into();
    let sender = market.sender();
    let (agent, _) = rental::register_agent(&sender, identities, "https://p.example/agent.json")
        .await
        .unwrap();
    let registry = market.contract("computeRegistry").into();
    provider::link_agent(&sender, registry, Some(agent))
        .await
        .unwrap();
    market.anvil.finalize().await.unwrap();
    market.refresh().await;
    for (by, value) in [(USER, 90), (USER, 70), (OTHER, 1)] {
        let give = "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)";
        let data = CallData::new(give).word(agent.into()).number(value).number(0);
        let data = data.text("").text("").text("").text("").word([0; 32]).encode();
        let transaction = json!({ "from": by, "to": documented(&reputation), "data": documented(&data) });
        market.send(transaction).await.unwrap();
    }
    let found = gateway.get(&path).await.ok()["agent"].clone();
    assert_eq!(found, json!({ "agentId": 1, "clients": 2, "feedback": null }));
    let found = gateway.get(&format!("{path}?clients={USER}")).await.ok()["agent"].clone();
    assert_eq!(
        found["feedback"],
        json!({ "count": 2, "value": "80", "decimals": 0 })
    );
    gateway
        .get(&format!("{path}?clients=0x01"))
        .await
        .refused(400, "address_invalid");
}

fn documented(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[tokio::test]
async fn the_gateway_says_who_it_is() {
    let market = Market::open().await;
    let gateway = market.gateway().await;
    let info = gateway.get("/v1/gateway/info").await.ok();
    for (field, value) in [
        ("name", json!("Gate")),
        ("agentId", json!("7")),
        ("port", json!(gateway.at.port())),
        ("sshProxyPort", json!(2222)),
        ("hasIdentityRegistry", json!(true)),
        ("hasReputationRegistry", json!(false)),
    ] {
        assert_eq!(info[field], value, "{field}");
    }
    let card = gateway.get("/.well-known/agent-card.json").await.ok();
    // What the specification of A2A 1.0 demands of a card, and of its parts.
    for field in [
        "name",
        "description",
        "version",
        "supportedInterfaces",
        "capabilities",
        "defaultInputModes",
        "defaultOutputModes",
        "skills",
    ] {
        assert!(!card[field].is_null(), "{field}");
    }
    assert_eq!(card["supportedInterfaces"][0]["url"], "https://api.gw.example/v1");
    assert_eq!(card["skills"].as_array().unwrap().len(), 11);
    for skill in card["skills"].as_array().unwrap() {
        for field in ["id", "name", "description", "tags"] {
            assert!(!skill[field].is_null(), "{skill}");
        }
    }
    let registration = gateway.get("/.well-known/agent-registration.json").await.ok();
    assert_eq!(registration["registrations"][0]["agentId"], 7);
    let registry = registration["registrations"][0]["agentRegistry"]
        .as_str()
        .unwrap();
    assert!(registry.starts_with("eip155:31337:0x"), "{registry}");
    assert_eq!(
        registration["services"][0]["endpoint"],
        "https://api.gw.example/.well-known/agent-card.json"
    );
    let models = gateway.get("/v1/models?type=llm&source=decentralized").await.ok();
    assert_eq!(models, json!({ "models": [], "count": 0, "cloudEnabled": false }));
    let status = gateway.get("/v1/cloud/status").await.ok();
    assert_eq!(
        status,
        json!({ "enabled": false, "endpoint": null, "modelCount": 0 })
    );
    let skills = gateway.get("/v1/cloud/skills").await.ok();
    assert_eq!(skills, json!({ "skills": [], "count": 0 }));
}
