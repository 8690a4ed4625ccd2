//! Bytes that are no quote, and signatures that are none.

use std::sync::Arc;

use jeju_synthetic::intel::Evidence;

use super::{Attempt, wrong};
use crate::cases::Negative;
use crate::intel::Bench;

pub fn bytes(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let v5 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_15, name, code, change);
    vec![
        v4("longer than any quote", "dcap_too_long", |a| {
            a.evidence.behind = vec![0; 16 * 1024]
        }),
        v4("nothing at all", "dcap_truncated", |a| a.quote = Vec::clear),
        v4("header cut", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(47)
        }),
        v4("body cut", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(400)
        }),
        v4("length of the signature data cut", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(634);
        }),
        v4("last byte cut", "dcap_truncated", |a| {
            a.quote = |quote| quote.truncate(quote.len() - 1);
        }),
        v4("signature data longer than the quote", "dcap_truncated", |a| {
            a.quote = |quote| quote[632..636].copy_from_slice(&u32::MAX.to_le_bytes());
        }),
        v4(
            "authentication data longer than the signature data",
            "dcap_truncated",
            |a| {
                a.quote = |quote| quote[1218..1220].copy_from_slice(&u16::MAX.to_le_bytes());
            },
        ),
        v4(
            "signature data shorter than its content",
            "dcap_signature_data_length",
            |a| {
                a.quote = |quote| {
                    let len = u32::from_le_bytes(quote[632..636].try_into().unwrap()) - 1;
                    quote[632..636].copy_from_slice(&len.to_le_bytes());
                };
            },
        ),
        v4(
            "something behind the PCK chain",
            "dcap_signature_data_length",
            |a| {
                a.evidence.inside = vec![0];
            },
        ),
        v4(
            "QE report's length disagrees",
            "dcap_signature_data_length",
            |a| {
                a.quote = |quote| quote[766] ^= 1;
            },
        ),
        v4("version 3", "dcap_version", |a| a.evidence.header.version = 3),
        v4("version 6", "dcap_version", |a| a.evidence.header.version = 6),
        v4("ECDSA P-384 key", "dcap_attestation_key_type", |a| {
            a.evidence.header.attestation_key_type = 3;
        }),
        v4("an enclave's TEE type", "dcap_tee_type", |a| {
            a.evidence.header.tee_type = 0
        }),
        v4("unknown TEE type", "dcap_tee_type", |a| {
            a.evidence.header.tee_type = 0x82
        }),
        v4("other vendor's quoting enclave", "dcap_qe_vendor", |a| {
            a.evidence.header.qe_vendor[15] ^= 1
        }),
        v4("reserved bytes of the header", "tdx_header_reserved", |a| {
            a.evidence.header.svns[3] = 1
        }),
        v4(
            "QE report outside its envelope",
            "dcap_certification_data_type",
            |a| {
                a.evidence.outer_type = 5;
            },
        ),
        v4(
            "PPID instead of a PCK chain",
            "dcap_certification_data_type",
            |a| a.evidence.inner_type = 1,
        ),
        v4("envelope in an envelope", "dcap_certification_data_type", |a| {
            a.evidence.inner_type = 6
        }),
        v4("text behind the quote", "dcap_trailing_bytes", |a| {
            a.evidence.behind = vec![0, 0, b'x']
        }),
        v4(
            "reserved bytes of the QE report",
            "dcap_qe_report_reserved",
            |a| {
                a.evidence.qe_report.reserved4[41] = 1;
            },
        ),
        v5("an enclave's body", "tdx_body_type", |a| {
            a.evidence.body_type = Some((1, 384))
        }),
        v5("unknown body type", "tdx_body_type", |a| {
            a.evidence.body_type = Some((5, 648))
        }),
        v5("extended TDX 1.5 body", "tdx_body_type_extended", |a| {
            a.evidence.body_type = Some((4, 648));
        }),
        v5("TDX 1.5 body of TDX 1.0's size", "tdx_body_size", |a| {
            a.evidence.body_type = Some((3, 584))
        }),
        v5("TDX 1.0 body of TDX 1.5's size", "tdx_body_size", |a| {
            a.evidence.body_type = Some((2, 648))
        }),
        v5("TDX 1.5 body passed off as TDX 1.0", "dcap_truncated", |a| {
            a.evidence.body_type = Some((2, 584));
        }),
    ]
}

pub fn signatures(bench: &Bench) -> Vec<Negative> {
    let v4 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_10, name, code, change);
    let v5 = |name, code, change: fn(&mut Attempt<'_>)| wrong(bench, Evidence::tdx_15, name, code, change);
    vec![
        v4("quote signed by another key", "dcap_quote_signature", |a| {
            a.signing.attestation = Arc::clone(&a.bench.other.attestation);
        }),
        v4("REPORTDATA changed after signing", "dcap_quote_signature", |a| {
            a.quote = |quote| quote[48 + 520] ^= 1;
        }),
        v4("user data changed after signing", "dcap_quote_signature", |a| {
            a.quote = |quote| quote[30] ^= 1
        }),
        v5("current SVN changed after signing", "dcap_quote_signature", |a| {
            a.quote = |quote| quote[54 + 584] ^= 1;
        }),
        v4("signature of zeros", "dcap_quote_signature", |a| {
            a.quote = |quote| quote[636..700].fill(0);
        }),
        v4(
            "QE report signed by another PCK",
            "dcap_qe_report_signature",
            |a| {
                a.signing.pck = Arc::clone(&a.bench.other.pck);
            },
        ),
        v4(
            "QE report changed after signing",
            "dcap_qe_report_signature",
            |a| {
                a.quote = |quote| quote[770] ^= 1;
            },
        ),
        v4(
            "QE report doesn't vouch for the key",
            "dcap_qe_report_data",
            |a| {
                a.evidence.qe_report_data = Some([0; 64]);
            },
        ),
        v4("attestation key exchanged", "dcap_qe_report_data", |a| {
            a.quote = |quote| quote[700] ^= 1
        }),
        v4("authentication data changed", "dcap_qe_report_data", |a| {
            a.quote = |quote| quote[1220] ^= 1
        }),
        v4("QE report vouches for more", "dcap_qe_report_data", |a| {
            a.evidence.qe_report_data = Some([0xEE; 64]);
        }),
    ]
}
