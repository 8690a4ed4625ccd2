//! Routes into containers, asked for by a renter's wallet, with certificates by `ssh-keygen`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jeju_contracts::rental;
use jeju_gateway::inside::Inside;
use jeju_gateway::names::Resolver;
use jeju_gateway::routes::review_once;
use jeju_gateway::ssh::Targets;
use serde_json::{Value, json};

use crate::market::{Gateway, Market, OTHER, PROVIDER, USER};

/// The renter's key, and what it signs.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new(route_key: &str) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        fs::write(this.path("route.pub"), route_key).unwrap();
        for name in ["renter", "host", "other"] {
            let path = this.path(name);
            this.run(&[
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "",
                "-f",
                path.to_str().unwrap(),
            ]);
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) {
        let done = Command::new("ssh-keygen")
            .args(arguments)
            .output()
            .expect("ssh-keygen");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub")))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// For the key in `of`, with `port` alone permitted.
    fn certificate(&self, of: &str, principal: &str, time: &str, port: u16) -> String {
        let (signer, key) = (self.path("renter"), self.path(&format!("{of}.pub")));
        let places = format!("critical:permitopen@jeju.network=localhost:{port}");
        let (signer, key) = (signer.to_str().unwrap(), key.to_str().unwrap());
        let usual = [
            "-q", "-s", signer, "-I", "r", "-n", principal, "-V", time, "-O", "clear",
        ];
        self.run(&[&usual[..], &["-O", "permit-port-forwarding", "-O", &places, key]].concat());
        self.public(&format!("{of}-cert"))
    }
}

async fn gateway(market: &Market) -> Gateway {
    market
        .gateway_with(|parts| {
            let targets = Targets::new(Arc::new(Resolver::new(true)), Duration::from_secs(1));
            parts.inside = Some(Arc::new(Inside::new(None, Arc::new(targets)).unwrap()));
            parts.ways.http = Some(("routes.gw.example".to_owned(), 4008));
        })
        .await
}

