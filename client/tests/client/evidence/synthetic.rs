//! Synthetic evidence under test roots: accepted under a development policy only, and never without the mark.

use jeju_synthetic::amd::{self, Product, Vek};
use jeju_synthetic::certificate::pem;
use jeju_synthetic::crl::CrlTemplate;
use jeju_synthetic::intel::{self, Body};
use jeju_synthetic::nitro::{self, Chain, Document};
use jeju_synthetic::nvidia::device::Authority;
use jeju_synthetic::nvidia::manifest::{self, Signer};
use jeju_synthetic::nvidia::{Chip, report};
use jeju_synthetic::{DAY, NOW};

use super::*;
use crate::node::{Node, Trick};
use crate::silicon::Silicon;

fn one(der: &[u8]) -> Value {
    json!(pem(&[der]))
}

/// A development policy as JSON.
fn policy(tee: Option<&str>, roots: Value, rules: (&str, Value)) -> Value {
    let mut policy = json!({"version": 1, "kind": "development", "tees": [], "test_roots": roots});
    if let Some(tee) = tee {
        policy["tees"] = json!([tee]);
        policy["measurements"] = json!([format!("0x{}", "77".repeat(32))]);
    }
    policy[rules.0] = rules.1;
    policy
}

/// Evidence that is right under this policy, but for its measurement, which is pinned once it is known.
struct Right {
    question: Question,
    policy: Value,
}

impl Right {
    fn new(evidence: Vec<u8>, endorsements: Vec<Vec<u8>>, policy: Value) -> Self {
        Self {
            question: Question {
                evidence,
                endorsements,
                at: Some(NOW),
                development: true,
                ..Question::default()
            },
            policy,
        }
    }

    /// Pins the measurement that the refusal names.
    fn pin(mut self) -> Self {
        let refusal = self
            .question
            .with_policy(&self.policy)
            .refused(2, "measurement_unknown");
        let message = refusal["message"].as_str().unwrap();
        let id = message.split(' ').find(|word| word.starts_with("0x")).unwrap();
        self.policy["measurements"] = json!([id]);
        self
    }

    fn ask(&self) -> Question {
        self.question.with_policy(&self.policy)
    }

    /// Other evidence in the place of the right one.
    fn of(&self, evidence: Vec<u8>) -> Question {
        Question {
            evidence,
            ..self.ask()
        }
    }
}

fn tcb() -> Value {
    json!({"least_evaluation_data_number": 20, "dynamic_platform": true, "cached_keys": true, "smt_enabled": true})
}

fn tdx(keys: &intel::Keys, evidence: &intel::Evidence) -> Right {
    let policy = policy(
        Some("tdx"),
        json!({"intel": one(&keys.root_certificate)}),
        ("tdx", json!({"tcb": tcb()})),
    );
    Right::new(
        evidence.quote(keys, keys),
        evidence.collateral.files(keys).to_vec(),
        policy,
    )
    .pin()
}

fn sgx(keys: &intel::Keys, evidence: &intel::Evidence) -> Right {
    let Body::Enclave(report) = &evidence.body else {
        unreachable!("an enclave's")
    };
    let signer = format!("0x{}", hex::encode(report.mr_signer));
    let enclave = json!({"mr_signer": signer, "isv_prod_id": report.isv_prod_id, "least_isv_svn": 0});
    let policy = policy(
        None,
        json!({"intel": one(&keys.root_certificate)}),
        ("sgx", json!({"tcb": tcb(), "enclaves": [enclave]})),
    );
    Right::new(
        evidence.quote(keys, keys),
        evidence.collateral.files(keys).to_vec(),
        policy,
    )
}

fn snp(chip: &amd::Chip) -> Right {
    let made = chip.make();
    let floor = json!({"tcb": {"bootloader": 4, "tee": 1, "snp": 23, "microcode": 0xD5},
        "firmware": {"major": 1, "minor": 55, "build": 29}, "launch_mitigations": 3, "current_mitigations": 3});
    let rules = json!({"products": {"genoa": floor}, "required": [], "abi": [0, 31], "guest_svn": 7,
        "no_id_block": true, "smt": true});
    let policy = policy(
        Some("sev-snp"),
        json!({"amd": {"genoa": one(&made.ark)}}),
        ("sev-snp", rules),
    );
    Right::new(made.report, vec![made.ask, made.vek, made.crl], policy).pin()
}

fn nitro(keys: &nitro::Keys, chain: &Chain) -> (Right, Document) {
    let cabundle = chain.cabundle(keys);
    let document = Document::new(&cabundle, &chain.certificate(keys));
    let rules = json!({"max_age_seconds": 600, "max_future_seconds": 60, "revocation_unknown": true});
    let policy = policy(
        Some("nitro"),
        json!({"aws_nitro": one(&cabundle[0])}),
        ("nitro", rules),
    );
    (
        Right::new(document.sign(&keys.enclave), Vec::new(), policy).pin(),
        document,
    )
}

