use super::*;
use crate::front::storage;

const NOW: u64 = 1_000_000;
const CREDIT: u128 = 100;
const USER: Account = Account([1; 20]);
const PROVIDER: Account = Account([2; 20]);

fn facts() -> Facts {
    Facts {
        paid: 50,
        sequence: 3,
        balance: 1000,
        refund: 0,
        refund_from: 0,
        nonce: 7,
    }
}

fn voucher(cumulative: u128, sequence: u64) -> SignedVoucher {
    SignedVoucher {
        voucher: Voucher {
            user: USER,
            provider: PROVIDER,
            cumulative,
            sequence,
            request_digest: [3; 32],
            response_digest: [4; 32],
            expiry: NOW + 10 * MARGIN,
        },
        signature: Signature([5; 65]),
    }
}

#[test]
fn an_account_begins_where_the_chain_is() {
    let state = State::new(&facts());
    assert_eq!((state.owed, state.promised(NOW), state.paid()), (50, 50, 50));
    assert!(state.is_idle() && state.is_paid());
}

#[test]
fn what_is_owed_beyond_the_credit_must_be_promised() {
    let mut state = State::new(&facts());
    state.charge(100);
    assert_eq!(state.admit(10, CREDIT, NOW, &facts()), Ok(()));
    state.charge(1);
    let due = Reason::Due {
        due: 101,
        credit: 100,
    };
    assert_eq!(state.admit(10, CREDIT, NOW, &facts()), Err(due.clone()));
    assert_eq!(state.take(&voucher(151, 4), NOW, &facts()), Ok(true));
    assert_eq!(state.admit(10, CREDIT, NOW, &facts()), Ok(()));
    // A promise that ran out is none.
    assert_eq!(state.admit(10, CREDIT, NOW + 10 * MARGIN, &facts()), Err(due));
}

#[test]
fn what_is_set_aside_covers_all_that_is_unpaid_and_under_way() {
    let mut state = State::new(&facts());
    state.charge(90);
    assert_eq!(state.admit(910, CREDIT, NOW, &facts()), Ok(()));
    state.reserve(10);
    assert_eq!(
        state.admit(901, CREDIT, NOW, &facts()),
        Err(Reason::Insufficient {
            needed: 1001,
            balance: 1000
        })
    );
    assert!(!state.is_idle());
    state.release(10);
    assert_eq!(state.admit(910, CREDIT, NOW, &facts()), Ok(()));
    // Numbers without end are never covered.
    assert!(state.admit(u128::MAX, CREDIT, NOW, &facts()).is_err());
}

#[test]
fn a_voucher_only_adds() {
    let mut state = State::new(&facts());
    state.charge(200);
    assert_eq!(state.take(&voucher(100, 3), NOW, &facts()), Ok(true));
    assert_eq!(
        state.take(&voucher(100, 3), NOW, &facts()),
        Ok(false),
        "the same again"
    );
    let older = |promised, sequence| Reason::NotCumulative { promised, sequence };
    assert_eq!(state.take(&voucher(99, 4), NOW, &facts()), Err(older(100, 3)));
    assert_eq!(state.take(&voucher(200, 3), NOW, &facts()), Err(older(100, 3)));
    assert_eq!(state.take(&voucher(200, 2), NOW, &facts()), Err(older(100, 3)));
    assert_eq!(state.promised(NOW), 100);
    assert_eq!(state.take(&voucher(200, 4), NOW, &facts()), Ok(true));
    // What the chain has seen counts like what the node has.
    let later = Facts {
        paid: 230,
        sequence: 9,
        ..facts()
    };
    assert_eq!(state.take(&voucher(220, 9), NOW, &later), Err(older(230, 8)));
    assert_eq!(state.take(&voucher(240, 8), NOW, &later), Err(older(230, 8)));
    assert_eq!(state.take(&voucher(240, 9), NOW, &later), Ok(true));
    // The first one of all.
    let none = Facts {
        paid: 0,
        sequence: 0,
        ..facts()
    };
    assert_eq!(State::new(&none).take(&voucher(1, 0), NOW, &none), Ok(true));
}

#[test]
fn a_voucher_must_last_and_be_covered() {
    let mut state = State::new(&facts());
    let mut soon = voucher(60, 4);
    soon.voucher.expiry = NOW + MARGIN;
    assert_eq!(
        state.take(&soon, NOW, &facts()),
        Err(Reason::Expiring { margin: MARGIN })
    );
    assert_eq!(
        state.take(&voucher(1051, 4), NOW, &facts()),
        Err(Reason::Uncovered {
            adds: 1001,
            reach: 1000
        })
    );
    let refunding = |refund_from| Facts {
        refund: 1,
        refund_from,
        ..facts()
    };
    assert!(
        state
            .take(&voucher(1051, 4), NOW, &refunding(NOW + MARGIN))
            .is_err()
    );
    assert_eq!(
        state.take(&voucher(1051, 4), NOW, &refunding(NOW + MARGIN + 1)),
        Ok(true)
    );
    assert!(!state.is_idle(), "a voucher that isn't paid is kept");
}

