use jeju_wallet_auth::signature::AccountKey;
use serde_json::{Value, json};

use super::super::hex_field::Bytes;
use super::super::kdf::ScryptParams;
use super::*;

/// Secret and password of the vectors of the Web3 Secret Storage definition (ethereum.org, "Test Vectors").
const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const PASSWORD: &[u8] = b"testpassword";
const ACCOUNT: &str = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";

fn pbkdf2_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "pbkdf2",
            "kdfparams": {
                "c": 262_144, "dklen": 32, "prf": "hmac-sha256",
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
            },
            "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

/// As the definition had it at first, and implementations still carry it. The one that ethereum.org shows now (salt 25710c…)
/// opens nowhere: OpenSSL's scrypt too derives another key from its parameters than the one that it states.
fn scrypt_vector() -> Value {
    json!({
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32, "n": 262_144, "p": 8, "r": 1,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3
    })
}

fn parse(value: &Value) -> Result<Keystore, WalletError> {
    Keystore::parse(value.to_string().as_bytes())
}

/// A wallet that opens at once.
fn cheap() -> Keystore {
    let key = AccountKey::from_hex(SECRET.as_bytes()).unwrap();
    let kdf = Kdf::Scrypt(ScryptParams {
        dklen: 32,
        n: 2,
        p: 1,
        r: 8,
        salt: Bytes(vec![7; 32]),
    });
    Keystore::encrypt_with(&key, &Password::new(PASSWORD), kdf, Word([9; 16])).unwrap()
}

fn value(keystore: &Keystore) -> Value {
    serde_json::from_str(&keystore.to_string()).unwrap()
}

#[test]
fn the_definitions_vectors_open() {
    for vector in [pbkdf2_vector(), scrypt_vector()] {
        let key = parse(&vector).unwrap().decrypt(&Password::new(PASSWORD)).unwrap();
        assert_eq!(hex::encode(key.to_bytes().as_slice()), SECRET);
        assert_eq!(key.account().to_string(), ACCOUNT);
        // What is written of it is the same file.
        assert_eq!(value(&parse(&vector).unwrap()), vector);
    }
    let wrong = parse(&pbkdf2_vector())
        .unwrap()
        .decrypt(&Password::new(b"testpassworD"));
    assert_eq!(wrong.unwrap_err().code(), "wallet_password_wrong");
}

/// Encryption gives the vector back, byte for byte.
#[test]
fn the_definitions_vectors_are_written() {
    for vector in [pbkdf2_vector(), scrypt_vector()] {
        let read = parse(&vector).unwrap();
        let key = AccountKey::from_hex(SECRET.as_bytes()).unwrap();
        let iv = read.crypto.cipherparams.iv;
        let written =
            Keystore::encrypt_with(&key, &Password::new(PASSWORD), read.crypto.kdf.clone(), iv).unwrap();
        assert_eq!(written.crypto, read.crypto);
        assert_eq!(written.claimed(), Some(ACCOUNT.parse().unwrap()));
    }
}

#[test]
fn no_two_wallets_are_alike() {
    let key = AccountKey::from_hex(SECRET.as_bytes()).unwrap();
    let password = Password::new(PASSWORD);
    let [a, b] = [(); 2].map(|()| value(&Keystore::encrypt(&key, &password).unwrap()));
    for field in [
        "/crypto/cipherparams/iv",
        "/crypto/kdfparams/salt",
        "/crypto/ciphertext",
        "/crypto/mac",
        "/id",
    ] {
        assert_ne!(a.pointer(field), b.pointer(field), "{field}");
    }
    assert_eq!(a["crypto"]["kdfparams"]["n"], 131_072);
    assert_eq!(
        parse(&a).unwrap().decrypt(&password).unwrap().account(),
        key.account()
    );
}

#[test]
fn a_changed_field_is_noticed() {
    let good = value(&cheap());
    let open = |value: &Value| parse(value)?.decrypt(&Password::new(PASSWORD));
    open(&good).unwrap();
    for (field, code) in [
        ("/crypto/ciphertext", "wallet_password_wrong"),
        ("/crypto/mac", "wallet_password_wrong"),
        ("/crypto/kdfparams/salt", "wallet_password_wrong"),
        // Outside of what the format authenticates: the address tells.
        ("/crypto/cipherparams/iv", "wallet_address_mismatch"),
        ("/address", "wallet_address_mismatch"),
    ] {
        let text = good.pointer(field).unwrap().as_str().unwrap().to_owned();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let mut value = good.clone();
            *value.pointer_mut(field).unwrap() = json!(String::from_utf8(changed).unwrap());
            assert_eq!(open(&value).unwrap_err().code(), code, "{field} {at}");
        }
        for wrong in [
            &text[1..],
            &text[2..],
            "",
            "0x",
            "zz",
            &format!("{text}00"),
            &"ab".repeat(5000),
        ] {
            let mut value = good.clone();
            *value.pointer_mut(field).unwrap() = json!(wrong);
            match field {
                // Empty as some write it: no address at all.
                "/address" if wrong.len() % 2 == 0 && wrong.trim_start_matches("0x").is_empty() => {
                    open(&value).unwrap();
                }
                "/crypto/kdfparams/salt" => assert!(open(&value).is_err(), "{wrong}"),
                _ => assert_eq!(
                    open(&value).unwrap_err().code(),
                    "wallet_malformed",
                    "{field} {wrong}"
                ),
            }
        }
    }
    let mut other = good.clone();
    other["crypto"]["kdfparams"]["n"] = json!(4);
    assert_eq!(open(&other).unwrap_err().code(), "wallet_password_wrong");
}

