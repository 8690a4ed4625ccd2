//! `jeju evidence inspect`: each field by its name in the specification, verified or not.

use jeju_attestation::bundle::Bundle;
use jeju_attestation::tee::Tee;
use jeju_synthetic::certificate::name;
use jeju_synthetic::nitro::{Chain, Document, Keys};

use super::*;
use crate::node::{Node, Trick};

fn inspect(evidence: &[u8], more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence");
    std::fs::write(&path, evidence).unwrap();
    let mut arguments = vec!["evidence", "inspect", path.to_str().unwrap()];
    arguments.extend(more);
    jeju(&arguments.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// Names and values, behind the line that says what they are.
#[track_caller]
fn fields(evidence: &[u8], kind: &str) -> Vec<(String, String)> {
    let output = inspect(evidence, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut lines = text(&output.stdout).lines();
    assert_eq!(
        lines.next(),
        Some(format!("{kind}, nothing of it verified:").as_str())
    );
    let fields: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once("  ").unwrap_or_else(|| panic!("{line:?}"));
            (name.to_owned(), value.trim_start().to_owned())
        })
        .collect();
    let json = inspect(evidence, &["--json"]);
    let object: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&object["kind"], &object["verified"]),
        (&kind.into(), &false.into())
    );
    assert_eq!(object["fields"].as_array().unwrap().len(), fields.len());
    fields
}

#[track_caller]
fn has(fields: &[(String, String)], expected: &[(&str, &str)]) {
    for (name, start) in expected {
        let found = fields.iter().find(|(of, _)| of == name);
        let (_, value) = found.unwrap_or_else(|| panic!("no {name} in {fields:#?}"));
        assert!(value.starts_with(start), "{name} is {value}");
    }
}

#[test]
fn each_kind_by_its_specifications_names() {
    let Some(vectors) = Vectors::find(5) else { return };
    let tdx = fields(&genuine::tdx(&vectors).evidence, "tdx");
    has(
        &tdx,
        &[
            ("version", "4"),
            ("attestation key type", "2"),
            ("TEE type", "0x81"),
            ("QE vendor id", "939a7233"),
            ("TEE_TCB_SVN", "0601"),
            ("MRSEAM", "5b38"),
            ("MRSIGNERSEAM", "0000"),
            ("SEAMATTRIBUTES", "0000"),
            ("TDATTRIBUTES", "00000010"),
            ("XFAM", "e702"),
            ("MRTD", "91eb2b44"),
            ("MRCONFIGID", "0000"),
            ("MROWNER", "0000"),
            ("MROWNERCONFIG", "0000"),
            ("RTMR0", "44c0"),
            ("RTMR1", "0084"),
            ("RTMR2", "d833"),
            ("RTMR3", "0000"),
            ("REPORTDATA", "9a9d"),
            ("QE MRSIGNER", "dc9e2a7c"),
            ("QE ISVSVN", "6"),
            ("PCK certificate chain", "3678 bytes"),
        ],
    );
    let sgx = fields(&genuine::sgx(&vectors).evidence, "sgx");
    has(
        &sgx,
        &[
            ("version", "3"),
            ("CPUSVN", "0b0b"),
            ("MISCSELECT", "00000000"),
            ("ATTRIBUTES", "05"),
            ("MRENCLAVE", "33d8"),
            ("MRSIGNER", "815f"),
            ("ISVPRODID", "0"),
            ("ISVSVN", "0"),
            ("CONFIGID", "0000"),
            ("CONFIGSVN", "0"),
            ("ISVEXTPRODID", "0000"),
            ("ISVFAMILYID", "0000"),
            ("REPORTDATA", "48656c6c6f"),
        ],
    );
    let snp = fields(&genuine::snp(&vectors).evidence, "snp");
    has(
        &snp,
        &[
            ("VERSION", "2"),
            ("GUEST_SVN", "0"),
            ("POLICY", "0x30000"),
            ("FAMILY_ID", "0000"),
            ("IMAGE_ID", "0000"),
            ("VMPL", "0"),
            ("SIGNATURE_ALGO", "1"),
            ("CURRENT_TCB", "0300"),
            ("PLATFORM_INFO", "0x1"),
            ("REPORT_DATA", "d447"),
            ("MEASUREMENT", "7a1e"),
            ("HOST_DATA", "0000"),
            ("ID_KEY_DIGEST", "0000"),
            ("AUTHOR_KEY_DIGEST", "0000"),
            ("REPORT_ID", "92b3"),
            ("REPORT_ID_MA", "ffff"),
            ("REPORTED_TCB", "0300"),
            ("CHIP_ID", "d495"),
            ("COMMITTED_TCB", "0300"),
            ("CURRENT_MAJOR", "1"),
            ("LAUNCH_TCB", "0300"),
            ("SIGNATURE.R", "7282"),
            ("SIGNATURE.S", "49bf"),
        ],
    );
    let nitro = fields(&genuine::nitro(&vectors).evidence, "nitro");
    has(
        &nitro,
        &[
            ("module_id", "i-020b6af9246d90e92-enc0183d09086c24190"),
            ("timestamp", "1665651482136"),
            ("digest", "SHA384"),
            ("PCR0", "f4d4"),
            ("PCR8", "8790"),
            ("certificate", "i-020b6af9246d90e92"),
            ("cabundle", "aws.nitro-enclaves"),
            ("public_key", "absent"),
            ("user_data", "absent"),
            ("nonce", "cb3d"),
        ],
    );
    let nvidia = fields(&genuine::nvidia(&vectors).evidence, "nvidia");
    has(
        &nvidia,
        &[
            ("device", "1"),
            ("Nonce (request)", genuine::SWITCH_NONCE),
            ("NumberOfBlocks", "31"),
            ("Measurement 1", "9083"),
            ("Measurement 31", "1e1e"),
            ("OPAQUE_FIELD_ID_DEVICE_PDI", "203e"),
            ("OPAQUE_FIELD_ID_SWITCH_POSITION_ID", "0200"),
            ("Signature", "3a31"),
        ],
    );
}

