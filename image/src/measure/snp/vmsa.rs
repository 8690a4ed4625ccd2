//! The state in which a processor starts, as QEMU and KVM fill in its save area (AMD64 Architecture Programmer's Manual,
//! volume 2, table "VMSA Layout"). It is measured for each processor.

use super::PAGE;

/// Where the first processor starts: the x86 reset vector.
pub(super) const RESET_VECTOR: u32 = 0xFFFF_FFF0;

/// The page of a processor that starts at `start`, has the CPUID `signature` (family, model and stepping) and the
/// SEV_FEATURES `guest_features`.
pub(super) fn page(start: u32, signature: u32, guest_features: u64) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);

    // Segments as after a reset in real mode, with the base of CS at the 64 KiB around the start.
    put(0x00, &segment(0, 0x93, 0)); // ES
    put(0x10, &segment(0xF000, 0x9B, start & 0xFFFF_0000)); // CS
    put(0x20, &segment(0, 0x93, 0)); // SS
    put(0x30, &segment(0, 0x93, 0)); // DS
    put(0x40, &segment(0, 0x93, 0)); // FS
    put(0x50, &segment(0, 0x93, 0)); // GS
    put(0x60, &segment(0, 0, 0)); // GDTR
    put(0x70, &segment(0, 0x82, 0)); // LDTR
    put(0x80, &segment(0, 0, 0)); // IDTR
    put(0x90, &segment(0, 0x8B, 0)); // TR

    put(0xD0, &0x1000_u64.to_le_bytes()); // EFER: SVME, which KVM sets
    put(0x148, &0x40_u64.to_le_bytes()); // CR4: MCE, which KVM sets
    put(0x158, &0x10_u64.to_le_bytes()); // CR0: ET
    put(0x160, &0x400_u64.to_le_bytes()); // DR7
    put(0x168, &0xFFFF_0FF0_u64.to_le_bytes()); // DR6
    put(0x170, &0x2_u64.to_le_bytes()); // RFLAGS
    put(0x178, &u64::from(start & 0xFFFF).to_le_bytes()); // RIP
    put(0x268, &0x0007_0406_0007_0406_u64.to_le_bytes()); // G_PAT
    put(0x310, &u64::from(signature).to_le_bytes()); // RDX: after a reset, the signature
    put(0x3B0, &guest_features.to_le_bytes()); // SEV_FEATURES
    put(0x3E8, &1_u64.to_le_bytes()); // XCR0: x87
    put(0x408, &0x1F80_u32.to_le_bytes()); // MXCSR
    put(0x410, &0x37F_u16.to_le_bytes()); // x87 control word
    page
}

/// Selector, attributes, limit of 64 KiB, base.
fn segment(selector: u16, attributes: u16, base: u32) -> [u8; 16] {
    let mut segment = [0; 16];
    segment[..2].copy_from_slice(&selector.to_le_bytes());
    segment[2..4].copy_from_slice(&attributes.to_le_bytes());
    segment[4..8].copy_from_slice(&0xFFFF_u32.to_le_bytes());
    segment[8..12].copy_from_slice(&base.to_le_bytes());
    segment
}