#[test]
fn settlements_are_signed_once_and_taken_off_when_the_chain_took_them() {
    let mut state = State::new(&facts());
    state.charge(30);
    assert!(state.settle(7, 30));
    assert!(!state.settle(7, 30));
    state.update(Instant::now(), facts());
    assert_eq!(state.owed, 80);
    state.update(Instant::now(), Facts { nonce: 8, ..facts() });
    assert_eq!(state.owed, 50);
    // Once.
    state.update(Instant::now(), Facts { nonce: 9, ..facts() });
    assert_eq!(state.owed, 50);
    for nonce in 9..9 + MAX_SETTLEMENTS as u64 {
        assert!(state.settle(nonce, 1));
    }
    assert!(!state.settle(1000, 1), "bounded");
}

#[test]
fn another_boot_signs_again_and_credits_the_less() {
    let mut state = State::new(&facts());
    state.charge(30);
    state.settle(7, 30);
    let bytes = storage::encode(1, &state).unwrap();
    let mut state: State = storage::decode(1, &bytes).unwrap();
    state.charge(20);
    assert!(state.settle(7, 20));
    assert!(!state.settle(7, 20));
    state.update(Instant::now(), Facts { nonce: 8, ..facts() });
    assert_eq!(state.owed, 80);
}

#[test]
fn what_unknown_vouchers_paid_was_owed_before() {
    let mut state = State::new(&facts());
    state.charge(5);
    state.update(Instant::now(), Facts { paid: 150, ..facts() });
    assert_eq!((state.owed, state.paid()), (155, 150));
    state.update(Instant::now(), Facts { paid: 150, ..facts() });
    assert_eq!(state.owed, 155);
    // Those that are known aren't.
    state.take(&voucher(160, 4), NOW, &facts()).unwrap();
    state.update(Instant::now(), Facts { paid: 160, ..facts() });
    assert_eq!((state.owed, state.paid()), (155, 160));
    assert!(state.is_idle() && state.is_paid());
}

#[test]
fn an_amount_of_x_payment_passes_once() {
    let mut state = State::new(&facts());
    assert_eq!(state.spend(7), Ok(()));
    assert_eq!(state.spend(7), Err(Reason::Used));
    for amount in 8..7 + MAX_SPENT as u128 {
        assert_eq!(state.spend(amount), Ok(()));
    }
    // In bounded memory: the smallest are forgotten, and then count as used like all below.
    assert_eq!(state.spend(1000), Ok(()));
    assert_eq!((state.spent.len(), state.spent_below), (MAX_SPENT, Some(7)));
    for used in [0, 6, 7, 8, 1000] {
        assert_eq!(state.spend(used), Err(Reason::Used), "{used}");
    }
    assert_eq!(state.spend(1001), Ok(()));
    assert_eq!(state.spend(8), Err(Reason::Used));
    assert_eq!(state.spend(9), Err(Reason::Used));
}

#[test]
fn what_is_stored_comes_back_without_what_is_under_way() {
    let mut state = State::new(&facts());
    state.charge(100);
    state.take(&voucher(120, 4), NOW, &facts()).unwrap();
    state.spend(9).unwrap();
    state.settle(7, 1);
    let mut kept = state.clone();
    kept.settlements[0].now = false;
    state.reserve(10);
    state.update(Instant::now(), facts());
    let bytes = storage::encode(1, &state).unwrap();
    let read: State = storage::decode(1, &bytes).unwrap();
    assert_eq!(read, kept);
    assert!(storage::decode::<State>(2, &bytes).is_none());
    for length in 0..bytes.len() {
        assert!(
            storage::decode::<State>(1, &bytes[..length]).is_none(),
            "{length}"
        );
    }
    let signed = read.promise.unwrap().signed(USER, PROVIDER);
    assert_eq!(signed, voucher(120, 4));
}

#[test]
fn the_largest_account_fits_into_a_record() {
    let mut state = State::new(&facts());
    state.owed = u128::MAX;
    for number in (0..=MAX_SPENT as u128).rev() {
        state.spend(u128::MAX - number).unwrap();
    }
    for number in 0..MAX_SETTLEMENTS as u64 {
        state.settle(u64::MAX - number, u128::MAX);
    }
    state.take(&voucher(1000, u64::MAX), NOW, &facts()).unwrap();
    state.promise.as_mut().unwrap().receipt = Some("x".repeat(MAX_RECEIPT));
    let bytes = storage::encode(1, &state).unwrap();
    assert!(
        256 * (bytes.len() + 21) < jeju_store::MAX_VALUE,
        "{} bytes",
        bytes.len()
    );
}
