//! Values that the documents of the algorithms give.

use crate::run;

/// What an example of the script comes to.
fn known(name: &str) -> String {
    run(&[include_str!("scripts/known.js"), &format!("known('{name}')")])
}

#[test]
fn fips_180_4_digests() {
    assert_eq!(known("SHA-1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(
        known("SHA-256"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        known("SHA-384"),
        concat!(
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163",
            "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
        )
    );
    assert_eq!(
        known("SHA-512"),
        concat!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    );
}

#[test]
fn rfc_4231_hmac() {
    // Test case 2.
    let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(known("RFC 4231"), tag);
}

#[test]
fn sp_800_38a_counter_mode() {
    // F.5.1: CTR-AES128.
    let sealed = "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff";
    assert_eq!(known("SP 800-38A"), sealed);
}

#[test]
fn rfc_3394_key_wrap() {
    // Section 4.1: 128 bits under 128.
    assert_eq!(
        known("RFC 3394"),
        "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"
    );
}

#[test]
fn rfc_5869_hkdf() {
    // Appendix A.1.
    let bits = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(known("RFC 5869"), bits);
}

#[test]
fn rfc_6070_pbkdf2() {
    assert_eq!(known("RFC 6070"), "4b007901b765489abead49d926f721d065a429c1");
}

#[test]
fn rfc_8032_ed25519() {
    // Section 7.1, test 1; the key as RFC 8037, appendix A.1 writes it.
    assert_eq!(
        known("RFC 8032"),
        concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
    );
}

#[test]
fn rfc_7748_x25519() {
    // Section 6.1.
    let secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    assert_eq!(known("RFC 7748"), secret);
}

#[test]
fn points_of_small_order_never_verify() {
    assert_eq!(known("small order"), "000000000000");
}
