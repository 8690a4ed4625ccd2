//! Genuine evidence of each kind: accepted once as it is, then refused for one point at a time.

use super::*;

/// A platform of dstack's with collateral of June 2025.
pub fn tdx(vectors: &Vectors) -> Question {
    Question {
        evidence: vectors.read("tdx/phala-v4-uptodate/tdx_quote"),
        endorsements: vec![vectors.read("tdx/phala-v4-uptodate/tdx_quote_collateral.json")],
        handed: Handed::Folder,
        at: Some(1_750_415_547),
        ..Question::default()
    }
}

/// Google's COS 113, whose boot log was recorded too.
fn logged(vectors: &Vectors) -> Question {
    Question {
        evidence: vectors.read("tdx/google-cos113-ccel/cos-113-tdx-quote.dat"),
        endorsements: vec![
            vectors.read("tdx/phala-v4-uptodate/tdx_quote_collateral.json"),
            vectors.read("tdx/automata-collateral/tcbinfov3_00806f050000.json"),
        ],
        event_log: Some(vectors.read("tdx/google-cos113-ccel/ccel_data.dat")),
        at: Some(1_750_415_547),
        ..Question::default()
    }
}

/// An enclave that says hello. Intel lists advisories for its platform, so that it takes a policy to accept it.
pub fn sgx(vectors: &Vectors) -> Question {
    Question {
        evidence: vectors.read("sgx/phala-v3/sgx_quote"),
        endorsements: vec![vectors.read("sgx/phala-v3/sgx_quote_collateral.json")],
        at: Some(1_750_416_971),
        ..Question::default()
    }
}

/// A guest on Milan, with the chain beside its VCEK.
pub fn snp(vectors: &Vectors) -> Question {
    Question {
        evidence: vectors.read("snp/virtee/report_milan.hex"),
        endorsements: vec![
            vectors.read("snp/virtee/vcek_milan.der"),
            vectors.read("snp/virtee/cert_chain_milan.pem"),
        ],
        at: Some(1_700_000_000),
        ..Question::default()
    }
}

/// An enclave of 2022, inside the three hours of its certificate.
pub fn nitro(vectors: &Vectors) -> Question {
    Question {
        evidence: vectors.read("nitro/evervault/valid-attestation-doc-bytes"),
        at: Some(1_665_651_600),
        ..Question::default()
    }
}

/// An LS10 switch with NVIDIA's manifest for its firmware.
pub fn nvidia(vectors: &Vectors) -> Question {
    let manifest = "nvidia/attestation-sdk-unit/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml";
    Question {
        evidence: vectors.read("nvidia/attestation-sdk-evidence/switch_evidence_ls10.json"),
        endorsements: vec![vectors.read(manifest)],
        nonce: Some(SWITCH_NONCE.to_owned()),
        at: Some(1_790_000_000),
        ..Question::default()
    }
}

/// The same switch's report, and its chain, in files of their own.
fn bare_switch(vectors: &Vectors) -> Question {
    let of = nvidia(vectors);
    let report = vectors.read("nvidia/attestation-sdk-unit/switchAttestationReport.txt");
    Question {
        evidence: hex::decode(text(&report).trim()).unwrap(),
        endorsements: [
            vec![vectors.read("nvidia/attestation-sdk-unit/switchCertChain.txt")],
            of.endorsements.clone(),
        ]
        .concat(),
        ..of
    }
}

pub const SWITCH_NONCE: &str = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb";
const HELLO: &str = "48656c6c6f2c20776f726c6421";

/// The claims of a component, by name.
fn claim<'a>(json: &'a Value, component: usize, name: &str) -> &'a str {
    let checks = json["components"][component]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["claim"] == name);
    check.unwrap_or_else(|| panic!("no {name} in {json}"))["value"]
        .as_str()
        .unwrap()
}

