//! What keys don't sign.

use super::super::payload::{Call, Content};
use super::*;

#[test]
fn off_policy_payloads() {
    let policy_of = |change: &dyn Fn(&mut Policy), payload: Payload| {
        let mut key = key();
        change(&mut key.policy);
        decide(&body(&draft(key, sign(payload))))
    };
    let why = |change: &dyn Fn(&mut Policy), payload| match refused(policy_of(change, payload)) {
        Refusal::Policy(why) => why.split(':').next().unwrap(),
        other => panic!("{other:?}"),
    };
    let same = |_: &mut Policy| {};
    let raw = || Payload::Raw {
        hash: HexBytes([1; 32]),
    };
    assert_eq!(why(&same, raw()), "raw");
    granted(policy_of(&|p| p.raw = true, raw()));
    assert_eq!(why(&|p| p.messages = false, text("x")), "messages");
    granted(policy_of(&same, text("x")));

    granted(policy_of(&same, execute(token(), 5)));
    assert_eq!(why(&same, execute(token(), 6)), "maxValue");
    assert_eq!(why(&same, execute(address(2), 0)), "to");
    assert_eq!(
        why(&|p| p.calls[0].chain_ids = vec![1], execute(token(), 0)),
        "chainIds"
    );
    assert_eq!(
        why(&|p| p.calls[0].wallets = vec![address(2)], execute(token(), 0)),
        "wallets"
    );
    granted(policy_of(
        &|p| p.calls[0].wallets = vec![wallet()],
        execute(token(), 0),
    ));
    assert_eq!(
        why(&|p| p.calls.clear(), execute(token(), 0)),
        "no rule is on payloads of this kind"
    );
    granted(policy_of(&|p| p.calls[0].to.clear(), execute(address(2), 0)));
    // The wallet's own functions give it away: "any account" isn't meant for them.
    assert_eq!(why(&|p| p.calls[0].to.clear(), execute(wallet(), 0)), "to");
    granted(policy_of(
        &|p| p.calls[0].to = vec![wallet()],
        execute(wallet(), 0),
    ));
    // A second rule may allow what the first doesn't.
    let second = |p: &mut Policy| {
        let mut rule = p.calls[0].clone();
        rule.to = vec![address(2)];
        rule.max_value = Uint256::from(100);
        p.calls.push(rule);
    };
    granted(policy_of(&second, execute(address(2), 100)));
    assert_eq!(why(&second, execute(token(), 100)), "maxValue");

    let batch = |calls: &[(Address, u64)]| Payload::ExecuteBatch {
        chain_id: CHAIN,
        wallet: wallet(),
        calls: calls
            .iter()
            .map(|(to, value)| Call {
                to: *to,
                value: Uint256::from(*value),
                data: HexData::default(),
            })
            .collect(),
        nonce: 0,
        deadline: NOW,
    };
    granted(policy_of(&same, batch(&[(token(), 2), (token(), 3)])));
    assert_eq!(why(&same, batch(&[(token(), 3), (token(), 3)])), "maxValue");
    assert_eq!(why(&same, batch(&[(token(), 1), (wallet(), 1)])), "to");
    assert_eq!(
        why(&|p| p.calls[0].to.clear(), batch(&[(token(), 0), (wallet(), 0)])),
        "to"
    );

    granted(policy_of(&same, typed(permit())));
    assert_eq!(
        why(&|p| p.typed[0].chain_ids = vec![1], typed(permit())),
        "chainIds"
    );
    assert_eq!(
        why(
            &|p| p.typed[0].verifying_contracts = vec![wallet()],
            typed(permit())
        ),
        "verifyingContracts"
    );
    assert_eq!(
        why(
            &|p| p.typed[0].primary_types = vec!["Order".to_owned()],
            typed(permit())
        ),
        "primaryTypes"
    );
    assert_eq!(
        why(&|p| p.typed.clear(), typed(permit())),
        "no rule is on payloads of this kind"
    );
    let mut operation = permit();
    operation["types"]["PackedUserOperation"] = operation["types"]["Permit"].take();
    operation["types"].as_object_mut().unwrap().remove("Permit");
    operation["primaryType"] = json!("PackedUserOperation");
    let any_type = |p: &mut Policy| p.typed[0].primary_types.clear();
    granted(policy_of(&any_type, typed(permit())));
    assert_eq!(why(&any_type, typed(operation.clone())), "primaryTypes");
    let listed = |p: &mut Policy| p.typed[0].primary_types = vec!["PackedUserOperation".to_owned()];
    granted(policy_of(&listed, typed(operation)));
    let everywhere = json!({
        "types": {"Permit": []}, "primaryType": "Permit", "domain": {"name": "x"}, "message": {}
    });
    assert_eq!(why(&same, typed(everywhere)), "chainIds");

    // A wallet's message is judged by what it says yes to.
    let says = |content| Payload::WalletMessage {
        chain_id: CHAIN,
        wallet: wallet(),
        content,
    };
    let permit = || serde_json::from_value(permit()).unwrap();
    granted(policy_of(
        &same,
        says(Content::TypedData { typed_data: permit() }),
    ));
    assert_eq!(
        why(
            &|p| p.typed.clear(),
            says(Content::TypedData { typed_data: permit() })
        ),
        "no rule is on payloads of this kind"
    );
    assert_eq!(
        why(
            &|p| p.messages = false,
            says(Content::Message {
                message: String::new()
            })
        ),
        "messages"
    );
    assert_eq!(
        why(
            &same,
            says(Content::Raw {
                hash: HexBytes([1; 32])
            })
        ),
        "raw"
    );
    assert_eq!(Refusal::Policy("").code(), "mpc_policy_refuses");
}

