//! Device chains: root, product, production line, device, firmware.

use super::{Chip, firmware};
use crate::certificate::{Extension, Template};
use crate::der;
use crate::key::Key;

/// Common name of the synthetic root.
pub const ROOT: &str = "Synthetic Device Identity CA";
/// Object identifier of the extension with which Hopper and LS10 name device and firmware.
pub const COMPOSITE_DEVICE_ID: &str = "2.23.133.5.4.1";
/// Object identifier of TCG's DiceTcbInfo, which Blackwell has.
pub const TCB_INFO: &str = "2.23.133.5.4.1.1";
/// Object identifier of the subject alternative name.
pub const ALTERNATIVE_NAME: &str = "2.5.29.17";

/// Stands for NVIDIA: the keys above the device's.
pub struct Authority {
    /// Root.
    pub root: Key,
    /// Its certificate.
    pub root_certificate: Vec<u8>,
    /// Product.
    pub product: Key,
    /// Production line.
    pub line: Key,
}

impl Authority {
    /// New keys.
    pub fn new() -> Self {
        let root = Key::p384();
        Self {
            root_certificate: Template::authority(ROOT, ROOT, &root).sign(&root),
            root,
            product: Key::p384(),
            line: Key::p384(),
        }
    }

    /// A chip with its identity (PDI), right in all points.
    pub fn device(&self, chip: Chip, pdi: [u8; 8]) -> Device {
        let (firmware_key, key) = (Key::p384(), Key::p384());
        let name = chip.certified();
        // LS10's line stands under GH100's product, as NVIDIA's does.
        let product = match chip {
            Chip::Gb100 => "NVIDIA GB100 Identity",
            Chip::Gh100 | Chip::Ls10 => "NVIDIA GH100 Identity",
        };
        let line = format!("NVIDIA {name} Provisioner ICA 1");
        let unit = if chip == Chip::Ls10 { "FSP" } else { "GSP" };
        let device = format!("{name} A01 {unit} BROM");
        let leaf = format!("{name} A01 {unit} FMC LF");
        let kind = if chip == Chip::Ls10 { 0x50 } else { 0x41 };
        let serial = format!("48B02D{}", hex::encode_upper(&pdi[..5]));
        let named = alternative_name(&format!("NVIDIA:{name}:{serial}"));
        let of_firmware = match chip {
            Chip::Gb100 => Extension::new(TCB_INFO, tcb_info(&firmware(chip), Some(&[0x80, 0, 0, 1]))),
            Chip::Gh100 | Chip::Ls10 => Extension::new(
                COMPOSITE_DEVICE_ID,
                composite_device_id(&key.spki(), &firmware(chip)),
            ),
        };
        let templates = [
            Template {
                serial: [&[0x5A; 12][..], &pdi].concat(),
                extensions: vec![Extension::new(ALTERNATIVE_NAME, named), of_firmware],
                ..Template::end_entity(&leaf, &device, &firmware_key)
            },
            Template {
                serial: [&[kind][..], &pdi].concat(),
                usage: crate::certificate::usage::CERTIFICATES,
                ..Template::authority(&device, &line, &key)
            },
            Template::authority(&line, product, &self.line),
            Template::authority(product, ROOT, &self.product),
        ];
        Device {
            firmware: firmware_key,
            key,
            templates,
        }
    }

    /// The chain of a chip: firmware, device, line, product, root.
    pub fn chain(&self, device: &Device) -> Vec<Vec<u8>> {
        let [firmware, own, line, product] = &device.templates;
        vec![
            firmware.sign(&device.key),
            own.sign(&self.line),
            line.sign(&self.product),
            product.sign(&self.root),
            self.root_certificate.clone(),
        ]
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A chip.
pub struct Device {
    /// Signs reports.
    pub firmware: Key,
    /// Signs the firmware's certificate.
    pub key: Key,
    /// Certificates of firmware, device, production line, product.
    pub templates: [Template; 4],
}

/// `SEQUENCE { version, deviceID, fwid }`.
pub fn composite_device_id(spki: &[u8], fwid: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::number(1), spki, &fwid_of(fwid)])
}

/// DiceTcbInfo with the fields that Blackwell's has; `flags` are the bits of OperationalFlags.
pub fn tcb_info(fwid: &[u8], flags: Option<&[u8]>) -> Vec<u8> {
    let zero = fwid_of(&[0; 48]);
    let flags = flags.map_or_else(Vec::new, |bits| der::implicit(7, &[&[0], bits].concat()));
    der::sequence(&[
        &der::implicit(0, b"NVIDIA"),
        &der::implicit(1, b"GB100 A01 GSP"),
        &der::implicit(2, b"01"),
        &der::implicit(3, &[1]),
        &der::implicit(4, &[0]),
        &der::implicit(5, &[0]),
        &der::explicit(6, &[fwid_of(fwid), zero].concat()),
        &flags,
        &der::implicit(8, &[0xC0]),
        &der::implicit(9, &[0]),
    ])
}

fn fwid_of(digest: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::oid("2.16.840.1.101.3.4.2.2"), &der::octets(digest)])
}

/// A subject alternative name that holds DMTF's name of a device.
pub fn alternative_name(text: &str) -> Vec<u8> {
    let name = [
        der::oid("1.3.6.1.4.1.412.274.1"),
        der::explicit(0, &der::utf8(text)),
    ]
    .concat();
    der::sequence(&[&der::explicit(0, &name)])
}
