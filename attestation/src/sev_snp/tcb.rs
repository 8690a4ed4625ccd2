//! TCB versions (56860, table "TCB_VERSION") and firmware versions.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::is_zero;
use crate::roots::AmdProduct;

/// Security patch levels of the components of AMD's firmware, one byte each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcb {
    /// Firmware component of the chip's microcontroller: Turin only, byte 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmc: Option<u8>,
    /// Boot loader of the security processor: byte 0, on Turin byte 1.
    pub bootloader: u8,
    /// Operating system of the security processor: byte 1, on Turin byte 2.
    pub tee: u8,
    /// SNP firmware: byte 6, on Turin byte 3.
    pub snp: u8,
    /// Lowest microcode of all cores: byte 7.
    pub microcode: u8,
}

impl Tcb {
    /// Reads the eight bytes as the product lays them out; `None` if reserved ones aren't zero.
    pub fn read(product: AmdProduct, bytes: &[u8; 8]) -> Option<Self> {
        let (fmc, [bootloader, tee, snp], reserved) = match product {
            AmdProduct::Milan | AmdProduct::Genoa => (None, [bytes[0], bytes[1], bytes[6]], &bytes[2..6]),
            AmdProduct::Turin => (Some(bytes[0]), [bytes[1], bytes[2], bytes[3]], &bytes[4..7]),
        };
        is_zero(reserved).then_some(Self {
            fmc,
            bootloader,
            tee,
            snp,
            microcode: bytes[7],
        })
    }

    /// Whether no component is older than in `floor`. Versions are compared one by one: a new microcode doesn't make
    /// up for an old boot loader.
    pub fn at_least(&self, floor: &Self) -> bool {
        self.fmc.unwrap_or(0) >= floor.fmc.unwrap_or(0)
            && self.bootloader >= floor.bootloader
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.microcode >= floor.microcode
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc} ")?;
        }
        write!(
            f,
            "bootloader {} tee {} snp {} microcode {}",
            self.bootloader, self.tee, self.snp, self.microcode
        )
    }
}

/// Version of the SNP firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirmwareVersion {
    /// Major number of the ABI.
    pub major: u8,
    /// Minor number of the ABI.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} build {}", self.major, self.minor, self.build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_differ() {
        let bytes = [1, 2, 0, 0, 0, 0, 7, 8];
        let milan = Tcb::read(AmdProduct::Milan, &bytes).unwrap();
        assert_eq!(milan.to_string(), "bootloader 1 tee 2 snp 7 microcode 8");
        assert_eq!(Tcb::read(AmdProduct::Turin, &bytes), None);
        let turin = Tcb::read(AmdProduct::Turin, &[1, 2, 3, 4, 0, 0, 0, 8]).unwrap();
        assert_eq!(turin.to_string(), "fmc 1 bootloader 2 tee 3 snp 4 microcode 8");
        assert_eq!(Tcb::read(AmdProduct::Genoa, &[1, 2, 3, 0, 0, 0, 0, 8]), None);
    }

    #[test]
    fn no_component_makes_up_for_another() {
        let at = |bootloader, microcode| Tcb {
            fmc: None,
            bootloader,
            tee: 0,
            snp: 5,
            microcode,
        };
        assert!(at(3, 9).at_least(&at(3, 9)));
        assert!(!at(2, 200).at_least(&at(3, 9)));
        assert!(!at(4, 8).at_least(&at(3, 9)));
    }
}