#[test]
fn each_kind_is_accepted() {
    let Some(vectors) = Vectors::find(8) else { return };
    let (json, lines) = tdx(&vectors).accepted();
    assert_eq!(
        (&json["kind"], &json["test_roots"]),
        (&json!("tdx"), &json!(false))
    );
    assert_eq!(json["components"][0]["tcb"]["status"], "UpToDate");
    assert_eq!(json["components"][0]["revocation"], "good");
    assert!(claim(&json, 0, "MRTD").starts_with("91eb2b44"));
    assert_eq!(json["not_checked"].as_array().unwrap().len(), 2);
    assert_eq!(lines[0], "genuine: tdx, appraisal: none, at 2025-06-20T10:32:27Z");
    assert!(lines.contains(&format!(
        "measurement id  {}",
        json["measurement"].as_str().unwrap()
    )));
    assert!(lines.contains(&format!("platform id     {}", json["platform"].as_str().unwrap())));

    let (json, lines) = logged(&vectors).accepted();
    assert_eq!(json["components"][1]["kind"], "event-log");
    assert_eq!(
        lines[0],
        "genuine: tdx + event-log, appraisal: none, at 2025-06-20T10:32:27Z"
    );

    let (json, _) = sgx(&vectors).with_policy(policies::SGX).accepted();
    assert_eq!(json["kind"], "sgx");
    assert_eq!(
        json["components"][0]["tcb"],
        json!({"status": "ConfigurationAndSWHardeningNeeded", "advisories": ["INTEL-SA-00289", "INTEL-SA-00615"]})
    );

    let (json, _) = snp(&vectors).accepted();
    assert_eq!(json["kind"], "snp");
    assert!(claim(&json, 0, "MEASUREMENT").starts_with("7a1e5c26"));
    // Without AMD's revocation list nothing can tell, and that is said.
    assert_eq!(json["components"][0]["revocation"], "unknown");

    let (json, _) = nitro(&vectors).accepted();
    assert_eq!(json["kind"], "nitro");
    assert!(claim(&json, 0, "PCR0").starts_with("f4d48b81"));

    for question in [nvidia(&vectors), bare_switch(&vectors)] {
        let (json, _) = question.accepted();
        assert_eq!(
            (&json["kind"], &json["measurement"]),
            (&json!("nvidia"), &Value::Null)
        );
        assert_eq!(json["components"][0]["kind"], "nvidia-switch");
        assert_eq!(claim(&json, 0, "VBIOS_VERSION"), "96.10.55.00.01");
    }
    let own_nonce = Question {
        nonce: None,
        ..nvidia(&vectors)
    };
    let (json, lines) = own_nonce.accepted();
    assert!(
        json["not_checked"][0]
            .as_str()
            .unwrap()
            .starts_with("freshness: ")
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("not checked: freshness: "))
    );
}

/// An anchor stands once, above all that rests on it; revocation that nothing could tell of isn't good.
#[test]
fn lines_group_claims_by_their_anchor() {
    let Some(vectors) = Vectors::find(5) else { return };
    let sgx = sgx(&vectors).with_policy(policies::SGX);
    for question in [
        tdx(&vectors),
        sgx,
        snp(&vectors),
        nitro(&vectors),
        nvidia(&vectors),
    ] {
        let (json, lines) = question.accepted();
        let component = &json["components"][0];
        let checks = component["checks"].as_array().unwrap();
        let headings: Vec<_> = lines.iter().filter(|line| line.starts_with("  by ")).collect();
        let mut anchors: Vec<_> = checks
            .iter()
            .map(|check| check["anchor"].as_str().unwrap())
            .collect();
        anchors.sort_unstable();
        anchors.dedup();
        assert_eq!(headings.len(), anchors.len(), "{headings:#?}");
        for anchor in anchors.iter().filter(|anchor| **anchor != "none") {
            assert!(
                headings.contains(&&format!("  by {anchor}:")),
                "{anchor} in {headings:#?}"
            );
        }
        for check in checks {
            let [name, value, how, anchor] =
                ["claim", "value", "check", "anchor"].map(|member| check[member].as_str().unwrap());
            let end = format!("  {} ({how})", if value.is_empty() { "none" } else { value });
            let found = lines
                .iter()
                .position(|line| line.starts_with(&format!("    {name} ")) && line.ends_with(&end));
            let heading = lines[..found.unwrap_or_else(|| panic!("no {name} in {lines:#?}"))]
                .iter()
                .rfind(|line| line.starts_with("  by "))
                .unwrap();
            assert!(heading.contains(anchor) || (anchor == "none" && heading == "  by no trust anchor:"));
        }
        assert!(
            lines
                .iter()
                .all(|line| !line.contains("[development]") && !line.contains("test root"))
        );
        let unknown = component["revocation"] == "unknown";
        assert_eq!(unknown, !lines.contains(&"  revocation  good".to_owned()));
        assert_eq!(
            unknown,
            lines.contains(&"  revocation  unknown: nothing that was handed over could tell".to_owned())
        );
        for what in json["not_checked"].as_array().unwrap() {
            assert!(lines.contains(&format!("not checked: {}", what.as_str().unwrap())));
        }
        let no_policy = lines.contains(&"not checked: reference values: no policy was given".to_owned());
        assert_eq!(no_policy, question.policy.is_none());
    }
}

