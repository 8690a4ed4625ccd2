//! Certificate tables that must be refused.

use jeju_attestation::sev_snp::certificate_table::{self, MAX_LEN};
use jeju_synthetic::amd::table::{guid, table};
use jeju_synthetic::amd::{Chip, Product, Vek};
use jeju_synthetic::certificate::pem;

use crate::cases::Negative;

pub fn cases() -> Vec<Negative> {
    let made = Chip::new(Product::Milan, Vek::Vcek, 3).make();
    let right = table(&[
        (guid::ARK, &made.ark),
        (guid::ASK, &made.ask),
        (guid::VCEK, &made.vek),
    ]);
    assert_eq!(
        certificate_table::read(&right).unwrap().certificates,
        [made.ark.clone(), made.ask.clone(), made.vek.clone()]
    );
    let case = |name, expected, bytes: Vec<u8>| Negative {
        name,
        expected,
        found: certificate_table::read(&bytes).err().map(|error| error.code()),
    };
    let changed = |at: usize, value: u32| {
        let mut bytes = right.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let len = right.len() as u32;
    let chain = pem(&[&made.ask, &made.ark]);
    let content = |content: &[u8]| table(&[(guid::ASK, content)]);
    vec![
        case("table that is too long", "snp_table_too_long", {
            let mut bytes = right.clone();
            bytes.resize(MAX_LEN + 1, 0);
            bytes
        }),
        case("empty table", "snp_table_unterminated", Vec::new()),
        case(
            "table cut in its header",
            "snp_table_unterminated",
            right[..60].to_vec(),
        ),
        case(
            "table of more entries than there can be",
            "snp_table_unterminated",
            {
                let entries: Vec<(&str, &[u8])> = vec![(guid::ARK, &[1]); 33];
                table(&entries)
            },
        ),
        case(
            "content starts behind the table",
            "snp_table_bounds",
            changed(16, len),
        ),
        case(
            "content ends behind the table",
            "snp_table_bounds",
            changed(20, len),
        ),
        case(
            "content's end overflows",
            "snp_table_bounds",
            changed(20, u32::MAX),
        ),
        case("content lies in the header", "snp_table_bounds", changed(16, 24)),
        case("content of no bytes", "snp_table_bounds", changed(20, 0)),
        case(
            "two VCEKs in a table",
            "snp_table_duplicate",
            table(&[(guid::VCEK, &made.vek), (guid::VCEK, &made.vek)]),
        ),
        case(
            "table of what is no certificate",
            "x509_not_der",
            content(b"not a certificate"),
        ),
        case(
            "table with a certificate and a byte",
            "x509_not_der",
            content(&[&made.ask[..], &[0]].concat()),
        ),
        case(
            "table of broken PEM",
            "x509_not_pem",
            content(b"-----BEGIN CERTIFICATE-----\n!"),
        ),
        case(
            "table of two certificates in one entry",
            "x509_too_many",
            content(chain.as_bytes()),
        ),
        case("table of two lists in one entry", "x509_too_many", {
            let list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
            table(&[(guid::CRL, list.repeat(2).as_bytes())])
        }),
    ]
}
