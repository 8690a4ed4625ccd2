//! Report of an SGX enclave: the body of an SGX quote, and how a quoting enclave identifies itself.

use super::quote::{array_at, u16_at};
use crate::hash::is_zero;

/// Length in bytes.
pub const LEN: usize = 384;

/// Enclave report body, 384 bytes (Intel SGX ECDSA QuoteLibReference, A.4.2; Intel SDM vol. 3D, table "REPORT").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveReport {
    /// Bytes 0–15: CPUSVN.
    pub cpu_svn: [u8; 16],
    /// Bytes 16–19: MISCSELECT.
    pub misc_select: [u8; 4],
    /// Bytes 32–47: ISVEXTPRODID.
    pub isv_ext_prod_id: [u8; 16],
    /// Bytes 48–63: ATTRIBUTES: 8 bytes of flags, 8 of XFRM.
    pub attributes: [u8; 16],
    /// Bytes 64–95: MRENCLAVE.
    pub mr_enclave: [u8; 32],
    /// Bytes 128–159: MRSIGNER.
    pub mr_signer: [u8; 32],
    /// Bytes 192–255: CONFIGID.
    pub config_id: [u8; 64],
    /// Bytes 256–257: ISVPRODID.
    pub isv_prod_id: u16,
    /// Bytes 258–259: ISVSVN.
    pub isv_svn: u16,
    /// Bytes 260–261: CONFIGSVN.
    pub config_svn: u16,
    /// Bytes 304–319: ISVFAMILYID.
    pub isv_family_id: [u8; 16],
    /// Bytes 320–383: REPORTDATA.
    pub report_data: [u8; 64],
    /// Whether bytes 20–31, 96–127, 160–191 and 262–303 are zero, as they must be.
    pub reserved_is_zero: bool,
}

impl EnclaveReport {
    /// Reads a report.
    pub fn parse(bytes: &[u8; LEN]) -> Self {
        let reserved = [20..32, 96..128, 160..192, 262..304];
        Self {
            cpu_svn: array_at(bytes, 0),
            misc_select: array_at(bytes, 16),
            isv_ext_prod_id: array_at(bytes, 32),
            attributes: array_at(bytes, 48),
            mr_enclave: array_at(bytes, 64),
            mr_signer: array_at(bytes, 128),
            config_id: array_at(bytes, 192),
            isv_prod_id: u16_at(bytes, 256),
            isv_svn: u16_at(bytes, 258),
            config_svn: u16_at(bytes, 260),
            isv_family_id: array_at(bytes, 304),
            report_data: array_at(bytes, 320),
            reserved_is_zero: reserved.into_iter().all(|range| is_zero(&bytes[range])),
        }
    }

    /// Flags of ATTRIBUTES.
    pub fn flags(&self) -> u64 {
        u64::from_le_bytes(array_at(&self.attributes, 0))
    }
}
