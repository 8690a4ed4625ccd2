//! SGX: genuine quotes, and every refusal.

mod refusals;

use jeju_attestation::endorsements::Endorsements;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::intel::rules::ToleratedAdvisory;
use jeju_attestation::intel::tcb::TcbStatus;
use jeju_attestation::roots::TrustAnchors;
use jeju_attestation::sgx::{self, Claims, Enclave, Quote, Rules, SgxError, fields};
use jeju_attestation::verdict::Revocation;

use crate::intel::{GenuineCase, Row, Set, read};

const JUNE_2025: Set = Set {
    files: &["sgx/phala-v3/sgx_quote_collateral.json"],
    at: 1_750_416_971,
};
const AUGUST_2025: Set = Set {
    files: &[
        "tdx/automata-collateral/sgx_tcbinfov3_00606a000000.json",
        "tdx/automata-collateral/sgx_qeidentity_v4.json",
        "tdx/automata-collateral/platform_crl.der",
        "tdx/automata-solana/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_755_648_000,
};
const OF_TDX: Set = Set {
    files: &[
        "sgx/trustee-occlum/tcbInfo.json",
        "sgx/trustee-occlum/enclaveIdentity.json",
        "tdx/automata-collateral/2025-10_pck_crl.der",
        "tdx/automata-solana/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_761_700_000,
};

const ROWS: &[Row] = &[
    (
        "an enclave that says hello",
        "sgx/phala-v3/sgx_quote",
        &JUNE_2025,
        Err("dcap_tcb_configuration_and_sw_hardening_needed"),
    ),
    (
        "automata's version 3",
        "tdx/automata-rust-samples/quotev3.hex",
        &AUGUST_2025,
        Err("dcap_tcb_sw_hardening_needed"),
    ),
    (
        "Occlum's debug enclave",
        "sgx/trustee-occlum/occlum_quote.dat",
        &AUGUST_2025,
        Err("sgx_debug"),
    ),
    (
        "automata's debug enclave",
        "tdx/automata-solana/quote_sgx.bin",
        &JUNE_2025,
        Err("sgx_debug"),
    ),
    (
        "an enclave with a trust domain's collateral",
        "tdx/automata-rust-samples/quotev3.hex",
        &OF_TDX,
        Err("dcap_tcb_info_id"),
    ),
    (
        "an enclave below the other authority",
        "sgx/phala-v3/sgx_quote",
        &AUGUST_2025,
        Err("dcap_pck_crl_missing"),
    ),
    (
        "a trust domain's quote",
        "tdx/phala-v4-uptodate/tdx_quote",
        &JUNE_2025,
        Err("dcap_version"),
    ),
];

/// All of them, for each way of running the verifier.
pub fn genuine() -> Vec<GenuineCase> {
    read(ROWS)
}

fn verdict(evidence: &[u8], bag: &Endorsements, at: u64, rules: &Rules) -> Result<Claims, SgxError> {
    let quote = Quote::parse(evidence)?;
    let claims = Claims::of(sgx::verify(&quote, bag, TrustAnchors::vendors(), at as i64)?);
    let component = sgx::appraise(&claims, rules)?;
    assert_eq!((component.kind, component.revocation), ("sgx", Revocation::Good));
    Ok(claims)
}

fn case(name: &str) -> Option<GenuineCase> {
    let cases = genuine();
    let absent = cases.is_empty();
    let found = cases.into_iter().find(|case| case.name == name);
    assert!(absent || found.is_some(), "no case {name:?}");
    found
}

#[test]
fn genuine_quotes_get_their_verdicts() {
    let mut wrong = Vec::new();
    for case in genuine() {
        let found = verdict(&case.evidence, &case.bag(), case.at, &Rules::strict());
        let code = found.map(|_| ()).map_err(|error| error.code());
        if code != case.expected {
            wrong.push(format!("{}: {code:?}, not {:?}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_genuine_enclave_passes_by_rule() {
    let Some(hello) = case("an enclave that says hello") else {
        return;
    };
    let mut rules = Rules::strict();
    rules.tcb.statuses = vec![TcbStatus::ConfigurationAndSWHardeningNeeded];
    rules.tcb.tolerated_advisories = ["INTEL-SA-00289", "INTEL-SA-00615"]
        .map(|id| ToleratedAdvisory {
            id: id.to_owned(),
            until: hello.at,
        })
        .to_vec();
    let claims = verdict(&hello.evidence, &hello.bag(), hello.at, &rules).unwrap();
    assert_eq!(claims.report.report_data[..13], *b"Hello, world!");
    assert_eq!(claims.tcb.advisories, ["INTEL-SA-00289", "INTEL-SA-00615"]);
    assert_eq!(claims.platform.fmspc, [0, 0xA0, 0x67, 0x11, 0, 0]);
    assert_eq!(claims.platform.platform_instance_id, None);
    assert_eq!(claims.declared_len, hello.evidence.len());

    rules.enclaves = Some(vec![Enclave {
        mr_signer: HexBytes(claims.report.mr_signer),
        isv_prod_id: claims.report.isv_prod_id,
        least_isv_svn: claims.report.isv_svn,
        mr_enclave: Some(HexBytes(claims.report.mr_enclave)),
    }]);
    rules.report_data = Some(claims.report.report_data);
    assert!(verdict(&hello.evidence, &hello.bag(), hello.at, &rules).is_ok());

    let listed = fields(&Quote::parse(&hello.evidence).unwrap());
    let mr_enclave = ("MRENCLAVE", hex::encode(claims.report.mr_enclave));
    assert!(listed.contains(&mr_enclave));
}
