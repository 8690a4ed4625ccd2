//! Places of a network pass to other nodes, and to nobody whom governance and members don't name.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_mpc::authority::payload::HexData;
use jeju_mpc::authority::request::Asked;
use jeju_mpc::configuration::{Approved, Chain, Configuration, Founding, Place, Proposal};
use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

use crate::fixture::{
    User, address, after_boot, assert_signed, bytes, call, document_beside, governance, post, start_beside,
    until, until_admitted,
};
use crate::host::{Host, Machine};

/// The newcomer's agent, as [`document_beside`] names a fourth node.
const HEIR: [u8; 32] = [4; 32];

/// A configuration that gives places to others, as a member's answer says what it takes.
fn next(known: &Value, changes: &[(usize, Place)]) -> Configuration {
    let field = |name: &str| known[name].clone();
    let mut places: Vec<Place> = serde_json::from_value(field("places")).unwrap();
    for (index, place) in changes {
        places[index - 1] = *place;
    }
    Configuration {
        network: serde_json::from_value(field("genesis")).unwrap(),
        chain_id: 31337,
        number: known["number"].as_u64().unwrap() as u32 + 1,
        previous: serde_json::from_value(field("digest")).unwrap(),
        threshold: 2,
        root_key: serde_json::from_value(field("rootKey")).unwrap(),
        places,
    }
}

fn signed(configuration: Configuration, by: &AccountKey) -> Vec<u8> {
    let signature = HexData(by.sign(&configuration.digest()).0.to_vec());
    let proposal = Proposal {
        configuration,
        signature,
    };
    proposal.to_bytes()
}

async fn configuration(host: &Host, query: &str) -> Value {
    let (status, known) = call(host, "GET", &format!("/mpc/configuration{query}"), b"").await;
    assert_eq!(status, 200, "{known}");
    known
}

async fn stored_keys(host: &Host) -> u64 {
    let (_, status) = call(host, "GET", "/mpc/status", b"").await;
    status["storedKeys"].as_u64().unwrap()
}

