//! Appraisal rules for SEV-SNP: what a relying party accepts of genuine reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tcb::{FirmwareVersion, Tcb};
use crate::hex_bytes::HexBytes;
use crate::roots::AmdProduct;

/// Rules with reference values. What may be left out is then refused; what has no such default must be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Products whose chips are accepted, each with its floors. Others are refused.
    #[serde(default)]
    pub products: BTreeMap<AmdProduct, Floor>,
    /// Privilege levels that may have asked for the report; left out: 0 only. One guest can make reports of several
    /// levels, and what runs at a higher one isn't what was measured for the lower.
    #[serde(default = "most_privileged")]
    pub vmpl: Vec<u8>,
    /// What POLICY must ask of the host, and PLATFORM_INFO show.
    pub required: Vec<Requirement>,
    /// Lowest ABI that POLICY asks for: major, minor.
    pub abi: (u8, u8),
    /// Accepted values of MEASUREMENT.
    #[serde(default)]
    pub measurements: Vec<HexBytes<48>>,
    /// Accepted measurement ids: MEASUREMENT with POLICY and VMPL. One of the two lists must have the guest.
    #[serde(default)]
    pub measurement_ids: Vec<HexBytes<32>>,
    /// Accepted values of FAMILY_ID, beside zeros.
    #[serde(default)]
    pub family_ids: Vec<HexBytes<16>>,
    /// Accepted values of IMAGE_ID, beside zeros.
    #[serde(default)]
    pub image_ids: Vec<HexBytes<16>>,
    /// Lowest GUEST_SVN.
    pub guest_svn: u32,
    /// Accepted values of ID_KEY_DIGEST.
    #[serde(default)]
    pub id_keys: Vec<HexBytes<48>>,
    /// Accepted values of AUTHOR_KEY_DIGEST: such an author may name any ID key.
    #[serde(default)]
    pub author_keys: Vec<HexBytes<48>>,
    /// Accept guests that were launched without an ID block.
    #[serde(default)]
    pub no_id_block: bool,
    /// Accept SMT, in POLICY and on the platform.
    #[serde(default)]
    pub smt: bool,
    /// Accept CXL devices and memory.
    #[serde(default)]
    pub cxl: bool,
    /// Accept firmware that isn't committed and can still be rolled back.
    #[serde(default)]
    pub provisional_firmware: bool,
    /// Accept platforms that don't show ALIAS_CHECK_COMPLETE (BadRAM, AMD-SB-3015). Version 2 reports come from
    /// firmware that can't.
    #[serde(default)]
    pub alias_check_incomplete: bool,
    /// Accept bits of PLATFORM_INFO whose meaning isn't known here.
    #[serde(default)]
    pub platform_info_unknown: bool,
    /// Accept reports signed by a VLEK: the provider can load it into any chip of the product, so the report says
    /// nothing of the chip that the provider doesn't vouch for.
    #[serde(default)]
    pub vlek: bool,
    /// Accept reports whose CHIP_ID is zeros.
    #[serde(default)]
    pub masked_chip_id: bool,
    /// Accept chains of whose revocation nothing is known.
    #[serde(default)]
    pub revocation_unknown: bool,
    /// No policy was given: what is marked above as asked for isn't.
    #[serde(skip)]
    no_policy: bool,
}

/// Floors for the chips of a product. Components of a TCB version are compared one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Lowest REPORTED_TCB, which is the one that AMD certified, and lowest COMMITTED_TCB. On Turin, `fmc` counts as 0
    /// where it is left out.
    pub tcb: Tcb,
    /// Lowest LAUNCH_TCB; left out: `tcb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_tcb: Option<Tcb>,
    /// Lowest committed firmware version.
    pub firmware: FirmwareVersion,
    /// Bits that LAUNCH_MIT_VECTOR must have; 0 for reports that don't have the field.
    pub launch_mitigations: u64,
    /// Bits that CURRENT_MIT_VECTOR must have; 0 for reports that don't have the field.
    pub current_mitigations: u64,
}

/// What can be asked of POLICY and PLATFORM_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// POLICY.SINGLE_SOCKET.
    SingleSocket,
    /// POLICY.MEM_AES_256_XTS.
    Aes256Xts,
    /// POLICY.RAPL_DIS.
    RaplDisabled,
    /// POLICY.CIPHERTEXT_HIDING_DRAM.
    CiphertextHiding,
    /// POLICY.PAGE_SWAP_DISABLE.
    PageSwapDisabled,
    /// PLATFORM_INFO.ECC_EN.
    Ecc,
    /// PLATFORM_INFO.TSME_EN.
    Tsme,
}

impl Rules {
    /// What holds when no policy is given: neither debugging nor migration, VMPL 0, and no contradictions. Reference
    /// values and floors aren't asked for, and what a policy would have to accept by name is shown in the verdict.
    pub fn strict() -> Self {
        Self {
            products: BTreeMap::new(),
            vmpl: most_privileged(),
            required: Vec::new(),
            abi: (0, 0),
            measurements: Vec::new(),
            measurement_ids: Vec::new(),
            family_ids: Vec::new(),
            image_ids: Vec::new(),
            guest_svn: 0,
            id_keys: Vec::new(),
            author_keys: Vec::new(),
            no_id_block: true,
            smt: true,
            cxl: true,
            provisional_firmware: true,
            alias_check_incomplete: true,
            platform_info_unknown: true,
            vlek: true,
            masked_chip_id: true,
            revocation_unknown: true,
            no_policy: true,
        }
    }

    /// Whether reference values are asked for.
    pub(super) fn is_policy(&self) -> bool {
        !self.no_policy
    }
}

fn most_privileged() -> Vec<u8> {
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_document_is_never_the_strict_rules() {
        let text = serde_json::to_string(&Rules::strict()).unwrap();
        let read: Rules = serde_json::from_str(&text).unwrap();
        assert!(read.is_policy() && !Rules::strict().is_policy());
        assert!(serde_json::from_str::<Rules>("{}").is_err());
        let shortest: Rules = serde_json::from_str(r#"{"required":[],"abi":[0,0],"guest_svn":0}"#).unwrap();
        assert_eq!(shortest.vmpl, [0]);
        assert!(!shortest.revocation_unknown && !shortest.vlek && !shortest.smt);
    }
}
