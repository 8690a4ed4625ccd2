//! What is no request, and what is another one.

use super::super::payload::Call;
use super::*;

fn malformed(refusal: Refusal) {
    assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal:?}");
    assert_eq!(refusal.code(), "mpc_request_malformed");
}

#[test]
fn forms_of_requests() {
    let body = body(&draft(key(), sign(text("x"))));
    let text = String::from_utf8(body.clone()).unwrap();
    let bad = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        malformed(refused(decide(text.replacen(from, to, 1).as_bytes())));
    };
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        &body[..body.len() - 1],
        &[&body[..], b"x"].concat(),
    ] {
        malformed(refused(decide(bytes)));
    }
    // Too long by one byte, of white space.
    let mut long = body.clone();
    long.resize(32 * 1024, b' ');
    granted(decide(&long));
    long.push(b' ');
    malformed(refused(decide(&long)));
    // Names that come twice, in every kind of object; each would be the same to a lenient reader.
    bad("{\"request\"", "{\"approvals\":[],\"approvals\":[],\"request\"");
    bad("\"chainId\":31337", "\"chainId\":31337,\"chainId\":31337");
    bad("\"quorum\":1", "\"quorum\":1,\"quorum\":1");
    bad("\"raw\":false", "\"raw\":false,\"raw\":false");
    bad("\"to\":[", "\"to\":[],\"to\":[");
    bad("\"type\":\"sign\"", "\"type\":\"sign\",\"type\":\"sign\"");
    bad("\"policyVersion\":0", "\"policyVersion\":0,\"policyVersion\":0");
    bad("\"message\":\"x\"", "\"message\":\"x\",\"message\":\"x\"");
    bad("\"form\":\"eip712\"", "\"form\":\"eip712\",\"form\":\"eip712\"");
    // Names that nobody knows.
    bad("{\"request\"", "{\"more\":1,\"request\"");
    bad("\"chainId\":31337", "\"chainId\":31337,\"more\":1");
    bad("\"quorum\":1", "\"quorum\":1,\"more\":1");
    bad("\"raw\":false", "\"raw\":false,\"more\":1");
    bad("\"type\":\"sign\"", "\"type\":\"sign\",\"more\":1");
    bad("\"message\":\"x\"", "\"message\":\"x\",\"more\":1");
    bad("\"form\":\"eip712\"", "\"form\":\"eip712\",\"more\":1");
    // Missing ones and other values.
    bad("\"policyVersion\":0", "\"policyVersion\":-1");
    bad(",\"policyVersion\":0", "");
    bad("\"type\":\"sign\"", "\"type\":\"export\"");
    bad("\"type\":\"message\"", "\"type\":\"key\"");
    bad("eip712", "eip7702");
    bad("\"maxValue\":\"5\"", "\"maxValue\":5");
    bad("\"maxValue\":\"5\"", "\"maxValue\":\"05\"");
    bad(
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267",
    );
    bad("\"quorum\":1", "\"quorum\":0");
    bad("\"quorum\":1", "\"quorum\":2");
    bad("\"salt\":\"0x05", "\"salt\":\"0x0G");
    bad("\"version\":0", "\"version\":1");
    bad("\"previous\":\"0x00", "\"previous\":\"0x01");
    let scheme = text.replace("frost-secp256k1-sha256", "frost-ed25519");
    let refusal = refused(decide(scheme.as_bytes()));
    assert_eq!(refusal, Refusal::Scheme);
    assert_eq!(refusal.code(), "mpc_scheme_unknown");
    // Nothing goes unread in the actions without fields.
    let keygen = String::from_utf8(super::body(&draft(key(), Asked::Keygen {}))).unwrap();
    let more = keygen.replacen("\"type\":\"keygen\"", "\"type\":\"keygen\",\"more\":1", 1);
    assert_ne!(more, keygen);
    malformed(refused(decide(more.as_bytes())));
}

