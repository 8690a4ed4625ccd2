//! What a verified report says: NVIDIA's opaque fields by their names, and the identity in the device's certificates.
//!
//! Lengths and values are those of NVIDIA's published verifiers (`spdm_msrt_resp_msg.py`, `gpu_opaque_data_parser`).

use super::chain::{Architecture, Device};
use super::opaque::{Opaque, id};
use super::parse::{Measurement, Report};
use super::{GpuError, chain};
use crate::hash::is_zero;
use crate::hex_bytes::HexBytes;

/// How the GPU is shared (FEATURE_FLAG; PROTECTED_PCIE_STATUS in reports of older drivers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Single-GPU passthrough.
    Spt,
    /// Multi-GPU passthrough; links between GPUs are encrypted.
    Mpt,
    /// Protected PCIe: links between GPUs are in the clear, and the switches are trusted with them.
    Ppcie,
    /// The driver is too old to say, and protected PCIe is off.
    Unstated,
}

impl Mode {
    /// Name in policies.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Spt => "spt",
            Mode::Mpt => "mpt",
            Mode::Ppcie => "ppcie",
            Mode::Unstated => "unstated",
        }
    }
}

/// What a device says, whose report and certificates were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Chip and certificates.
    pub device: Device,
    /// The verifier's nonce, which the report was made for.
    pub nonce: [u8; 32],
    /// The device's nonce.
    pub device_nonce: [u8; 32],
    /// Measurements in ascending order of their index, which begins at 1.
    pub measurements: Vec<Measurement>,
    /// MSRSCNT (12): how often each measurement was extended, by index, 4 bytes each.
    pub measurement_counts: Vec<u32>,
    /// FWID (20), 48 bytes: SHA-384 of the firmware that signs reports. Older firmware doesn't say.
    pub fwid: Option<[u8; 48]>,
    /// VBIOS_VERSION (6), as NVIDIA prints it, such as `96.00.5E.00.01`.
    pub vbios_version: String,
    /// What only GPUs, or only switches say.
    pub kind: KindClaims,
    /// All opaque fields as they are.
    pub opaque: Vec<(u16, Vec<u8>)>,
}

/// What only one kind of device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindClaims {
    /// A GPU.
    Gpu(GpuClaims),
    /// A switch.
    Switch(SwitchClaims),
}

/// What a GPU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuClaims {
    /// DRIVER_VERSION (3), text.
    pub driver_version: String,
    /// GPU_INFO (4), 8 bytes, little-endian: the chip.
    pub gpu_info: u64,
    /// NVDEC0_STATUS (11), 1 byte, 0xAA or 0x55: whether the decoder whose firmware is measurement 35 is on.
    pub nvdec0: bool,
    /// CPRINFO (13), 4 bytes, little-endian: the compute protected region; zero while confidential computing is off.
    pub cpr_info: u32,
    /// BOARD_ID (14), 4 bytes, little-endian.
    pub board_id: u32,
    /// CHIP_SKU (15), text.
    pub chip_sku: String,
    /// CHIP_SKU_MOD (16), text.
    pub chip_sku_mod: String,
    /// PROJECT (17), text.
    pub project: String,
    /// PROJECT_SKU (18), text.
    pub project_sku: String,
    /// PROJECT_SKU_MOD (19), text.
    pub project_sku_mod: String,
    /// PROTECTED_PCIE_STATUS (21), 1 byte, 0xAA or 0x55; `None` where the driver doesn't say.
    pub protected_pcie: Option<bool>,
    /// SWITCH_PDI (22), 8 bytes each: switch at the end of each link. The report has them with the last byte first;
    /// here they are as in the switch's own report and certificate.
    pub switch_pdis: Vec<[u8; 8]>,
    /// OPAQUE_DATA_VERSION (34), little-endian; 0 where it isn't there.
    pub opaque_data_version: u64,
    /// From FEATURE_FLAG (36), 2 bytes, little-endian.
    pub mode: Mode,
}

