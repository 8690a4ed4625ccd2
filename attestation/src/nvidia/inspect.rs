//! Every field of a report with its name, for people.

use super::claims::{Claims, KindClaims};
use super::opaque;
use super::parse::Report;

/// All fields of a report that was only read, in its order.
pub fn fields(report: &Report<'_>) -> Vec<(String, String)> {
    let is_switch = report.opaque.get(opaque::id::SWITCH_GPU_PDIS).is_some();
    let mut fields = vec![
        ("Nonce (request)".to_owned(), hex::encode(report.nonce)),
        ("Nonce (response)".to_owned(), hex::encode(report.device_nonce)),
        ("NumberOfBlocks".to_owned(), report.measurements.len().to_string()),
    ];
    for measurement in &report.measurements {
        fields.push((
            format!("Measurement {}", measurement.index),
            hex::encode(measurement.value),
        ));
    }
    for (kind, data) in report.opaque.fields() {
        let name = opaque::name(*kind, is_switch).map_or_else(|| kind.to_string(), str::to_owned);
        fields.push((format!("OPAQUE_FIELD_ID_{name}"), hex::encode(data)));
    }
    fields.push(("Signature".to_owned(), hex::encode(report.signature)));
    fields
}

/// What the certificates say, by NVIDIA's names.
pub(super) fn certified(claims: &Claims) -> Vec<(&'static str, String)> {
    let device = &claims.device;
    let mut lines = vec![
        ("architecture", device.architecture.chip().to_owned()),
        ("hwmodel", device.model.clone()),
        ("PDI", hex::encode(device.pdi)),
        ("device serial number", device.serial.clone()),
        ("ueid", hex::encode(&device.leaf_serial)),
        ("firmware certificate", hex::encode(device.leaf_fingerprint)),
        ("root certificate", hex::encode(device.root_fingerprint)),
    ];
    if !device.flags.is_empty() {
        lines.push(("OperationalFlags", device.flags.join(", ")));
    }
    lines
}

/// What the report says, by NVIDIA's names.
pub(super) fn claimed(claims: &Claims) -> Vec<(&'static str, String)> {
    let mut lines = vec![("VBIOS_VERSION", claims.vbios_version.clone())];
    match &claims.kind {
        KindClaims::Gpu(gpu) => {
            lines.extend([
                ("DRIVER_VERSION", gpu.driver_version.clone()),
                ("GPU_INFO", format!("{:#x}", gpu.gpu_info)),
                ("NVDEC0_STATUS", on_off(gpu.nvdec0).to_owned()),
                ("CPRINFO", format!("{:#010x}", gpu.cpr_info)),
                ("BOARD_ID", format!("{:#x}", gpu.board_id)),
                ("CHIP_SKU", gpu.chip_sku.clone()),
                ("CHIP_SKU_MOD", gpu.chip_sku_mod.clone()),
                ("PROJECT", gpu.project.clone()),
                ("PROJECT_SKU", gpu.project_sku.clone()),
                ("PROJECT_SKU_MOD", gpu.project_sku_mod.clone()),
                ("OPAQUE_DATA_VERSION", gpu.opaque_data_version.to_string()),
                ("FEATURE_FLAG", gpu.mode.name().to_owned()),
            ]);
            if let Some(on) = gpu.protected_pcie {
                lines.push(("PROTECTED_PCIE_STATUS", on_off(on).to_owned()));
            }
            if !gpu.switch_pdis.is_empty() {
                lines.push(("SWITCH_PDI", distinct(&gpu.switch_pdis)));
            }
        }
        KindClaims::Switch(switch) => {
            if let Some(ports) = switch.disabled_ports {
                lines.push(("DISABLED_PORTS", hex::encode(ports)));
            }
            if let Some(position) = switch.position {
                lines.push(("SWITCH_POSITION_ID", position.to_string()));
            }
            if let Some(status) = switch.lock_status {
                lines.push(("SWITCH_LOCK_STATUS", status.to_string()));
            }
            if !switch.gpu_pdis.is_empty() {
                lines.push(("SWITCH_GPU_PDIS", distinct(&switch.gpu_pdis)));
            }
            if !switch.ports.is_empty() {
                lines.push(("SWITCH_PORT", hex::encode(&switch.ports)));
            }
        }
    }
    let counts: Vec<String> = claims.measurement_counts.iter().map(u32::to_string).collect();
    lines.push(("MSRSCNT", counts.join(" ")));
    lines.push(("Nonce (response)", hex::encode(claims.device_nonce)));
    lines
}

fn on_off(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn distinct(pdis: &[[u8; 8]]) -> String {
    let mut pdis: Vec<String> = pdis.iter().map(hex::encode).collect();
    pdis.sort_unstable();
    pdis.dedup();
    pdis.join(", ")
}
