//! What a genuine quote says, under the names of Intel's documents.

use super::chain::GenuineQuote;
use super::parse::Quote;
use crate::intel::enclave_report::EnclaveReport;
use crate::intel::pck::{PckCa, PckExtension};
use crate::intel::tcb::TcbAssessment;

/// Claims of a genuine SGX quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The enclave's report.
    pub report: EnclaveReport,
    /// What the PCK certificate says of the platform: PPID, PIID, FMSPC and more.
    pub platform: PckExtension,
    /// The authority that issued that certificate.
    pub ca: PckCa,
    /// Its serial number, big-endian.
    pub pck_serial: Vec<u8>,
    /// Name of the pinned root.
    pub root: &'static str,
    /// What Intel says of the platform's TCB.
    pub tcb: TcbAssessment,
    /// SHA-256 of the quote over its declared length.
    pub digest: [u8; 32],
    /// Declared length, in bytes.
    pub declared_len: usize,
    /// When the chain was verified, in seconds since 1970.
    pub at: i64,
}

impl Claims {
    /// The claims of a genuine quote.
    pub fn of(genuine: GenuineQuote<'_>) -> Self {
        let quote = genuine.quote;
        Self {
            report: quote.report.clone(),
            platform: genuine.platform,
            ca: genuine.ca,
            pck_serial: genuine.pck_serial,
            root: genuine.root,
            tcb: genuine.tcb,
            digest: quote.digest(),
            declared_len: quote.declared_len(),
            at: genuine.at,
        }
    }
}

/// Every field of a quote in the order of the specification, read but not verified.
pub fn fields(quote: &Quote<'_>) -> Vec<(&'static str, String)> {
    let (header, report) = (&quote.header, &quote.report);
    let mut fields = vec![
        ("version", header.version.to_string()),
        ("attestation key type", header.attestation_key_type.to_string()),
        ("TEE type", format!("{:#x}", header.tee_type)),
        ("QE SVN and PCE SVN", hex::encode(header.svns)),
        ("QE vendor id", hex::encode(header.qe_vendor_id)),
        ("user data", hex::encode(header.user_data)),
        ("CPUSVN", hex::encode(report.cpu_svn)),
        ("MISCSELECT", hex::encode(report.misc_select)),
        ("ISVEXTPRODID", hex::encode(report.isv_ext_prod_id)),
        ("ATTRIBUTES", hex::encode(report.attributes)),
        ("MRENCLAVE", hex::encode(report.mr_enclave)),
        ("MRSIGNER", hex::encode(report.mr_signer)),
        ("CONFIGID", hex::encode(report.config_id)),
        ("ISVPRODID", report.isv_prod_id.to_string()),
        ("ISVSVN", report.isv_svn.to_string()),
        ("CONFIGSVN", report.config_svn.to_string()),
        ("ISVFAMILYID", hex::encode(report.isv_family_id)),
        ("REPORTDATA", hex::encode(report.report_data)),
    ];
    fields.extend(quote.signature.fields());
    fields.push(("declared length", quote.declared_len().to_string()));
    fields
}
