//! On a terminal.

use std::process::Command;

use super::{ACCOUNT, Folder, KEY, PASSWORD, text};

/// Types passwords on a terminal of its own, and prints whatever the terminal showed.
const TYPIST: &str = r#"
import os, pty, sys
answers = sys.argv[1].split("|")
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown, answered = b"", 0
while True:
    try:
        part = os.read(terminal, 1024)
    except OSError:
        break
    if not part:
        break
    shown += part
    # It asks once nothing is shown any more.
    if shown[answered:].rstrip().endswith(b":") and answers:
        answered = len(shown)
        os.write(terminal, answers.pop(0).encode() + b"\r")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_terminal_shows_no_password() {
    let folder = Folder::new();
    let types = |answers: &str, arguments: &[&str]| {
        let mut command = Command::new("python3");
        command
            .args(["-c", TYPIST, answers, env!("CARGO_BIN_EXE_jeju"), "wallet"])
            .args(arguments);
        command
            .env_remove("JEJU_PASSWORD")
            .env_remove("JEJU_KEY")
            .env_remove("PRIVATE_KEY");
        command.env("JEJU_KEYSTORE", folder.path("wallets"));
        let output = command.output().unwrap();
        (output.status.code(), text(&output.stdout).to_owned())
    };
    let (code, shown) = types(&format!("{KEY}|{PASSWORD}|{PASSWORD}"), &["import", "mine"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("Private key in hexadecimal: ") && shown.contains("The same again: "),
        "{shown}"
    );
    assert!(
        shown.contains(ACCOUNT) && !shown.contains("horse") && !shown.contains(&KEY[..8]),
        "{shown}"
    );
    let (code, shown) = types(&format!("wrong\x15{PASSWORD}x\x7f"), &["address", "mine"]);
    assert_eq!(code, Some(0), "{shown}");
    let (code, shown) = types("wrong", &["address", "mine"]);
    assert!(
        code == Some(1) && shown.contains("wallet_password_wrong"),
        "{shown}"
    );
    let (code, shown) = types("secret\x03", &["address", "mine"]);
    assert!(
        code == Some(1) && shown.contains("wallet_cancelled") && !shown.contains("secret"),
        "{shown}"
    );
    let (code, shown) = types("correct horse|correct hrose", &["new", "two"]);
    assert!(
        code == Some(1) && shown.contains("wallet_password_invalid"),
        "{shown}"
    );
    assert!(!folder.path("wallets/two").exists());
}
