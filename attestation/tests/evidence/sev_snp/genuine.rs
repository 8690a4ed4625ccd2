//! Recordings of others' machines, each with the verdict that it must get.

use serde_json::Value;

use crate::vectors;

/// A recording, in the form in which it was published.
pub struct GenuineCase {
    /// Name of the case.
    pub name: &'static str,
    /// The file as it is, or what was in a wrapping that isn't a form of this platform.
    pub evidence: Vec<u8>,
    /// Files as they are.
    pub endorsements: Vec<Vec<u8>>,
    /// Time of the verdict, in seconds since 1970.
    pub at: u64,
    /// The nonce that whoever asked for the report chose.
    pub nonce: Option<Vec<u8>>,
    /// What REPORT_DATA must be.
    pub report_data: Option<Vec<u8>>,
    /// Accepted under the strict rules, or the code of the refusal.
    pub expected: Result<(), &'static str>,
}

/// How many there are.
pub const COUNT: usize = 46;
const REPORT_LEN: usize = 1184;
/// Clocks at which the certificates that are used with them are valid.
const IN_2023: u64 = 1_700_000_000;
const IN_2025: u64 = 1_740_000_000;
const LATE_2025: u64 = 1_760_000_000;
pub const IN_2026: u64 = 1_790_000_000;

/// All recordings of this platform; empty where the folder is absent.
pub fn genuine() -> Vec<GenuineCase> {
    if !vectors::folder().is_dir() {
        assert_eq!(vectors::read("snp", COUNT), None);
        return Vec::new();
    }
    [files(), forms(), oak(), azure()].into_iter().flatten().collect()
}

fn file(name: &str) -> Vec<u8> {
    vectors::read(name, COUNT).expect("the folder is there")
}

fn case(
    name: &'static str,
    evidence: Vec<u8>,
    endorsements: &[&str],
    at: u64,
    expected: Result<(), &'static str>,
) -> GenuineCase {
    GenuineCase {
        name,
        evidence,
        endorsements: endorsements.iter().map(|name| file(name)).collect(),
        at,
        nonce: None,
        report_data: None,
        expected,
    }
}

