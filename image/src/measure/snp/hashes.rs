//! The page by which a launch measures kernel, initramfs and command line: QEMU writes their SHA-256 into it, and the
//! firmware takes nothing else (QEMU, `target/i386/sev.c`, `SevHashTable`; edk2, `OvmfPkg/AmdSev/BlobVerifierLibSevHashes`).

use jeju_attestation::hash::sha256;

use super::PAGE;

/// Length of the table, padded to 16 bytes.
pub(super) const TABLE: usize = 176;
const ENTRY: u16 = 50;
const UNPADDED: u16 = 18 + 3 * ENTRY;

/// 9438d606-4f22-4cc9-b479-a793d411fd21, in the byte order of the table.
const HEAD_GUID: [u8; 16] = [
    0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21,
];
/// 97d02dd8-bd20-4c94-aa78-e7714d36ab2a.
const CMDLINE_GUID: [u8; 16] = [
    0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a,
];
/// 44baf731-3a2f-4bd7-9af1-41e29169781d.
const INITRD_GUID: [u8; 16] = [
    0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b, 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d,
];
/// 4de79437-abd2-427f-b835-d5b172d2045b.
const KERNEL_GUID: [u8; 16] = [
    0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42, 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b,
];

/// SHA-256 of what a direct boot loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelHashes {
    /// Of the kernel file. QEMU writes nothing into its header where SEV is on.
    pub kernel: [u8; 32],
    /// Of the initramfs file: all archives, in load order.
    pub initrd: [u8; 32],
    /// Of the command line and a NUL byte.
    pub cmdline: [u8; 32],
}

impl KernelHashes {
    /// Of the files themselves; `cmdline` without line end and NUL.
    pub fn of(kernel: &[u8], initrd: &[u8], cmdline: &[u8]) -> Self {
        Self {
            kernel: sha256(kernel),
            initrd: sha256(initrd),
            cmdline: sha256(&[cmdline, b"\0"].concat()),
        }
    }

    /// The page with the table at `offset`, at most [`PAGE`] − [`TABLE`], and zeros around it.
    pub(super) fn page(&self, offset: usize) -> [u8; PAGE] {
        let mut table = Vec::with_capacity(TABLE);
        table.extend_from_slice(&HEAD_GUID);
        table.extend_from_slice(&UNPADDED.to_le_bytes());
        for (guid, hash) in [
            (CMDLINE_GUID, self.cmdline),
            (INITRD_GUID, self.initrd),
            (KERNEL_GUID, self.kernel),
        ] {
            table.extend_from_slice(&guid);
            table.extend_from_slice(&ENTRY.to_le_bytes());
            table.extend_from_slice(&hash);
        }
        let mut page = [0; PAGE];
        page[offset..offset + table.len()].copy_from_slice(&table);
        page
    }
}
