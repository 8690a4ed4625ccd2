//! What a trust domain's registers will hold, computed from the bytes that its launch loads.
//!
//! | register | who extends it | with what | here |
//! |---|---|---|---|
//! | MRTD | the TDX module, before the domain runs | the firmware's boot volume, where all sections lie | [`mrtd()`] |
//! | RTMR0 | the firmware | what the host's QEMU made: memory map, ACPI tables, SMBIOS, boot options | [`Shape::events`], [`rtmr0`] |
//! | RTMR1 | the firmware | the kernel, and that it was started | [`kernel_events`] |
//! | RTMR2 | the kernel's EFI stub | command line, initrd | [`load_options_event`], [`initrd_event`] |
//! | RTMR3 | our PID 1 | the launch document | [`jeju_attestation::hardware::launch_rtmr`] |
//!
//! RTMR1 and RTMR2 hold for one pair: QEMU from 10.0 on (which hands the kernel over as the file is, without patching
//! its header) and edk2 2026.08 (which spells the command line `initrd=initrd …`); see [`kernel_events`].
//!
//! Events are those of edk2's `OvmfPkg/Tcg/TdTcg2Dxe` and Linux's `drivers/firmware/efi/libstub`; TPM registers map as in
//! UEFI 2.10 §38.4.1: PCR1 and PCR7 to RTMR0, PCR2 to PCR6 to RTMR1, PCR8 to PCR15 to RTMR2. What goes to PCR0 of a
//! TPM, such as the firmware's version, is not measured in a trust domain: MRTD has the firmware itself.

mod authenticode;
mod boot;
mod cpu;
mod event;
mod hob;
mod metadata;
mod mrtd;
mod shape;

use jeju_attestation::measurement::MeasurementId;

pub use authenticode::{KernelError, authenticode};
pub use boot::{initrd_event, kernel_events, load_options_event};
pub use cpu::CpuGeneration;
pub use event::{Event, Register, extend, replay};
pub use hob::{HobError, td_hob_event};
pub use metadata::{Metadata, MetadataError, Section, SectionType};
pub use mrtd::{PageAddOrder, mrtd};
pub use shape::{ProcessorId, Proven, Shape, ShapeError, rtmr0};

/// A register: a SHA-384 digest.
pub type Digest = [u8; 48];

/// TDATTRIBUTES of a launch by our script: SEPT_VE_DISABLE (bit 28) and nothing else. Bit 0, DEBUG, would let the host
/// read the domain's memory. (Intel, *TDX Module Base Architecture Specification*, "ATTRIBUTES".)
pub const TD_ATTRIBUTES: [u8; 8] = (1u64 << 28).to_le_bytes();

/// What a trust domain's launch amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdxMeasurement {
    /// MRTD.
    pub mrtd: Digest,
    /// RTMR0 to RTMR2.
    pub rtmr: [Digest; 3],
    /// TDATTRIBUTES as a quote has it: 64 bits, little-endian. [`TD_ATTRIBUTES`] by default.
    pub td_attributes: [u8; 8],
    /// XFAM as a quote has it: 64 bits, little-endian. It follows from the CPU; see [`CpuGeneration::xfam`].
    pub xfam: [u8; 8],
}

impl TdxMeasurement {
    /// The measurement id that contracts list.
    pub fn id(&self) -> MeasurementId {
        let [rtmr0, rtmr1, rtmr2] = &self.rtmr;
        MeasurementId::tdx(&self.mrtd, [rtmr0, rtmr1, rtmr2], &self.td_attributes, &self.xfam)
    }
}

#[cfg(test)]
mod tests;
