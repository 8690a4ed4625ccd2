//! `manifest.json`: what an image folder holds, where each file is from, and what the image measures to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name of the manifest in an image folder.
pub const FILE_NAME: &str = "manifest.json";
/// Value of [`Manifest::format`].
pub const FORMAT: &str = "jeju-image/2";

/// Longest manifest that is read, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Why a manifest can't be read or written.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than any manifest.
    #[error("{} is longer than {MAX_LEN} bytes", .0.display())]
    TooLong(PathBuf),
    /// Not the JSON of the format.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line and key.
        source: serde_json::Error,
    },
    /// A format that this software doesn't read.
    #[error("image format {0:?} is not known, this software reads {FORMAT:?}")]
    Format(String),
}

/// Contents of `manifest.json`. Every digest is lower-case hexadecimal SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// What boots it.
    pub platform: Platform,
    /// Whether the node accepts simulated silicon.
    pub development: bool,
    /// Image digest (`docs/wire-formats.md` §3).
    pub image_digest: String,
    /// Measurement id of the simulated platform, with `0x` before it, as contracts list it. Absent for hardware, where an
    /// image has one for each shape of machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<String>,
    /// The files that a launch loads: kernel, archives in load order, command line, and what the platform makes of them.
    pub files: Vec<File>,
    /// What the archives unpack to.
    pub root: Vec<RootEntry>,
    /// What compiled it: other versions may give other bytes.
    pub toolchain: Toolchain,
}

/// What boots an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// QEMU's q35 machine, direct kernel boot, simulated silicon.
    Qemu,
    /// Intel TDX: direct kernel boot by the measured firmware.
    Tdx,
    /// AMD SEV-SNP: direct kernel boot by the measured firmware.
    Snp,
    /// AWS Nitro: an enclave image file.
    Nitro,
}

impl Platform {
    /// Its name on the command line and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Qemu => "qemu",
            Platform::Tdx => "tdx",
            Platform::Snp => "snp",
            Platform::Nitro => "nitro",
        }
    }

    /// Whether its node accepts simulated silicon: only where there is no other.
    pub fn development(self) -> bool {
        self == Platform::Qemu
    }

    /// The kernel command line. A panic resets the machine at once, which ends the guest. Nitro has no ACPI and no PCI, and
    /// resets through its keyboard controller. What must hold for safety is compiled into the kernel (`CONFIG_CMDLINE`),
    /// because on Nitro the start of this line can be cut off unseen.
    pub fn cmdline(self) -> &'static str {
        match self {
            // An emulator on a busy machine misses the kernel's check of the timer now and then.
            Platform::Qemu => "console=ttyS0 quiet panic=-1 no_timer_check",
            Platform::Tdx | Platform::Snp => "console=ttyS0 quiet panic=-1",
            Platform::Nitro => "console=ttyS0 quiet panic=-1 reboot=k pci=off",
        }
    }
}

/// A file of the image folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name in the folder.
    pub name: String,
    /// Its part in the launch.
    pub role: Role,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: String,
    /// Where it is from.
    pub origin: String,
}

/// What a launch does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The kernel.
    Kernel,
    /// An initramfs archive.
    Initramfs,
    /// The kernel command line.
    Cmdline,
    /// The archives behind one another, as a launcher takes them (TDX, SEV-SNP).
    Initrd,
    /// The firmware (TDX, SEV-SNP).
    Firmware,
    /// Kernel, command line and archives in one file (Nitro).
    Eif,
}

impl Role {
    /// Its name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Role::Kernel => "kernel",
            Role::Initramfs => "initramfs",
            Role::Cmdline => "cmdline",
            Role::Initrd => "initrd",
            Role::Firmware => "firmware",
            Role::Eif => "eif",
        }
    }
}

/// An entry of the guest's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootEntry {
    /// Absolute path in the guest.
    pub path: String,
    /// File type and permission bits, octal.
    pub mode: String,
    /// Length in bytes; zero for what has no content.
    pub size: u64,
    /// SHA-256 of the content; absent for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The archive that brings it.
    pub archive: String,
    /// Where it is from.
    pub origin: String,
}

/// Versions of the programs that made the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// `rustc --version`; empty when the node was compiled elsewhere.
    pub rustc: String,
    /// First line of `cc --version`; empty when the node was compiled elsewhere.
    pub cc: String,
    /// First line of `ld --version`; empty when the node was compiled elsewhere.
    pub ld: String,
}

impl Manifest {
    /// Reads the manifest of an image folder.
    ///
    /// # Errors
    /// Any of [`ManifestError`].
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(FILE_NAME);
        let io = |source| ManifestError::Io {
            path: path.clone(),
            source,
        };
        if fs::metadata(&path).map_err(io)?.len() > MAX_LEN {
            return Err(ManifestError::TooLong(path));
        }
        let text = fs::read(&path).map_err(io)?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|source| ManifestError::Json {
            path: path.clone(),
            source,
        })?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        Ok(manifest)
    }

    /// Writes the manifest into an image folder.
    ///
    /// # Errors
    /// [`ManifestError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ManifestError> {
        let path = folder.join(FILE_NAME);
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers serialise");
        text.push('\n');
        fs::write(&path, text).map_err(|source| ManifestError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, ManifestError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        Manifest::read(folder.path())
    }

    fn sample() -> String {
        let manifest = Manifest {
            format: FORMAT.into(),
            platform: Platform::Qemu,
            development: true,
            image_digest: "00".repeat(32),
            measurement: Some(format!("0x{}", "00".repeat(32))),
            files: vec![],
            root: vec![],
            toolchain: Toolchain::default(),
        };
        serde_json::to_string(&manifest).unwrap()
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(read(&sample()).is_ok());
        assert!(matches!(
            read(&sample().replace("image/2", "image/3")),
            Err(ManifestError::Format(_))
        ));
        assert!(matches!(
            read(&sample().replacen('{', "{\"extra\":1,", 1)),
            Err(ManifestError::Json { .. })
        ));
        assert!(matches!(read("{"), Err(ManifestError::Json { .. })));
        assert!(matches!(
            read(&" ".repeat(MAX_LEN as usize + 1)),
            Err(ManifestError::TooLong(_))
        ));
        assert!(matches!(
            Manifest::read(Path::new("/nonexistent")),
            Err(ManifestError::Io { .. })
        ));
    }
}
