//! A host that brings back an old disk.

use std::time::Duration;

use serde_json::{Value, json};

use jeju_mpc::authority::request::Asked;

use crate::fixture::{User, after_boot, assert_signed, call, document, post, start, until, until_admitted};
use crate::host::Host;

async fn status(host: &Host) -> Value {
    call(host, "GET", "/mpc/status", b"").await.1
}

async fn until_rollback_is(host: &Host, state: &str) {
    until(state, || async { status(host).await["rollback"] == state }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_an_old_disk_is_found_out_by_its_peers_and_repaired() {
    let (mut hosts, network) = start(3, 2, true).await;
    for host in &hosts {
        until_admitted(host, 2).await;
    }
    let user = User::new(&network, 1);
    let (code, made) = post(&hosts[0], "/mpc/keygen", &user.keygen(1)).await;
    assert_eq!(code, 200, "{made}");
    until_rollback_is(&hosts[0], "protected").await;
    let old = hosts[0].machine.blobs.as_ref().unwrap().lock().unwrap().clone();

    let body = user.signed(&user.draft(Asked::Refresh {}, 2));
    let (code, refreshed) = post(&hosts[1], "/mpc/refresh", &body).await;
    assert_eq!((code, &refreshed["generation"]), (200, &json!(1)), "{refreshed}");
    // Peers are told a moment after the last commit.
    tokio::time::sleep(Duration::from_secs(8)).await;
    until_rollback_is(&hosts[0], "protected").await;

    // The host starts the node on the disk of before. One peer is enough to notice.
    let gone = hosts.remove(0).kill().await;
    *gone.blobs.as_ref().unwrap().lock().unwrap() = old;
    let other = hosts.remove(1).kill().await;
    let launch = document(&[&gone, &hosts[0].machine, &other], 2, 0);
    let second = document(&[&gone, &hosts[0].machine, &other], 2, 2);
    let back = gone.start(launch).await;
    until("found out", || async {
        status(&back).await["rollbacksDetected"] == 1
    })
    .await;
    let (_, health) = call(&back, "GET", "/health", b"").await;
    assert_ne!(health["rollback"], "protected", "{health}");

    let third = other.start(second).await;
    until_admitted(&back, 2).await;
    after_boot().await;
    // With two peers its share of the new generation comes back. Until then it gives none.
    let mut nonce = 3;
    let signed = loop {
        let (code, signed) = post(&back, "/mpc/sign", &user.message("back", nonce)).await;
        if code == 200 {
            break signed;
        }
        assert!(nonce < 100 && code == 503 || code == 429, "{signed}");
        nonce += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(
        (&signed["publicKey"], &signed["generation"]),
        (&made["publicKey"], &json!(1))
    );
    assert_signed(&signed);
    until_rollback_is(&back, "protected").await;

    // Started again on the disk that it has now, nothing is wrong any more.
    let machine = back.kill().await;
    let launch = document(&[&machine, &hosts[0].machine, &third.machine], 2, 0);
    let again = machine.start(launch).await;
    until_rollback_is(&again, "protected").await;
    assert_eq!(status(&again).await["rollbacksDetected"], 0);
}