#[test]
fn payloads_that_no_such_key_signs() {
    let refused_as = |key: KeyDocument, payload: Payload| {
        let refusal = Draft::new(&network(), key.clone(), sign(payload.clone()), NOW, [9; 32]).unwrap_err();
        // A member says the same, before it looks at any signature.
        let body = body(&draft(key, sign(text("x"))));
        let body = changed(&body, "/request/action/payload", json!(payload));
        assert_eq!(refused(decide(&body)), refusal);
        refusal.code()
    };
    let transaction: Payload =
        serde_json::from_value(json!({"type": "transaction", "to": token(), "gas": 1})).unwrap();
    assert_eq!(refused_as(key(), transaction), "mpc_payload_unsupported");
    // A wallet's call in the dress of typed data would get round the rules on calls.
    let mut call = permit();
    call["domain"]["name"] = json!("Jeju Frost Wallet");
    assert_eq!(refused_as(key(), typed(call.clone())), "mpc_payload_unsupported");
    let inside = Payload::WalletMessage {
        chain_id: CHAIN,
        wallet: wallet(),
        content: Content::TypedData {
            typed_data: serde_json::from_value(call).unwrap(),
        },
    };
    assert_eq!(refused_as(key(), inside), "mpc_payload_unsupported");
}

#[test]
fn taproot_keys_sign_raw_bytes_only() {
    let key = || KeyDocument {
        scheme: Scheme::Taproot,
        policy: Policy {
            raw: true,
            ..policy()
        },
        ..key()
    };
    let hash = HexBytes([1; 32]);
    let grant = granted(decide(&body(&draft(key(), sign(Payload::Raw { hash })))));
    let path = key().path(&network());
    assert_eq!(
        grant.action,
        Action::Sign {
            path,
            message: [1; 32]
        }
    );
    for payload in [text("x"), execute(token(), 0), typed(permit())] {
        let refusal = Draft::new(&network(), key(), sign(payload), NOW, [9; 32]).unwrap_err();
        assert_eq!(refusal.code(), "mpc_payload_unsupported");
    }
}