/// A Hopper GPU with its two manifests.
fn nvidia() -> Right {
    const PDI: [u8; 8] = [0x20, 1, 2, 3, 4, 5, 6, 7];
    const NONCE: [u8; 32] = [0x4E; 32];
    let (authority, signer) = (Authority::new(), Signer::new());
    let device = authority.device(Chip::Gh100, PDI);
    let chain = authority.chain(&device);
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let report = report::Template::new(Chip::Gh100, PDI, NONCE).sign(&device.firmware);
    let evidence = json!([{"arch": "HOPPER", "nonce": hex::encode(NONCE),
        "evidence": STANDARD.encode(report), "certificate": STANDARD.encode(pem(&chain))}]);
    let driver = (21..=40).chain([7]);
    let vbios = (0..=12).filter(|index| *index != 7);
    let manifests = vec![
        manifest::Template::new(Chip::Gh100, "580.95.05", driver)
            .sign(&signer)
            .into_bytes(),
        manifest::Template::new(Chip::Gh100, "96.00.74.00.1A", vbios)
            .sign(&signer)
            .into_bytes(),
    ];
    let rules = json!({"gpus": {"min": 1, "max": 1}, "architectures": ["hopper"], "modes": ["spt"],
        "driver_versions": ["580.95.05"], "vbios_versions": ["96.00.74.00.1A"], "revocation_unknown": true});
    let roots = json!({"nvidia_device": one(&authority.root_certificate), "nvidia_rim": one(&signer.root_certificate)});
    let mut right = Right::new(
        evidence.to_string().into_bytes(),
        manifests,
        policy(None, roots, ("gpu", rules)),
    );
    right.question.nonce = Some(hex::encode(NONCE));
    right
}

/// Accepted, marked in every line, and refused wherever development isn't asked for twice over.
#[track_caller]
fn development_only(right: &Right, kind: &str, alien: &str) {
    let (json, lines) = right.ask().accepted();
    assert_eq!((&json["kind"], &json["test_roots"]), (&json!(kind), &json!(true)));
    assert!(lines.len() > 10);
    for line in &lines {
        assert!(line.starts_with("[development] "), "{line}");
    }
    assert_eq!(
        lines[1],
        "[development] test roots: the chain of trust ends in a test root, not in a vendor's"
    );
    let alone = Question {
        development: false,
        ..right.ask()
    };
    alone.refused(1, "policy_invalid");
    // Under the vendors' roots it is an imitation.
    let vendors = Question {
        policy: None,
        ..right.ask()
    };
    vendors.refused(3, alien);
    let mut production = right.policy.clone();
    production["kind"] = json!("production");
    right
        .question
        .with_policy(&production)
        .refused(1, "policy_invalid");
    production.as_object_mut().unwrap().remove("test_roots");
    right.question.with_policy(&production).refused(3, alien);
}

#[test]
fn trust_domains() {
    let keys = intel::Keys::generate();
    let right = intel::Evidence::tdx_15(&keys);
    let accepted = tdx(&keys, &right);
    development_only(&accepted, "tdx", "x509_untrusted_root");
    let changed = |change: &dyn Fn(&mut intel::TdReport)| {
        let mut evidence = right.clone();
        let Body::Td(report) = &mut evidence.body else {
            unreachable!("a domain's")
        };
        change(report);
        evidence.quote(&keys, &keys)
    };
    accepted
        .of(changed(&|report| report.td_attributes[0] |= 1))
        .refused(2, "tdx_debug");
    accepted
        .of(changed(&|report| report.mr_td[0] ^= 1))
        .refused(2, "measurement_unknown");
    let later = Question {
        at: Some(NOW + 400 * DAY as u64),
        ..accepted.ask()
    };
    assert_eq!(later.ask().0, 4);
    // Each piece of collateral is needed, and a revoked platform is refused.
    let files = &accepted.question.endorsements;
    for index in 0..files.len() {
        let mut less = accepted.ask();
        less.endorsements.remove(index);
        let (exit, json, _) = less.ask();
        assert_eq!(exit, 3, "without file {index}: {json}");
    }
    let mut revoked = right.clone();
    revoked.collateral.pck_crl.revoked.push(right.pck.serial.clone());
    let revoked = Question {
        endorsements: revoked.collateral.files(&keys).to_vec(),
        ..accepted.ask()
    };
    revoked.refused(3, "x509_revoked");
}

#[test]
fn enclaves() {
    let keys = intel::Keys::generate();
    let right = intel::Evidence::sgx(&keys);
    let accepted = sgx(&keys, &right);
    development_only(&accepted, "sgx", "x509_untrusted_root");
    let mut debug = right.clone();
    let Body::Enclave(report) = &mut debug.body else {
        unreachable!("an enclave's")
    };
    report.attributes[0] |= 2;
    accepted.of(debug.quote(&keys, &keys)).refused(2, "sgx_debug");
}

