//! Reports: SPDM 1.1 GET_MEASUREMENTS and MEASUREMENTS, with NVIDIA's opaque fields.

use super::{Chip, firmware, measured};
use crate::key::Key;

/// A measurement block, every field of which can be set wrong.
#[derive(Debug, Clone)]
pub struct Block {
    /// From 1.
    pub index: u8,
    /// MeasurementSpecification.
    pub specification: u8,
    /// MeasurementSize.
    pub size: u16,
    /// DMTFSpecMeasurementValueType.
    pub kind: u8,
    /// DMTFSpecMeasurementValueSize.
    pub value_size: u16,
    /// Value.
    pub value: Vec<u8>,
}

/// What a report says.
#[derive(Debug, Clone)]
pub struct Template {
    /// SPDMVersion, RequestResponseCode, Param1, Param2 of the request.
    pub request: [u8; 4],
    /// Nonce of the request.
    pub nonce: [u8; 32],
    /// SlotIDParam.
    pub slot: u8,
    /// SPDMVersion, RequestResponseCode, Param1, Param2 of the response.
    pub response: [u8; 4],
    /// NumberOfBlocks; `None`: as many as there are.
    pub number_of_blocks: Option<u8>,
    /// MeasurementRecordLength; `None`: the right one.
    pub record_length: Option<u32>,
    /// Measurements.
    pub blocks: Vec<Block>,
    /// Nonce of the response.
    pub device_nonce: [u8; 32],
    /// Type and data of each field.
    pub opaque: Vec<(u16, Vec<u8>)>,
    /// Bytes of the opaque data before the fields.
    pub opaque_head: Vec<u8>,
    /// Bytes of the opaque data behind the fields.
    pub opaque_tail: Vec<u8>,
    /// Bytes behind the signature.
    pub trailing: Vec<u8>,
}

impl Template {
    /// A report of a chip, right in all points.
    pub fn new(chip: Chip, pdi: [u8; 8], nonce: [u8; 32]) -> Self {
        let count: u8 = if chip == Chip::Ls10 { 31 } else { 64 };
        let blocks = (0..count)
            .map(|index| Block {
                index: index + 1,
                specification: 1,
                size: 51,
                kind: 1,
                value_size: 48,
                value: measured(chip, index).to_vec(),
            })
            .collect();
        Self {
            request: [0x11, 0xE0, 0x01, 0xFF],
            nonce,
            slot: 0,
            response: [0x11, 0x60, 0, 0],
            number_of_blocks: None,
            record_length: None,
            blocks,
            device_nonce: [0xD0; 32],
            opaque: match chip {
                Chip::Gh100 => hopper(),
                Chip::Gb100 => blackwell(),
                Chip::Ls10 => switch(pdi),
            },
            opaque_head: Vec::new(),
            opaque_tail: Vec::new(),
            trailing: Vec::new(),
        }
    }

    /// Gives a field other data, or adds it.
    pub fn set(&mut self, kind: u16, data: &[u8]) {
        self.remove(kind);
        self.opaque.push((kind, data.to_vec()));
    }

    /// Leaves a field out.
    pub fn remove(&mut self, kind: u16) {
        self.opaque.retain(|(other, _)| *other != kind);
    }

    /// The report, signed by a chip's firmware.
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let mut record = Vec::new();
        for block in &self.blocks {
            record.extend([block.index, block.specification]);
            record.extend(block.size.to_le_bytes());
            record.push(block.kind);
            record.extend(block.value_size.to_le_bytes());
            record.extend(&block.value);
        }
        let mut opaque = self.opaque_head.clone();
        for (kind, data) in &self.opaque {
            opaque.extend(kind.to_le_bytes());
            opaque.extend((data.len() as u16).to_le_bytes());
            opaque.extend(data);
        }
        opaque.extend(&self.opaque_tail);
        let mut bytes = self.request.to_vec();
        bytes.extend(self.nonce);
        bytes.push(self.slot);
        bytes.extend(self.response);
        bytes.push(self.number_of_blocks.unwrap_or(self.blocks.len() as u8));
        let length = self.record_length.unwrap_or(record.len() as u32);
        bytes.extend(&length.to_le_bytes()[..3]);
        bytes.extend(record);
        bytes.extend(self.device_nonce);
        bytes.extend((opaque.len() as u16).to_le_bytes());
        bytes.extend(opaque);
        let signature = key.sign_fixed(&bytes);
        bytes.extend(signature);
        bytes.extend(&self.trailing);
        bytes
    }
}

fn counts(entries: usize) -> Vec<u8> {
    (0..entries)
        .flat_map(|index| u32::from(index % 3 == 0).to_le_bytes())
        .collect()
}

/// Driver 580.95.05, VBIOS 96.00.74.00.1A, single-GPU passthrough.
fn hopper() -> Vec<(u16, Vec<u8>)> {
    vec![
        (6, vec![0x00, 0x74, 0x00, 0x96, 0x1A, 0, 0, 0]),
        (14, vec![0xB1, 0x03, 0, 0]),
        (15, b"882\0\0\0\0\0\0".to_vec()),
        (16, b"0\0\0\0\0".to_vec()),
        (17, b"1010\0".to_vec()),
        (18, b"0200\0".to_vec()),
        (19, b"\0\0".to_vec()),
        (3, b"580.95.05\0".to_vec()),
        (4, vec![0x80, 0x01, 0, 0, 0, 0, 0, 0]),
        (12, counts(64)),
        (13, vec![0x00, 0xC0, 0x01, 0x00]),
        (11, vec![0x55]),
        (20, firmware(Chip::Gh100).to_vec()),
        (21, vec![0x55]),
        (34, vec![1, 0]),
        (36, vec![0, 0]),
    ]
}

/// Driver 575.32, VBIOS 97.00.88.00.0F; says nothing of its mode.
fn blackwell() -> Vec<(u16, Vec<u8>)> {
    vec![
        (6, vec![0x00, 0x88, 0x00, 0x97, 0x0F, 0, 0, 0]),
        (14, vec![0x6F, 0x06, 0, 0]),
        (15, b"886\0\0\0\0\0\0".to_vec()),
        (16, b"0\0\0\0\0".to_vec()),
        (17, b"G525\0".to_vec()),
        (18, b"0220\0".to_vec()),
        (19, b"0\0".to_vec()),
        (3, b"575.32\0".to_vec()),
        (4, vec![0xA0, 0x01, 0, 0, 0, 0, 0, 0]),
        (12, counts(64)),
        (13, vec![0x00, 0x00, 0x04, 0x00]),
        (11, vec![0x55]),
        (20, firmware(Chip::Gb100).to_vec()),
        (33, vec![7, 7]),
        (34, vec![0, 0]),
    ]
}

/// BIOS 96.10.55.00.01.
fn switch(pdi: [u8; 8]) -> Vec<(u16, Vec<u8>)> {
    let gpus = (0..8u8).flat_map(|gpu| [gpu; 8]);
    vec![
        (6, b"96.10.55.00.01".to_vec()),
        (22, pdi.to_vec()),
        (12, counts(26)),
        (26, gpus.chain([0xFF; 64]).collect()),
        (23, vec![0xEC, 0]),
        (24, vec![2, 0]),
        (25, vec![1, 0]),
    ]
}
