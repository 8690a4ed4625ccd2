//! Wrong command lines, files that can't be used, and the form of the output.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;

use super::*;

/// Runs `jeju evidence verify` with a folder of files: `quote` is evidence in form, and no more.
fn verify(folder: &Path, arguments: &[&str]) -> Output {
    let mut all = vec!["evidence".to_owned(), "verify".to_owned()];
    all.extend(
        arguments
            .iter()
            .map(|argument| match argument.strip_prefix("./") {
                Some(name) => folder.join(name).to_str().unwrap().to_owned(),
                None => (*argument).to_owned(),
            }),
    );
    jeju(&all)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("quote"),
        [[4, 0, 2, 0, 0x81, 0, 0, 0].as_slice(), &[0; 700]].concat(),
    )
    .unwrap();
    folder
}

#[test]
fn wrong_command_lines() {
    let folder = folder();
    // What isn't about the command line gets as far as the evidence.
    assert_eq!(verify(folder.path(), &["./quote"]).status.code(), Some(3));
    for wrong in [
        &[][..],
        &["./quote", "./quote"],
        &["./quote", "--tee", "tpm"],
        &["./quote", "--tee", "TDX"],
        &["./quote", "--nonce", "0"],
        &["./quote", "--nonce", "xy"],
        &["./quote", "--nonce", ""],
        &["./quote", "--report-data", "0x"],
        &["./quote", "--report-data", "00 11"],
        &["./quote", "--at", "yesterday"],
        &["./quote", "--at", "2026-01-31"],
        &["./quote", "--at", "1969-12-31T23:59:59Z"],
        &["./quote", "--at", "1750415547"],
        &["./quote", "--accept-all"],
        &["./quote", "--endorsements"],
        // It takes all that follows.
        &["--endorsements", "./quote"],
    ] {
        let output = verify(folder.path(), wrong);
        assert_eq!(output.status.code(), Some(1), "{wrong:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
    let help = verify(folder.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for option in [
        "--tee",
        "--collateral",
        "--endorsements",
        "--nonce",
        "--report-data",
        "--at",
        "--policy",
        "--json",
    ] {
        assert!(text(&help.stdout).contains(option), "{option}");
    }
}

#[test]
fn files_that_cannot_be_used() {
    let folder = folder();
    let path = folder.path();
    std::fs::create_dir(path.join("folder")).unwrap();
    std::fs::create_dir(path.join("good")).unwrap();
    std::fs::write(path.join("latin1"), b"version = 1 # \xE9").unwrap();
    for (name, content) in [
        ("note", b"read me".as_slice()),
        ("empty", b""),
        ("json", b"{\"quote\": \"00\"}"),
        (
            "pem",
            b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        ),
        // DER of nothing that is known, which must not pass for a revocation list.
        ("der", &[0x30, 3, 2, 1, 1]),
        ("long", &vec![b'<'; 1024 * 1024 + 1]),
    ] {
        std::fs::write(path.join(name), content).unwrap();
    }
    std::fs::create_dir(path.join("mixed")).unwrap();
    std::fs::copy(path.join("note"), path.join("mixed/note")).unwrap();
    std::fs::create_dir(path.join("dangling")).unwrap();
    std::os::unix::fs::symlink(path.join("nothing"), path.join("dangling/crl.der")).unwrap();
    let cases = [
        (&["./nothing"][..], "file_unreadable", "nothing"),
        (&["./folder"], "file_unreadable", "folder"),
        (
            &["./quote", "--policy", "./nothing"],
            "file_unreadable",
            "nothing",
        ),
        (&["./quote", "--policy", "./latin1"], "file_unreadable", "latin1"),
        (
            &["./quote", "--event-log", "./nothing"],
            "file_unreadable",
            "nothing",
        ),
        (
            &["./quote", "--endorsements", "./nothing"],
            "file_unreadable",
            "nothing",
        ),
        (
            &["./quote", "--endorsements", "./folder"],
            "file_unreadable",
            "folder",
        ),
        (
            &["./quote", "--collateral", "./nothing"],
            "file_unreadable",
            "nothing",
        ),
        (
            &["./quote", "--collateral", "./quote"],
            "file_unreadable",
            "quote",
        ),
        (
            &["./quote", "--collateral", "./dangling"],
            "file_unreadable",
            "crl.der",
        ),
        (
            &["./quote", "--collateral", "./mixed"],
            "endorsement_invalid",
            "mixed/note",
        ),
        (
            &["./quote", "--endorsements", "./note"],
            "endorsement_invalid",
            "note",
        ),
        (
            &["./quote", "--endorsements", "./empty"],
            "endorsement_invalid",
            "empty",
        ),
        (
            &["./quote", "--endorsements", "./json"],
            "endorsement_invalid",
            "json",
        ),
        (
            &["./quote", "--endorsements", "./pem"],
            "endorsement_invalid",
            "pem",
        ),
        (
            &["./quote", "--endorsements", "./der"],
            "endorsement_invalid",
            "der",
        ),
        (
            &["./quote", "--endorsements", "./long"],
            "endorsement_invalid",
            "long",
        ),
        (
            &["./quote", "--endorsements", "./quote"],
            "endorsement_invalid",
            "quote",
        ),
    ];
    for (arguments, code, name) in cases {
        let plain = verify(path, arguments);
        assert_eq!(plain.status.code(), Some(1), "{arguments:?}: {plain:?}");
        assert!(plain.stdout.is_empty());
        let said = text(&plain.stderr);
        assert!(
            said.contains(code) && said.contains(name),
            "{arguments:?}: {said}"
        );
        let output = verify(path, &[&["--json"], arguments].concat());
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            (&json["status"], &json["class"], &json["code"]),
            (&json!("contraindicated"), &json!("usage"), &json!(code))
        );
    }
    // An empty folder endorses nothing, which is for the evidence to be refused for.
    assert_eq!(
        verify(path, &["./quote", "--collateral", "./good"]).status.code(),
        Some(3)
    );
}

/// Names in backticks of the first column of a table of the documentation.
fn documented(section: &str) -> BTreeSet<String> {
    let text = include_str!("../../../../docs/wire-formats.md");
    let text = &text[text.find(section).unwrap()..];
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| member"))
        .skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|line| {
            let cell = line.split('|').nth(1).unwrap();
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_answer_has_the_documented_members() {
    let Some(vectors) = Vectors::find(5) else { return };
    let documented = documented("## 11. Verdicts on evidence in files");
    assert!(documented.contains("components") && documented.contains("platform"));
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let sgx = genuine::sgx(&vectors).with_policy(policies::SGX);
    for question in [
        genuine::tdx(&vectors),
        sgx,
        genuine::snp(&vectors),
        genuine::nitro(&vectors),
        genuine::nvidia(&vectors),
    ] {
        let (json, _) = question.accepted();
        assert_eq!(members(&json), documented);
        assert_eq!(json["schema"], "tag:jeju,2026:evidence-verdict/1");
        assert_eq!(json["at"], question.at.unwrap());
        assert_eq!(json["node"], Value::Null);
        for component in json["components"].as_array().unwrap() {
            assert_eq!(
                members(component),
                names(&["kind", "tcb", "revocation", "checks"])
            );
            if !component["tcb"].is_null() {
                assert_eq!(members(&component["tcb"]), names(&["status", "advisories"]));
            }
            let checks = component["checks"].as_array().unwrap();
            assert!(checks.len() > 5);
            for check in checks {
                assert_eq!(members(check), names(&["claim", "value", "anchor", "check"]));
                assert!(check.as_object().unwrap().values().all(Value::is_string));
            }
        }
    }
}

/// A verdict that couldn't be written must not look like one that was.
#[test]
fn a_full_disk_is_no_verdict() {
    let Some(vectors) = Vectors::find(3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let question = genuine::nitro(&vectors);
    question.accepted();
    for json in [false, true] {
        let mut arguments = question.arguments(folder.path());
        if json {
            arguments.push("--json".to_owned());
        }
        let output = Command::new(env!("CARGO_BIN_EXE_jeju"))
            .args(&arguments)
            .stdout(Stdio::from(
                File::options().write(true).open("/dev/full").unwrap(),
            ))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!text(&output.stderr).contains("panicked"), "{output:?}");
    }
}
