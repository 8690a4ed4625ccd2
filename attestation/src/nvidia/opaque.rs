//! NVIDIA's OpaqueData of a MEASUREMENTS response: fields of DataType (2 bytes, little-endian), DataSize (2), data.
//!
//! Types 22 to 26 mean one thing in a GPU's report and another in a switch's. A type that isn't known here is kept and
//! shown: drivers add fields, and what a device signed is no danger as long as nothing rests on it.

use super::GpuError;

/// Most fields.
pub const MAX_FIELDS: usize = 64;

/// How opaque data of the layout that came after this one begins.
const NEW_LAYOUT: &[u8] = b"NVDAOD";

/// Types of fields (OPAQUE_FIELD_ID_…).
#[allow(missing_docs, reason = "NVIDIA's names")]
pub mod id {
    pub const DRIVER_VERSION: u16 = 3;
    pub const GPU_INFO: u16 = 4;
    pub const VBIOS_VERSION: u16 = 6;
    pub const NVDEC0_STATUS: u16 = 11;
    pub const MSRSCNT: u16 = 12;
    pub const CPRINFO: u16 = 13;
    pub const BOARD_ID: u16 = 14;
    pub const CHIP_SKU: u16 = 15;
    pub const CHIP_SKU_MOD: u16 = 16;
    pub const PROJECT: u16 = 17;
    pub const PROJECT_SKU: u16 = 18;
    pub const PROJECT_SKU_MOD: u16 = 19;
    pub const FWID: u16 = 20;
    pub const PROTECTED_PCIE_STATUS: u16 = 21;
    /// In a GPU's report: of the switches that its links lead to.
    pub const SWITCH_PDI: u16 = 22;
    /// In a switch's report: its own.
    pub const DEVICE_PDI: u16 = 22;
    /// In a switch's report.
    pub const DISABLED_PORTS: u16 = 23;
    /// In a switch's report.
    pub const SWITCH_POSITION_ID: u16 = 24;
    /// In a switch's report.
    pub const SWITCH_LOCK_STATUS: u16 = 25;
    /// In a switch's report: of the GPUs that its links lead to, then which of them each port leads to.
    pub const SWITCH_GPU_PDIS: u16 = 26;
    pub const OPAQUE_DATA_VERSION: u16 = 34;
    pub const FEATURE_FLAG: u16 = 36;
}

/// Name of a field, as NVIDIA's verifiers print it, without `OPAQUE_FIELD_ID_`.
pub fn name(kind: u16, of_switch: bool) -> Option<&'static str> {
    Some(match (kind, of_switch) {
        (1, _) => "CERT_ISSUER_NAME",
        (2, _) => "CERT_AUTHORITY_KEY_IDENTIFIER",
        (id::DRIVER_VERSION, _) => "DRIVER_VERSION",
        (id::GPU_INFO, _) => "GPU_INFO",
        (5, _) => "SKU",
        (id::VBIOS_VERSION, _) => "VBIOS_VERSION",
        (7, _) => "MANUFACTURER_ID",
        (8, _) => "TAMPER_DETECTION",
        (9, _) => "SMC",
        (10, _) => "VPR",
        (id::NVDEC0_STATUS, _) => "NVDEC0_STATUS",
        (id::MSRSCNT, _) => "MSRSCNT",
        (id::CPRINFO, _) => "CPRINFO",
        (id::BOARD_ID, _) => "BOARD_ID",
        (id::CHIP_SKU, _) => "CHIP_SKU",
        (id::CHIP_SKU_MOD, _) => "CHIP_SKU_MOD",
        (id::PROJECT, _) => "PROJECT",
        (id::PROJECT_SKU, _) => "PROJECT_SKU",
        (id::PROJECT_SKU_MOD, _) => "PROJECT_SKU_MOD",
        (id::FWID, _) => "FWID",
        (id::PROTECTED_PCIE_STATUS, _) => "PROTECTED_PCIE_STATUS",
        (22, false) => "SWITCH_PDI",
        (22, true) => "DEVICE_PDI",
        (23, false) => "FLOORSWEPT_PORTS",
        (23, true) => "DISABLED_PORTS",
        (24, false) => "POSITION_ID",
        (24, true) => "SWITCH_POSITION_ID",
        (25, false) => "LOCK_SWITCH_STATUS",
        (25, true) => "SWITCH_LOCK_STATUS",
        (26, true) => "SWITCH_GPU_PDIS",
        (32, _) => "GPU_LINK_CONN",
        (33, _) => "SYS_ENABLE_STATUS",
        (id::OPAQUE_DATA_VERSION, _) => "OPAQUE_DATA_VERSION",
        (35, _) => "CHIP_INFO",
        (id::FEATURE_FLAG, _) => "FEATURE_FLAG",
        _ => return None,
    })
}

/// The fields, in the report's order; no type is there twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque<'a> {
    fields: Vec<(u16, &'a [u8])>,
}

impl<'a> Opaque<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, GpuError> {
        if bytes.starts_with(NEW_LAYOUT) {
            return Err(GpuError::OpaqueLayout);
        }
        let mut fields: Vec<(u16, &[u8])> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let truncated = GpuError::OpaqueTruncated(at);
            let [t0, t1, s0, s1] = *bytes[at..].first_chunk().ok_or(truncated.clone())?;
            let (kind, size) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([s0, s1]));
            let data = bytes[at + 4..].get(..usize::from(size)).ok_or(truncated)?;
            if fields.iter().any(|(earlier, _)| *earlier == kind) {
                return Err(GpuError::OpaqueTwice(kind));
            }
            if fields.len() == MAX_FIELDS {
                return Err(GpuError::OpaqueMany);
            }
            fields.push((kind, data));
            at += 4 + usize::from(size);
        }
        Ok(Self { fields })
    }

    /// All fields.
    pub fn fields(&self) -> &[(u16, &'a [u8])] {
        &self.fields
    }

    /// One field.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find_map(|(found, data)| (*found == kind).then_some(*data))
    }

    /// A field of a fixed length.
    pub(super) fn array<const N: usize>(
        &self,
        kind: u16,
        field: &'static str,
    ) -> Result<Option<[u8; N]>, GpuError> {
        let length = |data: &[u8]| GpuError::OpaqueLength {
            field,
            found: data.len(),
            expected: N,
        };
        self.get(kind)
            .map(|data| data.try_into().map_err(|_| length(data)))
            .transpose()
    }

    /// A field of text: ASCII without spaces, and zeros behind it.
    pub(super) fn text(&self, kind: u16, field: &'static str) -> Result<Option<String>, GpuError> {
        let Some(data) = self.get(kind) else {
            return Ok(None);
        };
        let zeros = data.iter().rev().take_while(|byte| **byte == 0).count();
        let text = &data[..data.len() - zeros];
        if text.len() > 64 || !text.iter().all(u8::is_ascii_graphic) {
            return Err(GpuError::OpaqueText(field));
        }
        Ok(Some(text.iter().map(|byte| char::from(*byte)).collect()))
    }
}