/// Reports and certificates as files of their own.
fn files() -> Vec<GenuineCase> {
    let virtee = hex::decode(file("snp/virtee/report_milan.hex").trim_ascii()).unwrap();
    let virtee_vcek = "snp/virtee/vcek_milan.der";
    let turin = file("snp/openanolis-turin-v5/turin-report.bin");
    let turin_vcek = "snp/openanolis-turin-v5/turin-vcek.der";
    let trustee = file("snp/trustee/test-report.bin");
    let vlek_report = file("snp/trustee/test-vlek-report.bin");
    let (vlek, older_vlek) = (
        "snp/trustee/test-vlek.der",
        "snp/openanolis-turin-v5/test-vlek.der",
    );
    let lit = file("snp/lit/guest_report.bin");
    vec![
        case("virtee", virtee.clone(), &[virtee_vcek], IN_2023, Ok(())),
        case(
            "virtee, chain at hand",
            virtee.clone(),
            &["snp/virtee/cert_chain_milan.pem", virtee_vcek],
            IN_2023,
            Ok(()),
        ),
        case(
            "virtee, several keys and chains at hand",
            virtee.clone(),
            &[
                turin_vcek,
                "snp/trustee/test-vcek.der",
                vlek,
                virtee_vcek,
                "snp/amd-chains/milan_ask_ark_asvk.pem",
                "snp/amd-chains/genoa_ask_ark_asvk.pem",
                "snp/amd-chains/turin_ask_ark_asvk.pem",
            ],
            IN_2023,
            Ok(()),
        ),
        case(
            "virtee, a Turin's key",
            virtee.clone(),
            &["snp/virtee/vcek_turin.der", "snp/virtee/cert_chain_turin.pem"],
            LATE_2025,
            Err("snp_chip_id_mismatch"),
        ),
        case(
            "virtee, key expired",
            virtee,
            &[virtee_vcek],
            1_901_474_624,
            Err("x509_expired"),
        ),
        case(
            "google: debug",
            file("snp/google-milan-v2/attestation.bin"),
            &[
                "snp/google-milan-v2/vcek.testcer",
                "snp/google-milan-v2/milan.testcer",
            ],
            IN_2023,
            Err("snp_debug"),
        ),
        case("turin", turin.clone(), &[turin_vcek], IN_2026, Ok(())),
        case(
            "turin, chain at hand",
            turin.clone(),
            &[turin_vcek, "snp/amd-chains/ask_ark_turin_vcek.pem"],
            IN_2026,
            Ok(()),
        ),
        case(
            "turin, key not valid yet",
            turin.clone(),
            &[turin_vcek],
            1_782_637_010,
            Err("x509_not_yet_valid"),
        ),
        case(
            "turin, another Turin's key",
            turin,
            &["snp/virtee/vcek_turin.der"],
            IN_2026,
            Err("snp_chip_id_mismatch"),
        ),
        case(
            "trustee",
            trustee.clone(),
            &["snp/trustee/test-vcek.der"],
            IN_2023,
            Ok(()),
        ),
        case(
            "trustee, key altered",
            trustee.clone(),
            &["snp/trustee/test-vcek-invalid-legacy.der"],
            IN_2023,
            Err("x509_signature"),
        ),
        case(
            "trustee, key of the new form altered",
            trustee.clone(),
            &["snp/trustee/test-vcek-invalid-new.der"],
            IN_2023,
            Err("x509_signature"),
        ),
        case("trustee, no key", trustee, &[], IN_2023, Err("snp_vek_missing")),
        case(
            "vlek: VMPL 1",
            vlek_report.clone(),
            &[vlek],
            IN_2025,
            Err("snp_vmpl"),
        ),
        case(
            "vlek: VMPL 1, chain at hand",
            vlek_report.clone(),
            &[vlek, "snp/google-milan-v2/milanvlek.testcer"],
            IN_2025,
            Err("snp_vmpl"),
        ),
        case(
            "vlek expired",
            vlek_report.clone(),
            &[vlek],
            1_765_404_862,
            Err("x509_expired"),
        ),
        case(
            "vlek of an older TCB",
            vlek_report.clone(),
            &[older_vlek],
            1_746_000_000,
            Err("snp_tcb_mismatch"),
        ),
        case(
            "vlek: VMPL 1, two keys at hand",
            vlek_report.clone(),
            &[older_vlek, vlek],
            IN_2025,
            Err("snp_vmpl"),
        ),
        case(
            "vlek, only a vcek at hand",
            vlek_report,
            &["snp/trustee/test-vcek.der"],
            IN_2025,
            Err("snp_vek_kind"),
        ),
        case("lit, no key", lit.clone(), &[], IN_2023, Err("snp_vek_missing")),
        case(
            "lit, another chip's key",
            lit,
            &[virtee_vcek],
            IN_2023,
            Err("snp_chip_id_mismatch"),
        ),
        case(
            "lit: firmware's answer, no key",
            file("snp/lit/snp_report_msg_resp.bin"),
            &[],
            IN_2023,
            Err("snp_vek_missing"),
        ),
        case(
            "lit: bad signature, one byte longer",
            file("snp/lit/guest_report_bad_sig.bin"),
            &[],
            IN_2023,
            Err("snp_length"),
        ),
        case(
            "lit: truncated",
            file("snp/lit/guest_report_corrupt.bin"),
            &[],
            IN_2023,
            Err("snp_length"),
        ),
    ]
}

/// Vendors' forms, most of which bring their certificates.
fn forms() -> Vec<GenuineCase> {
    let nonce = b"MIDBNH28iioisjPyxxxxxxxxxxxxxxxxMIDBNH28iioisjPyxxxxxxxxxxxxxxxx".to_vec();
    let mut fixture = b"attest-test-fixture-2026".to_vec();
    fixture.resize(64, 0);
    let automata = file("snp/automata/output.json");
    let dstack = file("snp/dstack/sev_snp_attestation.bin");
    let dstack_keys = ["snp/dstack/sev_snp_ask.pem", "snp/dstack/sev_snp_vcek.pem"];
    vec![
        case("automata", automata.clone(), &[], IN_2025, Ok(())),
        case(
            "automata, chain at hand",
            automata.clone(),
            &["snp/automata/vcek_issuer.pem"],
            IN_2025,
            Ok(()),
        ),
        case(
            "automata, another chip's key at hand",
            automata,
            &["snp/automata/vcek.pem"],
            IN_2025,
            Ok(()),
        ),
        GenuineCase {
            report_data: Some(fixture.clone()),
            ..case("dstack", dstack.clone(), &dstack_keys, IN_2026, Ok(()))
        },
        case("dstack, no key", dstack, &[], IN_2026, Err("snp_vek_missing")),
        GenuineCase {
            report_data: Some(fixture),
            ..case(
                "dstack JSON",
                file("snp/dstack/sev-snp-attestation.json"),
                &[],
                IN_2026,
                Ok(()),
            )
        },
        GenuineCase {
            report_data: Some(nonce.clone()),
            ..case(
                "veraison",
                file("snp/veraison/sevsnp-tsm-report.json"),
                &[],
                LATE_2025,
                Ok(()),
            )
        },
        GenuineCase {
            nonce: Some(nonce.clone()),
            report_data: Some(nonce),
            ..case(
                "veraison ratsd",
                file("snp/veraison/sevsnp-ratsd-token"),
                &[],
                LATE_2025,
                Ok(()),
            )
        },
    ]
}

