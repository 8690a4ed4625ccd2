//! Policies that replace one another.

use super::*;
use crate::authority::PolicyUpdate;
use crate::authority::build::authorization;

fn next(previous: &Policy, change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy {
        version: previous.version + 1,
        previous: HexBytes(previous.digest()),
        ..previous.clone()
    };
    change(&mut policy);
    policy
}

fn update(policy: &Policy, history: &[Policy]) -> Draft {
    let action = Asked::Policy {
        policy: policy.clone(),
        history: history.to_vec(),
    };
    draft(key(), action)
}

fn set(authority: &mut WalletAuthority, body: &[u8]) -> Result<PolicyUpdate, Refusal> {
    match authority.decide(body, Interval::exact(NOW), None) {
        Decision::Allowed(grant) => {
            let Action::SetPolicy(update) = grant.action else {
                panic!("{:?}", grant.action)
            };
            authority.adopt(&update);
            Ok(update)
        }
        Decision::Refused(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

fn sign_at(authority: &WalletAuthority, who: usize, policy_version: u32) -> Decision {
    let draft = draft(
        key(),
        Asked::Sign {
            payload: text("x"),
            policy_version,
        },
    );
    let body = draft.body(&[draft.authorize(&account_key(who))]).unwrap();
    authority.decide(&body, Interval::exact(NOW), None)
}

#[test]
fn a_later_policy_is_in_force_at_once_and_for_good() {
    let mut authority = WalletAuthority::new(network());
    let id = key().id(&network());
    granted(sign_at(&authority, 0, 0));
    let ahead = refused(sign_at(&authority, 0, 1));
    assert_eq!(ahead, Refusal::PolicyVersion { given: 1, current: 0 });
    assert_eq!(ahead.code(), "mpc_policy_version");
    let first = next(&policy(), |p| p.signers = vec![address(1)]);
    let body = body(&update(&first, &[]));
    let adopted = set(&mut authority, &body).unwrap();
    assert_eq!((adopted.key, adopted.version, &adopted.document), (id, 1, &body));
    assert_eq!(authority.version(&id), 1);
    assert_eq!(
        refused(sign_at(&authority, 0, 0)),
        Refusal::PolicyVersion { given: 0, current: 1 }
    );
    assert_eq!(refused(sign_at(&authority, 0, 1)), Refusal::NotAllowed);
    granted(sign_at(&authority, 1, 1));
    // Nothing but owners sets policies, whoever signs by now.
    let second = next(&first, |p| p.messages = false);
    let draft = update(&second, &[]);
    let by_signer = draft.body(&[draft.authorize(&account_key(1))]).unwrap();
    assert_eq!(set(&mut authority, &by_signer), Err(Refusal::NotAllowed));
    set(&mut authority, &super::body(&draft)).unwrap();
    assert!(matches!(refused(sign_at(&authority, 1, 2)), Refusal::Policy(_)));
    // The one before is refused, and ignored where a record of it comes late.
    assert_eq!(
        set(&mut authority, &body),
        Err(Refusal::PolicyVersion { given: 1, current: 2 })
    );
    authority.adopt(&adopted);
    assert_eq!(authority.version(&id), 2);
    // Another key's policy is its own.
    let other = KeyDocument {
        salt: HexBytes([6; 32]),
        ..key()
    };
    assert_eq!(authority.version(&other.id(&network())), 0);
}

#[test]
fn a_record_is_checked_again_without_the_clock() {
    let mut authority = WalletAuthority::new(network());
    let first = next(&policy(), |p| p.messages = false);
    let second = next(&first, |p| p.raw = true);
    let id = key().id(&network());
    let document = body(&update(&second, &[]));
    let record = PolicyUpdate {
        key: id,
        version: 2,
        document,
    };
    for wrong in [
        PolicyUpdate {
            version: 3,
            ..record.clone()
        },
        PolicyUpdate {
            key: crate::network::KeyId([0; 32]),
            ..record.clone()
        },
        PolicyUpdate {
            document: vec![],
            ..record.clone()
        },
        PolicyUpdate {
            document: body(&draft(key(), Asked::Keygen {})),
            ..record.clone()
        },
        PolicyUpdate {
            document: String::from_utf8(record.document.clone())
                .unwrap()
                .replacen("\"raw\":true", "\"raw\":false", 1)
                .into_bytes(),
            ..record.clone()
        },
    ] {
        authority.adopt(&wrong);
        assert_eq!(authority.version(&id), 0);
    }
    // What another member shows: authentic, whatever this member missed.
    let shown = granted(authority.shown(&record.document, None));
    assert_eq!(shown.action, Action::SetPolicy(record.clone()));
    let keygen = body(&draft(key(), Asked::Keygen {}));
    assert!(matches!(
        authority.shown(&keygen, None),
        Decision::Refused(Refusal::Malformed(_))
    ));
    authority.adopt(&record);
    assert_eq!(authority.version(&id), 2);
}

#[test]
fn chains_that_do_not_hold() {
    let first = next(&policy(), |p| p.messages = false);
    let second = next(&first, |p| p.raw = true);
    let third = next(&second, |p| p.raw = false);
    let refused = |authority: &mut WalletAuthority, policy: &Policy, history: &[Policy]| {
        set(authority, &body(&update(policy, history)))
            .unwrap_err()
            .code()
    };
    let mut authority = WalletAuthority::new(network());
    let chain = "mpc_policy_chain";
    assert_eq!(
        refused(&mut authority, &policy(), &[]),
        chain,
        "version 0 is the document's"
    );
    assert_eq!(
        refused(&mut authority, &second, &[]),
        chain,
        "a version is missing"
    );
    assert_eq!(
        refused(&mut authority, &third, std::slice::from_ref(&second)),
        chain
    );
    assert_eq!(
        refused(&mut authority, &third, std::slice::from_ref(&first)),
        chain,
        "a gap"
    );
    assert_eq!(
        refused(&mut authority, &second, std::slice::from_ref(&second)),
        chain
    );
    assert_eq!(
        refused(&mut authority, &first, &[policy()]),
        chain,
        "version 0 needs no history"
    );
    let other = next(&policy(), |p| p.raw = true);
    assert_eq!(
        refused(&mut authority, &second, std::slice::from_ref(&other)),
        chain,
        "another history"
    );
    let unlinked = Policy {
        previous: HexBytes([1; 32]),
        ..first.clone()
    };
    assert_eq!(refused(&mut authority, &unlinked, &[]), chain);
    let history = vec![first.clone(); 9];
    let long = Draft::new(
        &network(),
        key(),
        Asked::Policy {
            policy: second.clone(),
            history,
        },
        NOW,
        [9; 32],
    );
    assert!(matches!(long, Err(Refusal::Malformed(_))));
    // With what was missed it follows.
    set(
        &mut authority,
        &body(&update(&third, &[first.clone(), second.clone()])),
    )
    .unwrap();
    assert_eq!(authority.version(&key().id(&network())), 3);
    // Versions between are known by now, so a sibling of the third is in the way of nothing.
    let fork = next(&second, |p| p.messages = true);
    assert_eq!(refused(&mut authority, &fork, &[]), "mpc_policy_version");
    let fourth = next(&fork, |_| {});
    set(&mut authority, &body(&update(&fourth, &[fork]))).unwrap();
    let skipping = next(&next(&fourth, |_| {}), |_| {});
    assert_eq!(refused(&mut authority, &skipping, &[]), chain);
}

#[test]
fn owners_who_sign_two_of_one_version_heal_it_with_the_next() {
    let ours = next(&policy(), |p| p.messages = false);
    let theirs = next(&policy(), |p| p.raw = true);
    let mut authority = WalletAuthority::new(network());
    set(&mut authority, &body(&update(&ours, &[]))).unwrap();
    // The same again changes nothing and is no error.
    set(&mut authority, &body(&update(&ours, &[]))).unwrap();
    let same = PolicyVersionOf(1, 1);
    assert_eq!(
        set(&mut authority, &body(&update(&theirs, &[]))),
        Err(same.into())
    );
    let healed = next(&theirs, |_| {});
    assert_eq!(
        set(&mut authority, &body(&update(&healed, &[]))),
        Err(Refusal::PolicyChain)
    );
    set(&mut authority, &body(&update(&healed, &[theirs]))).unwrap();
    assert_eq!(authority.version(&key().id(&network())), 2);
}

struct PolicyVersionOf(u32, u32);

impl From<PolicyVersionOf> for Refusal {
    fn from(PolicyVersionOf(given, current): PolicyVersionOf) -> Self {
        Refusal::PolicyVersion { given, current }
    }
}

#[test]
fn a_quorum_of_owners_signs() {
    let policy = next(&policy(), |p| p.raw = true);
    let action = Asked::Policy {
        policy,
        history: vec![],
    };
    let key = KeyDocument {
        contracts: shared_key().owners,
        ..shared_key()
    };
    let draft = draft(key, action);
    let authorizations = [0, 1, 2].map(|at| draft.authorize(&account_key(at)));
    let [first, second, stranger] = &authorizations;
    let with = |all: &[&Authorization]| {
        let all: Vec<_> = all.iter().map(|one| (*one).clone()).collect();
        decide(&draft.body(&all).unwrap())
    };
    granted(with(&[first, second]));
    granted(with(&[second, &draft.authorize_text(&account_key(0))]));
    let missing = refused(with(&[second]));
    assert_eq!(missing, Refusal::OwnersMissing { given: 1, needed: 2 });
    assert_eq!(missing.code(), "mpc_owners_missing");
    assert!(matches!(refused(with(&[first, first])), Refusal::Malformed(_)));
    assert_eq!(refused(with(&[first, second, stranger])), Refusal::NotAllowed);
    let forged = authorization(address(1).0, first.signature.0.clone(), Form::Eip712);
    assert_eq!(refused(with(&[first, &forged])), Refusal::Signature);
    // One owner may be a contract, if it was named as one, which is asked once the others are found good; not two.
    let contract = authorization(address(1).0, vec![1], Form::Erc1271);
    assert!(matches!(with(&[first, &contract]), Decision::AskContract(_)));
    assert!(matches!(with(&[&contract, first]), Decision::AskContract(_)));
    let forged = authorization(address(0).0, vec![1; 65], Form::Eip712);
    assert_eq!(refused(with(&[&contract, &forged])), Refusal::Signature);
    let other = authorization(address(0).0, vec![1], Form::Erc1271);
    assert!(matches!(
        refused(with(&[&other, &contract])),
        Refusal::Malformed(_)
    ));
    // Other requests take one signature.
    let keygen = super::draft(shared_key(), Asked::Keygen {});
    let both = [0, 1].map(|at| keygen.authorize(&account_key(at)));
    assert!(matches!(
        refused(decide(&keygen.body(&both).unwrap())),
        Refusal::Malformed(_)
    ));
}