#[test]
fn debug_mode_is_refused() {
    let Some(vectors) = Vectors::find(7) else { return };
    let nitro = |name, at| Question {
        evidence: vectors.read(name),
        at: Some(at),
        ..Question::default()
    };
    nitro("nitro/evervault/debug-mode-attestation-doc-bytes", 1_665_582_606).refused(2, "nitro_debug");
    nitro("nitro/evervault/valid-attestation-doc-base64", 1_695_049_410).refused(2, "nitro_debug");
    let sgx = Question {
        evidence: vectors.read("sgx/trustee-occlum/occlum_quote.dat"),
        endorsements: [
            "tdx/automata-collateral/sgx_tcbinfov3_00606a000000.json",
            "tdx/automata-collateral/sgx_qeidentity_v4.json",
            "tdx/automata-collateral/platform_crl.der",
            "tdx/automata-solana/intel_root_ca_crl.der",
            "tdx/automata-solana/signing.der",
        ]
        .map(|name| vectors.read(name))
        .into(),
        handed: Handed::Folder,
        at: Some(1_755_648_000),
        ..Question::default()
    };
    sgx.refused(2, "sgx_debug");
    Question {
        handed: Handed::Files,
        ..sgx
    }
    .refused(2, "sgx_debug");
    let snp = Question {
        evidence: vectors.read("snp/google-milan-v2/attestation.bin"),
        endorsements: ["vcek.testcer", "milan.testcer"]
            .map(|name| vectors.read(&format!("snp/google-milan-v2/{name}")))
            .into(),
        at: Some(1_700_000_000),
        ..Question::default()
    };
    snp.refused(2, "snp_debug");
    // A level of the TCB that Intel lists advisories for isn't good enough without a policy that says so.
    super::genuine::sgx(&vectors).refused(2, "dcap_tcb_configuration_and_sw_hardening_needed");
    let outdated = Question {
        evidence: vectors.read("tdx/automata-dcap-rs/quote_tdx_00806f050000.dat"),
        endorsements: [
            "tcb_info_v3_with_tdx_module.json",
            "qe_identity.json",
            "pck_platform_crl.der",
            "intel_root_ca_crl.der",
            "signing.der",
        ]
        .map(|name| vectors.read(&format!("tdx/automata-solana/{name}")))
        .into(),
        at: Some(1_752_000_000),
        ..Question::default()
    };
    outdated.refused(2, "dcap_tcb_out_of_date");
}

#[test]
fn what_ended_is_stale() {
    let Some(vectors) = Vectors::find(7) else { return };
    let at = |question: Question, at| Question { at, ..question };
    at(tdx(&vectors), Some(1_790_000_000)).refused(4, "crl_expired");
    at(snp(&vectors), Some(1_901_474_624)).refused(4, "x509_expired");
    at(nitro(&vectors), Some(1_665_662_283)).refused(4, "x509_expired");
    at(nitro(&vectors), Some(1_665_651_478)).refused(4, "x509_not_yet_valid");
    at(nvidia(&vectors), Some(1_750_000_000)).refused(4, "x509_not_yet_valid");
    // Without --at the time is now.
    at(tdx(&vectors), None).refused(4, "crl_expired");
    at(nitro(&vectors), None).refused(4, "x509_expired");
}

#[test]
fn a_changed_bit_is_refused() {
    let Some(vectors) = Vectors::find(7) else { return };
    // MRTD, MRENCLAVE, MEASUREMENT, PCR0, a measurement of the switch, and a level of the TCB info.
    tdx(&vectors).flipped(48 + 136).refused(3, "dcap_quote_signature");
    sgx(&vectors).flipped(48 + 64).refused(3, "dcap_quote_signature");
    let snp = snp(&vectors);
    let raw = Question {
        evidence: hex::decode(text(&snp.evidence).trim()).unwrap(),
        ..snp
    };
    raw.accepted();
    raw.flipped(0x90).refused(3, "snp_signature");
    let nitro = nitro(&vectors);
    let pcr0 = [0xF4, 0xD4, 0x8B, 0x81];
    let at = nitro.evidence.windows(4).position(|window| window == pcr0);
    nitro.flipped(at.unwrap()).refused(3, "nitro_signature");
    bare_switch(&vectors).flipped(200).refused(3, "gpu_signature");
    let mut collateral = tdx(&vectors);
    let bytes = &mut collateral.endorsements[0];
    let at = bytes.windows(8).position(|window| window == b"UpToDate");
    bytes[at.unwrap()] ^= 1;
    collateral.refused(3, "dcap_tcb_info_signature");
}

