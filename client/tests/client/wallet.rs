//! `jeju wallet`: what it refuses, and what it shows of keys: nothing.

mod cast;
mod terminal;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jeju_client::wallet::AccountArguments;
use serde_json::{Value, json};

/// The first key of the development mnemonic "test test … junk".
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const PASSWORD: &str = "correct horse";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.secret("key", &format!("0x{KEY}\n"));
        folder.secret("password", &format!("{PASSWORD}\n"));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn secret(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Without a terminal, and with no variable but those given.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new("setsid");
        command
            .args(["--wait", env!("CARGO_BIN_EXE_jeju")])
            .args(arguments);
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", std::env::var_os("PATH").unwrap());
        command
            .env("JEJU_KEYSTORE", self.path("wallets"))
            .envs(variables.iter().copied());
        command.output().unwrap()
    }

    fn wallet(&self, arguments: &[&str]) -> Output {
        let password = self.text("password");
        self.run(
            &[&["wallet"], arguments, &["--password-file", &password]].concat(),
            &[],
        )
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.wallet(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        refusal(&self.wallet(&[arguments, &["--json"]].concat()))
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let refusal: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&refusal["status"], &refusal["class"]),
        (&json!("contraindicated"), &json!("usage"))
    );
    refusal["code"].as_str().unwrap().to_owned()
}

fn typed_data() -> String {
    json!({
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
            "Mail": [{"name": "to", "type": "address"}, {"name": "contents", "type": "string"}]
        },
        "primaryType": "Mail",
        "domain": {"name": "Ether Mail", "chainId": 1},
        "message": {"to": ACCOUNT, "contents": "Hello"}
    })
    .to_string()
}

#[test]
fn refusals_have_codes() {
    let folder = Folder::new();
    let key = folder.text("key");
    folder.done(&["import", "mine", "--key", &key]);
    let before = std::fs::read(folder.path("wallets/mine")).unwrap();
    assert_eq!(
        folder.refused(&["import", "mine", "--key", &key]),
        "wallet_exists"
    );
    assert_eq!(folder.refused(&["new", "mine"]), "wallet_exists");
    assert_eq!(std::fs::read(folder.path("wallets/mine")).unwrap(), before);
    assert_eq!(folder.refused(&["address", "other"]), "wallet_missing");
    assert_eq!(
        folder.refused(&["new", &folder.text("none/x y")]),
        "file_unwritable"
    );
    assert_eq!(folder.refused(&["new", "x y"]), "wallet_name_invalid");
    assert_eq!(folder.refused(&["export", "mine"]), "wallet_export_unconfirmed");
    assert_eq!(
        folder.refused(&["import", "two", "--key", &folder.text("none")]),
        "file_unreadable"
    );
    assert_eq!(
        folder.refused(&["import", "two", "--key", &folder.text("password")]),
        "account_key_invalid"
    );
    assert_eq!(
        folder.refused(&["sign-typed-data", "mine", &folder.text("none")]),
        "file_unreadable"
    );
    assert_eq!(
        folder.refused(&["sign-typed-data", "mine", &folder.text("wallets/mine")]),
        "payload_invalid"
    );
    let wallet = folder.text("wallets/mine");
    symlink(&wallet, folder.path("wallets/link")).unwrap();
    assert_eq!(folder.refused(&["address", "link"]), "wallet_not_a_file");
    folder.mode("key", 0o644);
    assert_eq!(
        folder.refused(&["import", "two", "--key", &key]),
        "account_key_exposed"
    );
    folder.mode("password", 0o644);
    assert_eq!(folder.refused(&["address", "mine"]), "wallet_password_exposed");
    folder.secret("password", "short");
    assert_eq!(folder.refused(&["new", "two"]), "wallet_password_invalid");
    assert_eq!(folder.refused(&["address", "mine"]), "wallet_password_wrong");
    let no_password = folder.run(&["wallet", "address", "mine", "--json"], &[]);
    assert_eq!(refusal(&no_password), "wallet_password_missing");
    let no_key = folder.run(
        &["wallet", "import", "two", "--json"],
        &[("JEJU_PASSWORD", PASSWORD)],
    );
    assert_eq!(refusal(&no_key), "account_key_missing");
    assert!(!folder.path("wallets/two").exists());
    // A password is no argument.
    let output = folder.run(&["wallet", "address", "mine", "--password", PASSWORD], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("unexpected argument '--password'"));
}

