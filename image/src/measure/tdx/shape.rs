//! RTMR0: what QEMU makes of a machine, for machines of known shape.
//!
//! Of its events some are computed (list of memory, variable store, Secure Boot variables), the others are those of an
//! emulated machine of the same shape, that `image/shapes/capture.sh` recorded: tables that QEMU builds, and boot options
//! that this firmware makes. No TDX hardware has confirmed them, and a shape says so.

use std::fmt::Display;
use std::sync::LazyLock;

use hex::FromHex;
use jeju_attestation::hash::sha256;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha384};
use thiserror::Error;

use super::event::{Event, Register, replay};
use super::hob::{HobError, td_hob_event};
use super::metadata::{Metadata, MetadataError, SectionType};
use super::{CpuGeneration, Digest};

/// Why a shape has no RTMR0 with this firmware.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// The firmware.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The list of memory.
    #[error(transparent)]
    Hob(#[from] HobError),
    /// Boot options and Secure Boot variables are those of the firmware that was captured.
    #[error("shape {shape} was captured with the firmware of SHA-256 {expected}, not {found}")]
    Firmware {
        /// Name of the shape.
        shape: String,
        /// SHA-256 of the firmware at hand.
        found: String,
        /// SHA-256 of the one that was captured.
        expected: String,
    },
    /// It has no variable store.
    #[error("the firmware has no section for configuration")]
    NoConfiguration,
}

/// How far a prediction was compared with the real thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proven {
    /// With an emulated machine only. There is no other variant: no hardware has confirmed a shape yet.
    Emulation,
}

/// A machine of known shape: q35 with one vsock device, as `image/hosts/tdx.sh` starts it with the pinned QEMU
/// (`image/shapes/README.md`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Name: `q35-2c-2048m` has two virtual CPUs and 2048 MiB.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// How far it was compared.
    pub proven: Proven,
    /// The QEMU that it holds for: tables differ between versions.
    pub qemu: String,
    firmware_sha256: String,
    fw_cfg: Vec<Item>,
    #[serde(deserialize_with = "from_hex")]
    secure_boot: Vec<u8>,
    acpi: Vec<Table>,
    #[serde(deserialize_with = "from_hex")]
    smbios: Vec<u8>,
    boot: Vec<Item>,
}

/// Something that is measured by its content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    name: String,
    #[serde(deserialize_with = "from_hex")]
    data: Vec<u8>,
}

/// A file of QEMU's table loader.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    size: usize,
    #[serde(deserialize_with = "from_hex")]
    sha384: Digest,
}

/// What SMBIOS says of a processor: EAX and EDX of CPUID leaf 1, little-endian, 8 bytes. On a host with TDX it is in the
/// guest's `dmidecode -t processor` ("ID").
pub type ProcessorId = [u8; 8];

impl Shape {
    /// The shapes that were captured.
    pub fn all() -> &'static [Self] {
        static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
            FILES
                .iter()
                .map(|file| serde_json::from_str(file).expect("a file that is compiled in, and tested"))
                .collect()
        });
        &SHAPES
    }

    /// The shape of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|shape| shape.name == name)
    }

    /// The events of RTMR0, in order (edk2 2026.08, IntelTdxX64): what `SecMain` measures before it reads it, what it
    /// takes early from fw_cfg, the Secure Boot policy, ACPI, and what is measured when a boot begins.
    ///
    /// # Errors
    /// Another firmware than the captured one, or one without sound metadata.
    pub fn events(&self, firmware: &[u8], processor: ProcessorId) -> Result<Vec<Event>, ShapeError> {
        let found = hex::encode(sha256(firmware));
        if found != self.firmware_sha256 {
            return Err(ShapeError::Firmware {
                shape: self.name.clone(),
                found,
                expected: self.firmware_sha256.clone(),
            });
        }
        let metadata = Metadata::parse(firmware)?;
        let configuration = metadata
            .section(SectionType::Cfv)
            .ok_or(ShapeError::NoConfiguration)?;
        let event = |name: &str, data: &[u8]| Event::of(Register::Rtmr0, name, data);
        let item = |of: &'static str| move |item: &Item| event(&format!("{of} {}", item.name), &item.data);

        let mut events = vec![td_hob_event(&metadata, self.memory_mib << 20)?];
        events.push(event("CFV", &firmware[configuration.data.clone()]));
        events.extend(self.fw_cfg.iter().map(item("fw_cfg")));
        events.extend(secure_boot_policy(&self.secure_boot));
        events.push(event("separator", &[0; 4]));
        events.extend(self.acpi.iter().map(|table| Event {
            register: Register::Rtmr0,
            name: format!("ACPI DATA {}", table.name),
            digest: table.sha384,
        }));
        events.push(event("SMBIOS", &with_processor(&self.smbios, processor)));
        events.extend(self.boot.iter().map(item("variable")));
        Ok(events)
    }
}