/// An active rental of the user's, of two hours.
async fn rent(market: &Market, gateway: &Gateway) -> String {
    let wanted = json!({ "provider": PROVIDER, "duration": 2, "sshPublicKey": "ssh-ed25519 AAAA", "containerImage": "busybox" });
    let made = market
        .ask(gateway, USER, "POST", "/v1/rentals", wanted)
        .await
        .ok();
    market.execute(USER, &made).await.unwrap();
    let list = gateway.get(&format!("/v1/rentals?user={USER}")).await.ok();
    let id = list["rentals"][0]["rentalId"].as_str().unwrap().to_owned();
    let bytes: [u8; 32] = hex::decode(&id[2..]).unwrap().try_into().unwrap();
    let contract = market.contract("computeRental").into();
    rental::start(&market.sender(), contract, bytes.into(), "127.0.0.1", 2022, "c")
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn a_route_into_a_container_lasts_as_long_as_certificate_and_rental() {
    let market = Market::open().await;
    let gateway = gateway(&market).await;
    let ask =
        async |account, method, path: &str, body| market.ask(&gateway, account, method, path, body).await;
    let id = rent(&market, &gateway).await;
    let info = gateway.get("/v1/gateway/info").await.ok();
    let keys = Keys::new(info["routeKey"].as_str().unwrap());
    let end = gateway.get(&format!("/v1/rentals/{id}")).await.ok()["endTime"]
        .as_u64()
        .unwrap();
    let wanted = |kind: &str, certificate: &str| json!({ "rentalId": id, "type": kind, "port": 8080, "certificate": certificate, "hostKey": keys.public("host") });

    let brief = keys.certificate("route", &id, "-1m:+1h", 8080);
    let http = ask(USER, "POST", "/v1/routes", wanted("http", &brief)).await.ok();
    let host = http["proxyHost"].as_str().unwrap();
    assert_eq!(
        host,
        format!("{}.routes.gw.example", http["routeId"].as_str().unwrap())
    );
    assert_eq!((&http["port"], &http["proxyPort"]), (&json!(8080), &json!(4008)));
    let ends = http["expiresAt"].as_u64().unwrap();
    assert!(ends < end && ends % 1000 == 0, "{ends} of {end}");
    let long = keys.certificate("route", &id, "-1m:+9h", 8080);
    let tcp = ask(USER, "POST", "/v1/routes", wanted("tcp", &long)).await.ok();
    assert_eq!((&tcp["port"], &tcp["proxyPort"]), (&json!(8080), &json!(30_000)));
    assert_eq!(tcp["expiresAt"], end);
    let ssh = ask(
        USER,
        "POST",
        "/v1/routes",
        json!({ "rentalId": id, "type": "ssh" }),
    )
    .await
    .ok();
    assert_eq!(ssh["port"], Value::Null);
    let list = ask(USER, "GET", "/v1/routes", Value::Null).await.ok();
    let ports: Vec<_> = list["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["port"])
        .collect();
    assert_eq!(ports, [&json!(8080), &json!(8080), &Value::Null]);

    // Others can't renew it, and a route to the SSH server has nothing to renew.
    let path = format!("/v1/routes/{}", http["routeId"].as_str().unwrap());
    let renewal = json!({ "certificate": long, "hostKey": keys.public("other") });
    ask(OTHER, "PUT", &path, renewal.clone())
        .await
        .refused(403, "route_not_owned");
    let ssh_path = format!("/v1/routes/{}", ssh["routeId"].as_str().unwrap());
    ask(USER, "PUT", &ssh_path, renewal.clone())
        .await
        .refused(400, "route_without_port");
    let nothing = format!("/v1/routes/{}", "0b0e7a9c-5a0e-4d3e-8a51-6d3c2f1e0d9b");
    ask(USER, "PUT", &nothing, renewal.clone())
        .await
        .refused(404, "route_not_found");
    ask(USER, "PUT", &path, json!({}))
        .await
        .refused(400, "request_invalid");
    let elsewhere = keys.certificate("route", &id, "-1m:+9h", 22);
    let renew_with =
        |certificate: &str| json!({ "certificate": certificate, "hostKey": keys.public("other") });
    ask(USER, "PUT", &path, renew_with(&elsewhere))
        .await
        .refused(400, "route_certificate_invalid");
    gateway
        .send("PUT", &path, &[], "{}")
        .await
        .refused(401, "wallet_auth_required");

    // A longer certificate: to the rental's end, and with an extension further.
    let renewed = ask(USER, "PUT", &path, renewal).await.ok();
    assert_eq!(
        (&renewed["routeId"], &renewed["expiresAt"]),
        (&http["routeId"], &json!(end))
    );
    let longer = ask(
        USER,
        "POST",
        &format!("/v1/rentals/{id}/extend"),
        json!({ "additionalHours": 1 }),
    )
    .await;
    market.execute(USER, &longer.ok()).await.unwrap();
    let contract = market.contract("computeRental");
    review_once(&gateway.routes, &market.anvil.reader(), &contract)
        .await
        .unwrap();
    let list = ask(USER, "GET", "/v1/routes", Value::Null).await.ok();
    assert_eq!(list["routes"][0]["expiresAt"], end + 3_600_000);
    let bytes: [u8; 32] = hex::decode(&id[2..]).unwrap().try_into().unwrap();
    rental::complete(&market.sender(), contract.into(), bytes.into())
        .await
        .unwrap();
    ask(USER, "PUT", &path, renew_with(&long))
        .await
        .refused(400, "rental_not_active");
}

#[tokio::test]
async fn what_would_not_open_the_container_makes_no_route() {
    let market = Market::open().await;
    let gateway = gateway(&market).await;
    let id = rent(&market, &gateway).await;
    let info = gateway.get("/v1/gateway/info").await.ok();
    let keys = Keys::new(info["routeKey"].as_str().unwrap());
    let good = keys.certificate("route", &id, "-1m:+1h", 80);
    let other_rental = format!("0x{}", "cd".repeat(32));
    let with = |field: &str, value: Value| {
        let mut body = json!({
            "rentalId": id, "type": "http", "port": 80, "certificate": good, "hostKey": keys.public("host"),
        });
        body[field] = value;
        body
    };
    let certificate = |of, principal: &str, time, port| {
        with("certificate", json!(keys.certificate(of, principal, time, port)))
    };
    for (body, code) in [
        (with("port", json!(0)), "route_port_invalid"),
        (with("port", json!(65_536)), "route_port_invalid"),
        (with("port", json!("80")), "request_invalid"),
        (with("port", Value::Null), "route_port_invalid"),
        (with("type", json!("ssh")), "route_port_invalid"),
        (with("port", json!(81)), "route_certificate_invalid"),
        (with("certificate", Value::Null), "route_certificate_invalid"),
        (
            with("certificate", json!(keys.public("renter"))),
            "route_certificate_invalid",
        ),
        (with("hostKey", Value::Null), "route_host_key_invalid"),
        (with("hostKey", json!("ssh-rsa AAAA")), "route_host_key_invalid"),
        (
            certificate("route", &id, "-2h:-1h", 80),
            "route_certificate_invalid",
        ),
        (
            certificate("route", &id, "+1h:+2h", 80),
            "route_certificate_invalid",
        ),
        (
            certificate("route", &other_rental, "-1m:+1h", 80),
            "route_certificate_invalid",
        ),
        (
            certificate("other", &id, "-1m:+1h", 80),
            "route_certificate_invalid",
        ),
    ] {
        let refused = market.ask(&gateway, USER, "POST", "/v1/routes", body).await;
        refused.refused(400, code);
    }
    let theirs = market
        .ask(&gateway, OTHER, "POST", "/v1/routes", with("port", json!(80)))
        .await;
    theirs.refused(403, "rental_not_owned");
    assert!(gateway.routes.is_empty());
    market
        .ask(&gateway, USER, "POST", "/v1/routes", with("port", json!(80)))
        .await
        .ok();
    // A gateway without listeners for them has no key.
    let plain = market.gateway().await;
    assert_eq!(plain.get("/v1/gateway/info").await.ok()["routeKey"], Value::Null);
}