#[test]
fn other_forms_of_the_same_are_read() {
    let good = value(&cheap());
    let opens = |value: &Value| {
        let key = parse(value).unwrap().decrypt(&Password::new(PASSWORD)).unwrap();
        assert_eq!(key.account().to_string(), ACCOUNT);
    };
    let mut upper = good.clone();
    upper["Crypto"] = upper.as_object_mut().unwrap().remove("crypto").unwrap();
    opens(&upper);
    let mut prefixed = good.clone();
    for field in [
        "/address",
        "/crypto/mac",
        "/crypto/ciphertext",
        "/crypto/kdfparams/salt",
        "/crypto/cipherparams/iv",
    ] {
        let text = format!(
            "0x{}",
            prefixed.pointer(field).unwrap().as_str().unwrap().to_uppercase()
        );
        *prefixed.pointer_mut(field).unwrap() = json!(text);
    }
    opens(&prefixed);
    let mut bare = good.clone();
    for field in ["id", "address"] {
        bare.as_object_mut().unwrap().remove(field);
    }
    opens(&bare);
    assert_eq!(parse(&bare).unwrap().claimed(), None);
    let mut more = good;
    more["x-another-program"] = json!({"note": 1});
    opens(&more);
}

#[test]
fn other_forms_are_refused() {
    let good = value(&cheap());
    for (field, other, code) in [
        ("/version", json!(1), "wallet_unsupported"),
        ("/version", json!("3"), "wallet_malformed"),
        ("/version", Value::Null, "wallet_malformed"),
        ("/crypto/cipher", json!("aes-128-cbc"), "wallet_unsupported"),
        ("/crypto/kdf", json!("argon2id"), "wallet_malformed"),
        ("/crypto/kdf", json!("pbkdf2"), "wallet_malformed"),
        ("/crypto/kdfparams", json!([]), "wallet_malformed"),
        ("/crypto/kdfparams/n", json!(u64::MAX), "wallet_malformed"),
        ("/crypto/kdfparams/n", json!(1_u64 << 40), "wallet_too_costly"),
        ("/crypto/kdfparams/n", json!(-2), "wallet_malformed"),
        ("/crypto/kdfparams/n", json!(2.0), "wallet_malformed"),
        ("/crypto/kdfparams/r", json!(1_000_000), "wallet_too_costly"),
        ("/crypto/kdfparams/p", json!(1_000_000), "wallet_too_costly"),
        ("/crypto/kdfparams/p", json!(1_u64 << 40), "wallet_malformed"),
        ("/crypto/kdfparams/dklen", json!(64), "wallet_unsupported"),
        ("/crypto", Value::Null, "wallet_malformed"),
        ("/address", json!(5), "wallet_malformed"),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(field).unwrap() = other.clone();
        assert_eq!(parse(&value).unwrap_err().code(), code, "{field} {other}");
    }
    for field in ["cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac"] {
        let mut value = good.clone();
        value["crypto"].as_object_mut().unwrap().remove(field);
        assert_eq!(parse(&value).unwrap_err().code(), "wallet_malformed", "{field}");
    }
    let twice = good
        .to_string()
        .replacen("\"version\":3", "\"version\":3,\"version\":3", 1);
    let deep = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    for text in ["", "{}", "[]", "null", "3", &twice, &deep, &good.to_string()[1..]] {
        assert_eq!(
            Keystore::parse(text.as_bytes()).unwrap_err().code(),
            "wallet_malformed",
            "{text}"
        );
    }
    assert_eq!(
        Keystore::parse(b"\xff\xfe").unwrap_err().code(),
        "wallet_malformed"
    );
}

/// A key that was taken for a wallet, an encrypted number that is no key, and what is shown of things that hold one.
#[test]
fn no_secret_is_shown() {
    for text in [
        SECRET.to_owned(),
        format!("0x{SECRET}"),
        format!("\"{SECRET}\""),
        format!("{{\"crypto\":\"{SECRET}\"}}"),
    ] {
        let error = Keystore::parse(text.as_bytes()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&SECRET[..8]), "{shown}");
    }
    let mut misplaced = value(&cheap());
    misplaced["crypto"]["kdfparams"]["n"] = json!(SECRET);
    misplaced["address"] = json!(SECRET);
    let shown = format!("{:?}", parse(&misplaced).unwrap_err());
    assert!(!shown.contains(&SECRET[..8]), "{shown}");

    let keystore = cheap();
    let key = keystore.decrypt(&Password::new(PASSWORD)).unwrap();
    let wrong = keystore.decrypt(&Password::new(b"not-the-password")).unwrap_err();
    let shown = format!(
        "{keystore:?} {keystore} {key:?} {:?} {wrong} {wrong:?}",
        Password::new(PASSWORD)
    );
    let bytes = hex::decode(SECRET).unwrap();
    let listed = format!("{:?}", &bytes[..8]);
    let listed = listed.trim_matches(['[', ']']);
    for secret in [&SECRET[..8], "testpassword", "not-the-password", listed] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// Whatever becomes of a file: it opens as the same account, or not at all.
#[test]
fn no_changed_file_opens_as_another_account() {
    let text = cheap().to_string().into_bytes();
    let account = ACCOUNT.parse().unwrap();
    let password = Password::new(PASSWORD);
    let opened = |text: &[u8]| match Keystore::parse(text).and_then(|keystore| keystore.decrypt(&password)) {
        Ok(key) => assert_eq!(key.account(), account),
        Err(error) => assert!(error.code().starts_with("wallet_"), "{error}"),
    };
    for at in 0..text.len() {
        opened(&text[..at]);
        for byte in [
            b'0', b'9', b'f', b'"', b'{', b'}', b',', b' ', b'-', b'.', b'e', 0, 0xff,
        ] {
            let mut changed = text.clone();
            changed[at] = byte;
            opened(&changed);
        }
    }
}
