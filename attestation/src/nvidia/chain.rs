//! The device's certificates, up to NVIDIA Device Identity CA, and the signature on the report.
//!
//! | | subject | what it is |
//! |---|---|---|
//! | 0 | `GH100 A01 GSP FMC LF` | firmware that signs reports; new for each version of it |
//! | 1 | `GH100 A01 GSP BROM` | the device: key in its fuses, serial number 1 byte ‖ PDI |
//! | 2 | `NVIDIA GH100 Provisioner ICA 1` | production line |
//! | 3 | `NVIDIA GH100 Identity` | product |
//! | 4 | `NVIDIA Device Identity CA` | root, pinned |
//!
//! [`Device`] is the verified chain and can be kept: a report of the same device then costs one signature check.

use super::claims::Claims;
use super::dice::{self, Firmware};
use super::{GpuError, Report, revocation};
use crate::hex_bytes::HexBytes;
use crate::primitives::{EcdsaSignature, primitives};
use crate::roots::TrustAnchors;
use crate::x509::{Certificate, PathRules, PublicKey, Validity, X509Error, verify_path};

/// Certificates of a chain, root included.
pub const CHAIN_LEN: usize = 5;

/// With one of these, whoever holds the device can put other firmware into its place.
const FORBIDDEN_FLAGS: [&str; 3] = ["notSecure", "recovery", "debug"];

/// DICE extensions are read here, whether they are critical or not.
const RULES: PathRules = PathRules {
    longest: CHAIN_LEN,
    judged: &[dice::COMPOSITE_DEVICE_ID, dice::TCB_INFO],
    end_entity: true,
};

/// What kind of chip a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// GH100: H100, H200, H800, H20.
    Hopper,
    /// GB100: B100, B200.
    Blackwell,
    /// LS10: the third-generation NVSwitch.
    Ls10,
}

impl Architecture {
    const ALL: [Architecture; 3] = [Self::Hopper, Self::Blackwell, Self::Ls10];

    /// Name of the chip in manifests.
    pub const fn chip(self) -> &'static str {
        match self {
            Self::Hopper => "GH100",
            Self::Blackwell => "GB100",
            Self::Ls10 => "LS10",
        }
    }

    /// Name of the chip in certificates.
    const fn certified(self) -> &'static str {
        match self {
            Self::Ls10 => "LS_10",
            _ => self.chip(),
        }
    }

    /// Chip as GPU_INFO has it: architecture and implementation of PMC_BOOT_42.
    pub(super) const fn gpu_info(self) -> Option<u64> {
        match self {
            Self::Hopper => Some(0x180),
            Self::Blackwell => Some(0x1A0),
            Self::Ls10 => None,
        }
    }

    /// Whether it is a switch.
    pub const fn is_switch(self) -> bool {
        matches!(self, Self::Ls10)
    }
}

/// A device whose certificates were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub(super) architecture: Architecture,
    /// Uncompressed P-384 point.
    key: [u8; 97],
    pub(super) fwid: [u8; 48],
    pub(super) pdi: [u8; 8],
    pub(super) leaf_serial: Vec<u8>,
    pub(super) leaf_fingerprint: [u8; 32],
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) root: &'static str,
    pub(super) root_fingerprint: [u8; 32],
    pub(super) looked_up: Vec<String>,
    pub(super) flags: Vec<&'static str>,
    validity: Validity,
}

