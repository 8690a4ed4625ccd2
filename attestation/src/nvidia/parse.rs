//! The bytes of a report: SPDM 1.1 GET_MEASUREMENTS request, then the MEASUREMENTS response (DSP0274 1.1 §10.11).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | request: SPDMVersion, 0x11 |
//! | 1 | 1 | request: RequestResponseCode, 0xE0 |
//! | 2 | 1 | request: Param1, 0x01 (signature wanted) |
//! | 3 | 1 | request: Param2, 0xFF (all measurements) |
//! | 4 | 32 | request: Nonce, the verifier's |
//! | 36 | 1 | request: SlotIDParam, 0 |
//! | 37 | 1 | response: SPDMVersion, 0x11 |
//! | 38 | 1 | response: RequestResponseCode, 0x60 |
//! | 39 | 1 | response: Param1, 0 |
//! | 40 | 1 | response: Param2, 0 (slot) |
//! | 41 | 1 | response: NumberOfBlocks |
//! | 42 | 3 | response: MeasurementRecordLength L1, little-endian |
//! | 45 | L1 | response: MeasurementRecord |
//! | 45+L1 | 32 | response: Nonce, the device's |
//! | 77+L1 | 2 | response: OpaqueLength L2, little-endian |
//! | 79+L1 | L2 | response: OpaqueData |
//! | 79+L1+L2 | 96 | response: Signature, r ‖ s on P-384, over all before it |

use super::GpuError;
use super::opaque::Opaque;

/// Longest report that is read: NVML's buffer for one, in bytes.
pub const MAX_LEN: usize = 8192;
/// Length of the request.
pub const REQUEST_LEN: usize = 37;
/// Length of a measurement: SHA-384.
pub const MEASUREMENT_LEN: usize = 48;
/// Most zero bytes behind the signature. Some collectors hand over a byte more than the report has.
const MAX_PADDING: usize = 1;

const VERSION: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xE0;
const MEASUREMENTS: u8 = 0x60;
const SIGNATURE_WANTED: u8 = 0x01;
const ALL_MEASUREMENTS: u8 = 0xFF;
/// MeasurementSpecification: DMTF (DSP0274 1.1 table 46).
const DMTF: u8 = 1;
/// DMTFSpecMeasurementValueType: digest of mutable firmware (DSP0274 1.1 table 47).
const MUTABLE_FIRMWARE_DIGEST: u8 = 1;

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// As the report counts: from 1. Manifests count from 0.
    pub index: u8,
    /// SHA-384.
    pub value: [u8; MEASUREMENT_LEN],
}

/// A report, read; nothing about it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    /// Nonce of the request: what the verifier asked with.
    pub nonce: [u8; 32],
    /// Nonce of the response: the device's own.
    pub device_nonce: [u8; 32],
    /// In ascending order of their index.
    pub measurements: Vec<Measurement>,
    /// NVIDIA's fields.
    pub opaque: Opaque<'a>,
    /// What the signature is on: all bytes before it.
    pub signed: &'a [u8],
    /// r ‖ s.
    pub signature: [u8; 96],
}

impl<'a> Report<'a> {
    /// Reads a report.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GpuError> {
        if bytes.len() > MAX_LEN {
            return Err(GpuError::TooLong(bytes.len()));
        }
        let mut reader = Reader { bytes, at: 0 };
        let nonce = request(&mut reader)?;
        for (field, expected) in [
            ("SPDMVersion", VERSION),
            ("RequestResponseCode", MEASUREMENTS),
            ("Param1", 0),
            ("Param2", 0),
        ] {
            let [found] = reader.array("response's header")?;
            if found != expected {
                return Err(GpuError::Response {
                    field,
                    found,
                    expected,
                });
            }
        }
        let [blocks] = reader.array("response's header")?;
        let [low, middle, high] = reader.array("response's header")?;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        let measurements = measurements(blocks, reader.take(length, "measurement record")?)?;
        let device_nonce = reader.array("response's nonce")?;
        let length = usize::from(u16::from_le_bytes(reader.array("opaque length")?));
        let opaque = Opaque::parse(reader.take(length, "opaque data")?)?;
        let signed = &bytes[..reader.at];
        let signature = reader.array("signature")?;
        let rest = &bytes[reader.at..];
        if rest.len() > MAX_PADDING || !crate::hash::is_zero(rest) {
            return Err(GpuError::Trailing(rest.len()));
        }
        Ok(Self {
            nonce,
            device_nonce,
            measurements,
            opaque,
            signed,
            signature,
        })
    }
}

fn request(reader: &mut Reader<'_>) -> Result<[u8; 32], GpuError> {
    let check = |field, found: u8, expected: u8| match found == expected {
        true => Ok(()),
        false => Err(GpuError::Request {
            field,
            found,
            expected,
        }),
    };
    let [version, code, param1, param2] = reader.array("request")?;
    check("SPDMVersion", version, VERSION)?;
    check("RequestResponseCode", code, GET_MEASUREMENTS)?;
    check("Param1", param1, SIGNATURE_WANTED)?;
    check("Param2", param2, ALL_MEASUREMENTS)?;
    let nonce = reader.array("request")?;
    let [slot] = reader.array("request")?;
    check("SlotIDParam", slot, 0)?;
    Ok(nonce)
}

/// The blocks of a measurement record (DSP0274 1.1 table 45): index (1 byte), MeasurementSpecification (1),
/// MeasurementSize (2), then DMTFSpecMeasurementValueType (1), DMTFSpecMeasurementValueSize (2), the value.
fn measurements(blocks: u8, record: &[u8]) -> Result<Vec<Measurement>, GpuError> {
    const HEADER_LEN: u16 = 3;
    if blocks == 0 {
        return Err(GpuError::NoMeasurements);
    }
    let expected = usize::from(blocks) * (4 + usize::from(HEADER_LEN) + MEASUREMENT_LEN);
    if record.len() != expected {
        let found = record.len();
        return Err(GpuError::RecordLength { found, expected });
    }
    let mut reader = Reader { bytes: record, at: 0 };
    let mut measurements: Vec<Measurement> = Vec::with_capacity(usize::from(blocks));
    for _ in 0..blocks {
        let [index, specification] = reader.array("measurement record")?;
        let size = u16::from_le_bytes(reader.array("measurement record")?);
        let [kind] = reader.array("measurement record")?;
        let value_size = u16::from_le_bytes(reader.array("measurement record")?);
        let length = MEASUREMENT_LEN as u16;
        for (field, found, expected) in [
            ("MeasurementSpecification", specification.into(), DMTF.into()),
            ("MeasurementSize", size, HEADER_LEN + length),
            (
                "DMTFSpecMeasurementValueType",
                kind.into(),
                MUTABLE_FIRMWARE_DIGEST.into(),
            ),
            ("DMTFSpecMeasurementValueSize", value_size, length),
        ] {
            if found != expected {
                return Err(GpuError::Block {
                    index,
                    field,
                    found,
                    expected,
                });
            }
        }
        let previous = measurements.last().map_or(0, |measurement| measurement.index);
        // A second value for an index would leave open which one is compared.
        if index <= previous {
            return Err(GpuError::BlockOrder {
                previous,
                found: index,
            });
        }
        let value = reader.array("measurement record")?;
        measurements.push(Measurement { index, value });
    }
    Ok(measurements)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], GpuError> {
        let end = self.at.checked_add(len).ok_or(GpuError::Truncated(what))?;
        let taken = self.bytes.get(self.at..end).ok_or(GpuError::Truncated(what))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GpuError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }
}
