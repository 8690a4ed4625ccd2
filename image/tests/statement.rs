//! Rebuild statements against `cast` of Foundry, an implementation of EIP-712 that isn't ours: both directions, from the
//! JSON that the program writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jeju_image::statement::{Domain, RebuildStatement, RebuilderKey, SignedStatement};
use serde_json::Value;

/// The first key of the development mnemonic "test test … junk".
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const OTHER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// `cast` from `npm ci --prefix contracts`, which the contracts' own tests need as well.
fn cast(arguments: &[&str]) -> Result<String, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/.bin/cast");
    assert!(
        program.exists(),
        "{} is missing: npm ci --prefix contracts",
        program.display()
    );
    let output = Command::new(program).args(arguments).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

struct Case {
    folder: tempfile::TempDir,
    key: RebuilderKey,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, KEY).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let key = RebuilderKey::read(&path).unwrap();
        Self { folder, key }
    }

    /// The golden statement of `docs/wire-formats.md` for seed 0; others for others.
    fn signed(&self, seed: u8) -> SignedStatement {
        let mut source_commit = [0; 32];
        source_commit[..20].fill(0x33 + seed);
        let statement = RebuildStatement {
            measurement: [0x11 + seed; 32],
            release_digest: [0x22 + seed; 32],
            source_commit,
            lock_digest: [0x44 + seed; 32],
            built_at: 1_767_225_600 + u64::from(seed),
            rebuilder: self.key.address(),
        };
        let domain = Domain {
            chain_id: 31337 + u64::from(seed),
            registry: [0x55 + seed; 20],
        };
        statement.sign(domain, &self.key).unwrap()
    }

    /// The typed data as a file, without what the format doesn't know.
    fn typed_data(&self, signed: &SignedStatement) -> (PathBuf, String) {
        let mut json = signed.to_json();
        let object = json.as_object_mut().unwrap();
        object.remove("digest");
        let Some(Value::String(signature)) = object.remove("signature") else {
            panic!("no signature")
        };
        let path = self.folder.path().join("typed.json");
        fs::write(&path, json.to_string()).unwrap();
        (path, signature)
    }
}

#[test]
fn cast_signs_the_same_bytes() {
    let case = Case::new();
    for seed in [0, 1, 100] {
        let (path, signature) = case.typed_data(&case.signed(seed));
        // Signatures are deterministic (RFC 6979): equal ones are over an equal digest.
        let arguments = ["wallet", "sign", "--private-key", KEY, "--data", "--from-file"];
        let signed = cast(&[&arguments[..], &[path.to_str().unwrap()]].concat()).unwrap();
        assert_eq!(signed, signature);
    }
}

#[test]
fn cast_recovers_the_rebuilder() {
    let case = Case::new();
    let (path, signature) = case.typed_data(&case.signed(0));
    let verify = |address: &str, signature: &str| {
        let path = path.to_str().unwrap();
        cast(&[
            "wallet",
            "verify",
            "--address",
            address,
            "--data",
            "--from-file",
            path,
            signature,
        ])
    };
    verify(ADDRESS, &signature).unwrap();
    verify(OTHER, &signature).unwrap_err();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("1767225600", "1767225601", 1)).unwrap();
    verify(ADDRESS, &signature).unwrap_err();
}

#[test]
fn the_golden_values_are_those_of_cast() {
    let document = include_str!("../../docs/wire-formats.md");
    let (_, signature) = Case::new().typed_data(&Case::new().signed(0));
    assert!(document.contains(&signature), "{signature}");
    let kind = document
        .lines()
        .find(|line| line.starts_with("RebuildStatement("))
        .expect("the type stands in a line of its own");
    let hash = cast(&["keccak", kind]).unwrap();
    assert!(document.contains(&hash), "{hash}");
}
