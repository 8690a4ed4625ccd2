//! Vendors' forms around synthetic reports; what isn't one of them is none.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jeju_attestation::sev_snp::{Form, certificate_table, read, read_bytes};
use jeju_synthetic::amd::table::{guid, table};
use jeju_synthetic::amd::{Chip, Made, Product, Vek};
use serde_json::json;

fn made() -> Made {
    Chip::new(Product::Milan, Vek::Vcek, 3).make()
}

fn is_of(form: Option<Form>, report: &[u8], certificates: &[&[u8]]) -> bool {
    form.is_some_and(|form| form.evidence == report && form.endorsements.certificates == certificates)
}

#[test]
fn base64_has_four_spellings() {
    let made = made();
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        let json = json!({"sev_snp": {
            "attestation_report": engine.encode(&made.report),
            "vek_cert": engine.encode(&made.vek),
        }});
        assert!(is_of(read(&json), &made.report, &[&made.vek]));
    }
    assert_eq!(
        read(&json!({"sev_snp": {"attestation_report": STANDARD.encode(&made.report)}})),
        None
    );
    assert_eq!(
        read(&json!({"sev_snp": {"attestation_report": "*", "vek_cert": "*"}})),
        None
    );
}

#[test]
fn configfs_tsm() {
    let made = made();
    let (outblob, auxblob) = (
        URL_SAFE_NO_PAD.encode(&made.report),
        URL_SAFE_NO_PAD.encode(table(&[(guid::ASK, &made.ask), (guid::VCEK, &made.vek)])),
    );
    let tsm =
        |provider: &str, auxblob: &str| json!({"provider": provider, "outblob": outblob, "auxblob": auxblob});
    assert!(is_of(
        read(&tsm("sev_guest\n", &auxblob)),
        &made.report,
        &[&made.ask, &made.vek]
    ));
    // Hosts may give no table.
    assert!(is_of(read(&tsm("sev_guest", "")), &made.report, &[]));
    assert!(is_of(
        read(&json!({"provider": "sev_guest", "outblob": outblob})),
        &made.report,
        &[]
    ));
    assert_eq!(read(&tsm("tdx_guest", &auxblob)), None);
    assert_eq!(read(&tsm("sev_guest", &auxblob[..200])), None);
    assert_eq!(read(&json!({"outblob": outblob})), None);

    let inner = STANDARD.encode(tsm("sev_guest", &auxblob).to_string());
    let ratsd = |media: &str| {
        let collection = json!({"tsm-report": [media, inner]}).to_string();
        json!({"cmw": STANDARD.encode(collection), "eat_nonce": STANDARD.encode("nonce")})
    };
    let form = read(&ratsd("application/vnd.veraison.tsm-report+json"));
    assert_eq!(form.as_ref().unwrap().nonce.as_deref(), Some(&b"nonce"[..]));
    assert!(is_of(form, &made.report, &[&made.ask, &made.vek]));
    assert_eq!(read(&ratsd("application/json")), None);
}

#[test]
fn dstack() {
    let made = made();
    let compact = |len: usize| ((len as u16) << 2 | 1).to_le_bytes();
    let start = [&[0x00, 0x03, 0x81, 0x12], &made.report[..]].concat();
    let none = [&start[..], &[0]].concat();
    assert!(is_of(read_bytes(&none), &made.report, &[]));
    let one = [
        &start[..],
        &[1 << 2],
        &compact(made.vek.len()),
        &made.vek,
        b"and more",
    ]
    .concat();
    assert!(is_of(read_bytes(&one), &made.report, &[&made.vek]));
    assert!(is_of(
        read(&json!({"attestation": hex::encode(&one)})),
        &made.report,
        &[&made.vek]
    ));
    assert_eq!(read(&json!({"attestation": "00"})), None);
    assert_eq!(read(&json!({"attestation": "0g"})), None);
    assert_eq!(read(&json!({"quote": hex::encode(&one)})), None);
    // Another kind; a count that isn't spelled in the shortest way; too many; a length beyond the end.
    assert_eq!(read_bytes(&[&[0x00, 0x02], &none[2..]].concat()), None);
    assert_eq!(read_bytes(&[&start[..], &[1 << 2 | 1, 0]].concat()), None);
    assert_eq!(read_bytes(&[&start[..], &[9 << 2]].concat()), None);
    assert_eq!(read_bytes(&[&start[..], &[3]].concat()), None);
    for len in 0..start.len() + 1 + 2 + made.vek.len() {
        assert_eq!(
            read_bytes(&one[..len]).filter(|_| len != made.report.len()),
            None,
            "{len}"
        );
    }
}

#[test]
fn firmwares_answer() {
    let made = made();
    let mut answer = vec![0; 4000];
    answer[4..6].copy_from_slice(&[0xA0, 0x04]);
    answer[0x20..0x20 + made.report.len()].copy_from_slice(&made.report);
    assert!(is_of(read_bytes(&answer), &made.report, &[]));
    for at in [0, 4, 8, 0x1F, 0x20 + made.report.len(), 3999] {
        let mut wrong = answer.clone();
        wrong[at] ^= 1;
        assert_eq!(read_bytes(&wrong), None, "{at}");
    }
    assert!(is_of(read_bytes(&made.report), &made.report, &[]));
}

/// Cut anywhere, a table is refused or has only what stood before the cut.
#[test]
fn cut_tables_never_have_a_changed_content() {
    let made = made();
    let contents = [made.ark.clone(), made.ask.clone(), made.vek.clone()];
    let whole = table(&[
        (guid::ARK, &made.ark),
        (guid::ASK, &made.ask),
        (guid::VCEK, &made.vek),
    ]);
    let end = 4 * 24 + contents.concat().len();
    for len in 0..whole.len() {
        match certificate_table::read(&whole[..len]) {
            Ok(read) => assert!(len >= end && read.certificates == contents, "{len}"),
            Err(_) => assert!(len < end, "{len}"),
        }
    }
}