#[test]
fn rights_of_others_are_a_warning() {
    let folder = Folder::new();
    folder.done(&["import", "mine", "--key", &folder.text("key")]);
    assert_eq!(text(&folder.wallet(&["address", "mine"]).stderr), "");
    folder.mode("wallets/mine", 0o644);
    let output = folder.wallet(&["address", "mine"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("warning: ") && text(&output.stderr).contains("mode 0644"));
    assert_eq!(text(&output.stdout).trim(), ACCOUNT);
}

#[test]
fn the_environment_does_as_well() {
    let folder = Folder::new();
    let variables = [
        ("JEJU_PASSWORD", PASSWORD),
        ("JEJU_KEY", KEY),
        ("JEJU_NEW_PASSWORD", "another horse"),
    ];
    let account = |output: Output| text(&output.stdout).trim().to_owned();
    assert_eq!(
        account(folder.run(&["wallet", "import", "mine"], &variables)),
        ACCOUNT
    );
    assert_eq!(
        account(folder.run(&["wallet", "passwd", "mine"], &variables)),
        ACCOUNT
    );
    let changed = folder.run(
        &["wallet", "address", "mine"],
        &[("JEJU_PASSWORD", "another horse")],
    );
    assert_eq!(account(changed), ACCOUNT);
    // Where nothing is said, wallets are under the home folder.
    let home = folder.text(".jeju/keystore");
    let output = folder.run(
        &["wallet", "new", "a"],
        &[("JEJU_PASSWORD", PASSWORD), ("JEJU_KEYSTORE", "")],
    );
    assert!(output.status.success() && Path::new(&home).join("a").is_file());
}

#[test]
fn a_wallet_is_an_account_key() {
    let folder = Folder::new();
    folder.done(&["import", "mine", "--key", &folder.text("key")]);
    let mut arguments = AccountArguments {
        wallet: Some("mine".into()),
        ..AccountArguments::default()
    };
    arguments.store.keystore = Some(folder.path("wallets"));
    arguments.password.password_file = Some(folder.path("password"));
    let key = arguments.read().unwrap();
    assert_eq!(key.account().to_string(), ACCOUNT);
    arguments.wallet = Some(folder.path("wallets/mine"));
    assert_eq!(arguments.read().unwrap().account(), key.account());
    arguments.wallet = Some("other".into());
    assert_eq!(arguments.read().unwrap_err().code(), "wallet_missing");

    // The program reads it before it asks a node.
    let password = folder.text("password");
    let keygen = [
        "mpc",
        "keygen",
        "--node",
        "https://127.0.0.1:1",
        "--json",
        "--messages",
        "--wallet",
    ];
    let with = |wallet: &str| {
        refusal(&folder.run(
            &[&keygen[..], &[wallet, "--password-file", &password]].concat(),
            &[],
        ))
    };
    assert_eq!(with("other"), "wallet_missing");
    assert_eq!(with("mine"), "policy_missing");
    let none = folder.run(&[&keygen[..], &["mine"]].concat(), &[]);
    assert_eq!(refusal(&none), "wallet_password_missing");
}

/// Whatever is done with a key, its digits and the password are in no output; but for `export`, with its flag.
#[test]
fn no_output_has_the_key() {
    let folder = Folder::new();
    std::fs::write(folder.path("data.json"), typed_data()).unwrap();
    let (key, data, raw) = (folder.text("key"), folder.text("data.json"), folder.text("key"));
    folder.secret("next", "another horse");
    folder.secret("quoted", &format!("\"{KEY}\""));
    let (next, quoted) = (folder.text("next"), folder.text("quoted"));
    for arguments in [
        &["import", "mine", "--key", &key][..],
        &["import", "mine", "--key", &key],
        &["import", "two", "--key", &quoted],
        &["address", "mine"],
        // A file with the bare key, taken for a wallet.
        &["address", &raw],
        &["address", &quoted],
        &["list"],
        &["export", "mine"],
        &["sign-message", "mine", "hello"],
        &["sign-typed-data", "mine", &data],
        &["sign-typed-data", "mine", &quoted],
        &["sign-typed-data", "mine", &raw],
        &["passwd", "mine", "--new-password-file", &next],
        &["address", "mine"],
    ] {
        for json in [&[][..], &["--json"]] {
            let all = [arguments, json].concat();
            let output = match all[0] {
                "list" => folder.run(&[&["wallet"][..], &all].concat(), &[("JEJU_KEY", KEY)]),
                _ => folder.wallet(&all),
            };
            let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
            for secret in [&KEY[..12], &KEY[52..], PASSWORD, "another horse"] {
                assert!(!shown.to_lowercase().contains(secret), "{all:?}: {shown}");
            }
        }
    }
    let stored = std::fs::read_to_string(folder.path("wallets/mine")).unwrap();
    assert!(!stored.contains(&KEY[..12]));
}
