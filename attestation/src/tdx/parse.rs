//! Bytes → a quote's fields. Nothing is verified here.

use super::TdxError;
use crate::hash::{is_zero, sha256};
use crate::intel::IntelTee;
use crate::intel::quote::{Header, Reader, SignatureData, array_at};

/// Length of a TD report of TDX 1.0, in bytes.
pub const REPORT_10_LEN: usize = 584;
/// Length of a TD report of TDX 1.5, in bytes.
pub const REPORT_15_LEN: usize = 648;

/// Body types of version 5 (Intel TDX DCAP Quoting Library API, A.4.1).
const BODY_TDX_10: u16 = 2;
const BODY_TDX_15: u16 = 3;
const BODY_TDX_15_EXTENDED: u16 = 4;

/// A TDX quote as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    signed: &'a [u8],
    /// Header.
    pub header: Header,
    /// Type of the body, which only version 5 states: 2 is TDX 1.0, 3 is TDX 1.5.
    pub body_type: Option<u16>,
    /// Body.
    pub report: TdReport,
    /// Signature data.
    pub signature: SignatureData<'a>,
}

/// TD report, the body of a quote: 584 bytes in TDX 1.0 (A.3.2), 648 in TDX 1.5 (A.4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReport {
    /// Bytes 0–15: TEE_TCB_SVN, SVNs when the domain was launched. Byte 0 is the TDX module's ISVSVN, byte 1 its
    /// version, byte 2 the microcode's SVN.
    pub tee_tcb_svn: [u8; 16],
    /// Bytes 16–63: MRSEAM, measurement of the TDX module.
    pub mr_seam: [u8; 48],
    /// Bytes 64–111: MRSIGNERSEAM; zero for Intel's modules.
    pub mr_signer_seam: [u8; 48],
    /// Bytes 112–119: SEAMATTRIBUTES; zero in production modules.
    pub seam_attributes: [u8; 8],
    /// Bytes 120–127: TDATTRIBUTES.
    pub td_attributes: [u8; 8],
    /// Bytes 128–135: XFAM.
    pub xfam: [u8; 8],
    /// Bytes 136–183: MRTD, measurement of the domain's initial contents.
    pub mr_td: [u8; 48],
    /// Bytes 184–231: MRCONFIGID, chosen by the host at launch and fixed from then on.
    pub mr_config_id: [u8; 48],
    /// Bytes 232–279: MROWNER.
    pub mr_owner: [u8; 48],
    /// Bytes 280–327: MROWNERCONFIG.
    pub mr_owner_config: [u8; 48],
    /// Bytes 328–519: RTMR0–3, measurements that the domain extends.
    pub rtmr: [[u8; 48]; 4],
    /// Bytes 520–583: REPORTDATA.
    pub report_data: [u8; 64],
    /// Bytes 584–599, TDX 1.5: TEE_TCB_SVN_2, SVNs of the modules that run now.
    pub tee_tcb_svn_2: Option<[u8; 16]>,
    /// Bytes 600–647, TDX 1.5: MRSERVICETD, measurement of the service domains bound to it.
    pub mr_service_td: Option<[u8; 48]>,
}

impl<'a> Quote<'a> {
    /// Reads a quote. What is behind the signature data must be zero and is no part of it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TdxError> {
        let mut reader = Reader::quote(bytes)?;
        let header = Header::read(&mut reader)?;
        header.check(&[4, 5], "4 or 5", IntelTee::Tdx.tee_type())?;
        if !is_zero(&header.svns) {
            return Err(TdxError::HeaderReserved(hex::encode(header.svns)));
        }
        let (body_type, len) = match header.version {
            4 => (None, REPORT_10_LEN),
            _ => {
                let body_type = reader.u16("body type")?;
                let expected = match body_type {
                    BODY_TDX_10 => REPORT_10_LEN,
                    BODY_TDX_15 => REPORT_15_LEN,
                    BODY_TDX_15_EXTENDED => return Err(TdxError::BodyTypeExtended),
                    other => return Err(TdxError::BodyType(other)),
                };
                let found = reader.u32("body size")?;
                if found != expected {
                    return Err(TdxError::BodySize {
                        body_type,
                        found,
                        expected,
                    });
                }
                (Some(body_type), expected)
            }
        };
        let report = TdReport::read(reader.take("TD report", len)?);
        let signed = &bytes[..reader.at()];
        let signature = SignatureData::read(&mut reader, header.version)?;
        let declared = &bytes[..reader.at()];
        reader.finish()?;
        Ok(Self {
            bytes: declared,
            signed,
            header,
            body_type,
            report,
            signature,
        })
    }

    /// The quote, without what stands behind it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length of the quote as it declares it itself, in bytes.
    pub fn declared_len(&self) -> usize {
        self.bytes.len()
    }

    /// SHA-256 of the quote, over its declared length.
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.bytes)
    }

    /// What the attestation key signed: header and body, in version 5 with type and size between them.
    pub fn signed_bytes(&self) -> &'a [u8] {
        self.signed
    }

    /// PEM of the PCK chain, as in the quote.
    pub fn pck_chain(&self) -> &'a [u8] {
        self.signature.pck_chain
    }
}

impl TdReport {
    /// `bytes` has one of the two lengths.
    fn read(bytes: &[u8]) -> Self {
        let extended = bytes.len() == REPORT_15_LEN;
        Self {
            tee_tcb_svn: array_at(bytes, 0),
            mr_seam: array_at(bytes, 16),
            mr_signer_seam: array_at(bytes, 64),
            seam_attributes: array_at(bytes, 112),
            td_attributes: array_at(bytes, 120),
            xfam: array_at(bytes, 128),
            mr_td: array_at(bytes, 136),
            mr_config_id: array_at(bytes, 184),
            mr_owner: array_at(bytes, 232),
            mr_owner_config: array_at(bytes, 280),
            rtmr: core::array::from_fn(|index| array_at(bytes, 328 + 48 * index)),
            report_data: array_at(bytes, 520),
            tee_tcb_svn_2: extended.then(|| array_at(bytes, 584)),
            mr_service_td: extended.then(|| array_at(bytes, 600)),
        }
    }
}
