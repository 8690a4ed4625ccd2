//! The genuine quotes: which file, which collateral, which verdict.

use crate::intel::{GenuineCase, Row, Set, read};

/// Collateral, by the time at which it holds.
const JUNE_2023: Set = Set {
    files: &[
        "tdx/google-v4-spr/sample_tcbInfo_response",
        "tdx/google-v4-spr/sample_qeIdentity_response",
        "tdx/google-v4-spr/pckcrl",
        "tdx/google-v4-spr/rootcrl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_687_300_000,
};
const FEBRUARY_2025: Set = Set {
    files: &[
        "tdx/automata-dcap-rs/tcbinfov3_00806f050000.json",
        "tdx/automata-dcap-rs/qeidentityv2_apiv4.json",
        "tdx/automata-dcap-rs/pck_platform_crl.der",
        "tdx/automata-dcap-rs/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_739_700_000,
};
const JUNE_2025: Set = Set {
    files: &["tdx/phala-v4-uptodate/tdx_quote_collateral.json"],
    at: 1_750_415_547,
};
const JUNE_2025_00806F: Set = Set {
    files: &[
        "tdx/phala-v4-uptodate/tdx_quote_collateral.json",
        "tdx/automata-collateral/tcbinfov3_00806f050000.json",
    ],
    at: 1_750_415_547,
};
const JUNE_2025_90C06F: Set = Set {
    files: &[
        "tdx/phala-v4-uptodate/tdx_quote_collateral.json",
        "tdx/automata-v5/tcbinfov3_90C06F000000.json",
    ],
    at: 1_750_415_547,
};
const JULY_2025: Set = Set {
    files: &[
        "tdx/automata-solana/tcb_info_v3_with_tdx_module.json",
        "tdx/automata-solana/qe_identity.json",
        "tdx/automata-solana/pck_platform_crl.der",
        "tdx/automata-solana/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_752_000_000,
};
const SEPTEMBER_2025: Set = Set {
    files: &["tdx/phala-near-gastest-v4/quote_collateral.json"],
    at: 1_756_885_319,
};
const OCTOBER_2025_00806F: Set = Set {
    files: &[
        "tdx/automata-collateral/2025-10_tcb_info.json",
        "sgx/trustee-occlum/enclaveIdentity.json",
        "tdx/automata-collateral/2025-10_pck_crl.der",
        "tdx/automata-solana/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_761_700_000,
};
const OCTOBER_2025_00A06D: Set = Set {
    files: &[
        "sgx/trustee-occlum/tcbInfo.json",
        "sgx/trustee-occlum/enclaveIdentity.json",
        "tdx/automata-collateral/2025-10_pck_crl.der",
        "tdx/automata-solana/intel_root_ca_crl.der",
        "tdx/automata-solana/signing.der",
    ],
    at: 1_761_700_000,
};
const JANUARY_2026: Set = Set {
    files: &["tdx/flashbots-v4/dcap-quote-collateral-00.yaml"],
    at: 1_769_593_799,
};
const FEBRUARY_2026: Set = Set {
    files: &["tdx/phala-v4-outdated/tdx_quote_outdated_collateral.json"],
    at: 1_771_498_731,
};
const FEBRUARY_2026_GOOGLE: Set = Set {
    files: &[
        "tdx/phala-v4-outdated/tdx_quote_outdated_collateral.json",
        "tdx/google-v5/sample_tcbinfo_response_v5",
    ],
    at: 1_771_498_731,
};
const JULY_2026: Set = Set {
    files: &["tdx/flashbots-gcp/gcp-tdx-collateral-1782809233226668671.yaml"],
    at: 1_782_893_539,
};
/// Before Intel's signing certificate of May 2025, which is the only one at hand.
const UNSIGNED: Result<(), &str> = Err("x509_not_yet_valid");

const ROWS: &[Row] = &[
    // Accepted.
    (
        "dstack on Sapphire Rapids, 2025",
        "tdx/phala-v4-uptodate/tdx_quote",
        &JUNE_2025,
        Ok(()),
    ),
    (
        "the same among TCB infos of other platforms",
        "tdx/phala-v4-uptodate/tdx_quote",
        &JUNE_2025_90C06F,
        Ok(()),
    ),
    (
        "dstack on a platform without RDMA",
        "tdx/phala-near-gastest-v4/quote_hex.txt",
        &SEPTEMBER_2025,
        Ok(()),
    ),
    (
        "Google Cloud, 2025",
        "tdx/flashbots-v4/dcap-tdx-1766059550570652607",
        &JANUARY_2026,
        Ok(()),
    ),
    (
        "Google Cloud, June 2025 collateral",
        "tdx/flashbots-v4/dcap-tdx-1766059550570652607",
        &JUNE_2025_00806F,
        Ok(()),
    ),
    (
        "Google Cloud, July 2025 collateral",
        "tdx/flashbots-v4/dcap-tdx-1766059550570652607",
        &JULY_2025,
        Ok(()),
    ),
    (
        "Google Cloud, October 2025 collateral",
        "tdx/flashbots-v4/dcap-tdx-1766059550570652607",
        &OCTOBER_2025_00806F,
        Ok(()),
    ),
    (
        "Google Cloud, a later collateral",
        "tdx/flashbots-v4/dcap-tdx-1766059550570652607",
        &JULY_2026,
        Ok(()),
    ),
    (
        "Google Cloud, 2026",
        "tdx/flashbots-gcp/gcp-tdx-1782809233226668671",
        &JULY_2026,
        Ok(()),
    ),
    (
        "TDX 1.5, version 5",
        "tdx/google-v5/quote_v5_sample.dat",
        &FEBRUARY_2026,
        Ok(()),
    ),
    (
        "TDX 1.5, version 5, two TCB infos that fit",
        "tdx/google-v5/quote_v5_sample.dat",
        &FEBRUARY_2026_GOOGLE,
        Ok(()),
    ),
    (
        "dstack's quote report",
        "tdx/dstack/quote-report.json",
        &FEBRUARY_2026,
        Ok(()),
    ),
    (
        "Google Cloud's COS 113, before its level was out of date",
        "tdx/google-cos113-ccel/cos-113-tdx-quote.dat",
        &JUNE_2025_00806F,
        Ok(()),
    ),
    // Genuine, and refused.
    (
        "Google Cloud's COS 113, out of date",
        "tdx/google-cos113-ccel/cos-113-tdx-quote.dat",
        &JANUARY_2026,
        Err("dcap_tcb_out_of_date"),
    ),
    (
        "automata's version 4, out of date",
        "tdx/automata-rust-samples/quotev4.hex",
        &JANUARY_2026,
        Err("dcap_tcb_out_of_date"),
    ),
    (
        "the same, another copy",
        "tdx/automata-dcap-rs/quote_tdx_00806f050000.dat",
        &JULY_2025,
        Err("dcap_tcb_out_of_date"),
    ),
    (
        "the same, a third copy",
        "tdx/automata-solana/quote_tdx.bin",
        &JULY_2025,
        Err("dcap_tcb_out_of_date"),
    ),
    (
        "Granite Rapids, out of date",
        "tdx/trustee/tdx_quote_6.dat",
        &OCTOBER_2025_00A06D,
        Err("dcap_tcb_out_of_date"),
    ),
    (
        "Alibaba Cloud, with a service domain",
        "tdx/automata-v5/alibaba_quote_5.dat",
        &FEBRUARY_2026,
        Err("tdx_service_td"),
    ),
    (
        "the same, another copy, older collateral",
        "tdx/automata-rust-samples/quotev5.dat",
        &JUNE_2025_90C06F,
        Err("tdx_service_td"),
    ),
    (
        "version 5 on a platform without a level",
        "tdx/trustee/tdx_quote_5.dat",
        &FEBRUARY_2026,
        Err("dcap_no_tcb_level"),
    ),
    (
        "the same, another copy, older collateral",
        "tdx/automata-v5/tdx_quote_5.dat",
        &JUNE_2025_90C06F,
        Err("dcap_no_tcb_level"),
    ),
    (
        "dstack on an old module",
        "tdx/phala-v4-hex/tdx-quote.hex",
        &JUNE_2025,
        Err("dcap_no_tcb_level"),
    ),
    (
        "dstack's predecessor on an old module",
        "tdx/phala-v4-tappd/quote-from-tappd.hex",
        &JUNE_2025,
        Err("dcap_no_tcb_level"),
    ),
    (
        "the same with another platform's collateral",
        "tdx/phala-v4-tappd/quote-from-tappd.hex",
        &SEPTEMBER_2025,
        Err("dcap_fmspc"),
    ),
    (
        "Azure, kept over a module update",
        "tdx/phala-v4-outdated/tdx_quote_outdated",
        &FEBRUARY_2026,
        Err("dcap_no_tcb_level"),
    ),
    (
        "the same, another copy",
        "azure-vtpm/flashbots-tdx/azure_failed_dcap_quote_10.bin",
        &FEBRUARY_2026,
        Err("dcap_no_tcb_level"),
    ),
    (
        "Azure, SEPT_VE_DISABLE off",
        "azure-vtpm/trustee-tdx/td-quote.bin",
        &JANUARY_2026,
        Err("tdx_sept_ve_enabled"),
    ),
    (
        "the same in Confidential Containers' first form",
        "azure-vtpm/trustee-tdx/evidence-v0.json",
        &JANUARY_2026,
        Err("tdx_sept_ve_enabled"),
    ),
    (
        "the same in their second form",
        "azure-vtpm/trustee-tdx/evidence-v1.json",
        &JANUARY_2026,
        Err("tdx_sept_ve_enabled"),
    ),
    (
        "Azure, boot measured into the vTPM only",
        "azure-vtpm/flashbots-tdx/azure-tdx-1764662251380464271.yaml",
        &FEBRUARY_2026,
        Err("tdx_boot_not_measured"),
    ),
    (
        "Azure in 2026, boot measured into the vTPM only",
        "azure-vtpm/flashbots-tdx/azure-tdx-with-ak-intermediates-1780922561.yaml",
        &FEBRUARY_2026,
        Err("tdx_boot_not_measured"),
    ),
    // Not valid at that time.
    (
        "dstack lite before its PCK certificate was made",
        "tdx/dstack/tdx-lite-attestation.json",
        &FEBRUARY_2026,
        Err("x509_not_yet_valid"),
    ),
    (
        "the same in its other form",
        "tdx/dstack/tdx-lite-getquote.json",
        &FEBRUARY_2026,
        Err("x509_not_yet_valid"),
    ),
    (
        "TDX 1.5 before its PCK certificate was made",
        "tdx/google-v5/quote_v5_sample.dat",
        &Set {
            files: FEBRUARY_2026.files,
            at: 1_768_320_193,
        },
        Err("x509_not_yet_valid"),
    ),
    (
        "collateral that ended",
        "tdx/phala-v4-uptodate/tdx_quote",
        &Set {
            files: JUNE_2025.files,
            at: 1_752_920_000,
        },
        Err("crl_expired"),
    ),
    (
        "collateral that didn't begin",
        "tdx/phala-v4-uptodate/tdx_quote",
        &Set {
            files: JUNE_2025.files,
            at: 1_750_327_300,
        },
        Err("dcap_tcb_info_not_yet_valid"),
    ),
    (
        "the debug domain, 2023 collateral",
        "tdx/trustee/tdx_quote_4.dat",
        &JUNE_2023,
        UNSIGNED,
    ),
    (
        "Google Cloud's COS 113, early 2025",
        "tdx/google-cos113-ccel/cos-113-tdx-quote.dat",
        &FEBRUARY_2025,
        UNSIGNED,
    ),
    // Not genuine.
    (
        "text behind the quote",
        "tdx/google-v4-spr/tdx_prod_quote_SPR_E4.dat",
        &JUNE_2023,
        Err("dcap_trailing_bytes"),
    ),
    (
        "Intel's own test quote",
        "tdx/intel-qvl-testpki/quote.dat",
        &JUNE_2025,
        Err("x509_not_pem"),
    ),
];

/// All of them, for each way of running the verifier.
pub fn genuine() -> Vec<GenuineCase> {
    let mut cases = read(ROWS);
    for case in &mut cases {
        if case.name == "dstack's quote report" {
            let mut report_data = vec![0x12, 0x34];
            report_data.resize(64, 0);
            case.report_data = Some(report_data);
        }
    }
    cases
}