/// Oak: the report and the VCEK stand in protobufs, the report at offset 8.
fn oak() -> Vec<GenuineCase> {
    [
        ("oak: Milan, oc, release", "oak/milan_oc_release"),
        ("oak: Milan, oc, staging", "oak/milan_oc_staging"),
        ("oak: Milan, rk, release", "oak/milan_rk_release"),
        ("oak: Milan, rk, staging", "oak/milan_rk_staging"),
        ("oak: Genoa v5", "oak/genoa_oc"),
        ("oak: containers", "oak-cb/cb"),
    ]
    .into_iter()
    .map(|(name, files)| {
        let evidence = file(&format!("snp/{files}_evidence.binarypb"));
        let endorsements = file(&format!("snp/{files}_endorsements.binarypb"));
        GenuineCase {
            endorsements: vec![first_certificate(&endorsements)],
            ..case(name, evidence[8..8 + REPORT_LEN].to_vec(), &[], IN_2026, Ok(()))
        }
    })
    .collect()
}

/// The first DER certificate of a protobuf: the VCEK is the first field of Oak's endorsements.
fn first_certificate(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .windows(2)
        .position(|window| window == [0x30, 0x82])
        .unwrap();
    let len = 4 + usize::from(u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]));
    bytes[start..start + len].to_vec()
}

/// Azure: the report stands in the HCL report of the vTPM, whose own form comes with another platform.
fn azure() -> Vec<GenuineCase> {
    let unwrap = |hcl: &[u8]| hcl[0x20..0x20 + REPORT_LEN].to_vec();
    let folder = "azure-vtpm/trustee-snp";
    let json = |name: &str| -> Value { serde_json::from_slice(&file(&format!("{folder}/{name}"))).unwrap() };
    let numbers = |value: &Value| -> Vec<u8> {
        let bytes = value.as_array().unwrap().iter();
        bytes.map(|byte| byte.as_u64().unwrap() as u8).collect()
    };
    let mut cases = vec![
        case(
            "azure",
            unwrap(&file(&format!("{folder}/hcl-report.bin"))),
            &["azure-vtpm/trustee-snp/vcek.pem"],
            IN_2023,
            Ok(()),
        ),
        case(
            "azure, no key",
            unwrap(&file("azure-vtpm/kinvolk/hcl-report-snp.bin")),
            &[],
            IN_2023,
            Err("snp_vek_missing"),
        ),
        case(
            "azure: Genoa, key in a file",
            unwrap(&numbers(&json("evidence-genoa.json")["report"])),
            &["azure-vtpm/trustee-snp/vcek-genoa.pem"],
            IN_2025,
            Ok(()),
        ),
    ];
    for (name, file) in [
        ("azure: Genoa", "evidence-genoa.json"),
        ("azure: v0", "evidence-v0.json"),
        ("azure: v1", "evidence-v1.json"),
        ("azure: v2", "evidence-v2.json"),
    ] {
        let evidence = json(file);
        let (hcl, vcek) = match evidence.get("hcl_report") {
            Some(hcl) => (base64(hcl), base64(&evidence["vcek"])),
            None => {
                let pem = evidence["vcek"].as_str().unwrap();
                (numbers(&evidence["report"]), pem.as_bytes().to_vec())
            }
        };
        cases.push(GenuineCase {
            endorsements: vec![vcek],
            ..case(name, unwrap(&hcl), &[], IN_2025, Ok(()))
        });
    }
    cases
}

fn base64(text: &Value) -> Vec<u8> {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
    URL_SAFE_NO_PAD
        .decode(text.as_str().unwrap().trim_end_matches('='))
        .unwrap()
}