#[test]
fn guests() {
    let mut chip = amd::Chip::new(Product::Genoa, Vek::Vcek, 5);
    let accepted = snp(&chip);
    development_only(&accepted, "snp", "snp_ark_unknown");
    let (json, lines) = accepted.ask().accepted();
    assert_eq!(json["components"][0]["revocation"], "good");
    assert!(lines.contains(&"[development]   revocation  good".to_owned()));
    let no_list = Question {
        endorsements: accepted.question.endorsements[..2].to_vec(),
        ..accepted.ask()
    };
    no_list.refused(2, "snp_revocation_unknown");
    // A table of certificates, as a host hands it to its guest.
    let [ask, vek, crl] = accepted.question.endorsements.clone().try_into().unwrap();
    let table = amd::table::table(&[(amd::table::guid::ASK, &ask), (amd::table::guid::VCEK, &vek)]);
    let from_table = Question {
        endorsements: vec![table, crl],
        ..accepted.ask()
    };
    from_table.accepted();
    let mut revoked = CrlTemplate::new(&Product::Genoa.ark());
    revoked.revoked.push(chip.ask.serial.clone());
    let revoked = Question {
        endorsements: vec![ask, vek, revoked.sign(&chip.ark_key)],
        ..accepted.ask()
    };
    revoked.refused(3, "x509_revoked");
    chip.report.policy |= 1 << 19;
    accepted
        .of(chip.report.sign(&chip.vek_key))
        .refused(2, "snp_debug");
}

#[test]
fn nitro_enclaves() {
    let keys = nitro::Keys::new();
    let (accepted, document) = nitro(&keys, &Chain::new(&keys));
    development_only(&accepted, "nitro", "nitro_root_not_pinned");
    let mut debug = document.clone();
    for index in 0..3 {
        debug.set_pcr(index, &[0; 48]);
    }
    accepted.of(debug.sign(&keys.enclave)).refused(2, "nitro_debug");
    let old = Question {
        at: Some(NOW + 601),
        ..accepted.ask()
    };
    old.refused(4, "nitro_document_age");
    // user_data is compared as a whole.
    for (report_data, exit) in [("da".repeat(64), 0), ("da".repeat(63), 3)] {
        let bound = Question {
            report_data: Some(report_data),
            ..accepted.ask()
        };
        assert_eq!(bound.ask().0, exit);
    }
}

#[test]
fn gpus() {
    let accepted = nvidia();
    development_only(&accepted, "nvidia", "x509_untrusted_root");
    let no_driver = Question {
        endorsements: accepted.question.endorsements[1..].to_vec(),
        ..accepted.ask()
    };
    no_driver.refused(3, "gpu_rim_missing");
}

/// Without `--at` the time is now.
#[test]
fn now_is_the_time() {
    let silicon = Silicon::nitro(&[0; 32]);
    let mut policy = jeju_attestation::policy::Policy::parse(
        &json!({"version": 1, "kind": "development", "tees": ["nitro"],
            "measurements": [silicon.measurement(&[0; 32]).to_string()]})
        .to_string(),
        true,
    )
    .unwrap();
    silicon.trust(&mut policy);
    let question = Question {
        evidence: silicon.quote([7; 64]),
        policy: Some(json!(policy).to_string()),
        development: true,
        ..Question::default()
    };
    let (json, _) = question.accepted();
    let at = json["at"].as_u64().unwrap();
    assert!((at..at + 120).contains(&crate::node::now()));
}

/// A development policy without test roots trusts vendors' hardware alone, and is marked all the same.
#[test]
fn a_development_policy_marks_genuine_evidence() {
    let Some(vectors) = Vectors::find(1) else { return };
    let policy = policies::TDX.replace("production", "development");
    let question = Question {
        development: true,
        ..genuine::tdx(&vectors).with_policy(policy)
    };
    let (json, lines) = question.accepted();
    assert_eq!(json["test_roots"], false);
    assert!(
        lines.iter().all(|line| line.starts_with("[development] ")),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("test root")));
}

/// A node's bundle: the node's own verdict comes first.
#[tokio::test]
async fn a_bundle() {
    let node = Node::start(Trick::Honest).await;
    let nonce = [0x33; 32];
    let question = Question {
        evidence: node.bundle(nonce),
        nonce: Some(hex::encode(nonce)),
        at: Some(crate::node::now()),
        policy: Some(format!("require_channel = false\n{}", node.policy())),
        development: true,
        ..Question::default()
    };
    let (json, lines) = question.accepted();
    assert_eq!(
        (&json["kind"], &json["node"]["kind"]),
        (&json!("bundle"), &json!("development"))
    );
    assert!(lines.contains(&"[development] node".to_owned()));
    assert!(
        lines.iter().all(|line| line.starts_with("[development] ")),
        "{lines:#?}"
    );
    for check in json["node"]["checks"].as_array().unwrap() {
        let name = check["claim"].as_str().unwrap();
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(&format!("[development]     {name} "))),
            "{name}"
        );
    }
    // A file has no connection.
    question
        .with_policy(node.policy())
        .refused(2, "channel_binding_required");
    let other = Question {
        nonce: Some("44".repeat(32)),
        ..question.clone()
    };
    other.refused(3, "nonce_mismatch");
    let bound = Question {
        report_data: Some("00".to_owned()),
        ..question.clone()
    };
    bound.refused(3, "report_data_not_carried");
    // Simulated silicon is nothing without a policy that names its root.
    let no_policy = Question {
        policy: None,
        ..question
    };
    no_policy.refused(2, "tee_not_accepted");
}