/// RTMR0 of a list of events, a shape's or those of a log.
pub fn rtmr0(events: &[Event]) -> Digest {
    replay(Register::Rtmr0, events)
}

impl CpuGeneration {
    /// Processor ID as a guest with `-cpu host` would have it. Assumed, not seen: the stepping is the one in the field, and
    /// the feature bits are those that KVM gives every guest and the TDX module sets. Where a host says otherwise, it is
    /// right.
    pub const fn processor_id(self) -> ProcessorId {
        let signature: u32 = match self {
            Self::SapphireRapids => 0x0008_06F8,
            Self::EmeraldRapids => 0x000C_06F2,
            Self::GraniteRapids => 0x000A_06D1,
            Self::SierraForest => 0x000A_06F3,
        };
        let [a, b, c, d] = signature.to_le_bytes();
        let [e, f, g, h] = 0x1FAB_FBFFu32.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

fn from_hex<'de, T: FromHex<Error: Display>, D: Deserializer<'de>>(json: D) -> Result<T, D::Error> {
    T::from_hex(String::deserialize(json)?).map_err(D::Error::custom)
}

const FILES: [&str; 4] = [
    include_str!("../../../shapes/q35-2c-2048m.json"),
    include_str!("../../../shapes/q35-4c-8192m.json"),
    include_str!("../../../shapes/q35-8c-16384m.json"),
    include_str!("../../../shapes/q35-16c-32768m.json"),
];

/// 8be4df61-93ca-11d2-aa0d-00e098032b8c, whose variables the specification defines.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// d719b2cb-3d3a-4596-a3bc-dad00e67656f: signature databases.
const SECURITY_DATABASE: [u8; 16] = [
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
];

/// SecureBoot as the firmware sets it, and keys and databases of an empty store, each as UEFI_VARIABLE_DATA (TCG PFP,
/// "UEFI_VARIABLE_DATA"): owner, length of name in characters, length of data, name without NUL, data.
fn secure_boot_policy(secure_boot: &[u8]) -> impl Iterator<Item = Event> {
    [
        (GLOBAL, "SecureBoot", secure_boot),
        (GLOBAL, "PK", &[]),
        (GLOBAL, "KEK", &[]),
        (SECURITY_DATABASE, "db", &[]),
        (SECURITY_DATABASE, "dbx", &[]),
    ]
    .into_iter()
    .map(|(owner, name, data)| {
        let mut variable = owner.to_vec();
        variable.extend((name.len() as u64).to_le_bytes());
        variable.extend((data.len() as u64).to_le_bytes());
        variable.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        variable.extend(data);
        Event {
            register: Register::Rtmr0,
            name: format!("variable {name}"),
            digest: Sha384::digest(&variable).into(),
        }
    })
}

/// The table with another processor in its structures of type 4 (SMBIOS 3.7 §7.5: 8 bytes at offset 8).
fn with_processor(table: &[u8], processor: ProcessorId) -> Vec<u8> {
    let mut table = table.to_vec();
    let mut at = 0;
    // Type, length of what is fixed, handle; then strings up to two NULs.
    while let Some(&[kind, len]) = table.get(at..at + 2) {
        let fixed = at + usize::from(len);
        if let (4, Some(id)) = (kind, table.get_mut(at + 8..at + 16)) {
            id.copy_from_slice(&processor);
        }
        let strings = table.get(fixed..).unwrap_or_default();
        match strings.windows(2).position(|pair| pair == [0, 0]) {
            Some(end) => at = fixed + end + 2,
            None => break,
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_put_into_its_structures_and_nowhere_else() {
        let shape = &Shape::all()[0];
        let table = with_processor(&shape.smbios, [0xAA; 8]);
        assert_eq!(table.len(), shape.smbios.len());
        let differs = table.iter().zip(&shape.smbios).filter(|(a, b)| a != b).count();
        assert_eq!(differs, 8);
        for len in 0..table.len() {
            assert_eq!(with_processor(&table[..len], [0xAA; 8]).len(), len);
        }
    }
}
