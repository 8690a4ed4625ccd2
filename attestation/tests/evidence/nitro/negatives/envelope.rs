//! The COSE envelope.

use super::*;

/// Cases.
pub fn add(cloud: &Cloud, table: &mut Table) {
    let right = cloud.sign(&cloud.document());
    let document = cloud.document();
    table.add(
        "longer than 16 KiB",
        "nitro_too_long",
        cloud.strict(&vec![0x84; 16 * 1024 + 1]),
    );
    table.add("empty", "nitro_not_cose", cloud.strict(&[]));
    table.add(
        "gzip",
        "nitro_not_cose",
        cloud.strict(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]),
    );
    table.add(
        "cut in the signature",
        "nitro_not_cose",
        cloud.strict(&right[..right.len() - 1]),
    );
    let three = Value::Array(vec![
        Value::Bytes(document.header()),
        Value::Map(vec![]),
        cloud.payload(),
    ]);
    table.add("three items", "nitro_not_cose", cloud.strict(&encode(&three)));
    let five = Value::Array(vec![
        Value::Bytes(document.header()),
        Value::Map(vec![]),
        cloud.payload(),
        cloud.signature(),
        Value::Null,
    ]);
    table.add("five items", "nitro_not_cose", cloud.strict(&encode(&five)));
    let mut tagged = cloud.document();
    tagged.tag = Some(98);
    table.add(
        "tag of COSE_Sign",
        "nitro_not_cose",
        cloud.strict(&cloud.sign(&tagged)),
    );
    table.add(
        "nested arrays",
        "nitro_not_cose",
        cloud.strict(&[0x81; 16 * 1024]),
    );
    table.add(
        "length beyond the end",
        "nitro_not_cose",
        cloud.strict(&[0x84, 0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
    );
    table.add(
        "a byte behind",
        "nitro_trailing_bytes",
        cloud.strict(&[&right[..], &[0]].concat()),
    );
    table.add(
        "the document twice",
        "nitro_trailing_bytes",
        cloud.strict(&[&right[..], &right[..]].concat()),
    );
    let loose = [&[0x9F], &right[1..], &[0xFF]].concat();
    table.add(
        "array of indefinite length",
        "nitro_envelope_encoding",
        cloud.strict(&loose),
    );
    let long_tag = [&[0xD8, 18][..], &right[..]].concat();
    table.add(
        "tag not in its shortest form",
        "nitro_not_cose",
        cloud.strict(&long_tag),
    );
    let long_header = [&[0x84, 0x58], &right[1..]].concat();
    let long_header = [&long_header[..2], &[4], &long_header[3..]].concat();
    table.add(
        "length not in its shortest form",
        "nitro_envelope_encoding",
        cloud.strict(&long_header),
    );
    table.add(
        "ES256",
        "nitro_algorithm",
        cloud.with(&|d| d.protected[0].1 = Value::from(-7)),
    );
    table.add(
        "ES512",
        "nitro_algorithm",
        cloud.with(&|d| d.protected[0].1 = Value::from(-36)),
    );
    table.add(
        "EdDSA",
        "nitro_algorithm",
        cloud.with(&|d| d.protected[0].1 = Value::from(-8)),
    );
    table.add(
        "no algorithm",
        "nitro_algorithm",
        cloud.with(&|d| d.protected.clear()),
    );
    table.add(
        "algorithm where it isn't signed",
        "nitro_algorithm",
        cloud.with(&|d| {
            d.unprotected = core::mem::take(&mut d.protected);
        }),
    );
    table.add(
        "critical header",
        "nitro_critical_header",
        cloud.with(&|d| {
            d.protected
                .push((Value::from(2), Value::Array(vec![Value::from(4)])));
        }),
    );
    table.add(
        "key id in the protected header",
        "nitro_protected_header",
        cloud.with(&|d| {
            d.protected.push((Value::from(4), Value::Bytes(vec![1])));
        }),
    );
    table.add(
        "private protected header",
        "nitro_protected_header",
        cloud.with(&|d| {
            d.protected.push((Value::from(-70_000), Value::from(1)));
        }),
    );
    table.add(
        "algorithm twice",
        "nitro_not_cose",
        cloud.with(&|d| {
            d.protected.push((Value::from(1), Value::from(-35)));
        }),
    );
    table.add(
        "unprotected key id",
        "nitro_unprotected_header",
        cloud.with(&|d| {
            d.unprotected.push((Value::from(4), Value::Bytes(vec![1])));
        }),
    );
    table.add(
        "unprotected algorithm",
        "nitro_unprotected_header",
        cloud.with(&|d| {
            d.unprotected.push((Value::from(1), Value::from(-35)));
        }),
    );
    let detached = document.envelope(Value::Null, cloud.signature());
    table.add("detached payload", "nitro_detached", cloud.strict(&detached));
    let der_signature = Value::Bytes(cloud.keys.enclave.sign(&[]));
    table.add(
        "DER signature",
        "nitro_signature_length",
        cloud.strict(&document.envelope(cloud.payload(), der_signature)),
    );
    let empty_signature = Value::Bytes(Vec::new());
    table.add(
        "no signature",
        "nitro_signature_length",
        cloud.strict(&document.envelope(cloud.payload(), empty_signature)),
    );
}
