//! Intel TDX quotes, versions 4 and 5.
//!
//! Evidence flows through four steps: [`parse`] (bytes → fields) → [`chain`] (Intel's root → PCK → quoting enclave →
//! quote, and Intel's collateral for that platform) → [`claims`] (what the quote says, once it is genuine) →
//! [`mod@appraise`] (rules and reference values). [`form`] reads the JSON that vendors' tools wrap quotes in.

pub mod appraise;
pub mod chain;
pub mod claims;
pub mod form;
mod module;
pub mod parse;

pub use appraise::{Rules, appraise};
pub use chain::{GenuineQuote, verify, verify_cached};
pub use claims::{Claims, fields};
pub use parse::{Quote, TdReport};

use crate::hex_bytes::HexBytes;
use crate::intel::DcapError;
use crate::measurement::MeasurementId;
use crate::reasons::reasons;

reasons! {
    /// Why a TDX quote is refused.
    pub enum TdxError {
        own {
            #[error("reserved bytes of the quote's header are {0}, not zero")]
            HeaderReserved(String) => Evidence "tdx_header_reserved",
            #[error("quote body is of type {0}, which is no TD report")]
            BodyType(u16) => Evidence "tdx_body_type",
            #[error("quote body is of type 4 (TDX 1.5 with extensions), which this version doesn't read")]
            BodyTypeExtended => Evidence "tdx_body_type_extended",
            #[error("quote body of type {body_type} has {found} bytes, not {expected}")]
            BodySize { body_type: u16, found: usize, expected: usize } => Evidence "tdx_body_size",

            #[error("TCB info knows no TDX module of version {0} (TEE_TCB_SVN[1])")]
            ModuleUnknown(u8) => Evidence "tdx_module_unknown",
            #[error("TDX module has MRSIGNERSEAM {found}, Intel's has {expected}")]
            ModuleMrSigner { found: String, expected: String } => Evidence "tdx_module_mr_signer",
            #[error("TDX module has SEAMATTRIBUTES {found}, Intel's has {expected} under mask {mask}")]
            ModuleAttributes { found: String, expected: String, mask: String } => Evidence "tdx_module_attributes",
            #[error("TDX module {version} has ISVSVN {isv_svn} (TEE_TCB_SVN[0]), for which the TCB info has no level")]
            NoModuleTcbLevel { version: u8, isv_svn: u8 } => Policy "tdx_no_module_tcb_level",

            #[error("MRSEAM is zero: there is no TDX module")]
            MrSeamZero => Evidence "tdx_mr_seam_zero",
            #[error("MRSIGNERSEAM is {0}, and zero in Intel's modules")]
            MrSignerSeam(String) => Evidence "tdx_mr_signer_seam",
            #[error("SEAMATTRIBUTES are {0}, and zero in production modules")]
            SeamAttributes(String) => Evidence "tdx_seam_attributes",
            #[error("trust domain is under debug: TDATTRIBUTES.TUD is {0:#04x}")]
            Debug(u8) => Policy "tdx_debug",
            #[error("TDATTRIBUTES {0} have reserved bits set")]
            AttributesReserved(String) => Evidence "tdx_attributes_reserved",
            #[error("SEPT_VE_DISABLE is off: the host can inject #VE at any page that it takes away")]
            SeptVeEnabled => Policy "tdx_sept_ve_enabled",
            #[error("trust domain is MIGRATABLE, which the policy doesn't accept")]
            Migratable => Policy "tdx_migratable",
            #[error("trust domain may use performance monitoring (PERFMON), which the policy doesn't accept")]
            Perfmon => Policy "tdx_perfmon",
            #[error("trust domain may use Key Locker (KL), which the policy doesn't accept")]
            KeyLocker => Policy "tdx_key_locker",
            #[error("trust domain is a TDX Connect provisioning agent (TPA), not a workload")]
            ProvisioningAgent => Policy "tdx_provisioning_agent",
            #[error("trust domain has extended service domains (SERVTD_EXT), which the quote doesn't name")]
            ServiceTdExtended => Policy "tdx_service_td_extended",
            #[error("MRSERVICETD is {0}, which the policy doesn't list")]
            ServiceTd(HexBytes<48>) => Policy "tdx_service_td",
            #[error("XFAM {0} lacks x87 or SSE, which every trust domain has")]
            XfamFixed(String) => Evidence "tdx_xfam_fixed",
            #[error("XFAM {0} has reserved bits set")]
            XfamReserved(String) => Evidence "tdx_xfam_reserved",
            #[error("MRTD is zero: nothing was measured into the trust domain")]
            MrTdZero => Evidence "tdx_mr_td_zero",
            #[error("RTMR0, RTMR1 and RTMR2 are zero: the boot was not measured, and the policy doesn't accept that")]
            BootNotMeasured => Policy "tdx_boot_not_measured",
            #[error("MRSEAM is {0}, which the policy doesn't list")]
            MrSeam(HexBytes<48>) => Policy "tdx_mr_seam",
            #[error("measurement {0} has no reference value")]
            MeasurementUnknown(MeasurementId) => Policy "tdx_measurement_unknown",
            #[error("REPORTDATA is {found}, not {expected}")]
            ReportData { found: String, expected: String } => Evidence "tdx_report_data",
        }
        of {
            #[error("{0}")]
            Dcap(DcapError),
        }
    }
}

impl From<DcapError> for TdxError {
    fn from(reason: DcapError) -> Self {
        Self::Dcap(reason)
    }
}
