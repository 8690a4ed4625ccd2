use super::*;
use crate::signature::AccountKey;
use crate::signature::tests::{provider, user};

const NOW: u64 = 1_767_225_600;

const REQUEST: &str = "0x5b61efc42a7c1dd6473414a14c8cbf5f538f80467b4e1472d00b0f81fa9fd42b372b72954919a71ade2d301083aea4ebe60050b29ff37ceaeec604f289318ce31b";
const DELEGATION: &str = "0x78f07cf7705bda343939383eb2c632376a9adc9147298773d4bcd0c6ed0fb509146e70379f5ce08bfe08213c695b690bdd9ab3c7b3aa7991a55d4bbd90a6ac9c1b";

fn audience() -> Audience {
    Audience {
        chain_id: 31337,
        registry: Account([0x55; 20]),
        node: [8; 32],
    }
}

fn request() -> Request<'static> {
    Request {
        account: user().account(),
        method: "POST",
        path: "/v1/rentals?dry=1",
        body_digest: Request::digest_of_body(b"{}"),
        nonce: [7; 32],
        expiry: NOW + 60,
    }
}

fn session() -> AccountKey {
    AccountKey::from_bytes(&[3; 32]).unwrap()
}

fn delegation() -> Delegation {
    Delegation {
        account: user().account(),
        session: session().account(),
        scope: "/v1/".to_owned(),
        not_before: NOW - 10,
        expiry: NOW + 3600,
    }
}

fn cache() -> ReplayCache {
    ReplayCache::new(10, 2 * MAX_REQUEST_LIFE)
}

fn direct(request: &Request, signed: &Request) -> Result<Signer, V2Error> {
    let signature = user().sign(&signed.digest(&audience())).0;
    verify(request, &signature, None, &audience(), NOW, &mut cache())
}

fn delegated(delegation: &Delegation, signed: &Delegation, path: &'static str) -> Result<Signer, V2Error> {
    let request = Request { path, ..request() };
    let signature = session().sign(&request.digest(&audience())).0;
    let signed = SignedDelegation {
        delegation: delegation.clone(),
        signature: user().sign(&signed.digest(&audience())).0.to_vec(),
    };
    verify(
        &request,
        &signature,
        Some(&signed),
        &audience(),
        NOW,
        &mut cache(),
    )
}

/// What `cast wallet sign --data` gives for the same typed data and key.
#[test]
fn golden() {
    let signed = |digest| user().sign(&digest).to_string();
    assert_eq!(signed(request().digest(&audience())), REQUEST);
    assert_eq!(signed(delegation().digest(&audience())), DELEGATION);
}

#[test]
fn what_the_account_signed_passes_once() {
    let mut used = cache();
    let signature = user().sign(&request().digest(&audience())).0;
    let mut ask = || verify(&request(), &signature, None, &audience(), NOW, &mut used);
    assert_eq!(ask(), Ok(Signer::Account(user().account())));
    assert_eq!(ask(), Err(V2Error::Replay(ReplayError::Used)));
}

/// Nobody but a contract can vouch for a request that its account's key didn't sign as it is.
#[test]
fn each_member_is_signed() {
    let account = Request {
        account: provider(),
        ..request()
    };
    let changed = [
        Request {
            method: "GET",
            ..request()
        },
        Request {
            path: "/v1/rentals?dry=0",
            ..request()
        },
        Request {
            body_digest: Request::digest_of_body(b"{ }"),
            ..request()
        },
        Request {
            nonce: [6; 32],
            ..request()
        },
        Request {
            expiry: NOW + 61,
            ..request()
        },
        account,
    ];
    for changed in changed {
        let signer = direct(&changed, &request()).unwrap();
        assert!(matches!(signer, Signer::Contract { .. }), "{changed:?}");
    }
    let elsewhere = [
        Audience {
            chain_id: 1,
            ..audience()
        },
        Audience {
            registry: Account([0x56; 20]),
            ..audience()
        },
        Audience {
            node: [9; 32],
            ..audience()
        },
    ];
    for audience in elsewhere {
        let signature = user().sign(&request().digest(&self::audience())).0;
        let signer = verify(&request(), &signature, None, &audience, NOW, &mut cache()).unwrap();
        assert!(matches!(signer, Signer::Contract { .. }), "{audience:?}");
    }
}

