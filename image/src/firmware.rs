//! The firmware of TDX and SEV-SNP guests: Debian's builds of edk2 (`image/firmware/README.md`).

use std::ops::Range;

/// SEV-SNP: edk2's AmdSevX64, which loads nothing that isn't in the measured table of hashes.
pub const SEV_SNP: &[u8] = include_bytes!("../firmware/OVMF.amdsev.fd");
/// TDX as Debian ships it: edk2's IntelTdxX64, with Microsoft's Secure Boot keys in its variable store.
const TDX_WITH_KEYS: &[u8] = include_bytes!("../firmware/OVMF.inteltdx.ms.fd");

/// `gEfiSystemNvDataFvGuid`, the file system of a variable store's firmware volume.
const NV_DATA: [u8; 16] = [
    0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50,
];
/// `gEfiAuthenticatedVariableGuid`, the format of the store.
const AUTHENTICATED_VARIABLES: [u8; 16] = [
    0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92,
];
/// Length of VARIABLE_STORE_HEADER.
const STORE_HEADER: usize = 28;

/// TDX: Debian's file with an empty variable store.
///
/// Its Secure Boot keys would refuse our kernel, which nobody at Microsoft signed, and they add nothing where the kernel
/// is measured. The store lies outside the boot firmware volume, so MRTD is that of Debian's file; RTMR0 has the
/// store's own event.
pub fn tdx() -> Vec<u8> {
    let mut firmware = TDX_WITH_KEYS.to_vec();
    let variables = variables(&firmware).expect("a file that is compiled in, and tested");
    // Flash without content.
    firmware[variables].fill(0xff);
    firmware
}

/// Where a firmware's variables lie, which its first volume must hold (edk2, `VariableFormat.h`).
fn variables(firmware: &[u8]) -> Option<Range<usize>> {
    if firmware.get(16..32)? != NV_DATA || firmware.get(40..44)? != b"_FVH" {
        return None;
    }
    let header = usize::from(u16::from_le_bytes(firmware.get(48..50)?.try_into().ok()?));
    if firmware.get(header..header + 16)? != AUTHENTICATED_VARIABLES {
        return None;
    }
    let size = u32::from_le_bytes(firmware.get(header + 16..header + 20)?.try_into().ok()?) as usize;
    let range = header + STORE_HEADER..header + size;
    firmware.get(range.clone())?;
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jeju_attestation::hash::sha256;

    #[test]
    fn the_files_are_those_of_the_packages() {
        let readme = include_str!("../firmware/README.md");
        for file in [SEV_SNP, TDX_WITH_KEYS] {
            assert!(readme.contains(&hex::encode(sha256(file))));
        }
    }

    #[test]
    fn only_variables_are_removed() {
        let (with, without) = (TDX_WITH_KEYS, tdx());
        assert_eq!(with.len(), without.len());
        let range = variables(with).unwrap();
        assert_eq!(range, 100..72 + 0x3ffb8);
        assert_eq!(with[..range.start], without[..range.start]);
        assert_eq!(with[range.end..], without[range.end..]);
        let name: Vec<u8> = "dbx".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let holds = |firmware: &[u8]| {
            firmware[range.clone()]
                .windows(name.len())
                .any(|part| part == name)
        };
        assert!(holds(with) && !holds(&without));
    }
}
