//! Whose requests are refused, and when.

use jeju_wallet_auth::signature::Signature;

use super::super::build::authorization;
use super::*;

fn at(body: &[u8], lower: u64, upper: u64) -> Decision {
    WalletAuthority::new(network()).decide(body, Interval { lower, upper }, None)
}

#[test]
fn other_networks_and_chains() {
    let body = body(&draft(key(), Asked::Keygen {}));
    for network in [
        Network {
            genesis: [0x78; 32],
            ..network()
        },
        Network {
            chain_id: 1,
            ..network()
        },
    ] {
        let decision = WalletAuthority::new(network.clone()).decide(&body, Interval::exact(NOW), None);
        assert_eq!(refused(decision), Refusal::OtherNetwork);
        // A coordinator that renames the network breaks the signature: it is over the name.
        let renamed = changed(&body, "/request/network", json!(HexBytes(network.genesis)));
        let renamed = changed(&renamed, "/request/chainId", json!(network.chain_id));
        let decision = WalletAuthority::new(network).decide(&renamed, Interval::exact(NOW), None);
        assert_eq!(refused(decision), Refusal::Signature);
    }
    assert_eq!(Refusal::OtherNetwork.code(), "mpc_other_network");
}

#[test]
fn lives() {
    let draft = draft(key(), Asked::Keygen {});
    let body = body(&draft);
    let end = NOW + 600;
    granted(at(&body, NOW, end - 1));
    granted(at(&body, 0, NOW));
    // It may have expired, though it may not have.
    let expired = refused(at(&body, NOW, end));
    assert_eq!(
        expired,
        Refusal::Expired {
            expires: end,
            now: end
        }
    );
    assert_eq!(expired.code(), "mpc_request_expired");
    let early = refused(at(&body, 0, NOW - 1));
    assert_eq!(early, Refusal::IssuedAt(NOW));
    assert_eq!(early.code(), "mpc_request_time");
    let long = super::body(&draft.expiring(end + 1));
    let long = refused(at(&long, NOW, NOW));
    assert_eq!(long, Refusal::TooLongLived(601));
    assert_eq!(long.code(), "mpc_request_too_long_lived");
}

#[test]
fn who_may_not_ask() {
    let by = |who, key: KeyDocument, action| {
        let draft = draft(key, action);
        decide(&draft.body(&[draft.authorize(&account_key(who))]).unwrap())
    };
    let delegated = || KeyDocument {
        policy: Policy {
            signers: vec![address(1)],
            ..policy()
        },
        ..key()
    };
    for (who, key, action) in [
        (1, key(), Asked::Keygen {}),
        (1, key(), Asked::Refresh {}),
        (1, key(), sign(text("x"))),
        // A signer owns nothing, and an owner who isn't a signer doesn't sign.
        (1, delegated(), Asked::Keygen {}),
        (1, delegated(), Asked::Refresh {}),
        (0, delegated(), sign(text("x"))),
        (2, delegated(), sign(text("x"))),
    ] {
        assert_eq!(refused(by(who, key, action)), Refusal::NotAllowed);
    }
    granted(by(1, delegated(), sign(text("x"))));
    granted(by(0, shared_key(), Asked::Keygen {}));
    granted(by(1, shared_key(), Asked::Refresh {}));
    assert_eq!(Refusal::NotAllowed.code(), "mpc_not_allowed");
}

