//! All genuine evidence through the one entrance that `jeju evidence` and the WebAssembly module share.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::offline::answer;
use serde_json::{Value, json};

use crate::event_log::genuine as logs;
use crate::nitro::genuine as nitro;
use crate::node::files as node;
use crate::nvidia::recordings as nvidia;
use crate::sev_snp::genuine as sev_snp;
use crate::{intel_sgx, intel_tdx, vectors};

/// A request, and the code of its refusal.
struct Case {
    name: String,
    request: Value,
    expected: Result<(), &'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |kind: &str, name: &str, evidence: &[u8], endorsements: &[Vec<u8>], at, expected| {
        let endorsements: Vec<_> = endorsements.iter().map(|bytes| STANDARD.encode(bytes)).collect();
        cases.push(Case {
            name: format!("{kind} {name}"),
            request: json!({"evidence": STANDARD.encode(evidence), "tee": kind, "endorsements": endorsements, "at": at}),
            expected,
        });
        cases.len() - 1
    };
    let mut bindings = Vec::new();
    for case in intel_tdx::genuine() {
        let at = add(
            "tdx",
            case.name,
            &case.evidence,
            &case.endorsements,
            case.at,
            case.expected,
        );
        bindings.push((at, None, case.report_data));
    }
    for case in intel_sgx::genuine() {
        let at = add(
            "sgx",
            case.name,
            &case.evidence,
            &case.endorsements,
            case.at,
            case.expected,
        );
        bindings.push((at, None, case.report_data));
    }
    for case in sev_snp::genuine() {
        let at = add(
            "snp",
            case.name,
            &case.evidence,
            &case.endorsements,
            case.at,
            case.expected,
        );
        bindings.push((at, None, case.report_data));
    }
    for case in nitro::genuine() {
        let at = add(
            "nitro",
            case.name,
            &case.evidence,
            &case.endorsements,
            case.at,
            case.expected,
        );
        bindings.push((at, case.nonce, case.report_data));
    }
    for case in nvidia::genuine() {
        let at = add(
            "nvidia",
            case.name,
            &case.evidence,
            &case.endorsements,
            case.at,
            case.expected,
        );
        bindings.push((at, case.nonce, None));
    }
    for (at, nonce, report_data) in bindings {
        let request = &mut cases[at].request;
        if let Some(nonce) = nonce {
            request["nonce"] = json!(hex::encode(nonce));
        }
        if let Some(report_data) = report_data {
            request["report_data"] = json!(hex::encode(report_data));
        }
    }
    cases
}

#[test]
fn genuine_evidence_gets_its_verdict_through_the_shared_entrance() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let answer: Value = serde_json::from_str(&answer(case.request.to_string().as_bytes())).unwrap();
        let found = match answer["status"].as_str().unwrap() {
            "genuine" => Ok(()),
            _ => Err(answer["code"].as_str().unwrap().to_owned()),
        };
        if found != case.expected.map_err(str::to_owned) {
            wrong.push(format!(
                "{}: expected {:?}, found {answer}",
                case.name, case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
    if vectors::folder().is_dir() {
        assert!(cases.len() >= 140, "{} cases", cases.len());
    }
}

/// Writes each request with the native answer, for `scripts/wasm.sh` to compare with the module's.
#[test]
fn recorded_for_other_targets() {
    let mut lines = Vec::new();
    let mut record = |name: &str, request: &Value| {
        let request = request.to_string();
        let answer = answer(request.as_bytes());
        lines.push(json!({"name": name, "request": request, "answer": answer}).to_string());
    };
    for case in cases() {
        record(&case.name, &case.request);
        // One bit further on nothing may pass, and both must say so with the same words.
        let mut evidence = STANDARD
            .decode(case.request["evidence"].as_str().unwrap())
            .unwrap();
        let middle = evidence.len() / 2;
        evidence[middle] ^= 1;
        let mut changed = case.request.clone();
        changed["evidence"] = json!(STANDARD.encode(evidence));
        record(&format!("{}, one bit changed", case.name), &changed);
    }
    for (name, request) in node::requests() {
        record(&name, &request);
        let mut changed = request.clone();
        changed["nonce"] = json!("01".repeat(32));
        record(&format!("{name}, another nonce"), &changed);
    }
    for log in logs::genuine() {
        record(
            log.name,
            &json!({"evidence": STANDARD.encode(&log.evidence), "at": 0}),
        );
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("verdicts.jsonl"), lines.join("\n") + "\n").unwrap();
}
