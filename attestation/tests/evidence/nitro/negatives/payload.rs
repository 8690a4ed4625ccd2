//! The map that is signed.

use super::*;

/// Cases.
pub fn add(cloud: &Cloud, table: &mut Table) {
    let document = cloud.document();
    let raw_payload =
        |bytes: &[u8]| cloud.strict(&document.envelope(Value::Bytes(bytes.to_vec()), cloud.signature()));
    table.add("payload is an array", "nitro_payload", raw_payload(&[0x80]));
    table.add("payload is empty", "nitro_payload", raw_payload(&[]));
    table.add(
        "payload is nested too deep",
        "nitro_payload",
        raw_payload(&[0xA1; 8192]),
    );
    table.add("payload's map has no end", "nitro_payload", raw_payload(&[0xBF]));
    table.add(
        "bytes behind the map",
        "nitro_payload_trailing_bytes",
        cloud.with(&|d| d.after_map.push(0)),
    );
    table.add(
        "unknown field",
        "nitro_unknown_field",
        cloud.with(&|d| {
            d.fields.push(("pcr0".into(), Value::Null));
        }),
    );
    table.add(
        "number as a field's name",
        "nitro_unknown_field",
        cloud.with(&|d| {
            d.fields.push((Value::from(1), Value::Null));
        }),
    );
    for (name, field) in [
        ("two module ids", "module_id"),
        ("two timestamps", "timestamp"),
        ("two digests", "digest"),
        ("two maps of PCRs", "pcrs"),
        ("two certificates", "certificate"),
        ("two CA bundles", "cabundle"),
        ("two public keys", "public_key"),
        ("two user data", "user_data"),
        ("two nonces", "nonce"),
    ] {
        let found = cloud.with(&|d| {
            let again = (field.into(), d.field(field).clone());
            d.fields.push(again);
        });
        table.add(name, "nitro_duplicate_field", found);
    }
    for (name, field) in [
        ("no module id", "module_id"),
        ("no timestamp", "timestamp"),
        ("no digest", "digest"),
        ("no PCRs", "pcrs"),
        ("no certificate", "certificate"),
        ("no CA bundle", "cabundle"),
    ] {
        table.add(name, "nitro_missing_field", cloud.with(&|d| d.remove(field)));
    }
    for (name, field, value) in [
        (
            "module id as bytes",
            "module_id",
            Value::Bytes(names::MODULE.into()),
        ),
        ("timestamp as text", "timestamp", "1767225600000".into()),
        ("negative timestamp", "timestamp", Value::from(-1)),
        ("timestamp as float", "timestamp", Value::from(1.0)),
        ("digest as bytes", "digest", Value::Bytes(b"SHA384".to_vec())),
        ("digest is null", "digest", Value::Null),
        (
            "PCRs as array",
            "pcrs",
            Value::Array(vec![Value::Bytes(vec![1; 48])]),
        ),
        (
            "PCR as text",
            "pcrs",
            Value::Map(vec![(Value::from(0), "00".into())]),
        ),
        ("certificate as text", "certificate", "MIIC".into()),
        ("CA bundle as bytes", "cabundle", Value::Bytes(vec![1])),
        (
            "CA bundle of texts",
            "cabundle",
            Value::Array(vec!["MIIC".into()]),
        ),
        ("public key as text", "public_key", "key".into()),
        ("user data as text", "user_data", "data".into()),
        ("nonce as number", "nonce", Value::from(5)),
    ] {
        table.add(
            name,
            "nitro_field_type",
            cloud.with(&|d| *d.field(field) = value.clone()),
        );
    }
    for (name, field, value) in [
        ("empty certificate", "certificate", Value::Bytes(vec![])),
        (
            "certificate of 1025 bytes",
            "certificate",
            Value::Bytes(vec![0x30; 1025]),
        ),
        (
            "authority of 1025 bytes",
            "cabundle",
            Value::Array(vec![Value::Bytes(vec![0x30; 1025])]),
        ),
        (
            "empty authority",
            "cabundle",
            Value::Array(vec![Value::Bytes(vec![])]),
        ),
        (
            "public key of 1025 bytes",
            "public_key",
            Value::Bytes(vec![1; 1025]),
        ),
        ("empty public key", "public_key", Value::Bytes(vec![])),
        ("user data of 513 bytes", "user_data", Value::Bytes(vec![1; 513])),
        ("nonce of 513 bytes", "nonce", Value::Bytes(vec![1; 513])),
    ] {
        table.add(
            name,
            "nitro_field_length",
            cloud.with(&|d| *d.field(field) = value.clone()),
        );
    }
    for (name, module) in [
        ("empty module id", ""),
        ("module id of an instance", "i-0123456789abcdef0"),
        ("module id in upper case", "i-0123456789ABCDEF0-enc01"),
        ("module id with a line break", "i-01-enc02\n"),
        ("module id without instance", "i--enc01"),
    ] {
        table.add(
            name,
            "nitro_module_id",
            cloud.with(&|d| *d.field("module_id") = module.into()),
        );
    }
    table.add(
        "timestamp zero",
        "nitro_timestamp_zero",
        cloud.with(&|d| *d.field("timestamp") = Value::from(0)),
    );
    table.add(
        "SHA256",
        "nitro_digest",
        cloud.with(&|d| *d.field("digest") = "SHA256".into()),
    );
    table.add(
        "digest in lower case",
        "nitro_digest",
        cloud.with(&|d| *d.field("digest") = "sha384".into()),
    );
    table.add(
        "empty map of PCRs",
        "nitro_pcr_count",
        cloud.with(&|d| d.pcrs().clear()),
    );
    table.add(
        "33 PCRs",
        "nitro_pcr_count",
        cloud.with(&|d| (0..33).for_each(|index| d.set_pcr(index, &[1; 48]))),
    );
    table.add(
        "PCR32",
        "nitro_pcr_index",
        cloud.with(&|d| d.set_pcr(32, &[1; 48])),
    );
    table.add(
        "PCR-1",
        "nitro_pcr_index",
        cloud.with(&|d| {
            d.pcrs().push((Value::from(-1), Value::Bytes(vec![1; 48])));
        }),
    );
    table.add(
        "PCR256",
        "nitro_pcr_index",
        cloud.with(&|d| {
            d.pcrs().push((Value::from(256), Value::Bytes(vec![1; 48])));
        }),
    );
    table.add(
        "PCR by name",
        "nitro_pcr_index",
        cloud.with(&|d| {
            d.pcrs().push(("PCR0".into(), Value::Bytes(vec![1; 48])));
        }),
    );
    table.add(
        "PCR0 twice",
        "nitro_pcr_duplicate",
        cloud.with(&|d| {
            d.pcrs().push((Value::from(0), Value::Bytes(vec![1; 48])));
        }),
    );
    table.add(
        "PCR of 32 bytes",
        "nitro_pcr_length",
        cloud.with(&|d| d.set_pcr(8, &[1; 32])),
    );
    table.add(
        "PCR of 64 bytes",
        "nitro_pcr_length",
        cloud.with(&|d| d.set_pcr(8, &[1; 64])),
    );
    table.add(
        "empty PCR",
        "nitro_pcr_length",
        cloud.with(&|d| d.set_pcr(8, &[])),
    );
    for (name, index) in [("no PCR0", 0u8), ("no PCR1", 1), ("no PCR2", 2)] {
        let found = cloud.with(&|d| d.pcrs().retain(|(key, _)| *key != Value::from(index)));
        table.add(name, "nitro_pcr_missing", found);
    }
    table.add(
        "empty CA bundle",
        "nitro_cabundle_count",
        cloud.with_bundle(&|b| b.clear()),
    );
    table.add(
        "eight authorities",
        "nitro_cabundle_count",
        cloud.with_bundle(&|b| {
            while b.len() < 8 {
                b.push(b[3].clone());
            }
        }),
    );
}
