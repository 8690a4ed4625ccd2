//! Intel SGX quotes, version 3.
//!
//! The same four steps as for [`crate::tdx`]: [`parse`] → [`chain`] → [`claims`] → [`mod@appraise`], and [`form`] for the
//! JSON that vendors' tools wrap quotes in.

pub mod appraise;
pub mod chain;
pub mod claims;
pub mod form;
pub mod parse;

pub use appraise::{Enclave, Rules, appraise};
pub use chain::{GenuineQuote, verify, verify_cached};
pub use claims::{Claims, fields};
pub use parse::Quote;

use crate::hex_bytes::HexBytes;
use crate::intel::DcapError;
use crate::reasons::reasons;

reasons! {
    /// Why an SGX quote is refused.
    pub enum SgxError {
        own {
            #[error("reserved bytes of the enclave's report aren't zero")]
            ReportReserved => Evidence "sgx_report_reserved",
            #[error("enclave is not initialized: ATTRIBUTES.INIT is off")]
            NotInitialized => Evidence "sgx_not_initialized",
            #[error("enclave is under debug: ATTRIBUTES.DEBUG is on")]
            Debug => Policy "sgx_debug",
            #[error("ATTRIBUTES {0} have reserved bits set")]
            AttributesReserved(String) => Evidence "sgx_attributes_reserved",
            #[error("enclave has the provisioning key (PROVISIONKEY), which the policy doesn't accept")]
            ProvisionKey => Policy "sgx_provision_key",
            #[error("enclave has the launch token key (EINITTOKEN_KEY), which only launch enclaves have")]
            LaunchKey => Policy "sgx_launch_key",
            #[error("XFRM {0} lacks x87 or SSE, which every enclave has")]
            XfrmFixed(String) => Evidence "sgx_xfrm_fixed",
            #[error("CONFIGID is {0}, which the policy doesn't list")]
            ConfigId(HexBytes<64>) => Policy "sgx_config_id",
            #[error("MRSIGNER is {0}, which the policy doesn't list")]
            MrSigner(HexBytes<32>) => Policy "sgx_mr_signer",
            #[error("ISVPRODID is {0}, which the policy doesn't list for this MRSIGNER")]
            IsvProdId(u16) => Policy "sgx_isv_prod_id",
            #[error("ISVSVN is {found}, policy wants {least} or more")]
            IsvSvn { found: u16, least: u16 } => Policy "sgx_isv_svn",
            #[error("MRENCLAVE is {0}, which the policy doesn't list")]
            MrEnclave(HexBytes<32>) => Policy "sgx_mr_enclave",
            #[error("REPORTDATA is {found}, not {expected}")]
            ReportData { found: String, expected: String } => Evidence "sgx_report_data",
        }
        of {
            #[error("{0}")]
            Dcap(DcapError),
        }
    }
}

impl From<DcapError> for SgxError {
    fn from(reason: DcapError) -> Self {
        Self::Dcap(reason)
    }
}