#[test]
fn sizes_of_documents() {
    let refused = |change: &dyn Fn(&mut KeyDocument)| {
        let mut key = key();
        change(&mut key);
        malformed(Draft::new(&network(), key, Asked::Keygen {}, NOW, [9; 32]).unwrap_err());
    };
    let many = |count: u8| -> Vec<Address> {
        (1..=count)
            .map(|n| Address(jeju_wallet_auth::account::Account([n; 20])))
            .collect()
    };
    assert!(
        KeyDocument {
            owners: many(16),
            ..key()
        }
        .check()
        .is_ok()
    );
    refused(&|k| k.owners = many(17));
    refused(&|k| k.owners.clear());
    refused(&|k| k.owners = vec![address(0), address(0)]);
    refused(&|k| k.owners = many(2).into_iter().rev().collect());
    refused(&|k| k.contracts = vec![address(1)]);
    refused(&|k| k.contracts = vec![address(0), address(0)]);
    refused(&|k| k.policy.contracts = vec![address(0)]);
    refused(&|k| k.policy.signers = many(17));
    refused(&|k| k.policy.signers = many(2).into_iter().rev().collect());
    refused(&|k| k.policy.calls = vec![k.policy.calls[0].clone(); 17]);
    refused(&|k| k.policy.typed = vec![k.policy.typed[0].clone(); 17]);
    refused(&|k| k.policy.calls[0].chain_ids = vec![1; 33]);
    refused(&|k| k.policy.calls[0].wallets = many(33));
    refused(&|k| k.policy.calls[0].to = many(33));
    refused(&|k| k.policy.typed[0].chain_ids = vec![1; 33]);
    refused(&|k| k.policy.typed[0].verifying_contracts = many(33));
    refused(&|k| k.policy.typed[0].primary_types = vec![String::new(); 33]);
    refused(&|k| k.policy.typed[0].primary_types = vec!["x".repeat(129)]);
    let batch = |count, value| Payload::ExecuteBatch {
        chain_id: CHAIN,
        wallet: wallet(),
        calls: vec![
            Call {
                to: token(),
                value,
                data: HexData::default()
            };
            count
        ],
        nonce: 0,
        deadline: 0,
    };
    let refused =
        |payload| malformed(Draft::new(&network(), key(), sign(payload), NOW, [9; 32]).unwrap_err());
    refused(batch(0, Uint256::from(0)));
    refused(batch(65, Uint256::from(0)));
    refused(batch(2, Uint256([0xff; 32])));
    let long = draft(key(), sign(text(&"x".repeat(32 * 1024))));
    malformed(long.body(&[long.authorize(&account_key(0))]).unwrap_err());
    malformed(long.body(&[]).unwrap_err());
}

#[test]
fn a_signature_is_for_one_content_only() {
    let body = body(&draft(key(), sign(execute(token(), 1))).expiring(NOW + 300));
    granted(decide(&body));
    let action = "/request/action";
    let payload = "/request/action/payload";
    for (pointer, value) in [
        ("/request/nonce", json!(HexBytes([8; 32]))),
        ("/request/issued", json!(NOW - 1)),
        ("/request/expires", json!(NOW + 599)),
        (action, json!({"type": "keygen"})),
        (action, json!({"type": "refresh"})),
        (payload, json!(text("x"))),
        ("/request/action/payload/chainId", json!(1)),
        ("/request/action/payload/wallet", json!(address(1))),
        ("/request/action/payload/value", json!("2")),
        ("/request/action/payload/data", json!("0x")),
        ("/request/action/payload/nonce", json!(8)),
        ("/request/action/payload/deadline", json!(NOW)),
        ("/request/key/salt", json!(HexBytes([6; 32]))),
        ("/request/key/dedicated", json!(true)),
        ("/request/key/policy/raw", json!(true)),
    ] {
        assert_eq!(
            refused(decide(&changed(&body, pointer, value))),
            Refusal::Signature,
            "{pointer}"
        );
    }
    for (pointer, value, code) in [
        ("/request/key/owners", json!([address(1)]), "mpc_not_allowed"),
        ("/authorization/account", json!(address(1)), "mpc_not_allowed"),
        ("/request/action/policyVersion", json!(1), "mpc_policy_version"),
    ] {
        assert_eq!(
            refused(decide(&changed(&body, pointer, value))).code(),
            code,
            "{pointer}"
        );
    }
}
