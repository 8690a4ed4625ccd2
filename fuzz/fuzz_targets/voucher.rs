//! What strangers send as money, or as their own: vouchers, signatures, and the headers of the first clients.
#![no_main]

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::market::{At, SignedVoucher};
use jeju_wallet_auth::replay::ReplayCache;
use jeju_wallet_auth::signature::Signature;
use jeju_wallet_auth::v1::Headers;
use libfuzzer_sys::fuzz_target;

const USER: Account = Account([1; 20]);
const PROVIDER: Account = Account([2; 20]);
const NOW_MS: u64 = 1_700_000_000_000;

fuzz_target!(|text: &str| {
    if let Ok(signed) = SignedVoucher::parse(text, USER, PROVIDER) {
        // What is shown can be read again, and is the same promise.
        assert_eq!(
            SignedVoucher::parse(&signed.to_string(), USER, PROVIDER),
            Ok(signed)
        );
        let serving = At {
            chain_id: 1,
            contract: Account([3; 20]),
        };
        let _ = signed.is_signed(&serving);
    }
    if let Ok(signature) = Signature::parse(text) {
        assert_eq!(Signature::parse(&signature.to_string()), Ok(signature));
        let _ = signature.recover(&[7; 32]);
    }
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let headers = Headers {
        address: line(),
        nonce: line(),
        timestamp: line(),
        signature: line(),
    };
    for provider in [None, Some(&PROVIDER)] {
        let mut used = ReplayCache::new(4, 600_000);
        if headers.verify(provider, NOW_MS, &mut used).is_ok() {
            assert!(headers.verify(provider, NOW_MS, &mut used).is_err(), "once");
        }
    }
});
