//! The forms in which vendors' tools hand reports over.
//!
//! | Form | From |
//! |---|---|
//! | 1184 bytes | `/dev/sev-guest`, configfs-tsm `outblob` |
//! | MSG_REPORT_RSP, 4000 bytes: status, length, 24 zeros, report, zeros | firmware's answer (56860, "MSG_REPORT_RSP") |
//! | `outblob`, `auxblob`, `provider` in base64 | configfs-tsm as JSON, Veraison |
//! | the same in a `cmw` with `eat_nonce` | Veraison's ratsd |
//! | `sev_snp.attestation_report`, `sev_snp.vek_cert` in base64 | Automata |
//! | `attestation` in hex, or its bytes: SCALE, version 0, kind 3, report, certificates | dstack |

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::certificate_table;
use super::parse::LEN;
use crate::endorsements::Endorsements;
use crate::hash::is_zero;
use crate::input;

/// Longest text of base64 or hex that is read.
const MAX_TEXT: usize = 256 * 1024;
/// Most certificates beside a dstack report.
const MAX_CERTIFICATES: usize = 8;
const MSG_REPORT_RSP_LEN: usize = 4000;
const MSG_REPORT_RSP_HEADER: usize = 0x20;
/// dstack: version 0, kind 3 (SEV-SNP), length 1184 as a SCALE compact number.
const DSTACK: [u8; 4] = [0x00, 0x03, 0x81, 0x12];

/// Evidence with what came along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The report.
    pub evidence: Vec<u8>,
    /// Certificates that came with it.
    pub endorsements: Endorsements,
    /// The nonce that the form says it was made for.
    pub nonce: Option<Vec<u8>>,
}

impl Form {
    fn bare(evidence: &[u8]) -> Self {
        Self {
            evidence: evidence.to_vec(),
            endorsements: Endorsements::default(),
            nonce: None,
        }
    }
}

/// Reads a JSON form; `None`: it is none of this platform.
pub fn read(json: &Value) -> Option<Form> {
    if let Some(automata) = json.get("sev_snp") {
        return read_automata(automata);
    }
    if json.get("outblob").is_some() {
        return read_tsm(json);
    }
    if let Some(wrapper) = json.get("cmw") {
        return read_ratsd(json, wrapper);
    }
    let digits = json.get("attestation")?.as_str()?;
    let bytes = (digits.len() <= MAX_TEXT).then(|| hex::decode(digits).ok())??;
    read_dstack(&bytes)
}

/// Reads a binary form; `None`: it is none of this platform.
pub fn read_bytes(bytes: &[u8]) -> Option<Form> {
    match bytes.len() {
        LEN => Some(Form::bare(bytes)),
        MSG_REPORT_RSP_LEN => read_response(bytes),
        _ => read_dstack(bytes),
    }
}

fn read_response(bytes: &[u8]) -> Option<Form> {
    let (header, rest) = bytes.split_at(MSG_REPORT_RSP_HEADER);
    let (report, padding) = rest.split_at(LEN);
    let fits = is_zero(&header[..4])
        && header[4..8] == (LEN as u32).to_le_bytes()
        && is_zero(&header[8..])
        && is_zero(padding);
    fits.then(|| Form::bare(report))
}

fn read_automata(automata: &Value) -> Option<Form> {
    let mut form = Form::bare(&base64_of(automata.get("attestation_report")?)?);
    form.endorsements
        .add(&base64_of(automata.get("vek_cert")?)?)
        .ok()?;
    Some(form)
}

fn read_tsm(json: &Value) -> Option<Form> {
    if json.get("provider")?.as_str()?.trim() != "sev_guest" {
        return None;
    }
    let mut form = Form::bare(&base64_of(json.get("outblob")?)?);
    if let Some(table) = json.get("auxblob") {
        let table = base64_of(table)?;
        if !table.is_empty() {
            form.endorsements = certificate_table::read(&table).ok()?;
        }
    }
    Some(form)
}

/// A collection of conceptual messages, each a media type and a value.
fn read_ratsd(json: &Value, wrapper: &Value) -> Option<Form> {
    let report = tsm_report(&input::json(&base64_of(wrapper)?).ok()?)?;
    let mut form = read_tsm(&input::json(&report).ok()?)?;
    form.nonce = json.get("eat_nonce").and_then(base64_of);
    Some(form)
}

fn tsm_report(collection: &Value) -> Option<Vec<u8>> {
    match collection.get("tsm-report")?.as_array()?.as_slice() {
        [kind, report, ..] if kind.as_str()? == "application/vnd.veraison.tsm-report+json" => {
            base64_of(report)
        }
        _ => None,
    }
}

fn read_dstack(bytes: &[u8]) -> Option<Form> {
    let rest = bytes.strip_prefix(&DSTACK)?;
    let (report, mut rest) = rest.split_at_checked(LEN)?;
    let mut form = Form::bare(report);
    let count = compact(&mut rest)?;
    if count > MAX_CERTIFICATES {
        return None;
    }
    for _ in 0..count {
        let len = compact(&mut rest)?;
        let certificate;
        (certificate, rest) = rest.split_at_checked(len)?;
        form.endorsements.add(certificate).ok()?;
    }
    Some(form)
}

/// A SCALE compact number below 2^30; the shortest of its spellings only.
fn compact(bytes: &mut &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let (len, least) = match first & 3 {
        0 => (1, 0),
        1 => (2, 1 << 6),
        2 => (4, 1 << 14),
        _ => return None,
    };
    let (digits, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    let value = digits
        .iter()
        .rev()
        .fold(0usize, |value, byte| value << 8 | usize::from(*byte))
        >> 2;
    (value >= least).then_some(value)
}

/// Either alphabet, padded or not.
fn base64_of(text: &Value) -> Option<Vec<u8>> {
    let text = text.as_str().filter(|text| text.len() <= MAX_TEXT)?;
    let alphabet = match text.contains(['-', '_']) {
        true => &URL_SAFE,
        false => &STANDARD,
    };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}
