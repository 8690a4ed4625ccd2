//! Bytes → report: length, version, reserved bytes, and what the report says of its own signature.

use super::SnpError;
use super::bits::{GuestPolicy, KeyInfo, PlatformInfo, SigningKey};
use super::vek::VekKind;
use crate::hash::is_zero;
use crate::roots::AmdProduct;

/// Length of a report, in bytes.
pub const LEN: usize = 0x4A0;
/// Length of what the signature covers, from the start.
pub const SIGNED_LEN: usize = 0x2A0;

/// ECDSA P-384 with SHA-384 (56860, table "Encoding for Signature Algorithms").
const ECDSA_P384_SHA384: u32 = 1;
/// Length of r and s in the report, little-endian and zero-extended.
const SCALAR_FIELD: usize = 72;
const SCALAR: usize = 48;
/// VMPL of a report that the host asked for, not the guest.
const HOST_REQUESTED: u32 = u32::MAX;

/// A report of the right shape; nothing in it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    bytes: [u8; LEN],
    key: VekKind,
    product: Option<AmdProduct>,
}

impl Report {
    /// Reads exactly [`LEN`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, SnpError> {
        let bytes: [u8; LEN] = bytes.try_into().map_err(|_| SnpError::Length(bytes.len()))?;
        let mut report = Self {
            bytes,
            key: VekKind::Vcek,
            product: None,
        };
        let version = report.version();
        if !matches!(version, 2 | 3 | 5) {
            return Err(SnpError::Version(version));
        }
        report.check_reserved()?;
        report.check_signature_form()?;
        report.key = report.check_key_info()?;
        match report.vmpl() {
            0..=3 => {}
            HOST_REQUESTED => return Err(SnpError::HostRequested),
            other => return Err(SnpError::VmplInvalid(other)),
        }
        if let Some((family, model, _)) = report.cpuid() {
            report.product = Some(product(family, model).ok_or(SnpError::Cpu { family, model })?);
        }
        Ok(report)
    }

    /// All bytes, as received.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.bytes
    }

    /// The bytes that are signed, as received.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.bytes[..SIGNED_LEN]
    }

    /// The signature as r ‖ s, big-endian.
    pub(super) fn signature(&self) -> [u8; 2 * SCALAR] {
        let mut signature = [0; 2 * SCALAR];
        let (r, s) = signature.split_at_mut(SCALAR);
        r.copy_from_slice(&self.bytes[SIGNED_LEN..SIGNED_LEN + SCALAR]);
        s.copy_from_slice(&self.bytes[SIGNED_LEN + SCALAR_FIELD..SIGNED_LEN + SCALAR_FIELD + SCALAR]);
        r.reverse();
        s.reverse();
        signature
    }

    /// VERSION, 000h.
    pub fn version(&self) -> u32 {
        self.u32(0x000)
    }

    /// POLICY, 008h.
    pub fn policy(&self) -> GuestPolicy {
        GuestPolicy(self.u64(0x008))
    }

    /// VMPL, 030h: privilege level of who asked for the report.
    pub fn vmpl(&self) -> u32 {
        self.u32(0x030)
    }

    /// PLATFORM_INFO, 040h.
    pub fn platform_info(&self) -> PlatformInfo {
        PlatformInfo(self.u64(0x040))
    }

    /// KEY_INFO, 048h.
    pub fn key_info(&self) -> KeyInfo {
        KeyInfo(self.u32(0x048))
    }

    /// The kind of key that signed, from SIGNING_KEY.
    pub fn signing_key(&self) -> VekKind {
        self.key
    }

    /// REPORTED_TCB, 180h.
    pub fn reported_tcb(&self) -> [u8; 8] {
        self.field(0x180)
    }

    /// CPUID_FAM_ID, CPUID_MOD_ID and CPUID_STEP, 188h to 18Ah; from version 3 on.
    pub fn cpuid(&self) -> Option<(u8, u8, u8)> {
        let [family, model, stepping] = self.field(0x188);
        (self.version() >= 3).then_some((family, model, stepping))
    }

    /// The product that the CPUID names; from version 3 on.
    pub fn product(&self) -> Option<AmdProduct> {
        self.product
    }

    /// CHIP_ID, 1A0h; all zeros where the platform masks it.
    pub fn chip_id(&self) -> [u8; 64] {
        self.field(0x1A0)
    }

    /// Whether CHIP_ID is masked.
    pub fn chip_id_is_masked(&self) -> bool {
        is_zero(&self.chip_id())
    }

    /// `N` bytes from `offset` on.
    pub(super) fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[offset..offset + N]);
        field
    }

    pub(super) fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.field(offset))
    }

    pub(super) fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.field(offset))
    }

    fn check_reserved(&self) -> Result<(), SnpError> {
        let version = self.version();
        // CPUID came with version 3, mitigation vectors with version 5.
        let from_cpuid = if version < 3 { 0x188 } else { 0x18B };
        let from_mitigations = if version < 5 { 0x1F8 } else { 0x208 };
        let reserved = [
            0x04C..0x050,
            from_cpuid..0x1A0,
            0x1EB..0x1EC,
            0x1EF..0x1F0,
            from_mitigations..SIGNED_LEN,
            SIGNED_LEN + 2 * SCALAR_FIELD..LEN,
        ];
        for range in reserved {
            if let Some(at) = self.bytes[range.clone()].iter().position(|byte| *byte != 0) {
                let offset = range.start + at;
                return Err(SnpError::Reserved { offset, version });
            }
        }
        if self.key_info().reserved() != 0 {
            return Err(SnpError::Reserved {
                offset: 0x048,
                version,
            });
        }
        Ok(())
    }

    fn check_signature_form(&self) -> Result<(), SnpError> {
        let algorithm = self.u32(0x034);
        if algorithm != ECDSA_P384_SHA384 {
            return Err(SnpError::SignatureAlgorithm(algorithm));
        }
        for (name, start) in [("r", SIGNED_LEN), ("s", SIGNED_LEN + SCALAR_FIELD)] {
            if !is_zero(&self.bytes[start + SCALAR..start + SCALAR_FIELD]) {
                return Err(SnpError::SignatureForm(name));
            }
        }
        Ok(())
    }

    fn check_key_info(&self) -> Result<VekKind, SnpError> {
        let info = self.key_info();
        let key = match info.signing_key() {
            SigningKey::Vcek => VekKind::Vcek,
            SigningKey::Vlek => VekKind::Vlek,
            SigningKey::None => return Err(SnpError::Unsigned),
            SigningKey::Reserved(other) => return Err(SnpError::SigningKey(other)),
        };
        // A platform that masks its chip key signs with the VLEK or not at all.
        if key == VekKind::Vcek && info.mask_chip_key() {
            return Err(SnpError::ChipKeyMasked);
        }
        let (id_key, author_key): ([u8; 48], [u8; 48]) = (self.field(0x0E0), self.field(0x110));
        // An author key signs an ID key: there is none without an ID block.
        let author = !is_zero(&author_key);
        if author != info.author_key_en() || (author && is_zero(&id_key)) {
            return Err(SnpError::AuthorKey);
        }
        Ok(key)
    }
}

/// Family and model as CPUID gives them, extended parts included.
fn product(family: u8, model: u8) -> Option<AmdProduct> {
    match (family, model) {
        (0x19, 0x00..=0x0F) => Some(AmdProduct::Milan),
        (0x19, 0x10..=0x1F | 0xA0..=0xAF) => Some(AmdProduct::Genoa),
        (0x1A, _) => Some(AmdProduct::Turin),
        _ => None,
    }
}
