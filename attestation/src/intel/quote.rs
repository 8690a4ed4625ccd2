//! A quote's header and signature data: bytes → fields, nothing verified.

use super::DcapError;
use super::enclave_report::{self, EnclaveReport};
use crate::hash::is_zero;

/// Longest quote that is read, in bytes: genuine ones have about 5000, in buffers of up to 8000.
pub const MAX_LEN: usize = 16 * 1024;
/// Length of a header, in bytes.
pub const HEADER_LEN: usize = 48;

/// `939a7233-f79c-4ca9-940a-0db3957f0607`: Intel.
const INTEL_QE_VENDOR: [u8; 16] = [
    0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07,
];
const ECDSA_P256: u16 = 2;
/// PEM of the PCK certificate and its authorities, end entity first.
const PCK_CHAIN: u16 = 5;
/// QE report, with certification data of its own behind it.
const QE_REPORT: u16 = 6;

/// Quote header, 48 bytes (A.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes 0–1: version of the quote's format.
    pub version: u16,
    /// Bytes 2–3: attestation key type; 2 is ECDSA P-256.
    pub attestation_key_type: u16,
    /// Bytes 4–7: TEE type; 0 is SGX, 0x81 TDX.
    pub tee_type: u32,
    /// Bytes 8–11: QE SVN and PCE SVN (SGX quotes), reserved (TDX quotes).
    pub svns: [u8; 4],
    /// Bytes 12–27: QE vendor id.
    pub qe_vendor_id: [u8; 16],
    /// Bytes 28–47: user data; the first 16 identify the platform to its quoting enclave's owner.
    pub user_data: [u8; 20],
}

impl Header {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DcapError> {
        let bytes: &[u8; HEADER_LEN] = reader.array("header")?;
        Ok(Self {
            version: u16_at(bytes, 0),
            attestation_key_type: u16_at(bytes, 2),
            tee_type: u32::from_le_bytes(array_at(bytes, 4)),
            svns: array_at(bytes, 8),
            qe_vendor_id: array_at(bytes, 12),
            user_data: array_at(bytes, 28),
        })
    }

    /// Checks everything in the header that has one right value.
    pub(crate) fn check(
        &self,
        versions: &[u16],
        expected: &'static str,
        tee_type: u32,
    ) -> Result<(), DcapError> {
        if !versions.contains(&self.version) {
            return Err(DcapError::Version {
                found: self.version,
                expected,
            });
        }
        if self.attestation_key_type != ECDSA_P256 {
            return Err(DcapError::AttestationKeyType(self.attestation_key_type));
        }
        if self.tee_type != tee_type {
            return Err(DcapError::TeeType {
                found: self.tee_type,
                expected: tee_type,
            });
        }
        // Another vendor's quoting enclave may sign anything with a key that Intel's certified for it.
        if self.qe_vendor_id != INTEL_QE_VENDOR {
            return Err(DcapError::QeVendor(hex::encode(self.qe_vendor_id)));
        }
        Ok(())
    }
}

/// Quote signature data of attestation key type 2 (A.3.8, A.3.9, A.3.10 for versions 4 and 5; A.4.4 for version 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureData<'a> {
    /// ECDSA signature over header and body by the attestation key: r ‖ s.
    pub quote_signature: &'a [u8; 64],
    /// Attestation key: x ‖ y.
    pub attestation_key: &'a [u8; 64],
    /// Report of the quoting enclave, 384 bytes, as signed.
    pub qe_report_bytes: &'a [u8; enclave_report::LEN],
    /// The same, read.
    pub qe_report: EnclaveReport,
    /// ECDSA signature over that report by the PCK: r ‖ s.
    pub qe_report_signature: &'a [u8; 64],
    /// QE authentication data.
    pub qe_authentication_data: &'a [u8],
    /// PEM of the PCK chain, as in the quote: end entity first, possibly with a NUL behind it.
    pub pck_chain: &'a [u8],
}

