//! Three nodes, of which two must sign.

use jeju_mpc::authority::request::Asked;
use serde_json::json;

use crate::fixture::{User, after_boot, assert_signed, call, document, post, start, until, until_admitted};

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_make_a_key_and_two_of_them_sign() {
    let (mut hosts, network) = start(3, 2, false).await;
    for host in &hosts {
        until_admitted(host, 2).await;
    }
    let user = User::new(&network, 1);
    let (status, made) = post(&hosts[0], "/mpc/keygen", &user.keygen(1)).await;
    assert_eq!(status, 200, "{made}");
    // Any member coordinates.
    let bodies: Vec<Vec<u8>> = (0..3).map(|at| user.message("hello", 10 + at)).collect();
    for (host, body) in hosts.iter().zip(&bodies) {
        let (status, signed) = post(host, "/mpc/sign", body).await;
        assert_eq!(status, 200, "{signed}");
        assert_eq!(signed["publicKey"], made["publicKey"]);
        assert_eq!(signed["signers"].as_array().unwrap().len(), 2);
        assert_signed(&signed);
    }
    let body = user.signed(&user.draft(Asked::Refresh {}, 20));
    let (status, refreshed) = post(&hosts[1], "/mpc/refresh", &body).await;
    assert_eq!(status, 200, "{refreshed}");
    assert_eq!(
        (&refreshed["publicKey"], &refreshed["generation"]),
        (&made["publicKey"], &json!(1))
    );

    // Once more by another member: the others have given their shares.
    let (status, refused) = post(&hosts[2], "/mpc/sign", &bodies[0]).await;
    assert_eq!(
        (status, &refused["code"]),
        (409, &json!("mpc_request_replayed")),
        "{refused}"
    );

    // One may be gone.
    let gone = hosts.remove(0).kill().await;
    until_admitted(&hosts[0], 1).await;
    let (status, signed) = post(&hosts[0], "/mpc/sign", &user.message("hello", 21)).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["signers"], json!([2, 3]));
    assert_signed(&signed);

    // It comes back without its share, and gets it from the others.
    let launch = document(&[&gone, &hosts[0].machine, &hosts[1].machine], 2, 0);
    let back = gone.start(launch).await;
    until_admitted(&back, 2).await;
    after_boot().await;
    until("repair", || async {
        let (_, status) = call(&back, "GET", "/mpc/status", b"").await;
        status["storedKeys"] == 1
    })
    .await;
    let (status, signed) = post(&back, "/mpc/sign", &user.message("back", 22)).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["publicKey"], made["publicKey"]);
    assert_signed(&signed);

    // Without a quorum there is no signature.
    let last = hosts.remove(1);
    drop(last.kill().await);
    drop(back.kill().await);
    until_admitted(&hosts[0], 0).await;
    let (status, refused) = post(&hosts[0], "/mpc/sign", &user.message("alone", 23)).await;
    assert_eq!(
        (status, &refused["code"]),
        (503, &json!("mpc_no_quorum")),
        "{refused}"
    );
}
