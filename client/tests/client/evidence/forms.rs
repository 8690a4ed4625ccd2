//! The forms in which files hold evidence: one quote in each gets one verdict.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// All forms of a quote's bytes.
fn forms(quote: &[u8], kind: &str) -> Vec<(&'static str, Vec<u8>)> {
    let digits = hex::encode(quote);
    let base64 = STANDARD.encode(quote);
    let lines = |text: &str, width: usize| {
        let lines: Vec<_> = text.as_bytes().chunks(width).map(super::text).collect();
        lines.join("\n")
    };
    let mut forms = vec![
        ("raw", quote.to_vec()),
        ("hex", digits.clone().into_bytes()),
        (
            "upper-case hex in lines",
            lines(&digits.to_uppercase(), 64).into_bytes(),
        ),
        (
            "hex with 0x and a line's end",
            format!("0x{digits}\n").into_bytes(),
        ),
        ("base64", base64.clone().into_bytes()),
        (
            "base64 in lines",
            format!("{}\n", lines(&base64, 76)).into_bytes(),
        ),
        (
            "base64 for URLs, without padding",
            URL_SAFE_NO_PAD.encode(quote).into_bytes(),
        ),
        (
            "PEM",
            format!(
                "-----BEGIN EVIDENCE-----\n{}\n-----END EVIDENCE-----\n",
                lines(&base64, 64)
            )
            .into_bytes(),
        ),
        (
            "PEM with Windows line ends",
            format!("-----BEGIN EVIDENCE-----\r\n{base64}\r\n-----END EVIDENCE-----\r\n").into_bytes(),
        ),
    ];
    if kind == "tdx" {
        for (name, value) in [
            ("JSON with hex", json!(digits)),
            ("JSON with base64", json!(base64)),
            ("JSON with numbers", json!(quote)),
        ] {
            forms.push((name, json!({ "quote": value }).to_string().into_bytes()));
        }
        let json = json!({ "quote": digits }).to_string();
        forms.push(("base64 of JSON", STANDARD.encode(json).into_bytes()));
    }
    forms
}

#[test]
fn every_form_gets_the_same_verdict() {
    let Some(vectors) = Vectors::find(44) else { return };
    let snp = genuine::snp(&vectors);
    let raw = Question {
        evidence: hex::decode(text(&snp.evidence).trim()).unwrap(),
        ..snp
    };
    let sgx = genuine::sgx(&vectors).with_policy(policies::SGX);
    for (kind, question) in [
        ("tdx", genuine::tdx(&vectors)),
        ("sgx", sgx),
        ("snp", raw),
        ("nitro", genuine::nitro(&vectors)),
    ] {
        let expected = question.accepted();
        for (name, evidence) in forms(&question.evidence, kind) {
            let form = Question {
                evidence,
                ..question.clone()
            };
            assert_eq!(form.accepted(), expected, "{kind}: {name}");
        }
    }
}

/// Vendors' JSON that brings its own endorsements: nothing has to be handed over beside it.
#[test]
fn vendors_json_brings_its_endorsements() {
    let Some(vectors) = Vectors::find(3) else { return };
    for (name, at) in [
        ("snp/automata/output.json", 1_740_000_000),
        ("snp/dstack/sev-snp-attestation.json", 1_790_000_000),
        ("snp/veraison/sevsnp-tsm-report.json", 1_760_000_000),
    ] {
        let question = Question {
            evidence: vectors.read(name),
            at: Some(at),
            ..Question::default()
        };
        assert_eq!(question.accepted().0["kind"], "snp", "{name}");
    }
}

#[test]
fn compressed_files_are_refused() {
    // The header of gzip, and a stored block; nothing of it is ever read.
    let gzip = [
        &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 4, 0, 0xFB, 0xFF][..],
        &[4, 0, 2, 0],
    ]
    .concat();
    for (_, evidence) in forms(&gzip, "") {
        let question = Question {
            evidence,
            at: Some(0),
            ..Question::default()
        };
        question.refused(3, "input_compressed");
    }
}

#[test]
fn what_is_no_evidence_is_refused() {
    let ask = |evidence: &[u8]| Question {
        evidence: evidence.to_vec(),
        at: Some(1_750_415_547),
        ..Question::default()
    };
    ask(b"").refused(3, "input_empty");
    ask(b" \n").refused(3, "input_empty");
    ask(b"no evidence at all").refused(3, "input_unknown");
    ask(&[4, 0, 2, 0]).refused(3, "input_unknown");
    ask(b"{\"quote\":").refused(3, "input_json_invalid");
    ask(b"{\"quote\":\"00\"}").refused(3, "input_unknown");
    ask(b"-----BEGIN QUOTE-----\nBA").refused(3, "input_encoding_invalid");
    ask(&[b"[".as_slice(), &vec![b' '; 1024 * 1024], b"]"].concat()).refused(3, "input_json_too_long");
}

/// One byte more than is read.
#[test]
fn long_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long");
    std::fs::write(&path, vec![0; 4 * 1024 * 1024 + 1]).unwrap();
    let arguments = ["evidence", "verify", path.to_str().unwrap(), "--json"];
    let output = jeju(&arguments.map(str::to_owned));
    assert_eq!(output.status.code(), Some(3));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["code"], "input_too_long");
}
