//! NVIDIA's chains, SPDM reports and manifests.

pub mod device;
pub mod manifest;
pub mod report;

use sha2::{Digest, Sha384};

/// A chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    /// Hopper GPU.
    Gh100,
    /// Blackwell GPU.
    Gb100,
    /// NVSwitch.
    Ls10,
}

impl Chip {
    /// Name in certificates.
    pub const fn certified(self) -> &'static str {
        match self {
            Chip::Gh100 => "GH100",
            Chip::Gb100 => "GB100",
            Chip::Ls10 => "LS_10",
        }
    }

    /// Name in manifests.
    pub const fn product(self) -> &'static str {
        match self {
            Chip::Ls10 => "LS10",
            chip => chip.certified(),
        }
    }
}

/// SHA-384 of the firmware that signs a synthetic chip's reports.
pub fn firmware(chip: Chip) -> [u8; 48] {
    Sha384::digest(format!("firmware of {}", chip.product())).into()
}

/// What a synthetic chip measures at an index, which begins at 0.
pub fn measured(chip: Chip, index: u8) -> [u8; 48] {
    Sha384::digest(format!("{} measures {index}", chip.product())).into()
}
