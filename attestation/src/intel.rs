//! What TDX and SGX share: quotes' signature data, PCK certificates, collateral, TCB levels.
//!
//! The chain of trust of both: Intel's root → PCK certificate of one platform → report of its quoting enclave (QE) →
//! attestation key → quote. What Intel says of that platform's firmware comes beside it, as signed JSON and
//! revocation lists ("collateral"), and rests on the same root.
//!
//! - [`quote`]: header and signature data (Intel TDX DCAP Quoting Library API, appendix A.3; Intel SGX ECDSA
//!   QuoteLibReference, appendix A.4)
//! - [`enclave_report`]: the report of an enclave (Intel SDM vol. 3D, "REPORT")
//! - [`pck`]: PCK chains and their SGX extensions (Intel SGX PCK Certificate and Certificate Revocation List Profile
//!   Specification)
//! - [`collateral`]: TCB info, QE identity and revocation lists (PCS API v4)
//! - [`tcb`]: TCB levels and statuses
//! - [`rules`]: which of them a policy accepts
//!
//! What is costly and lasts is kept in types that only verification can make, [`pck::VerifiedPck`] (2 signatures) and
//! [`collateral::VerifiedCollateral`] (5); a further quote of the same platform then costs 2.

mod chain;
pub mod collateral;
pub mod enclave_report;
mod json;
pub mod pck;
pub mod qe_identity;
pub mod quote;
pub mod rules;
pub mod tcb;
pub mod tcb_info;

pub(crate) use chain::verify_quote;
pub(crate) use json::Collateral;

use crate::reasons::reasons;
use crate::x509::X509Error;