/// What a switch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchClaims {
    /// DISABLED_PORTS (23), 2 bytes.
    pub disabled_ports: Option<[u8; 2]>,
    /// SWITCH_POSITION_ID (24), 2 bytes, little-endian.
    pub position: Option<u16>,
    /// SWITCH_LOCK_STATUS (25), 2 bytes, little-endian.
    pub lock_status: Option<u16>,
    /// SWITCH_GPU_PDIS (26), first half: 8 bytes for each of 8 GPUs.
    pub gpu_pdis: Vec<[u8; 8]>,
    /// SWITCH_GPU_PDIS (26), second half: which of the 8 GPUs each of 64 ports leads to; 0xFF: none.
    pub ports: Vec<u8>,
}

/// Project, SKU and chip SKU in the ids of LS10's manifests: a switch's report doesn't have them.
const LS10_PROJECT: &str = "5612_0002_890";

impl Claims {
    pub(super) fn of(device: &Device, report: &Report<'_>) -> Result<Self, GpuError> {
        let opaque = &report.opaque;
        let fwid = opaque.array(id::FWID, "FWID")?;
        if let Some(found) = fwid.filter(|fwid| *fwid != device.fwid) {
            return Err(GpuError::Firmware {
                found: HexBytes(found),
                expected: HexBytes(device.fwid),
            });
        }
        let architecture = device.architecture;
        let (kind, vbios_version) = match architecture.is_switch() {
            false => (
                KindClaims::Gpu(gpu(opaque, architecture)?),
                gpu_vbios_version(opaque)?,
            ),
            true => (
                KindClaims::Switch(switch(opaque, device)?),
                required(opaque.text(id::VBIOS_VERSION, "VBIOS_VERSION")?, "VBIOS_VERSION")?,
            ),
        };
        Ok(Self {
            device: device.clone(),
            nonce: report.nonce,
            device_nonce: report.device_nonce,
            measurements: report.measurements.clone(),
            measurement_counts: counts(opaque)?,
            fwid,
            vbios_version,
            kind,
            opaque: opaque
                .fields()
                .iter()
                .map(|(kind, data)| (*kind, data.to_vec()))
                .collect(),
        })
    }

    /// Kind of chip.
    pub fn architecture(&self) -> Architecture {
        self.device.architecture
    }

    /// Identity of the hardware: the chip's PDI, 8 bytes, from its certificate.
    pub fn identity(&self) -> [u8; 8] {
        self.device.pdi
    }

    /// Serial number of the firmware's certificate; NVIDIA's `ueid` is the same as a decimal number.
    pub fn ueid(&self) -> &[u8] {
        &self.device.leaf_serial
    }

    /// NVIDIA's `hwmodel`, such as `GH100 A01 GSP BROM`.
    pub fn hwmodel(&self) -> &str {
        &self.device.model
    }

    /// What it says as a GPU.
    pub fn gpu(&self) -> Option<&GpuClaims> {
        match &self.kind {
            KindClaims::Gpu(claims) => Some(claims),
            KindClaims::Switch(_) => None,
        }
    }

    /// What it says as a switch.
    pub fn switch(&self) -> Option<&SwitchClaims> {
        match &self.kind {
            KindClaims::Gpu(_) => None,
            KindClaims::Switch(claims) => Some(claims),
        }
    }

    /// Id of the driver's manifest in NVIDIA's RIM service; switches have none.
    pub fn driver_manifest_id(&self) -> Option<String> {
        let version = &self.gpu()?.driver_version;
        Some(match self.device.architecture {
            Architecture::Blackwell => format!("NV_GPU_CC_DRIVER_GB100_{version}"),
            _ => format!("NV_GPU_DRIVER_GH100_{version}"),
        })
    }

