//! What a genuine quote says, under the names of Intel's documents.

use super::chain::GenuineQuote;
use super::parse::{Quote, TdReport};
use crate::hash::is_zero;
use crate::intel::pck::{PckCa, PckExtension};
use crate::intel::tcb::TcbAssessment;
use crate::measurement::MeasurementId;

/// Claims of a genuine TDX quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Version of the quote's format, 4 or 5.
    pub version: u16,
    /// The TD report.
    pub report: TdReport,
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
            version: quote.header.version,
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

    /// What the domain's launch amounts to: MRTD, RTMR0–2, TDATTRIBUTES and XFAM.
    pub fn measurement(&self) -> MeasurementId {
        let TdReport {
            mr_td,
            rtmr: [rtmr0, rtmr1, rtmr2, _],
            td_attributes,
            xfam,
            ..
        } = &self.report;
        MeasurementId::tdx(mr_td, [rtmr0, rtmr1, rtmr2], td_attributes, xfam)
    }

    /// The digest that MRCONFIGID binds at launch: its first 32 bytes, if the other 16 are zero.
    pub fn launch_digest(&self) -> Option<[u8; 32]> {
        let (digest, rest) = self.report.mr_config_id.split_first_chunk::<32>()?;
        (is_zero(rest) && !is_zero(digest)).then_some(*digest)
    }

    /// PPID: the processor package. 16 bytes.
    pub fn ppid(&self) -> &[u8; 16] {
        &self.platform.ppid
    }

    /// PIID: the platform instance, where it registered itself. 16 bytes.
    pub fn piid(&self) -> Option<&[u8; 16]> {
        self.platform.platform_instance_id.as_ref()
    }

    /// FMSPC. 6 bytes.
    pub fn fmspc(&self) -> &[u8; 6] {
        &self.platform.fmspc
    }
}

/// Every field of a quote in the order of the specification, read but not verified.
pub fn fields(quote: &Quote<'_>) -> Vec<(&'static str, String)> {
    let (header, report, signature) = (&quote.header, &quote.report, &quote.signature);
    let mut fields = vec![
        ("version", header.version.to_string()),
        ("attestation key type", header.attestation_key_type.to_string()),
        ("TEE type", format!("{:#x}", header.tee_type)),
        ("reserved", hex::encode(header.svns)),
        ("QE vendor id", hex::encode(header.qe_vendor_id)),
        ("user data", hex::encode(header.user_data)),
        (
            "body type",
            quote
                .body_type
                .map_or("not stated".to_owned(), |of| of.to_string()),
        ),
        ("TEE_TCB_SVN", hex::encode(report.tee_tcb_svn)),
        ("MRSEAM", hex::encode(report.mr_seam)),
        ("MRSIGNERSEAM", hex::encode(report.mr_signer_seam)),
        ("SEAMATTRIBUTES", hex::encode(report.seam_attributes)),
        ("TDATTRIBUTES", hex::encode(report.td_attributes)),
        ("XFAM", hex::encode(report.xfam)),
        ("MRTD", hex::encode(report.mr_td)),
        ("MRCONFIGID", hex::encode(report.mr_config_id)),
        ("MROWNER", hex::encode(report.mr_owner)),
        ("MROWNERCONFIG", hex::encode(report.mr_owner_config)),
    ];
    let names = ["RTMR0", "RTMR1", "RTMR2", "RTMR3"];
    fields.extend(names.into_iter().zip(report.rtmr.iter().map(hex::encode)));
    fields.push(("REPORTDATA", hex::encode(report.report_data)));
    if let (Some(svn), Some(service_td)) = (report.tee_tcb_svn_2, report.mr_service_td) {
        fields.push(("TEE_TCB_SVN_2", hex::encode(svn)));
        fields.push(("MRSERVICETD", hex::encode(service_td)));
    }
    fields.extend(signature.fields());
    fields.push(("declared length", quote.declared_len().to_string()));
    fields
}