reasons! {
    /// Why evidence of Intel's silicon is refused, as far as TDX and SGX share it.
    pub enum DcapError {
        own {
            #[error("quote of {0} bytes is longer than {max}", max = quote::MAX_LEN)]
            TooLong(usize) => Evidence "dcap_too_long",
            #[error("quote ends inside {what}: {needed} bytes are needed, {found} are left")]
            Truncated { what: &'static str, needed: usize, found: usize } => Evidence "dcap_truncated",
            #[error("quote has version {found}, this evidence has {expected}")]
            Version { found: u16, expected: &'static str } => Evidence "dcap_version",
            #[error("attestation key type is {0}, only 2 (ECDSA P-256) is known")]
            AttestationKeyType(u16) => Evidence "dcap_attestation_key_type",
            #[error("TEE type is {found:#x}, this evidence has {expected:#x}")]
            TeeType { found: u32, expected: u32 } => Evidence "dcap_tee_type",
            #[error("quoting enclave is of vendor {0}, not Intel's")]
            QeVendor(String) => Evidence "dcap_qe_vendor",
            #[error("signature data of {declared} bytes has content of {used}")]
            SignatureDataLength { declared: usize, used: usize } => Evidence "dcap_signature_data_length",
            #[error("certification data is of type {found}, {expected} was expected")]
            CertificationDataType { found: u16, expected: u16 } => Evidence "dcap_certification_data_type",
            #[error("{0} bytes behind the quote aren't all zero")]
            TrailingBytes(usize) => Evidence "dcap_trailing_bytes",
            #[error("reserved bytes of the quoting enclave's report aren't zero")]
            QeReportReserved => Evidence "dcap_qe_report_reserved",

            #[error("quote is not signed by its attestation key")]
            QuoteSignature => Evidence "dcap_quote_signature",
            #[error("quoting enclave's report is not signed by the PCK")]
            QeReportSignature => Evidence "dcap_qe_report_signature",
            #[error("quoting enclave's report doesn't vouch for the attestation key: REPORTDATA is {found}, not {expected}")]
            QeReportData { found: String, expected: String } => Evidence "dcap_qe_report_data",

            #[error("PCK certificate is of {0:?}")]
            PckName(String) => Evidence "dcap_pck_name",
            #[error("PCK chain has {0} certificates below the root, not 2")]
            PckChainLength(usize) => Evidence "dcap_pck_chain_length",
            #[error("PCK certificate is issued by {0:?}, neither the processor nor the platform authority")]
            PckCa(String) => Evidence "dcap_pck_ca",
            #[error("PCK certificate of {ca} {problem}")]
            PckOfOtherCa { ca: &'static str, problem: &'static str } => Evidence "dcap_pck_of_other_ca",
            #[error("PCK certificate has no SGX extension")]
            SgxExtensionMissing => Evidence "dcap_sgx_extension_missing",
            #[error("SGX extension of the PCK certificate: {0}")]
            SgxExtension(&'static str) => Evidence "dcap_sgx_extension",
            #[error("the verified PCK chain is not the one in this quote")]
            OtherPck => Evidence "dcap_other_pck",
            #[error("the verified collateral is for {collateral}, the quote is of {platform}")]
            OtherCollateral { collateral: String, platform: String } => Evidence "dcap_other_collateral",

            #[error("no revocation list of {0:?}, which issued the PCK certificate")]
            PckCrlMissing(String) => Evidence "dcap_pck_crl_missing",
            #[error("no revocation list of {0:?}")]
            RootCrlMissing(String) => Evidence "dcap_root_crl_missing",
            #[error("no certificate of {0:?}, which signs Intel's collateral")]
            SigningCertificateMissing(&'static str) => Evidence "dcap_signing_certificate_missing",

            #[error("no TCB info")]
            TcbInfoMissing => Evidence "dcap_tcb_info_missing",
            #[error("TCB info is not of Intel's format: {0}")]
            TcbInfoFormat(String) => Evidence "dcap_tcb_info_format",
            #[error("TCB info has version {0}, only 3 is known")]
            TcbInfoVersion(u32) => Evidence "dcap_tcb_info_version",
            #[error("TCB info is for {found:?}, not {expected:?}")]
            TcbInfoId { found: String, expected: &'static str } => Evidence "dcap_tcb_info_id",
            #[error("TCB info has tcbType {0}, only 0 is known")]
            TcbType(u32) => Evidence "dcap_tcb_type",
            #[error("TCB info is not signed by Intel")]
            TcbInfoSignature => Evidence "dcap_tcb_info_signature",
            #[error("TCB info was issued at {issue_date}, which is after {now} (seconds since 1970)")]
            TcbInfoNotYetValid { issue_date: i64, now: i64 } => Stale "dcap_tcb_info_not_yet_valid",
            #[error("TCB info was good until {next_update}, which is before {now} (seconds since 1970)")]
            TcbInfoExpired { next_update: i64, now: i64 } => Stale "dcap_tcb_info_expired",
            #[error("platform has FMSPC {platform}, TCB info is for {tcb_info}")]
            Fmspc { platform: String, tcb_info: String } => Evidence "dcap_fmspc",
            #[error("platform has PCEID {platform}, TCB info is for {tcb_info}")]
            PceId { platform: String, tcb_info: String } => Evidence "dcap_pce_id",

            #[error("no QE identity")]
            QeIdentityMissing => Evidence "dcap_qe_identity_missing",
            #[error("QE identity is not of Intel's format: {0}")]
            QeIdentityFormat(String) => Evidence "dcap_qe_identity_format",
            #[error("QE identity has version {0}, only 2 is known")]
            QeIdentityVersion(u32) => Evidence "dcap_qe_identity_version",
            #[error("QE identity is of {found:?}, not {expected:?}")]
            QeIdentityId { found: String, expected: &'static str } => Evidence "dcap_qe_identity_id",
            #[error("QE identity is not signed by Intel")]
            QeIdentitySignature => Evidence "dcap_qe_identity_signature",
            #[error("QE identity was issued at {issue_date}, which is after {now} (seconds since 1970)")]
            QeIdentityNotYetValid { issue_date: i64, now: i64 } => Stale "dcap_qe_identity_not_yet_valid",
            #[error("QE identity was good until {next_update}, which is before {now} (seconds since 1970)")]
            QeIdentityExpired { next_update: i64, now: i64 } => Stale "dcap_qe_identity_expired",
            #[error("quoting enclave has MRSIGNER {found}, Intel's has {expected}")]
            QeMrSigner { found: String, expected: String } => Evidence "dcap_qe_mr_signer",
            #[error("quoting enclave has ISVPRODID {found}, Intel's has {expected}")]
            QeIsvProdId { found: u16, expected: u16 } => Evidence "dcap_qe_isv_prod_id",
            #[error("quoting enclave has MISCSELECT {found}, Intel's has {expected} under mask {mask}")]
            QeMiscSelect { found: String, expected: String, mask: String } => Evidence "dcap_qe_misc_select",
            #[error("quoting enclave has ATTRIBUTES {found}, Intel's has {expected} under mask {mask}")]
            QeAttributes { found: String, expected: String, mask: String } => Evidence "dcap_qe_attributes",
            #[error("quoting enclave has ISVSVN {0}, for which the QE identity has no TCB level")]
            NoQeTcbLevel(u16) => Policy "dcap_no_qe_tcb_level",
            #[error("TCB info has no level for the platform: {0}")]
            NoTcbLevel(String) => Policy "dcap_no_tcb_level",

            #[error("TCB status is Revoked ({advisories})")]
            TcbRevoked { advisories: String } => Policy "dcap_tcb_revoked",
            #[error("TCB status is OutOfDate ({advisories}), which the policy doesn't accept")]
            TcbOutOfDate { advisories: String } => Policy "dcap_tcb_out_of_date",
            #[error("TCB status is OutOfDateConfigurationNeeded ({advisories}), which the policy doesn't accept")]
            TcbOutOfDateConfigurationNeeded { advisories: String } => Policy "dcap_tcb_out_of_date_configuration_needed",
            #[error("TCB status is ConfigurationNeeded ({advisories}), which the policy doesn't accept")]
            TcbConfigurationNeeded { advisories: String } => Policy "dcap_tcb_configuration_needed",
            #[error("TCB status is SWHardeningNeeded ({advisories}), which the policy doesn't accept")]
            TcbSwHardeningNeeded { advisories: String } => Policy "dcap_tcb_sw_hardening_needed",
            #[error("TCB status is ConfigurationAndSWHardeningNeeded ({advisories}), which the policy doesn't accept")]
            TcbConfigurationAndSwHardeningNeeded { advisories: String } => Policy "dcap_tcb_configuration_and_sw_hardening_needed",
            #[error("TCB status is TDRelaunchAdvised ({advisories}), which the policy doesn't accept")]
            TcbTdRelaunchAdvised { advisories: String } => Policy "dcap_tcb_td_relaunch_advised",
            #[error("TCB status is TDRelaunchAdvisedConfigurationNeeded ({advisories}), which the policy doesn't accept")]
            TcbTdRelaunchAdvisedConfigurationNeeded { advisories: String } => Policy "dcap_tcb_td_relaunch_advised_configuration_needed",
            #[error("{id} applies to the platform (TCB status {status}), and the policy doesn't tolerate it")]
            AdvisoryNotTolerated { id: String, status: &'static str } => Policy "dcap_advisory_not_tolerated",
            #[error("{id} applies to the platform, and the policy tolerated it until {until}, which is before {now} (seconds since 1970)")]
            AdvisoryOverdue { id: String, until: u64, now: i64 } => Policy "dcap_advisory_overdue",
            #[error("collateral has tcbEvaluationDataNumber {found}, policy wants {least} or more")]
            EvaluationDataNumber { found: u32, least: u32 } => Policy "dcap_evaluation_data_number",
            #[error("platform can take further packages (dynamicPlatform), which the policy doesn't accept")]
            DynamicPlatform => Policy "dcap_dynamic_platform",
            #[error("platform's keys are kept by Intel's registration service (cachedKeys), which the policy doesn't accept")]
            CachedKeys => Policy "dcap_cached_keys",
            #[error("platform has simultaneous multithreading on, which the policy doesn't accept")]
            SmtEnabled => Policy "dcap_smt_enabled",
        }
        of {
            #[error("PCK certificate chain: {0}")]
            PckChain(X509Error),
            #[error("revocation list of the PCK authority: {0}")]
            PckCrl(X509Error),
            #[error("revocation list of the root: {0}")]
            RootCrl(X509Error),
            #[error("chain of the collateral's signer: {0}")]
            SigningChain(X509Error),
        }
    }
}

/// The two kinds of evidence that Intel's quoting enclaves make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntelTee {
    /// An enclave.
    Sgx,
    /// A trust domain.
    Tdx,
}

impl IntelTee {
    /// TEE type in a quote's header.
    pub const fn tee_type(self) -> u32 {
        match self {
            IntelTee::Sgx => 0,
            IntelTee::Tdx => 0x81,
        }
    }

    /// `id` of a TCB info.
    pub const fn tcb_info_id(self) -> &'static str {
        match self {
            IntelTee::Sgx => "SGX",
            IntelTee::Tdx => "TDX",
        }
    }

    /// `id` of a QE identity.
    pub const fn qe_identity_id(self) -> &'static str {
        match self {
            IntelTee::Sgx => "QE",
            IntelTee::Tdx => "TD_QE",
        }
    }
}