#[tokio::test]
async fn a_bundle_member_by_member() {
    let node = Node::start(Trick::Honest).await;
    let fields = fields(&node.bundle([1; 32]), "bundle");
    has(
        &fields,
        &[
            ("tee", "simulated"),
            ("cpu", ""),
            ("claims", ""),
            ("keys", ""),
            ("gpu", ""),
        ],
    );
    // A document of several lines stays in one.
    has(&fields, &[("launch", "version = 1\\n[node]\\nagent = ")]);
}

/// It shows what is there: signatures and dates don't matter, the form does.
#[test]
fn nothing_is_verified_but_the_form() {
    let Some(vectors) = Vectors::find(4) else { return };
    let tdx = genuine::tdx(&vectors);
    has(
        &fields(&tdx.flipped(48 + 136).evidence, "tdx"),
        &[("MRTD", "90eb2b44")],
    );
    let debug = vectors.read("nitro/evervault/debug-mode-attestation-doc-bytes");
    has(&fields(&debug, "nitro"), &[("PCR0", "0000")]);
    let cut = inspect(&tdx.evidence[..1000], &[]);
    assert_eq!((cut.status.code(), text(&cut.stdout)), (Some(3), ""));
    assert!(
        text(&cut.stderr).starts_with("jeju: refused (tdx_")
            || text(&cut.stderr).starts_with("jeju: refused (dcap_"),
        "{cut:?}"
    );
    let named = inspect(&tdx.evidence, &["--tee", "sgx"]);
    assert_eq!((named.status.code(), text(&named.stdout)), (Some(3), ""));
}

/// Texts in evidence are whatever its sender wrote: they must not reach a terminal as commands.
#[test]
fn control_characters_are_shown_and_not_sent() {
    let bundle = Bundle {
        tee: Tee::Simulated,
        cpu: vec![1],
        claims: vec![2],
        keys: vec![3],
        launch: "a\u{1b}[2Kgenuine\r\u{7}\u{9b}\u{202e}\u{2066}b\n".into(),
        endorsements: Vec::new(),
        gpu: Vec::new(),
        log: Vec::new(),
    };
    let keys = Keys::new();
    let mut chain = Chain::new(&keys);
    chain.enclave.subject = name("a\u{1b}[2K\u{202e}");
    let document = Document::new(&chain.cabundle(&keys), &chain.certificate(&keys));
    for evidence in [bundle.encode(), document.sign(&keys.enclave)] {
        let output = inspect(&evidence, &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let hostile = |character: char| {
            (character.is_control() && character != '\n') || ['\u{202e}', '\u{2066}'].contains(&character)
        };
        assert!(!text(&output.stdout).contains(hostile), "{output:?}");
    }
    let shown = "a\\u{1b}[2Kgenuine\\u{d}\\u{7}\\u{9b}\\u{202e}\\u{2066}b\\n";
    has(&fields(&bundle.encode(), "bundle"), &[("launch", shown)]);
}

#[test]
fn what_cannot_be_read() {
    let output = jeju(&["evidence", "inspect", "/nonexistent/quote"].map(str::to_owned));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("/nonexistent/quote")
            && text(&output.stderr).contains("file_unreadable")
    );
    assert_eq!(inspect(b"", &[]).status.code(), Some(3));
    assert_eq!(inspect(&[0x1F, 0x8B, 8, 0], &[]).status.code(), Some(3));
    assert_eq!(inspect(b"?", &["--tee", "tpm"]).status.code(), Some(1));
    assert_eq!(
        jeju(&["evidence", "inspect"].map(str::to_owned)).status.code(),
        Some(1)
    );
}