impl<'a> SignatureData<'a> {
    /// Reads length and content. From version 4 on, the QE report is certification data itself.
    pub(crate) fn read(reader: &mut Reader<'a>, version: u16) -> Result<Self, DcapError> {
        let len = reader.u32("signature data length")?;
        let mut inside = Reader::new(reader.take("signature data", len)?);
        let reader = &mut inside;
        let quote_signature = reader.array("quote signature")?;
        let attestation_key = reader.array("attestation key")?;
        if version >= 4 {
            let declared = certification_data(reader, QE_REPORT)?;
            let found = reader.left();
            if declared != found {
                return Err(DcapError::SignatureDataLength {
                    declared,
                    used: found,
                });
            }
        }
        let qe_report_bytes = reader.array("QE report")?;
        let qe_report_signature = reader.array("QE report signature")?;
        let len = usize::from(reader.u16("QE authentication data length")?);
        let qe_authentication_data = reader.take("QE authentication data", len)?;
        let len = certification_data(reader, PCK_CHAIN)?;
        let pck_chain = reader.take("PCK certificate chain", len)?;
        if reader.left() != 0 {
            return Err(DcapError::SignatureDataLength {
                declared: reader.bytes.len(),
                used: reader.at,
            });
        }
        let qe_report = EnclaveReport::parse(qe_report_bytes);
        if !qe_report.reserved_is_zero {
            return Err(DcapError::QeReportReserved);
        }
        Ok(Self {
            quote_signature,
            attestation_key,
            qe_report_bytes,
            qe_report,
            qe_report_signature,
            qe_authentication_data,
            pck_chain,
        })
    }
}

impl SignatureData<'_> {
    /// Its fields in the order of the specification.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let report = &self.qe_report;
        vec![
            ("quote signature", hex::encode(self.quote_signature)),
            ("attestation key", hex::encode(self.attestation_key)),
            ("QE CPUSVN", hex::encode(report.cpu_svn)),
            ("QE MISCSELECT", hex::encode(report.misc_select)),
            ("QE ATTRIBUTES", hex::encode(report.attributes)),
            ("QE MRENCLAVE", hex::encode(report.mr_enclave)),
            ("QE MRSIGNER", hex::encode(report.mr_signer)),
            ("QE ISVPRODID", report.isv_prod_id.to_string()),
            ("QE ISVSVN", report.isv_svn.to_string()),
            ("QE REPORTDATA", hex::encode(report.report_data)),
            ("QE report signature", hex::encode(self.qe_report_signature)),
            ("QE authentication data", hex::encode(self.qe_authentication_data)),
            ("PCK certificate chain", format!("{} bytes", self.pck_chain.len())),
        ]
    }
}

/// Type and length of certification data.
fn certification_data(reader: &mut Reader<'_>, expected: u16) -> Result<usize, DcapError> {
    let found = reader.u16("certification data type")?;
    if found != expected {
        return Err(DcapError::CertificationDataType { found, expected });
    }
    reader.u32("certification data length")
}

/// Bytes from front to back, each length checked before use.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A quote; anything longer than one is refused at once.
    pub(crate) fn quote(bytes: &'a [u8]) -> Result<Self, DcapError> {
        match bytes.len() {
            0..=MAX_LEN => Ok(Self::new(bytes)),
            len => Err(DcapError::TooLong(len)),
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], DcapError> {
        let found = self.left();
        if len > found {
            return Err(DcapError::Truncated {
                what,
                needed: len,
                found,
            });
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<&'a [u8; N], DcapError> {
        let taken = self.take(what, N)?;
        Ok(taken.try_into().expect("N bytes were taken"))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DcapError> {
        self.array(what).map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<usize, DcapError> {
        self.array(what).map(|bytes| u32::from_le_bytes(*bytes) as usize)
    }

    /// What is left must be zero: hosts hand over whole buffers (8000 bytes on Google Cloud), of which the quote
    /// declares its part.
    pub(crate) fn finish(self) -> Result<(), DcapError> {
        let rest = &self.bytes[self.at..];
        match is_zero(rest) {
            true => Ok(()),
            false => Err(DcapError::TrailingBytes(rest.len())),
        }
    }
}

/// `N` bytes at an offset that the caller knows to be inside.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}
