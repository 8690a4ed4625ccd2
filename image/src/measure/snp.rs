//! The SEV-SNP launch digest of an image, computed without the hardware.
//!
//! The security processor hashes, page by page, what QEMU loads into a guest before its first instruction: the firmware,
//! the pages that the firmware's SEV metadata names (one holds the hashes of kernel, initramfs and command line), and
//! the start state of every processor. So one image has a digest for each count of processors and each processor model;
//! [`shapes`] are those that are published. Memory size and ACPI tables aren't inputs, because they aren't measured.
//!
//! ```text
//! firmware ─ SnpFirmware ─┐
//! files ──── KernelHashes ┴ SnpLaunch ─┬─ digest ─ MeasurementId
//!                            SnpShape ─┘     └──── id_block
//! ```
//!
//! Documents: "SEV Secure Nested Paging Firmware ABI Specification" (56860). Its text wasn't at hand: layouts are those
//! of public code, and digests are held to the published expectations of virtee/sev-snp-measure and compared with
//! that program and the `sev` crate (`scripts/measure-peers.sh`).

mod context;
mod hashes;
pub mod id_block;
mod ovmf;
mod vmsa;

use std::fmt;
use std::str::FromStr;

use context::LaunchContext;
use jeju_attestation::measurement::MeasurementId;
use jeju_attestation::sev_snp::GuestPolicy;
use serde::{Serialize, Serializer};
use thiserror::Error;

pub use hashes::KernelHashes;
pub use ovmf::{Layout, MAX_FIRMWARE, OvmfError, Section, SectionKind};

/// Length of a page, in bytes.
pub const PAGE: usize = 4096;
/// Most processors of a guest that are computed; a Turin host has 768 threads.
pub const MAX_VCPUS: u32 = 1024;

/// The policy that our guests are launched with (56860, table "Guest Policy").
///
/// | bits | field | value |
/// |---|---|---|
/// | 15:0 | ABI_MAJOR, ABI_MINOR | 1.51: older security processor firmware refuses the launch |
/// | 16 | SMT | 1: hosts with simultaneous multithreading may run it, as nearly all have it on. A relying party that fears the sibling thread refuses PLATFORM_INFO's SMT_EN |
/// | 17 | reserved | 1, as it must be |
/// | 18 | MIGRATE_MA | 0: no migration agent, which could take the guest's memory elsewhere |
/// | 19 | DEBUG | 0: the host can't read the guest's memory |
/// | 20 | SINGLE_SOCKET | 0 |
/// | 21 | CXL_ALLOW | 0: no memory behind CXL |
/// | 25:22 | AES-256-XTS, no RAPL, ciphertext hiding, no page swap | 0: not demanded, because Milan has none of them |
pub const DEFAULT_POLICY: GuestPolicy = GuestPolicy(0x3_0133);

/// Why there is no digest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnpError {
    /// The firmware.
    #[error(transparent)]
    Ovmf(#[from] OvmfError),
    /// A kernel is to be loaded, but this firmware doesn't measure it.
    #[error("firmware has no page for the hashes of kernel, initramfs and command line")]
    NoKernelHashes,
    /// No processor, or too many.
    #[error("{0} processors, allowed are 1 to {MAX_VCPUS}")]
    Vcpus(u32),
    /// SEV_FEATURES without its first bit: that guest isn't an SEV-SNP guest.
    #[error("guest features {0:#x} don't have bit 0, SNPActive")]
    GuestFeatures(u64),
    /// A processor model that isn't known.
    #[error("{0:?} is not one of EPYC-v4, EPYC-Milan, EPYC-Genoa, EPYC-Turin")]
    Cpu(String),
}

/// Models of QEMU by which a guest's processors are named (`target/i386/cpu.c`). The signature of the model, not of the
/// host's processor, is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cpu {
    /// `EPYC-v4`: Naples, which every later processor can be taken for.
    EpycV4,
    /// `EPYC-Milan`.
    Milan,
    /// `EPYC-Genoa`.
    Genoa,
    /// `EPYC-Turin`.
    Turin,
}

impl Cpu {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::EpycV4, Self::Milan, Self::Genoa, Self::Turin];

    /// What `-cpu` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EpycV4 => "EPYC-v4",
            Self::Milan => "EPYC-Milan",
            Self::Genoa => "EPYC-Genoa",
            Self::Turin => "EPYC-Turin",
        }
    }

    /// CPUID Fn0000_0001 EAX (AMD 25481).
    pub const fn signature(self) -> u32 {
        match self {
            Self::EpycV4 => signature(23, 1, 2),
            Self::Milan => signature(25, 1, 1),
            Self::Genoa => signature(25, 17, 0),
            Self::Turin => signature(26, 0, 0),
        }
    }
}

