//! Synthetic logs, each wrong in one point.

use std::collections::BTreeMap;

use jeju_synthetic::event_log::{Event, Log, SHA1, SHA256, SHA384, digest, variable};
use serde_json::{Value, json};

use super::*;
use crate::cases::{self, Negative};

mod data;
mod dstack;
mod form;
mod registers;

const CC: [u16; 1] = [SHA384];
const TPM: [u16; 3] = [SHA1, SHA256, SHA384];

fn ccel() -> Log {
    Log::boot(&CC, [1, 2, 3])
}

fn tpm() -> Log {
    Log::boot(&TPM, [0, 4, 8])
}

/// RTMRs of the right log.
fn rtmrs() -> [[u8; 48]; 4] {
    let log = ccel();
    core::array::from_fn(|index| {
        let value = log.register(SHA384, index as u32 + 1, &[0; 48]);
        value.try_into().unwrap()
    })
}

/// PCRs of the right log.
fn pcrs() -> BTreeMap<u32, Vec<u8>> {
    let log = tpm();
    [0, 4, 8]
        .map(|index| (index, log.register(SHA256, index, &[0; 32])))
        .into()
}

fn code<T>(result: Result<T, LogError>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

fn verdict_cc(log: &Log) -> Option<&'static str> {
    code(EventLog::parse(Kind::Ccel, &log.bytes()).and_then(|log| check_rtmrs(&log, &rtmrs())))
}

fn verdict_tpm(log: &Log) -> Option<&'static str> {
    let log = EventLog::parse(Kind::Tpm, &log.bytes());
    code(log.and_then(|log| check_pcrs(&log, Algorithm::Sha256, &pcrs())))
}

fn dstack() -> Value {
    let payload = b"app";
    let runtime = event_log::runtime_digest("app-id", payload);
    json!([
        {
            "imr": 0, "event_type": 4, "digest": hex::encode(digest(SHA384, &[0; 4])),
            "event": "", "event_payload": "00000000",
        },
        {
            "imr": 3, "event_type": 0x0800_0001, "digest": hex::encode(runtime),
            "event": "app-id", "event_payload": hex::encode(payload),
        },
    ])
}

fn verdict_dstack(log: &Value) -> Option<&'static str> {
    let once = |hashed: &[u8]| -> [u8; 48] {
        digest(SHA384, &[vec![0; 48], hashed.to_vec()].concat())
            .try_into()
            .unwrap()
    };
    let boot = digest(SHA384, &[0; 4]);
    // Type, name and payload, as dstack's guest concatenates them.
    let app = digest(SHA384, b"\x01\x00\x00\x08:app-id:app");
    let rtmrs = [once(&boot), [0; 48], [0; 48], once(&app)];
    let parsed = EventLog::parse(Kind::Dstack, log.to_string().as_bytes());
    code(parsed.and_then(|log| check_rtmrs(&log, &rtmrs)))
}

#[test]
fn right_logs_are_accepted() {
    let mut padded = ccel();
    for padding in [vec![], vec![0xFF; 64], vec![0; 4096], vec![0xFF], vec![0; 3]] {
        padded.padding = padding;
        assert_eq!(verdict_cc(&padded), None);
    }
    let mut vendor = ccel();
    vendor.vendor = vec![1, 2, 3];
    vendor.vendor_size = 3;
    assert_eq!(verdict_cc(&vendor), None);
    // EV_NO_ACTION is not extended.
    let mut noted = tpm();
    noted.events.insert(2, Event::no_action(&TPM, 0, b"a note"));
    assert_eq!(verdict_tpm(&noted), None);
    assert_eq!(verdict_dstack(&dstack()), None);
    let mut shortened = dstack();
    shortened[0]["event_payload"] = json!("");
    shortened[1]["digest"] = json!("");
    assert_eq!(verdict_dstack(&shortened), None);
}

/// PCR0 starts with the locality from which the TPM was started.
#[test]
fn startup_locality_is_the_start_of_pcr0() {
    let mut log = tpm();
    let event = Event::no_action(&TPM, 0, b"StartupLocality\0\x03");
    log.events.insert(0, event);
    assert_eq!(verdict_tpm(&log), Some("log_register_mismatch"));
    let mut start = vec![0; 32];
    start[31] = 3;
    let mut values = pcrs();
    values.insert(0, log.register(SHA256, 0, &start));
    let parsed = EventLog::parse(Kind::Tpm, &log.bytes()).unwrap();
    assert_eq!(parsed.startup_locality(), 3);
    assert!(check_pcrs(&parsed, Algorithm::Sha256, &values).is_ok());
    // PCR17 to PCR22 are ones until a dynamic launch, and stay in the comparison without events.
    values.insert(17, vec![0xFF; 32]);
    values.insert(23, vec![0; 32]);
    assert!(check_pcrs(&parsed, Algorithm::Sha256, &values).is_ok());
}

fn changed_ccel(change: &dyn Fn(&mut Log)) -> Option<&'static str> {
    let mut log = ccel();
    change(&mut log);
    verdict_cc(&log)
}

fn changed_tpm(change: &dyn Fn(&mut Log)) -> Option<&'static str> {
    let mut log = tpm();
    change(&mut log);
    verdict_tpm(&log)
}

fn changed_dstack(change: &dyn Fn(&mut Value)) -> Option<&'static str> {
    let mut log = dstack();
    change(&mut log);
    verdict_dstack(&log)
}

fn parsed(kind: Kind, bytes: &[u8]) -> Option<&'static str> {
    code(EventLog::parse(kind, bytes))
}

/// Cases of all kinds.
#[derive(Default)]
struct Table(Vec<Negative>);

impl Table {
    fn add(&mut self, name: &'static str, expected: &'static str, found: Option<&'static str>) {
        self.0.push(Negative {
            name,
            expected,
            found,
        });
    }
}

#[test]
fn everything_else_is_refused() {
    let mut table = Table::default();
    form::add(&mut table);
    data::add(&mut table);
    dstack::add(&mut table);
    registers::add(&mut table);
    cases::check(&table.0, LogError::CODES, 90);
}
