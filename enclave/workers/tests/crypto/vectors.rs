//! Wycheproof's vectors, and what Node made of inputs that those lack.

use crate::run;

const WYCHEPROOF: &str = include_str!("scripts/wycheproof.js");

/// Runs a file, and gives the numbers of the tests that failed.
fn failures(name: &str) -> Vec<String> {
    let path = format!(
        "{}/tests/vectors/wycheproof/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let vectors = std::fs::read_to_string(path).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let answer = run(&[WYCHEPROOF, &format!("check('{name}', {vectors})")]);
    let mut parts = answer.split(", ").map(str::to_owned);
    assert_eq!(
        parts.next(),
        Some(parsed["tests"].to_string()),
        "{name}: every test runs"
    );
    parts.collect()
}

fn all_pass(names: &[&str]) {
    for name in names {
        assert_eq!(failures(name), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn aes_agrees_with_wycheproof() {
    all_pass(&["aes_cbc_pkcs5", "aes_gcm", "aes_wrap"]);
}

#[test]
fn hmac_agrees_with_wycheproof() {
    all_pass(&["hmac_sha1", "hmac_sha256", "hmac_sha384", "hmac_sha512"]);
}

#[test]
fn hkdf_agrees_with_wycheproof() {
    all_pass(&["hkdf_sha1", "hkdf_sha256", "hkdf_sha384", "hkdf_sha512"]);
}

#[test]
fn pbkdf2_agrees_with_wycheproof() {
    all_pass(&["pbkdf2_hmacsha256", "pbkdf2_hmacsha384", "pbkdf2_hmacsha512"]);
    // RFC 6070's one of 16,777,216 iterations would take a CPU for seconds, where nothing can stop it.
    assert_eq!(failures("pbkdf2_hmacsha1"), ["4 valid NotSupportedError"]);
}

#[test]
fn ecdsa_agrees_with_wycheproof() {
    all_pass(&[
        "ecdsa_secp256r1_sha256_p1363",
        "ecdsa_secp256r1_sha512_p1363",
        "ecdsa_secp384r1_sha384_p1363",
        "ecdsa_secp384r1_sha512_p1363",
        "ecdsa_secp521r1_sha512_p1363",
    ]);
}

#[test]
fn ecdh_agrees_with_wycheproof() {
    all_pass(&[
        "ecdh_secp256r1_webcrypto",
        "ecdh_secp384r1_webcrypto",
        "ecdh_secp521r1_webcrypto",
    ]);
}

#[test]
fn ed25519_and_x25519_agree_with_wycheproof() {
    all_pass(&["ed25519", "x25519_jwk"]);
}

#[test]
fn rsa_oaep_agrees_with_wycheproof() {
    all_pass(&[
        "rsa_oaep_2048_sha1_mgf1sha1",
        "rsa_oaep_2048_sha256_mgf1sha256",
        "rsa_oaep_2048_sha384_mgf1sha384",
        "rsa_oaep_2048_sha512_mgf1sha512",
    ]);
}

#[test]
fn rsa_signatures_agree_with_wycheproof() {
    all_pass(&[
        "rsa_pss_2048_sha256_mgf1_0",
        "rsa_pss_2048_sha256_mgf1_32",
        "rsa_pss_2048_sha384_mgf1_48",
        "rsa_pss_4096_sha512_mgf1_64",
        "rsa_signature_2048_sha256",
        "rsa_signature_2048_sha384",
        "rsa_signature_2048_sha512",
    ]);
    // Neither SHA-1 (65 to 72) nor SHA-224 (73 to 80, which Web Crypto doesn't have) is signed with.
    let refused: Vec<String> = (65..=80)
        .map(|id| format!("{id} valid NotSupportedError"))
        .collect();
    let mut failed = failures("rsa_pkcs1_2048_sig_gen");
    failed.sort_unstable();
    assert!(
        failed.iter().all(|failure| refused.contains(failure)),
        "{failed:?}"
    );
    assert!(failed.len() >= 8, "{failed:?}");
}

#[test]
fn nodes_keys_signatures_and_ciphertexts_are_ours() {
    let vectors = include_str!("../vectors/webcrypto/node.json");
    let parsed: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let count: usize = parsed
        .as_object()
        .unwrap()
        .values()
        .map(|list| list.as_array().unwrap().len())
        .sum();
    let answer = run(&[include_str!("scripts/node.js"), &format!("check({vectors})")]);
    assert_eq!(answer, count.to_string());
}
