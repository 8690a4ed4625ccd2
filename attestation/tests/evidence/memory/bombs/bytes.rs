//! Encodings, CBOR, DER and vendors' own layouts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_attestation::input::MAX_JSON_VALUES;
use jeju_synthetic::der;

use crate::memory::entrances::intel_root;

use super::{Bomb, named, padded, repeat, repeat_bytes};

pub fn encodings(len: usize) -> Vec<Bomb> {
    let wrapped = |inner: Vec<u8>| STANDARD.encode(inner).into_bytes();
    let inner = len / 4 * 3;
    let cmw = |collection: Vec<u8>| format!("{{\"cmw\":\"{}\"}}", STANDARD.encode(collection)).into_bytes();
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    named(
        len,
        vec![
            ("hex", repeat(len, "", "04", "")),
            ("hex of a compressed file", repeat(len, "1f8b", "00", "")),
            ("white space", repeat(len, "", " ", "")),
            ("digits between white space", repeat(len, "", "A ", "")),
            ("base64", repeat(len, "", "AAAA", "")),
            ("base64 of JSON", wrapped(repeat(inner, "[", "{\"\":0},", "0]"))),
            ("base64 of open arrays", wrapped(repeat(inner, "", "[", ""))),
            (
                "base64 of COSE",
                wrapped(repeat_bytes(inner, &[0x84, 0x44], &[0x81])),
            ),
            (
                "JSON in base64 in JSON",
                cmw(repeat(inner.saturating_sub(10), "[", "{\"\":0},", "0]")),
            ),
            (
                "JSON in base64 in JSON in base64 in JSON",
                cmw(format!(
                    "{{\"tsm-report\":[\"application/vnd.veraison.tsm-report+json\",\"{}\"]}}",
                    STANDARD.encode(repeat(
                        (inner / 4 * 3).saturating_sub(100),
                        "[",
                        "{\"\":0},",
                        "0]"
                    ))
                )
                .into_bytes()),
            ),
            ("JSON in base64 in JSON, as much as is read", {
                let most = |len| {
                    String::from_utf8(padded(
                        len,
                        "[",
                        "{\"\":{\"\":{\"\":0}}},",
                        MAX_JSON_VALUES / 7 - 9,
                        "0]",
                    ))
                };
                let report = most(64 * 1024).expect("text");
                let collection = format!(
                    "{{\"tsm-report\":[\"application/vnd.veraison.tsm-report+json\",\"{}\"],\"more\":{}}}",
                    STANDARD.encode(report),
                    most(96 * 1024).expect("text"),
                );
                let rest = most(len.saturating_sub(256 * 1024)).expect("text");
                format!("{{\"cmw\":\"{}\",\"more\":{rest}}}", STANDARD.encode(collection)).into_bytes()
            }),
            ("PEM: blocks", repeat(len, "", block, "")),
            (
                "PEM: begins",
                repeat(len, "", "-----BEGIN CERTIFICATE-----\n", ""),
            ),
            (
                "PEM: without an end",
                repeat(len, "-----BEGIN CERTIFICATE-----\n", "AAAA", ""),
            ),
            (
                "PEM: dashes",
                repeat(len, "-----BEGIN CERTIFICATE-----\n", "-", ""),
            ),
            (
                "PEM: one long block",
                repeat(len, "-----BEGIN QUOTE-----\n", "AAAA", "\n-----END QUOTE-----\n"),
            ),
            (
                "PEM: lists",
                repeat(
                    len,
                    "",
                    "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
                    "",
                ),
            ),
            (
                "PEM: long certificate",
                repeat(
                    len,
                    "-----BEGIN CERTIFICATE-----\n",
                    "MDAw",
                    "\n-----END CERTIFICATE-----\n",
                ),
            ),
        ],
    )
}