impl Device {
    /// Verifies a chain (DER, leaf first, root included) at `now`, in seconds since 1970. `lists` are revocation lists
    /// as they were handed over; those of other issuers are passed over.
    pub fn verify(
        certificates: &[Vec<u8>],
        lists: &[Vec<u8>],
        roots: &TrustAnchors,
        now: i64,
    ) -> Result<Self, GpuError> {
        if certificates.len() != CHAIN_LEN {
            let found = certificates.len();
            return Err(GpuError::ChainLength { found });
        }
        let chain = certificates
            .iter()
            .map(|der| Certificate::parse(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(GpuError::Chain)?;
        let path = verify_path(&chain, roots.nvidia_device(), RULES, now).map_err(GpuError::Chain)?;
        let [leaf, device, line, ..] = &chain[..] else {
            return Err(GpuError::ChainLength { found: chain.len() });
        };
        // The device's own key makes no lists: what it certifies can't be withdrawn but with the device.
        let looked_up =
            revocation::check(&chain, 1, lists, roots.nvidia_device(), now).map_err(GpuError::Chain)?;
        let PublicKey::P384(key) = path.key else {
            return Err(GpuError::Chain(X509Error::Algorithm(leaf.subject())));
        };
        let (architecture, serial) = architecture(leaf, device, line)?;
        let firmware = firmware(leaf, device, architecture)?;
        let digits = || GpuError::DeviceSerial(hex::encode(device.serial()));
        let [_kind, pdi @ ..]: [u8; 9] = device.serial().try_into().map_err(|_| digits())?;
        Ok(Self {
            architecture,
            key,
            fwid: firmware.fwid,
            pdi,
            leaf_serial: leaf.serial().to_vec(),
            leaf_fingerprint: leaf.fingerprint(),
            model: device.subject(),
            serial,
            root: path.root,
            root_fingerprint: path.root_fingerprint,
            looked_up,
            flags: firmware.flags,
            validity: path.validity,
        })
    }

    /// Verifies a report of this device: its signature, that it was made for `nonce`, and that the chip and the firmware
    /// are those of the certificates. `now` in seconds since 1970.
    pub fn report(&self, report: &Report<'_>, nonce: &[u8; 32], now: i64) -> Result<Claims, GpuError> {
        self.check_current(now)?;
        primitives()
            .p384_sha384(&self.key, report.signed, EcdsaSignature::Fixed(&report.signature))
            .map_err(|_| GpuError::Signature)?;
        if report.nonce != *nonce {
            return Err(GpuError::Nonce {
                found: HexBytes(report.nonce),
                expected: HexBytes(*nonce),
            });
        }
        Claims::of(self, report)
    }

    /// Whether all certificates are valid at `now`, in seconds since 1970.
    pub fn check_current(&self, now: i64) -> Result<(), GpuError> {
        match self.validity.contains(now) {
            true => Ok(()),
            false => Err(GpuError::ChainDates {
                now,
                not_before: self.validity.not_before,
                not_after: self.validity.not_after,
            }),
        }
    }

    /// Kind of chip.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// SHA-256 of the firmware's certificate, under which a verified device can be kept; for the same roots only.
    pub fn leaf_fingerprint(&self) -> [u8; 32] {
        self.leaf_fingerprint
    }

    /// Identity of the chip (PDI), which no firmware changes.
    pub fn pdi(&self) -> [u8; 8] {
        self.pdi
    }
}

/// What all names agree on, and the device's serial number. The production line's name is what NVIDIA's own authority
/// certified; the lower two could be named anything by a line that was broken into.
fn architecture(
    leaf: &Certificate<'_>,
    device: &Certificate<'_>,
    line: &Certificate<'_>,
) -> Result<(Architecture, String), GpuError> {
    let unnamed = || GpuError::DeviceName(leaf.subject());
    let alternative = leaf
        .extension(dice::SUBJECT_ALT_NAME)
        .map_err(GpuError::Chain)?
        .ok_or_else(unnamed)?;
    let ["NVIDIA", product, serial] = dice::device_name(alternative).ok_or_else(unnamed)? else {
        return Err(unnamed());
    };
    let (leaf_name, device_name, line_name) = (leaf.subject(), device.subject(), line.subject());
    Architecture::ALL
        .into_iter()
        .find(|architecture| {
            let chip = architecture.certified();
            product == chip
                && leaf_name.split(' ').next() == Some(chip)
                && device_name.split(' ').next() == Some(chip)
                && line_name
                    .strip_prefix("NVIDIA ")
                    .and_then(|name| name.split(' ').next())
                    == Some(chip)
        })
        .map(|architecture| (architecture, serial.to_owned()))
        .ok_or(GpuError::DeviceNames {
            leaf: leaf_name,
            identity: device_name,
            issuer: line_name,
        })
}

fn firmware<'a>(
    leaf: &Certificate<'a>,
    device: &Certificate<'_>,
    architecture: Architecture,
) -> Result<Firmware<'a>, GpuError> {
    let extension = |oid| leaf.extension(oid).map_err(GpuError::Chain);
    let firmware = match architecture {
        Architecture::Blackwell => extension(dice::TCB_INFO)?.and_then(dice::tcb_info),
        Architecture::Hopper | Architecture::Ls10 => {
            extension(dice::COMPOSITE_DEVICE_ID)?.and_then(dice::composite_device_id)
        }
    };
    let firmware = firmware.ok_or_else(|| GpuError::FirmwareExtension(leaf.subject()))?;
    // NVIDIA's own sample of a GB100 says notConfigured, so that one is shown and not judged.
    if let Some(flag) = firmware.flags.iter().find(|flag| FORBIDDEN_FLAGS.contains(flag)) {
        return Err(GpuError::FirmwareFlag(flag));
    }
    let PublicKey::P384(device_key) = device.public_key().map_err(GpuError::Chain)? else {
        return Err(GpuError::Chain(X509Error::Algorithm(device.subject())));
    };
    match firmware.device_key {
        Some(key) if *key != device_key => Err(GpuError::DeviceKey),
        _ => Ok(firmware),
    }
}
