//! What isn't offered, and what is bounded.

use crate::run;

/// What a case of the script answers, or the name and text of what it throws.
fn answer(name: &str) -> String {
    run(&[include_str!("scripts/limits.js"), &format!("answer('{name}')")])
}

fn answers(expected: &str, names: &[&str]) {
    for name in names {
        assert_eq!(answer(name), expected, "{name}");
    }
}

#[test]
fn keys_take_no_more_memory_than_they_may() {
    answers("all", &["keysOneAfterAnother", "keysInCycles"]);
    assert_eq!(answer("bigKeysHeld"), "QuotaExceededError 7");
    assert_eq!(answer("smallKeysHeld"), "QuotaExceededError true");
    assert_eq!(
        answer("hugeSecret"),
        "QuotaExceededError: the worker holds too many keys"
    );
}

#[test]
fn a_call_that_would_take_long_is_refused() {
    answers(
        "NotSupportedError: PBKDF2 is limited to 2000000 iterations times blocks of output",
        &["manyIterations", "manyIterationsForTwoBlocks", "muchOutput"],
    );
    assert_eq!(answer("usualIterations"), "[object ArrayBuffer]");
    answers(
        "NotSupportedError: RSA keys of 2048, 3072 and 4096 bits can be made here",
        &["rsa1024", "rsa2049", "rsa8192", "rsaHuge"],
    );
}

#[test]
fn what_the_library_lacks_is_said_to_be_not_supported() {
    for (name, expected) in [
        ("pssSha1", "RSA-PSS with SHA-1 isn't offered"),
        ("pkcs1Sha1", "RSASSA-PKCS1-v1_5 with SHA-1 isn't offered"),
        ("rsaExponent3", "new RSA keys have the public exponent 65537 here"),
        ("shortModulus", "RSA keys have 2048 to 8192 bits here"),
        ("withoutPrimes", "an RSA private key without its primes"),
    ] {
        assert_eq!(answer(name), format!("NotSupportedError: {expected}"), "{name}");
    }
    assert_eq!(answer("oaepSha1"), "[object Object]");
}

#[test]
fn every_way_to_break_a_key_is_refused() {
    assert_eq!(answer("brokenKeys"), "DataError 0");
}

#[test]
fn bytes_that_go_away_or_are_no_bytes_do_no_harm() {
    answers("16", &["dataThatGoesAway", "dataThatShrinks"]);
    assert_eq!(
        answer("noBytes"),
        "TypeError: data has to be an ArrayBuffer or a view of one"
    );
    assert_eq!(answer("changedMethods"), "144");
}

#[test]
fn equal_bytes_are_equal() {
    assert_eq!(answer("equalBytes"), "true,false");
    assert_eq!(
        answer("unequalLengths"),
        "TypeError: both have to have the same length"
    );
}

#[test]
fn natives_and_handles_are_out_of_reach() {
    assert_eq!(
        answer("nothingToReach"),
        "0,undefined,undefined,undefined,[object CryptoKey]"
    );
}

#[test]
fn a_cloned_key_is_the_same_key() {
    assert_eq!(answer("clonedKey"), "true,true,true,false,true");
}
