//! `jeju-image audit` and `statement` as an auditor runs them, on an image whose programs are as small as they can be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use jeju_image::audit::simulator::MARKER;
use jeju_image::build::{self, Parts};
use jeju_image::manifest::Platform;
use serde_json::Value;

/// A static program: code, data that is read-only after the start, no executable stack.
fn program(extra: &[u8]) -> Vec<u8> {
    const CODE: (u32, u32) = (1, 5);
    const RELRO: (u32, u32) = (0x6474_e552, 4);
    const STACK: (u32, u32) = (0x6474_e551, 6);
    let headers = [CODE, RELRO, STACK];
    let mut file = vec![0; 64 + 56 * headers.len()];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    for (at, value) in [(16, 2), (18, 62), (32, 64), (54, 56), (56, headers.len() as u8)] {
        file[at] = value;
    }
    for (index, (kind, flags)) in headers.into_iter().enumerate() {
        let at = 64 + 56 * index;
        file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
        file[at + 4..at + 8].copy_from_slice(&flags.to_le_bytes());
    }
    file.extend_from_slice(extra);
    file
}

/// An image folder whose node holds `extra`.
fn image(platform: Platform, extra: &[u8]) -> tempfile::TempDir {
    image_with_agent(platform, extra, None)
}

fn image_with_agent(platform: Platform, extra: &[u8], agent: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("init"), program(b"")).unwrap();
    fs::write(path("node"), program(extra)).unwrap();
    let agent = agent.map(|extra| {
        fs::write(path("agent"), program(extra)).unwrap();
        path("agent")
    });
    let parts = Parts::from_files(platform, &path("init"), &path("node"), agent.as_deref(), None).unwrap();
    build::assemble(&parts, &folder.path().join("image")).unwrap();
    folder
}

fn jeju_image(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jeju-image"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

/// Whether it exits 0, and the subjects of the violations.
fn audit(folder: &Path) -> (bool, Vec<String>) {
    let output = jeju_image(&["audit", folder.join("image").to_str().unwrap(), "--json"]);
    let text = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(report["advisories"], "not checked");
    assert!(report["host_inputs"].as_array().unwrap().len() > 20);
    let findings = report["findings"].as_array().unwrap().iter();
    let against: Vec<_> = findings
        .filter(|finding| finding["outcome"] == "violation")
        .map(|finding| format!("{} {}", finding["check"], finding["subject"]).replace('"', ""))
        .collect();
    assert_eq!(report["violations"], against.len());
    (output.status.success(), against)
}

#[test]
fn an_image_as_it_should_be_passes() {
    let release = image(Platform::Tdx, b"");
    assert_eq!(audit(release.path()), (true, vec![]));
    let development = image(Platform::Qemu, MARKER);
    assert_eq!(audit(development.path()), (true, vec![]));
}

#[test]
fn what_is_wrong_is_listed_and_the_exit_is_not_0() {
    let simulator = image(Platform::Nitro, MARKER);
    assert_eq!(
        audit(simulator.path()),
        (false, vec!["simulator /node/jeju-enclave".to_owned()])
    );
    let path = image(Platform::Snp, b"/home/alice/src");
    assert_eq!(
        audit(path.path()),
        (false, vec!["hardening /node/jeju-enclave".to_owned()])
    );
    let changed = image(Platform::Qemu, MARKER);
    fs::write(changed.path().join("image/cmdline"), "console=ttyS0 init=/bin/sh").unwrap();
    assert_eq!(
        audit(changed.path()),
        (
            false,
            vec![
                "measurement manifest.json".to_owned(),
                "command-line init=/bin/sh".to_owned()
            ]
        )
    );
}

/// What tenants' containers get is held to the same rules as what the image runs, and to 2 MiB.
#[test]
fn an_agent_for_containers_is_audited_too() {
    let good = image_with_agent(Platform::Tdx, b"", Some(b""));
    assert_eq!(audit(good.path()), (true, vec![]));
    let long = image_with_agent(Platform::Tdx, b"", Some(&[0; 2 << 20]));
    let against = |check: &str| (false, vec![format!("{check} /node/jeju-rental-agent")]);
    assert_eq!(audit(long.path()), against("contents"));
    let path = image_with_agent(Platform::Snp, b"", Some(b"/home/alice/src"));
    assert_eq!(audit(path.path()), against("hardening"));
    let simulator = image_with_agent(Platform::Nitro, b"", Some(MARKER));
    assert_eq!(audit(simulator.path()), against("simulator"));
}

#[test]
fn documents_are_written_on_request() {
    let folder = image(Platform::Qemu, MARKER);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (image, sbom, provenance) = (file("image"), file("sbom"), file("provenance"));
    let without_builder = jeju_image(&["audit", &image, "--provenance", &provenance]);
    assert!(!without_builder.status.success());
    let arguments = [
        "audit",
        &image,
        "--sbom",
        &sbom,
        "--provenance",
        &provenance,
        "--builder",
        "tag:test",
    ];
    let output = jeju_image(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("vulnerabilities of packages: not checked"));
    let read = |path: &str| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    assert_eq!(read(&sbom)["specVersion"], "1.6");
    let statement = read(&provenance);
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], "tag:test");
    // The same image and source give the same bytes.
    let first = fs::read(&sbom).unwrap();
    jeju_image(&arguments);
    assert_eq!(fs::read(&sbom).unwrap(), first);
}

#[test]
fn a_key_that_others_can_read_signs_nothing() {
    let folder = image(Platform::Qemu, MARKER);
    let key = folder.path().join("key");
    fs::write(&key, "11".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let source = clone(folder.path());
    let sign = || {
        jeju_image(&[
            "statement",
            "sign",
            "--image",
            folder.path().join("image").to_str().unwrap(),
            "--source",
            source.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--chain-id",
            "31337",
            "--registry",
            "0x5555555555555555555555555555555555555555",
        ])
    };
    let refused = sign();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));

    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let signed = sign();
    assert!(
        signed.status.success(),
        "{}",
        String::from_utf8_lossy(&signed.stderr)
    );
    let file = folder.path().join("statement.json");
    fs::write(&file, &signed.stdout).unwrap();
    let verify = |more: &[&str]| {
        let image = folder.path().join("image");
        let arguments = [
            "statement",
            "verify",
            file.to_str().unwrap(),
            "--image",
            image.to_str().unwrap(),
        ];
        jeju_image(&[&arguments[..], more].concat())
    };
    let verified = verify(&["--chain-id", "31337"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    assert!(!verify(&["--chain-id", "1"]).status.success());
    assert!(
        !verify(&["--rebuilder", "0x5555555555555555555555555555555555555555"])
            .status
            .success()
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"builtAt\": 1", "\"builtAt\": 2")).unwrap();
    assert!(!verify(&[]).status.success());

    fs::write(source.join("Cargo.lock"), "changed").unwrap();
    let refused = sign();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("differs from commit"));
}

/// A committed source folder of nothing but locks.
fn clone(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("source");
    fs::create_dir_all(source.join("image")).unwrap();
    for name in ["Cargo.lock", "image/lock.toml"] {
        fs::copy(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name),
            source.join(name),
        )
        .unwrap();
    }
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "commit",
            "--quiet",
            "--message",
            "one",
        ],
    ] {
        let git = Command::new("git")
            .arg("-C")
            .arg(&source)
            .args(arguments)
            .status();
        assert!(git.unwrap().success());
    }
    source
}