    /// Id of the VBIOS's manifest in NVIDIA's RIM service.
    pub fn vbios_manifest_id(&self) -> String {
        let version = self.vbios_version.replace('.', "").to_ascii_uppercase();
        match &self.kind {
            KindClaims::Gpu(gpu) => format!(
                "NV_GPU_VBIOS_{}_{}_{}_{version}",
                gpu.project, gpu.project_sku, gpu.chip_sku
            ),
            KindClaims::Switch(_) => format!("NV_SWITCH_BIOS_{LS10_PROJECT}_{version}"),
        }
    }
}

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, GpuError> {
    field.ok_or(GpuError::OpaqueMissing(name))
}

fn gpu(opaque: &Opaque<'_>, architecture: chain::Architecture) -> Result<GpuClaims, GpuError> {
    let text = |kind, name| required(opaque.text(kind, name)?, name);
    let gpu_info = u64::from_le_bytes(required(opaque.array(id::GPU_INFO, "GPU_INFO")?, "GPU_INFO")?);
    if architecture.gpu_info() != Some(gpu_info) {
        return Err(GpuError::ArchitectureMismatch {
            found: format!("{gpu_info:#x}"),
            expected: architecture.chip(),
        });
    }
    let nvdec0 = required(
        switch_byte(opaque, id::NVDEC0_STATUS, "NVDEC0_STATUS")?,
        "NVDEC0_STATUS",
    )?;
    let cpr_info = required(opaque.array(id::CPRINFO, "CPRINFO")?, "CPRINFO")?;
    let board_id = required(opaque.array(id::BOARD_ID, "BOARD_ID")?, "BOARD_ID")?;
    let protected_pcie = switch_byte(opaque, id::PROTECTED_PCIE_STATUS, "PROTECTED_PCIE_STATUS")?;
    Ok(GpuClaims {
        driver_version: text(id::DRIVER_VERSION, "DRIVER_VERSION")?,
        gpu_info,
        nvdec0,
        cpr_info: u32::from_le_bytes(cpr_info),
        board_id: u32::from_le_bytes(board_id),
        chip_sku: text(id::CHIP_SKU, "CHIP_SKU")?,
        chip_sku_mod: text(id::CHIP_SKU_MOD, "CHIP_SKU_MOD")?,
        project: text(id::PROJECT, "PROJECT")?,
        project_sku: text(id::PROJECT_SKU, "PROJECT_SKU")?,
        project_sku_mod: text(id::PROJECT_SKU_MOD, "PROJECT_SKU_MOD")?,
        protected_pcie,
        switch_pdis: switch_pdis(opaque)?,
        opaque_data_version: version(opaque)?,
        mode: mode(opaque, protected_pcie)?,
    })
}

fn switch(opaque: &Opaque<'_>, device: &Device) -> Result<SwitchClaims, GpuError> {
    const GPUS: usize = 8;
    let own: [u8; 8] = required(opaque.array(id::DEVICE_PDI, "DEVICE_PDI")?, "DEVICE_PDI")?;
    if own != device.pdi {
        return Err(GpuError::Identity {
            found: HexBytes(own),
            expected: HexBytes(device.pdi),
        });
    }
    let links: Option<[u8; GPUS * 8 + 64]> = opaque.array(id::SWITCH_GPU_PDIS, "SWITCH_GPU_PDIS")?;
    let (gpus, ports) = links
        .as_ref()
        .map_or((&[][..], &[][..]), |links| links.split_at(GPUS * 8));
    let number = |kind, name| Ok::<_, GpuError>(opaque.array(kind, name)?.map(u16::from_le_bytes));
    Ok(SwitchClaims {
        disabled_ports: opaque.array(id::DISABLED_PORTS, "DISABLED_PORTS")?,
        position: number(id::SWITCH_POSITION_ID, "SWITCH_POSITION_ID")?,
        lock_status: number(id::SWITCH_LOCK_STATUS, "SWITCH_LOCK_STATUS")?,
        gpu_pdis: pdis(gpus, "SWITCH_GPU_PDIS")?,
        ports: ports.to_vec(),
    })
}