#[test]
fn another_kind_is_refused() {
    let Some(vectors) = Vectors::find(36) else { return };
    let sgx = sgx(&vectors).with_policy(policies::SGX);
    let kinds = [
        ("tdx", tdx(&vectors)),
        ("sgx", sgx),
        ("snp", snp(&vectors)),
        ("nitro", nitro(&vectors)),
        ("nvidia", nvidia(&vectors)),
    ];
    for (kind, question) in &kinds {
        let told = question.accepted();
        for tee in [*kind, "auto"] {
            let named = Question {
                tee: Some(tee),
                ..question.clone()
            };
            assert_eq!(named.accepted(), told, "{tee}");
        }
        for (tee, _) in kinds.iter().filter(|(tee, _)| tee != kind) {
            let wrong = Question {
                tee: Some(tee),
                policy: None,
                ..question.clone()
            };
            let (exit, json, _) = wrong.ask();
            assert_eq!(exit, 3, "{kind} as {tee}: {json}");
        }
    }
    let switch = Question {
        tee: Some("tdx"),
        ..nvidia(&vectors)
    };
    let refusal = switch.refused(3, "evidence_kind_mismatch");
    assert_eq!(refusal["message"], "file holds nvidia evidence, tdx was named");
}

#[test]
fn nonce_and_report_data_are_compared() {
    let Some(vectors) = Vectors::find(17) else { return };
    let report_data = |question: &Question, hex: &str| Question {
        report_data: Some(hex.to_owned()),
        ..question.clone()
    };
    let nonce = |question: &Question, hex: &str| Question {
        nonce: Some(hex.to_owned()),
        ..question.clone()
    };
    let wrong = "00".repeat(64);

    let tdx = tdx(&vectors);
    let (json, _) = tdx.accepted();
    let own = json["report_data"].as_str().unwrap();
    let (bound, _) = report_data(&tdx, own.strip_prefix("0x").unwrap()).accepted();
    assert_eq!(bound["not_checked"], json!([]));
    report_data(&tdx, &wrong).refused(3, "tdx_report_data");
    report_data(&tdx, &"00".repeat(65)).refused(3, "report_data_not_carried");
    nonce(&tdx, "01").refused(3, "nonce_not_carried");

    // Zeros follow a shorter one, and a prefix isn't enough.
    let sgx = sgx(&vectors).with_policy(policies::SGX);
    report_data(&sgx, HELLO).accepted();
    report_data(&sgx, &HELLO[..HELLO.len() - 2]).refused(3, "sgx_report_data");

    let snp = snp(&vectors);
    let (json, _) = snp.accepted();
    report_data(&snp, &json["report_data"].as_str().unwrap()[2..]).accepted();
    report_data(&snp, &wrong).refused(3, "snp_report_data");

    let nitro = nitro(&vectors);
    let (json, _) = nitro.accepted();
    let own = claim(&json, 0, "nonce");
    nonce(&nitro, own).accepted();
    nonce(&nitro, &own[2..]).refused(3, "nitro_nonce");
    report_data(&nitro, &wrong).refused(3, "nitro_user_data");

    let switch = nvidia(&vectors);
    nonce(&switch, &wrong[..64]).refused(3, "gpu_nonce_mismatch");
    nonce(&switch, "01").refused(3, "nonce_mismatch");
    report_data(&switch, &wrong).refused(3, "report_data_not_carried");
}

#[test]
fn a_boot_log_must_replay() {
    let Some(vectors) = Vectors::find(4) else { return };
    let right = logged(&vectors);
    let log = |log| Question {
        event_log: log,
        ..right.clone()
    };
    log(None).accepted();
    log(Some(vectors.read("tdx/trustee-ovmf-eventlog/CCEL_data_ovmf"))).refused(3, "log_register_mismatch");
    let mut changed = right.event_log.clone().unwrap();
    changed.truncate(changed.len() / 2);
    assert_eq!(log(Some(changed)).ask().0, 3);
    let on_a_switch = Question {
        event_log: right.event_log,
        ..nvidia(&vectors)
    };
    on_a_switch.refused(3, "event_log_without_registers");
}
