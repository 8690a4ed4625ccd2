//! Against `cast` of Foundry, each with the other's files.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{ACCOUNT, Folder, KEY, PASSWORD, text, typed_data};

#[test]
fn cast_opens_our_wallets() {
    let folder = Folder::new();
    assert_eq!(
        folder.done(&["import", "mine", "--key", &folder.text("key")]),
        ACCOUNT
    );
    let file = folder.text("wallets/mine");
    let made = folder.done(&["new", "made"]);
    let other = folder.text("wallets/made");
    let opened = ["--password", PASSWORD];
    assert_eq!(
        cast(&[&["wallet", "address", "--keystore", &file], &opened[..]].concat()),
        ACCOUNT
    );
    assert_eq!(
        cast(&[&["wallet", "address", "--keystore", &other], &opened[..]].concat()),
        made
    );
    // RFC 6979: an equal signature is one over an equal digest by an equal key.
    let signs = |arguments: &[&str]| {
        cast(&[&["wallet", "sign", "--keystore", &file], &opened[..], arguments].concat())
    };
    assert_eq!(
        folder.done(&["sign-message", "mine", "hello, é\n"]),
        signs(&["hello, é\n"])
    );
    std::fs::write(folder.path("data.json"), typed_data()).unwrap();
    let data = folder.text("data.json");
    let ours = folder.done(&["sign-typed-data", "mine", &data]);
    assert_eq!(ours, signs(&["--data", "--from-file", &data]));
    let json: Value = serde_json::from_str(&folder.done(&["sign-message", "mine", "x", "--json"])).unwrap();
    assert_eq!(
        (&json["account"], &json["signature"]),
        (&json!(ACCOUNT), &json!(signs(&["x"])))
    );

    // With another password too, and with no other.
    folder.secret("next", "another horse");
    assert_eq!(
        folder.done(&["passwd", "mine", "--new-password-file", &folder.text("next")]),
        ACCOUNT
    );
    assert_eq!(
        cast(&[
            "wallet",
            "address",
            "--keystore",
            &file,
            "--password",
            "another horse"
        ]),
        ACCOUNT
    );
    assert_eq!(folder.refused(&["address", "mine"]), "wallet_password_wrong");
}

#[test]
fn we_open_casts_wallets() {
    let folder = Folder::new();
    let wallets = folder.text("wallets");
    std::fs::create_dir(&wallets).unwrap();
    cast(&[
        "wallet",
        "import",
        "theirs",
        "--private-key",
        KEY,
        "--unsafe-password",
        PASSWORD,
        "--keystore-dir",
        &wallets,
    ]);
    let made = cast(&["wallet", "new", &wallets, "--unsafe-password", PASSWORD, "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let theirs = made[0]["path"].as_str().unwrap();
    assert_eq!(folder.done(&["address", "theirs"]), ACCOUNT);
    assert_eq!(
        folder.done(&["address", theirs]),
        made[0]["address"].as_str().unwrap()
    );
    assert_eq!(
        folder.done(&["export", "theirs", "--yes-show-the-key"]),
        format!("0x{KEY}")
    );
    let signature = folder.done(&["sign-message", "theirs", "hello"]);
    cast(&["wallet", "verify", "--address", ACCOUNT, "hello", &signature]);
    let list = text(&folder.run(&["wallet", "list"], &[]).stdout).to_owned();
    assert!(
        list.contains("(the file doesn't say)") && list.contains("  theirs\n"),
        "{list}"
    );
}

/// `cast` from `npm ci --prefix contracts`, which the contracts' own tests need as well.
fn cast(arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/.bin/cast");
    assert!(
        program.exists(),
        "{} is missing: npm ci --prefix contracts",
        program.display()
    );
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}