async fn assert_refused(host: &Host, path: &str, body: &[u8], expected: (u16, &str)) {
    let (status, refused) = post(host, path, body).await;
    assert_eq!(
        (status, &refused["code"]),
        (expected.0, &json!(expected.1)),
        "{refused}"
    );
    assert!(refused.get("signature").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_passes_to_another_node() {
    let mut heir = Machine::new();
    let (mut hosts, network) = start_beside(3, 2, false, &[&heir]).await;
    for host in &hosts {
        until_admitted(host, 2).await;
    }
    let user = User::new(&network, 1);
    let (status, made) = post(&hosts[1], "/mpc/keygen", &user.keygen(1)).await;
    assert_eq!(status, 200, "{made}");
    until("the root key", || async {
        !configuration(&hosts[1], "").await["rootKey"].is_null()
    })
    .await;
    let first = configuration(&hosts[1], "").await;
    assert_eq!(
        (&first["number"], &first["configurations"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(bytes(&first["digest"]), network.genesis);

    // The newcomer runs before anybody gave it a place: nobody speaks with it, and it does nothing.
    let launch = {
        let machines: Vec<&Machine> = hosts.iter().map(|host| &host.machine).collect();
        document_beside(&machines, &[&heir], 2, 3).replacen("[mpc]\n", "[mpc]\nplace = 1\n", 1)
    };
    let founding = Founding::of(&LaunchDocument::parse(launch.as_bytes()).unwrap().mpc.unwrap());
    heir.routes = (1..3)
        .map(|at| (address(at), hosts[at].machine.socket(4010)))
        .collect();
    let place = Place {
        agent: HexBytes(HEIR),
        platform: HexBytes(heir.silicon.platform_id()),
    };
    let host = heir.start(launch.clone()).await;
    until("its refusal", || async {
        let (_, status) = call(&host, "GET", "/mpc/status", b"").await;
        status["peers"][0]["last"] == "agent_not_accepted"
    })
    .await;
    after_boot().await;
    assert_refused(
        &host,
        "/mpc/sign",
        &user.message("early", 2),
        (503, "mpc_no_place"),
    )
    .await;
    assert_eq!(stored_keys(&host).await, 0);
    let heir = host.kill().await;

    // What governance didn't sign, or what doesn't follow, is no configuration.
    let one = next(&first, &[(1, place)]);
    let refused = |change: &dyn Fn(&mut Configuration)| {
        let mut changed = one.clone();
        change(&mut changed);
        signed(changed, &governance())
    };
    let elsewhere = HexBytes([0xee; 32]);
    for (body, expected) in [
        (
            signed(one.clone(), &user.wallet),
            (401, "mpc_configuration_governance"),
        ),
        (
            refused(&|next| next.number = 2),
            (409, "mpc_configuration_number"),
        ),
        (
            refused(&|next| next.previous = elsewhere),
            (409, "mpc_configuration_previous"),
        ),
        (
            refused(&|next| next.network = elsewhere),
            (409, "mpc_configuration_previous"),
        ),
        (
            refused(&|next| next.threshold = 1),
            (422, "mpc_configuration_shape"),
        ),
        (
            refused(&|next| next.places[1].agent = elsewhere),
            (422, "mpc_configuration_changes"),
        ),
        (
            refused(&|next| next.places[0].agent = HexBytes([2; 32])),
            (422, "mpc_configuration_place"),
        ),
        (
            refused(&|next| next.root_key.0[1] ^= 1),
            (422, "mpc_configuration_root_key"),
        ),
        (b"{}".to_vec(), (400, "mpc_request_malformed")),
        (
            user.message("no configuration", 3),
            (400, "mpc_request_malformed"),
        ),
    ] {
        assert_refused(&hosts[1], "/mpc/configure", &body, expected).await;
    }
    for query in ["?from=0", "?from=x"] {
        let (status, _) = call(&hosts[1], "GET", &format!("/mpc/configuration{query}"), b"").await;
        assert_eq!(status, 400, "{query}");
    }
    assert_eq!(configuration(&hosts[1], "").await, first);

    let body = signed(one.clone(), &governance());
    let in_force = json!({ "success": true, "number": 1, "digest": HexBytes(one.digest()) });
    assert_eq!(
        post(&hosts[1], "/mpc/configure", &body).await,
        (200, in_force.clone())
    );
    // Once more: it is in force.
    assert_eq!(post(&hosts[2], "/mpc/configure", &body).await, (200, in_force));

    // The machine that had the place was told, and does nothing more; the others are done with it.
    until("the old one's knowledge", || async {
        configuration(&hosts[0], "").await["number"] == 1
    })
    .await;
    assert_refused(
        &hosts[0],
        "/mpc/sign",
        &user.message("late", 4),
        (503, "mpc_no_place"),
    )
    .await;
    until_admitted(&hosts[1], 1).await;

    // The newcomer is admitted, and gets its share from the others.
    let heir = heir.start(launch).await;
    until_admitted(&heir, 2).await;
    after_boot().await;
    until("repair", || async { stored_keys(&heir).await == 1 }).await;
    let (status, signed_by_heir) = post(&heir, "/mpc/sign", &user.message("mine now", 5)).await;
    assert_eq!(status, 200, "{signed_by_heir}");
    assert_eq!(signed_by_heir["publicKey"], made["publicKey"]);
    assert_signed(&signed_by_heir);
    let signers = signed_by_heir["signers"].as_array().unwrap();
    assert!(signers.contains(&json!(1)), "{signers:?}");

    // Whoever has the launch document verifies all of it.
    let shown = configuration(&heir, "?from=1").await;
    let mut chain = Chain::new(network.clone(), founding);
    for later in shown["configurations"].as_array().unwrap() {
        let proposal = serde_json::from_value(later["proposal"].clone()).unwrap();
        let approval = bytes(&later["approval"]).try_into().unwrap();
        chain.adopt(Approved { proposal, approval }, None).unwrap();
    }
    assert_eq!((chain.number(), chain.places()[0]), (1, place));
    assert_eq!(configuration(&heir, "?from=2").await["configurations"], json!([]));

    // New shares, so that the one which the old machine still has is worth nothing.
    let refresh = user.signed(&user.draft(Asked::Refresh {}, 6));
    let (status, refreshed) = post(&heir, "/mpc/refresh", &refresh).await;
    assert_eq!(
        (status, &refreshed["generation"]),
        (200, &json!(1)),
        "{refreshed}"
    );

    // Its host starts it again, and it knows of nothing: it gets no share, and nobody speaks with it.
    let old = hosts.remove(0).kill().await;
    let launch = {
        let machines = [&old, &hosts[0].machine, &hosts[1].machine];
        document_beside(&machines, &[&heir.machine], 2, 0)
    };
    let old = old.start(launch).await;
    until("the old one's refusal", || async {
        let (_, status) = call(&old, "GET", "/mpc/status", b"").await;
        let last = |at: usize| status["peers"][at]["last"] == "agent_not_accepted";
        last(0) && last(1)
    })
    .await;
    after_boot().await;
    let (status, refused) = post(&old, "/mpc/sign", &user.message("late", 7)).await;
    assert!(status != 200 && refused["signature"].is_null(), "{refused}");
    assert_eq!(stored_keys(&old).await, 0);
    until_admitted(&hosts[0], 2).await;

    // One that was in force comes back for nothing.
    let known = configuration(&heir, "").await;
    let nobody = Place {
        agent: HexBytes([5; 32]),
        platform: HexBytes([6; 32]),
    };
    let two = next(&known, &[(2, nobody)]);
    let (status, answer) = post(&heir, "/mpc/configure", &signed(two, &governance())).await;
    assert_eq!(status, 200, "{answer}");
    assert_refused(&heir, "/mpc/configure", &body, (409, "mpc_configuration_number")).await;
    let (status, signed) = post(&heir, "/mpc/sign", &user.message("the other two", 8)).await;
    assert_eq!(status, 200, "{signed}");
    assert_eq!(signed["signers"], json!([1, 3]));
}