#[test]
fn signatures_that_are_none() {
    let draft = draft(key(), sign(text("x")));
    let digest = draft.digest();
    let good = account_key(0).sign(&digest).0;
    let with = |form, signature: &[u8]| {
        decide(
            &draft
                .body(&[authorization(address(0).0, signature.to_vec(), form)])
                .unwrap(),
        )
    };
    granted(with(Form::Eip712, &good));
    // n - s with the other v.
    let order =
        Uint256::from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let s = Uint256(good[32..64].try_into().unwrap());
    let mut high = good;
    high[32..64].copy_from_slice(&order.0);
    let mut borrow = 0_i16;
    for byte in (0..32).rev() {
        let difference = i16::from(order.0[byte]) - i16::from(s.0[byte]) - borrow;
        borrow = i16::from(difference < 0);
        high[32 + byte] = difference.rem_euclid(256) as u8;
    }
    high[64] = 27 + 28 - good[64];
    assert!(Signature(high).recover(&digest).is_err());
    let mut v0 = good;
    v0[64] -= 27;
    let short = &good[..64];
    let long = [&good[..], &[0]].concat();
    let other = account_key(1).sign(&digest).0;
    let text = account_key(0)
        .sign(&jeju_wallet_auth::signature::text_digest(&draft.text()))
        .0;
    granted(with(Form::Eip191, &text));
    for (why, form, signature) in [
        ("high s", Form::Eip712, &high[..]),
        ("v of 0 or 1", Form::Eip712, &v0),
        ("short", Form::Eip712, short),
        ("long", Form::Eip712, &long),
        ("none", Form::Eip712, &[]),
        ("zeros", Form::Eip712, &[0; 65]),
        ("another's", Form::Eip712, &other),
        ("typed data as text", Form::Eip191, &good),
        ("text as typed data", Form::Eip712, &text),
        ("nothing for a contract", Form::Erc1271, &[]),
        ("too much for a contract", Form::Erc1271, &[1; 8193]),
    ] {
        assert_eq!(refused(with(form, signature)), Refusal::Signature, "{why}");
    }
    assert_eq!(Refusal::Signature.code(), "mpc_signature_invalid");
}

#[test]
fn contracts_are_asked() {
    let draft = draft(contract_key(), sign(text("x")));
    let by = authorization(address(0).0, vec![1, 2, 3], Form::Erc1271);
    let body = draft.body(&[by]).unwrap();
    let Decision::AskContract(question) = decide(&body) else {
        panic!("not asked");
    };
    assert_eq!(question.account, address(0).0.0);
    assert_eq!(question.digest, draft.digest());
    assert_eq!(question.signature, [1, 2, 3]);
    let answered = |valid| WalletAuthority::new(network()).decide(&body, Interval::exact(NOW), Some(valid));
    assert_eq!(granted(answered(true)).digest, draft.digest());
    assert_eq!(refused(answered(false)), Refusal::Signature);
    // No contract is asked for what is refused anyway, and none stands for a key.
    let by = authorization(address(0).0, vec![1; 65], Form::Eip712);
    let forged = draft.body(&[by]).unwrap();
    let answer = WalletAuthority::new(network()).decide(&forged, Interval::exact(NOW), Some(true));
    assert_eq!(refused(answer), Refusal::Signature);
    let raw = super::draft(
        contract_key(),
        sign(Payload::Raw {
            hash: HexBytes([1; 32]),
        }),
    );
    let by = authorization(address(0).0, vec![1], Form::Erc1271);
    assert!(matches!(
        refused(decide(&raw.body(&[by]).unwrap())),
        Refusal::Policy(_)
    ));
    let by = authorization(address(2).0, vec![1], Form::Erc1271);
    assert_eq!(refused(decide(&draft.body(&[by]).unwrap())), Refusal::NotAllowed);
}

/// Whoever lies about the chain could otherwise stand in for any account.
#[test]
fn keys_are_not_asked_on_the_chain() {
    let lied = |key: KeyDocument, who: usize| {
        let draft = draft(key, sign(text("x")));
        let by = authorization(address(who).0, vec![1], Form::Erc1271);
        let body = draft.body(&[by]).unwrap();
        WalletAuthority::new(network()).decide(&body, Interval::exact(NOW), Some(true))
    };
    assert_eq!(refused(lied(key(), 0)), Refusal::Signature);
    granted(lied(contract_key(), 0));
    let signed_by = |signers: &[usize], contracts: &[usize]| {
        let all = |list: &[usize]| {
            let mut all: Vec<_> = list.iter().map(|at| address(*at)).collect();
            all.sort();
            all
        };
        let policy = Policy {
            signers: all(signers),
            contracts: all(contracts),
            ..policy()
        };
        KeyDocument {
            policy,
            ..contract_key()
        }
    };
    assert_eq!(refused(lied(signed_by(&[0, 1], &[1]), 0)), Refusal::Signature);
    granted(lied(signed_by(&[0, 1], &[1]), 1));
    // A contract that signs by a key of its own address (EIP-7702) may do so.
    granted(decide(&body(&draft(contract_key(), sign(text("x"))))));
}