/// VBIOS_VERSION of a GPU, 8 bytes: the version's parts 4, 3, 2, 1 and 5, then three zeros.
fn gpu_vbios_version(opaque: &Opaque<'_>) -> Result<String, GpuError> {
    const FIELD: &str = "VBIOS_VERSION";
    let bytes: [u8; 8] = required(opaque.array(id::VBIOS_VERSION, FIELD)?, FIELD)?;
    let [d, c, b, a, e, rest @ ..] = bytes;
    if !is_zero(&rest) {
        return Err(value(FIELD, &bytes));
    }
    Ok(format!("{a:02X}.{b:02X}.{c:02X}.{d:02X}.{e:02X}"))
}

fn value(field: &'static str, found: &[u8]) -> GpuError {
    let found = hex::encode(found);
    GpuError::OpaqueValue { field, found }
}

/// 0xAA is on, 0x55 off; anything else may be a glitch that was injected, and is neither.
fn switch_byte(opaque: &Opaque<'_>, kind: u16, field: &'static str) -> Result<Option<bool>, GpuError> {
    match opaque.array(kind, field)? {
        Some([0xAA]) => Ok(Some(true)),
        Some([0x55]) => Ok(Some(false)),
        Some([other]) => Err(value(field, &[other])),
        None => Ok(None),
    }
}

fn version(opaque: &Opaque<'_>) -> Result<u64, GpuError> {
    const FIELD: &str = "OPAQUE_DATA_VERSION";
    const LATEST: u64 = 1;
    let version = opaque
        .array(id::OPAQUE_DATA_VERSION, FIELD)?
        .map_or(0, u16::from_le_bytes);
    match u64::from(version) {
        version @ 0..=LATEST => Ok(version),
        version => Err(GpuError::OpaqueVersion(version)),
    }
}

fn mode(opaque: &Opaque<'_>, protected_pcie: Option<bool>) -> Result<Mode, GpuError> {
    const FIELD: &str = "FEATURE_FLAG";
    let mode = match opaque.array::<2>(id::FEATURE_FLAG, FIELD)? {
        Some([0, 0]) => Mode::Spt,
        Some([1, 0]) => Mode::Mpt,
        Some([2, 0]) => Mode::Ppcie,
        Some(other) => return Err(value(FIELD, &other)),
        None if protected_pcie == Some(true) => Mode::Ppcie,
        None => Mode::Unstated,
    };
    match protected_pcie {
        Some(on) if on != (mode == Mode::Ppcie) => Err(GpuError::ModeContradiction {
            flag: mode.name(),
            status: if on { 0xAA } else { 0x55 },
        }),
        _ => Ok(mode),
    }
}

fn counts(opaque: &Opaque<'_>) -> Result<Vec<u32>, GpuError> {
    let data = required(opaque.get(id::MSRSCNT), "MSRSCNT")?;
    let (chunks, []) = data.as_chunks() else {
        return Err(length("MSRSCNT", data, 4));
    };
    Ok(chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
}

fn switch_pdis(opaque: &Opaque<'_>) -> Result<Vec<[u8; 8]>, GpuError> {
    let mut pdis = pdis(opaque.get(id::SWITCH_PDI).unwrap_or_default(), "SWITCH_PDI")?;
    for pdi in &mut pdis {
        pdi.reverse();
    }
    Ok(pdis)
}

fn pdis(data: &[u8], field: &'static str) -> Result<Vec<[u8; 8]>, GpuError> {
    match data.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(length(field, data, 8)),
    }
}

/// The length that was expected is the next multiple of an entry's.
fn length(field: &'static str, data: &[u8], entry: usize) -> GpuError {
    GpuError::OpaqueLength {
        field,
        found: data.len(),
        expected: data.len().next_multiple_of(entry),
    }
}
