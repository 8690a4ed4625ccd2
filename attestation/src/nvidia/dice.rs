//! What the firmware's certificate says of device and firmware: TCG DICE extensions and DMTF's name of the device.

use crate::der::tag::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, UTF8_STRING};
use crate::der::{Items, only};

/// Content of the DER OBJECT IDENTIFIER 2.23.133.5.4.1: Hopper and LS10. Its value is
/// `SEQUENCE { version INTEGER, deviceID SubjectPublicKeyInfo, fwid FWID }`.
pub(super) const COMPOSITE_DEVICE_ID: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01];
/// 2.23.133.5.4.1.1, DiceTcbInfo (TCG DICE Attestation Architecture §6.1.1): Blackwell.
pub(super) const TCB_INFO: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01, 0x01];
/// 2.5.29.17.
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

/// 1.3.6.1.4.1.412.274.1, DMTF's name of a device (DSP0274 1.1 §10.6.1).
const DMTF_DEVICE: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x83, 0x1C, 0x82, 0x12, 0x01];
/// 2.16.840.1.101.3.4.2.2.
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];

/// What an extension says of the firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Firmware<'a> {
    /// SHA-384 of the firmware.
    pub fwid: [u8; 48],
    /// The device's key, as an uncompressed point; DiceTcbInfo doesn't have it.
    pub device_key: Option<&'a [u8]>,
    /// Flags of `OperationalFlags` that are set; only DiceTcbInfo has them.
    pub flags: Vec<&'static str>,
}

/// Reads a [`COMPOSITE_DEVICE_ID`].
pub(super) fn composite_device_id(value: &[u8]) -> Option<Firmware<'_>> {
    let mut fields = Items(only(value, SEQUENCE)?);
    fields.expect(INTEGER)?;
    let mut key = Items(fields.expect(SEQUENCE)?);
    key.expect(SEQUENCE)?;
    let [0, point @ ..] = key.expect(BIT_STRING)? else {
        return None;
    };
    let fwid = fwid(fields.expect(SEQUENCE)?)?;
    (key.0.is_empty() && fields.0.is_empty()).then_some(Firmware {
        fwid,
        device_key: Some(point),
        flags: Vec::new(),
    })
}

/// Reads a [`TCB_INFO`]; the first of its FWIDs is the firmware that signs reports.
pub(super) fn tcb_info(value: &[u8]) -> Option<Firmware<'_>> {
    /// `fwids [6] IMPLICIT SEQUENCE OF FWID`.
    const FWIDS: u8 = 0xA6;
    /// `flags [7] IMPLICIT OperationalFlags`, a BIT STRING.
    const FLAGS: u8 = 0x87;
    let mut fields = Items(only(value, SEQUENCE)?);
    let (mut first, mut flags) = (None, Vec::new());
    while !fields.0.is_empty() {
        let field = fields.next()?;
        let content = field.content;
        match field.tag {
            FWIDS => first = Some(fwid(Items(content).expect(SEQUENCE)?)?),
            FLAGS => {
                let [0, bits @ ..] = content else {
                    return None;
                };
                flags = named_flags(bits);
            }
            _ => {}
        }
    }
    Some(Firmware {
        fwid: first?,
        device_key: None,
        flags,
    })
}

/// Names of the flags that are set, as the specification's OperationalFlags has them.
fn named_flags(bits: &[u8]) -> Vec<&'static str> {
    const NAMES: [(usize, &str); 10] = [
        (0, "notConfigured"),
        (1, "notSecure"),
        (2, "recovery"),
        (3, "debug"),
        (4, "notReplayProtected"),
        (5, "notIntegrityProtected"),
        (6, "notRuntimeMeasured"),
        (7, "notImmutable"),
        (8, "notTcb"),
        (31, "fixedWidth"),
    ];
    let is_set = |bit: &usize| {
        bits.get(bit / 8)
            .is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
    };
    (0..bits.len() * 8)
        .filter(is_set)
        .map(|bit| {
            NAMES
                .iter()
                .find_map(|(at, name)| (*at == bit).then_some(*name))
                .unwrap_or("a flag that is not known")
        })
        .collect()
}

/// `NVIDIA:GH100:48B02D…` of a subject alternative name: manufacturer, product, serial number.
pub(super) fn device_name(value: &[u8]) -> Option<[&str; 3]> {
    /// `otherName [0]`.
    const OTHER_NAME: u8 = 0xA0;
    let mut name = Items(only(only(value, SEQUENCE)?, OTHER_NAME)?);
    if name.expect(OBJECT_IDENTIFIER)? != DMTF_DEVICE {
        return None;
    }
    let text = only(name.expect(OTHER_NAME)?, UTF8_STRING)?;
    let text = core::str::from_utf8(text).ok().filter(|text| text.len() <= 64)?;
    let mut parts = text.split(':');
    let parts_of_name = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && name.0.is_empty()).then_some(parts_of_name)
}

/// `FWID ::= SEQUENCE { hashAlg OBJECT IDENTIFIER, digest OCTET STRING }`, its content.
fn fwid(content: &[u8]) -> Option<[u8; 48]> {
    let mut fields = Items(content);
    if fields.expect(OBJECT_IDENTIFIER)? != SHA384 {
        return None;
    }
    let digest = fields.expect(OCTET_STRING)?;
    fields.0.is_empty().then_some(digest.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_three_parts() {
        let name = |text: &str| {
            let text = [&[UTF8_STRING, text.len() as u8], text.as_bytes()].concat();
            let text = [&[0xA0, text.len() as u8], &text[..]].concat();
            let oid = [&[OBJECT_IDENTIFIER, DMTF_DEVICE.len() as u8], DMTF_DEVICE].concat();
            let other = [&[0xA0, (oid.len() + text.len()) as u8], &oid[..], &text].concat();
            [&[SEQUENCE, other.len() as u8], &other[..]].concat()
        };
        assert_eq!(
            device_name(&name("NVIDIA:GH100:48")),
            Some(["NVIDIA", "GH100", "48"])
        );
        assert_eq!(device_name(&name("NVIDIA:GH100")), None);
        assert_eq!(device_name(&name("NVIDIA:GH100:48:0")), None);
    }
}