/// Of a family above 15.
const fn signature(family: u32, model: u32, stepping: u32) -> u32 {
    (family - 15) << 20 | (model >> 4) << 16 | 15 << 8 | (model & 15) << 4 | stepping
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cpu {
    type Err = SnpError;

    fn from_str(name: &str) -> Result<Self, SnpError> {
        let found = Self::ALL.into_iter().find(|cpu| cpu.name() == name);
        found.ok_or_else(|| SnpError::Cpu(name.to_owned()))
    }
}

impl Serialize for Cpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What the digest depends on besides the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SnpShape {
    /// Processors of the guest (`-smp`).
    pub vcpus: u32,
    /// Their model (`-cpu`).
    pub cpu: Cpu,
    /// SEV_FEATURES: 0x1 (SNPActive) is what QEMU 9.1 and later ask for; 0x21 adds DebugSwap, which hosts before
    /// Linux 6.10 switch on by themselves.
    pub guest_features: u64,
}

/// SNPActive alone.
pub const GUEST_FEATURES: u64 = 0x1;

/// The shapes whose digests are published: 1 to 32 processors of each generation that has SEV-SNP.
pub fn shapes() -> Vec<SnpShape> {
    let of = |cpu| {
        [1, 2, 4, 8, 16, 32].map(|vcpus| SnpShape {
            vcpus,
            cpu,
            guest_features: GUEST_FEATURES,
        })
    };
    [Cpu::Milan, Cpu::Genoa, Cpu::Turin]
        .into_iter()
        .flat_map(of)
        .collect()
}

/// A firmware file and the digest of its pages, with which every launch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpFirmware {
    layout: Layout,
    pages: LaunchContext,
}

impl SnpFirmware {
    /// Reads and hashes a firmware file: 1024 pages in Debian's.
    ///
    /// # Errors
    /// Any of [`OvmfError`].
    pub fn parse(firmware: &[u8]) -> Result<Self, OvmfError> {
        let layout = Layout::parse(firmware)?;
        let mut pages = LaunchContext::new();
        pages.normal((1 << 32) - firmware.len() as u64, firmware);
        Ok(Self { layout, pages })
    }

    /// What its SEV metadata and table say.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// A launch up to the processors, which all shapes have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpLaunch {
    reset_vector: u32,
    context: LaunchContext,
}

impl SnpLaunch {
    /// A launch with this firmware that loads a kernel, or, without one, starts what the firmware finds.
    ///
    /// # Errors
    /// [`SnpError::NoKernelHashes`]: this firmware wouldn't check what it loads.
    pub fn new(firmware: &SnpFirmware, kernel: Option<&KernelHashes>) -> Result<Self, SnpError> {
        if kernel.is_some() && firmware.layout.hash_table.is_none() {
            return Err(SnpError::NoKernelHashes);
        }
        let mut context = firmware.pages.clone();
        for section in &firmware.layout.sections {
            let gpa = u64::from(section.gpa);
            match (section.kind, kernel, firmware.layout.hash_table) {
                (SectionKind::Secrets, ..) => context.secrets(gpa),
                (SectionKind::Cpuid, ..) => context.cpuid(gpa),
                (SectionKind::KernelHashes, Some(hashes), Some(offset)) => {
                    context.normal(gpa, &hashes.page(offset));
                }
                (SectionKind::SecMemory | SectionKind::SvsmCallingArea | SectionKind::KernelHashes, ..) => {
                    context.zero(gpa, section.size as usize);
                }
            }
        }
        Ok(Self {
            reset_vector: firmware.layout.reset_vector,
            context,
        })
    }

    /// MEASUREMENT of the reports of such a guest.
    ///
    /// # Errors
    /// [`SnpError::Vcpus`], [`SnpError::GuestFeatures`].
    pub fn digest(&self, shape: &SnpShape) -> Result<[u8; 48], SnpError> {
        let SnpShape {
            vcpus,
            cpu,
            guest_features,
        } = *shape;
        if !(1..=MAX_VCPUS).contains(&vcpus) {
            return Err(SnpError::Vcpus(vcpus));
        }
        if guest_features & GUEST_FEATURES == 0 {
            return Err(SnpError::GuestFeatures(guest_features));
        }
        let mut context = self.context.clone();
        context.vmsa(&vmsa::page(vmsa::RESET_VECTOR, cpu.signature(), guest_features));
        let others = vmsa::page(self.reset_vector, cpu.signature(), guest_features);
        for _ in 1..vcpus {
            context.vmsa(&others);
        }
        Ok(context.0)
    }
}

/// What a contract lists for a launch digest: the node runs at VMPL 0, there being no SVSM below it.
pub fn measurement_id(digest: &[u8; 48], policy: GuestPolicy) -> MeasurementId {
    MeasurementId::sev_snp(digest, &policy.0.to_le_bytes(), 0)
}

#[cfg(test)]
mod tests;
