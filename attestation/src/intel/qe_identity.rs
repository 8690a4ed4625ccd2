//! QE identity: how Intel's quoting enclave is told from others (PCS API v4, `GET /sgx|tdx/certification/v4/qe/identity`).

use serde::Deserialize;

use super::enclave_report::EnclaveReport;
use super::tcb::{SvnLevel, svn_level};
use super::tcb_info::{SvnLevelJson, bytes, svn_levels, timestamp};
use super::{DcapError, IntelTee};
use crate::reasons::shown;

/// Longest document that is read, in bytes; genuine ones have up to 1500.
pub const MAX_LEN: usize = 32 * 1024;
const VERSION: u32 = 2;

/// An enclave identity of version 2, read but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QeIdentity {
    /// `QE` (SGX) or `TD_QE` (TDX).
    pub id: String,
    /// `issueDate`, in seconds since 1970.
    pub issue_date: i64,
    /// `nextUpdate`, in seconds since 1970.
    pub next_update: i64,
    /// Rises with each TCB recovery event.
    pub evaluation_data_number: u32,
    /// MISCSELECT, after its mask.
    pub misc_select: [u8; 4],
    /// The bits of MISCSELECT that are compared.
    pub misc_select_mask: [u8; 4],
    /// ATTRIBUTES, after their mask.
    pub attributes: [u8; 16],
    /// The bits of ATTRIBUTES that are compared.
    pub attributes_mask: [u8; 16],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// Levels, highest first.
    pub levels: Vec<SvnLevel>,
}

impl QeIdentity {
    /// Reads the signed bytes of an enclave identity.
    pub fn parse(body: &[u8]) -> Result<Self, DcapError> {
        let format = |problem: &str| DcapError::QeIdentityFormat(problem.to_owned());
        if body.len() > MAX_LEN {
            return Err(format("longer than any"));
        }
        let document: Document<'_> =
            serde_json::from_slice(body).map_err(|error| DcapError::QeIdentityFormat(shown(error)))?;
        if document.version != VERSION {
            return Err(DcapError::QeIdentityVersion(document.version));
        }
        document.read().map_err(format)
    }

    /// Whether the document is for this kind of evidence.
    pub(crate) fn check_kind(&self, tee: IntelTee) -> Result<(), DcapError> {
        let expected = tee.qe_identity_id();
        match self.id == expected {
            true => Ok(()),
            false => Err(DcapError::QeIdentityId {
                found: self.id.chars().take(16).collect(),
                expected,
            }),
        }
    }

    /// Whether the document is in force at `now`.
    pub(crate) fn check_current(&self, now: i64) -> Result<(), DcapError> {
        let (issue_date, next_update) = (self.issue_date, self.next_update);
        if now < issue_date {
            return Err(DcapError::QeIdentityNotYetValid { issue_date, now });
        }
        if now > next_update {
            return Err(DcapError::QeIdentityExpired { next_update, now });
        }
        Ok(())
    }

    /// Whether a report is of the enclave that this identity describes, and of which of its levels.
    pub(crate) fn level_of(&self, report: &EnclaveReport) -> Result<&SvnLevel, DcapError> {
        if report.mr_signer != self.mr_signer {
            return Err(DcapError::QeMrSigner {
                found: hex::encode(report.mr_signer),
                expected: hex::encode(self.mr_signer),
            });
        }
        if report.isv_prod_id != self.isv_prod_id {
            return Err(DcapError::QeIsvProdId {
                found: report.isv_prod_id,
                expected: self.isv_prod_id,
            });
        }
        if masked(&report.misc_select, &self.misc_select_mask) != self.misc_select {
            return Err(DcapError::QeMiscSelect {
                found: hex::encode(report.misc_select),
                expected: hex::encode(self.misc_select),
                mask: hex::encode(self.misc_select_mask),
            });
        }
        // Among others the debug flag: a debug quoting enclave gives its key away.
        if masked(&report.attributes, &self.attributes_mask) != self.attributes {
            return Err(DcapError::QeAttributes {
                found: hex::encode(report.attributes),
                expected: hex::encode(self.attributes),
                mask: hex::encode(self.attributes_mask),
            });
        }
        svn_level(&self.levels, report.isv_svn).ok_or(DcapError::NoQeTcbLevel(report.isv_svn))
    }
}

fn masked<const N: usize>(value: &[u8; N], mask: &[u8; N]) -> [u8; N] {
    core::array::from_fn(|index| value[index] & mask[index])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    id: &'a str,
    version: u32,
    issue_date: &'a str,
    next_update: &'a str,
    tcb_evaluation_data_number: u32,
    miscselect: &'a str,
    miscselect_mask: &'a str,
    attributes: &'a str,
    attributes_mask: &'a str,
    mrsigner: &'a str,
    isvprodid: u16,
    #[serde(borrow)]
    tcb_levels: Vec<SvnLevelJson<'a>>,
}

impl Document<'_> {
    fn read(self) -> Result<QeIdentity, &'static str> {
        Ok(QeIdentity {
            id: self.id.to_owned(),
            issue_date: timestamp(self.issue_date).ok_or("issueDate")?,
            next_update: timestamp(self.next_update).ok_or("nextUpdate")?,
            evaluation_data_number: self.tcb_evaluation_data_number,
            misc_select: bytes(self.miscselect).ok_or("miscselect")?,
            misc_select_mask: bytes(self.miscselect_mask).ok_or("miscselectMask")?,
            attributes: bytes(self.attributes).ok_or("attributes")?,
            attributes_mask: bytes(self.attributes_mask).ok_or("attributesMask")?,
            mr_signer: bytes(self.mrsigner).ok_or("mrsigner")?,
            isv_prod_id: self.isvprodid,
            levels: svn_levels(self.tcb_levels)?,
        })
    }
}