pub fn cbor(len: usize) -> Vec<Bomb> {
    let signed = |payload: &[u8]| {
        let mut message = vec![0x84, 0x44, 0xA1, 0x01, 0x38, 0x22, 0xA0];
        message.push(0x5A);
        message.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        message.extend_from_slice(payload);
        message.extend_from_slice(&[0x58, 0x60]);
        message.extend_from_slice(&[0; 96]);
        message
    };
    let payload = |unit: &[u8]| signed(&repeat_bytes(len.saturating_sub(128), &[], unit));
    let elements = |payload_len: usize| {
        let count = payload_len as u32;
        [&[0x9A][..], &count.to_be_bytes(), &vec![0; payload_len]].concat()
    };
    let header = |unit: &[u8]| {
        let bytes = repeat_bytes(len.saturating_sub(8), &[], unit);
        [
            &[0xD2, 0x84, 0x5A][..],
            &(bytes.len() as u32).to_be_bytes(),
            &bytes,
        ]
        .concat()
    };
    named(
        len,
        vec![
            ("CBOR: nested arrays", repeat_bytes(len, &[0x84, 0x44], &[0x81])),
            (
                "CBOR: nested arrays that announce 1023",
                repeat_bytes(len, &[0x84, 0x44, 0, 0, 0, 0], &[0x99, 0x03, 0xFF]),
            ),
            (
                "CBOR: nested maps that announce 1023",
                repeat_bytes(len, &[0x84, 0x44, 0, 0, 0, 0], &[0xB9, 0x03, 0xFF]),
            ),
            (
                "CBOR: nested tags",
                repeat_bytes(len, &[0x84, 0x44, 0, 0, 0, 0], &[0xC1]),
            ),
            (
                "CBOR: endless arrays",
                repeat_bytes(len, &[0x84, 0x44, 0, 0, 0, 0], &[0x9F]),
            ),
            (
                "CBOR: array of zeros",
                [&[0x84, 0x44, 0, 0, 0, 0][..], &elements(len.saturating_sub(11))].concat(),
            ),
            (
                "CBOR: huge byte string",
                repeat_bytes(
                    len,
                    &[
                        0x84, 0x44, 0, 0, 0, 0, 0xA0, 0x5B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                    ],
                    &[0],
                ),
            ),
            (
                "CBOR: huge text",
                repeat_bytes(
                    len,
                    &[
                        0x84, 0x44, 0, 0, 0, 0, 0xA0, 0x7B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                    ],
                    b"a",
                ),
            ),
            (
                "CBOR: huge array",
                repeat_bytes(
                    len,
                    &[
                        0x84, 0x44, 0, 0, 0, 0, 0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                    ],
                    &[0],
                ),
            ),
            (
                "CBOR: byte string in pieces",
                repeat_bytes(len, &[0x84, 0x44, 0, 0, 0, 0, 0x5F], &[0x40]),
            ),
            ("CBOR: payload of nested maps", payload(&[0xB9, 0x03, 0xFF])),
            (
                "CBOR: payload of nested map keys and values",
                payload(&[0xA1, 0x00]),
            ),
            ("CBOR: payload of nested arrays", payload(&[0x99, 0x03, 0xFF])),
            (
                "CBOR: payload of zeros",
                signed(&elements(len.saturating_sub(128))),
            ),
            ("CBOR: header of nested maps", header(&[0xB9, 0x03, 0xFF])),
            (
                "CBOR: header of nested arrays",
                header(&[0xA1, 0x01, 0x99, 0x03, 0xFF]),
            ),
            (
                "CBOR: header with nested values",
                header(&[0xA1, 0x19, 0xFF, 0xFF, 0x99, 0x03, 0xFF]),
            ),
            (
                "CBOR: claims",
                repeat_bytes(
                    len,
                    &[0xBB, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                    &[0x60, 0],
                ),
            ),
            (
                "CBOR: pair",
                repeat_bytes(
                    len,
                    &[
                        0xD9, 0xEA, 0x60, 0x82, 0x5B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                    ],
                    &[0],
                ),
            ),
        ],
    )
}

pub fn der(len: usize) -> Vec<Bomb> {
    let room = len.saturating_sub(300);
    let many = |item: &[u8]| item.repeat(room / item.len());
    let algorithm = der::sequence(&[&der::oid("1.2.840.10045.4.3.2")]);
    let name = |names: &[u8]| der::sequence(&[names]);
    let common = der::sequence(&[&der::set(&[&der::sequence(&[
        &der::oid("2.5.4.3"),
        &der::utf8("a"),
    ])])]);
    let relative = der::set(&[&der::sequence(&[&der::oid("2.5.4.3"), &der::utf8("")])]);
    let values = der::set(&[&many(&der::sequence(&[&der::oid("2.5.4.3"), &der::utf8("")]))]);
    let validity = der::sequence(&[&der::time(0), &der::time(4_000_000_000)]);
    let key = der::sequence(&[
        &der::sequence(&[&der::oid("1.2.840.10045.2.1"), &der::oid("1.2.840.10045.3.1.7")]),
        &der::bits(&[4; 65]),
    ]);
    let certificate = |issuer: &[u8], subject: &[u8], extensions: &[u8]| {
        let signed = der::sequence(&[
            &der::explicit(0, &der::number(2)),
            &der::number(1),
            &algorithm,
            issuer,
            &validity,
            subject,
            &key,
            &der::explicit(3, &der::sequence(&[extensions])),
        ]);
        der::sequence(&[&signed, &algorithm, &der::bits(&[0; 64])])
    };
    let extension = |oid: &str, value: &[u8]| der::sequence(&[&der::oid(oid), &der::octets(value)]);
    let list = |issuer: &[u8], entries: &[u8], extensions: &[u8]| {
        let signed = der::sequence(&[
            &der::number(1),
            &algorithm,
            issuer,
            &der::time(0),
            &der::time(4_000_000_000),
            &der::sequence(&[entries]),
            &der::explicit(0, &der::sequence(&[extensions])),
        ]);
        der::sequence(&[&signed, &algorithm, &der::bits(&[0; 64])])
    };
    let entry = der::sequence(&[&der::number(1), &der::time(0)]);
    let intel = intel_root().subject_der();
    let general = der::sequence(&[&many(&der::implicit(2, b""))]);
    let nested = many(&[0x30, 0x80]);
    named(
        len,
        vec![
            (
                "DER: huge length",
                repeat_bytes(len, &[0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF], &[0]),
            ),
            (
                "DER: longest length",
                repeat_bytes(
                    len,
                    &[0x30, 0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
                    &[0],
                ),
            ),
            ("DER: without lengths", repeat_bytes(len, &[], &[0x30, 0x80])),
            (
                "DER: certificate with extensions",
                certificate(&common, &common, &many(&extension("1.2.3", b""))),
            ),
            (
                "DER: certificate with key usages",
                certificate(&common, &common, &many(&extension("2.5.29.15", &[3, 2, 0, 1]))),
            ),
            (
                "DER: certificate with names",
                certificate(&name(&many(&relative)), &common, &extension("1.2.3", b"")),
            ),
            (
                "DER: certificate with values of a name",
                certificate(&common, &name(&values), &extension("1.2.3", b"")),
            ),
            (
                "DER: certificate with alternative names",
                certificate(&common, &common, &extension("2.5.29.17", &general)),
            ),
            (
                "DER: certificate with policies",
                certificate(
                    &common,
                    &common,
                    &extension(
                        "2.5.29.32",
                        &der::sequence(&[&many(&der::sequence(&[&der::oid("1.2.3")]))]),
                    ),
                ),
            ),
            (
                "DER: certificate with key purposes",
                certificate(
                    &common,
                    &common,
                    &extension("2.5.29.37", &der::sequence(&[&many(&der::oid("1.2.3"))])),
                ),
            ),
            (
                "DER: certificate with distribution points",
                certificate(
                    &common,
                    &common,
                    &extension("2.5.29.31", &der::sequence(&[&many(&der::sequence(&[]))])),
                ),
            ),
            (
                "DER: certificate with nested values",
                certificate(&common, &common, &nested),
            ),
            ("DER: list with entries", list(intel, &many(&entry), b"")),
            (
                "DER: list of another issuer",
                list(&name(&many(&relative)), &entry, b""),
            ),
            (
                "DER: list of another issuer with values",
                list(&name(&values), &entry, b""),
            ),
            (
                "DER: list with extensions",
                list(intel, &entry, &many(&extension("1.2.3", b""))),
            ),
            (
                "DER: list with short entries",
                list(intel, &many(&[0x30, 0]), b""),
            ),
        ],
    )
}

pub fn binary(len: usize) -> Vec<Bomb> {
    let quote = |version: u8, tee: u8| {
        let mut bytes = vec![0; len];
        bytes[..8].copy_from_slice(&[version, 0, 2, 0, tee, 0, 0, 0]);
        bytes
    };
    let report = |fields: &[u8]| {
        let mut bytes = vec![0x11, 0xE0, 0x01, 0xFF];
        bytes.extend_from_slice(&[0; 33]);
        bytes.extend_from_slice(&[0x11, 0x60, 0, 0, 1, 55, 0, 0, 1, 1, 51, 0, 1, 48, 0]);
        bytes.extend_from_slice(&[0; 48 + 32]);
        let room = len.saturating_sub(bytes.len() + 98).min(0xFFFF);
        bytes.extend_from_slice(&(room as u16).to_le_bytes());
        bytes.extend((0..room).map(|at| match at % 4 {
            0 if fields.is_empty() => (at / 4) as u8,
            1 if fields.is_empty() => (at / 1024) as u8,
            n => fields.get(n).copied().unwrap_or(0),
        }));
        bytes.extend_from_slice(&[0; 96]);
        bytes
    };
    let log = |event: &[u8]| {
        let spec = [
            b"Spec ID Event03\0".as_slice(),
            &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0C, 0, 48, 0, 0],
        ]
        .concat();
        let mut bytes = [
            &[1, 0, 0, 0, 3, 0, 0, 0][..],
            &[0; 20],
            &(spec.len() as u32).to_le_bytes(),
            &spec,
        ]
        .concat();
        let room = len.saturating_sub(bytes.len()) / event.len();
        bytes.extend(event.repeat(room));
        bytes
    };
    let event = |count: u32, size: u32, data: &[u8]| {
        [
            &[1, 0, 0, 0, 0, 0, 0, 0x0D][..],
            &count.to_le_bytes(),
            &[0x0C, 0],
            &[0; 48],
            &size.to_le_bytes(),
            data,
        ]
        .concat()
    };
    let vcek: [u8; 16] = [
        0x63, 0xDA, 0x75, 0x8D, 0xE6, 0x64, 0x45, 0x64, 0xAD, 0xC5, 0xF4, 0xB9, 0x3B, 0xE8, 0xAC, 0xCD,
    ];
    let dstack = |count: u8| {
        repeat_bytes(
            len,
            &[&[0x00, 0x03, 0x81, 0x12][..], &[0; 1184], &[count]].concat(),
            &[0],
        )
    };
    named(
        len,
        vec![
            ("zeros", vec![0; len]),
            ("ones", vec![0xFF; len]),
            ("TDX quote", quote(4, 0x81)),
            ("TDX quote of version 5", quote(5, 0x81)),
            ("SGX quote", quote(3, 0)),
            (
                "SNP certificate table",
                repeat_bytes(len, &[], &[&vcek[..], &[0xFF; 8]].concat()),
            ),
            (
                "SNP certificate table of one",
                repeat_bytes(
                    len,
                    &[&vcek[..], &[48, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F], &[0; 24]].concat(),
                    &[0x30],
                ),
            ),
            ("SNP report with certificates", dstack(32)),
            ("SNP report with too many certificates", dstack(0xFC)),
            ("SPDM report with fields", report(&[])),
            ("SPDM report with one field again and again", report(&[1, 0])),
            (
                "SPDM report with huge lengths",
                repeat_bytes(len, &[0x11, 0xE0, 0x01, 0xFF], &[0xFF]),
            ),
            ("event log", log(&event(1, 0, b""))),
            ("event log with huge sizes", log(&event(1, u32::MAX, b""))),
            ("event log with huge counts", log(&event(u32::MAX, 0, b""))),
            ("event log with data", log(&event(1, 16, &[7; 16]))),
            ("event log of ones", log(&[0xFF])),
            ("event log of nothing", log(&[0, 0, 0, 0, 3])),
        ],
    )
}