#[test]
fn a_contracts_nonce_is_used_up_once_it_said_yes() {
    let mut used = cache();
    let mut ask = || verify(&request(), b"for a contract", None, &audience(), NOW, &mut used).unwrap();
    let (first, second) = (ask(), ask());
    assert!(used.is_empty());
    assert_eq!(first.confirmed(NOW, &mut used), Ok(user().account()));
    assert_eq!(
        second.confirmed(NOW, &mut used),
        Err(V2Error::Replay(ReplayError::Used))
    );
}

#[test]
fn life_is_bounded() {
    let with = |expiry| {
        let request = Request { expiry, ..request() };
        direct(&request, &request)
    };
    assert!(with(NOW).is_ok());
    assert_eq!(with(NOW - 1), Err(V2Error::Expired(1)));
    assert!(with(NOW + MAX_REQUEST_LIFE).is_ok());
    assert_eq!(
        with(NOW + MAX_REQUEST_LIFE + 1),
        Err(V2Error::TooLong(MAX_REQUEST_LIFE + 1, MAX_REQUEST_LIFE))
    );
    let long = "a".repeat(MAX_TEXT + 1);
    let request = Request {
        path: &long,
        ..request()
    };
    assert_eq!(direct(&request, &request), Err(V2Error::Length));
    let empty = verify(&self::request(), b"", None, &audience(), NOW, &mut cache());
    assert_eq!(empty, Err(V2Error::Signature(SignatureError::Form)));
}

#[test]
fn a_session_acts_within_its_scope_and_time() {
    let of = |change: fn(&mut Delegation), path| {
        let mut delegation = delegation();
        change(&mut delegation);
        delegated(&delegation, &delegation, path)
    };
    assert_eq!(
        of(|_| {}, "/v1/rentals?x=1"),
        Ok(Signer::Account(user().account()))
    );
    let exact: fn(&mut Delegation) = |delegation| delegation.scope = "/v1/rentals".to_owned();
    assert!(of(exact, "/v1/rentals?x=/../").is_ok());
    for (change, path) in [
        ((|_| {}) as fn(&mut Delegation), "/v2/rentals"),
        (|_| {}, "/v1"),
        (|_| {}, "/v1/../admin"),
        (|_| {}, "/v1/./x"),
        (exact, "/v1/rentals/1"),
        (|delegation| delegation.scope.clear(), "/v1/rentals"),
    ] {
        assert!(matches!(of(change, path), Err(V2Error::Scope { .. })), "{path}");
    }
    assert_eq!(
        of(|delegation| delegation.not_before = NOW + 1, "/v1/x"),
        Err(V2Error::NotYet(1))
    );
    assert_eq!(
        of(|delegation| delegation.expiry = NOW - 1, "/v1/x"),
        Err(V2Error::Expired(1))
    );
    assert!(matches!(
        of(
            |delegation| delegation.expiry = NOW + MAX_DELEGATION_LIFE + 1,
            "/v1/x"
        ),
        Err(V2Error::TooLong(..))
    ));
    assert_eq!(
        of(|delegation| delegation.account = provider(), "/v1/x"),
        Err(V2Error::Delegation)
    );
    assert_eq!(
        of(|delegation| delegation.session = provider(), "/v1/x"),
        Err(V2Error::Delegation)
    );
}

#[test]
fn a_delegation_is_signed_in_each_member() {
    let signed = delegation();
    for change in [
        (|delegation| delegation.scope = "/".to_owned()) as fn(&mut Delegation),
        |delegation| delegation.not_before -= 1,
        |delegation| delegation.expiry += 1,
    ] {
        let mut changed = delegation();
        change(&mut changed);
        let signer = delegated(&changed, &signed, "/v1/x").unwrap();
        assert!(matches!(signer, Signer::Contract { .. }), "{changed:?}");
    }
}
