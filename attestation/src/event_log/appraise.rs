//! Log and registers that hardware signed → component of a verdict, or the register that differs.

use std::collections::BTreeMap;

use super::LogError;
use super::binding::variable;
use super::event_type::{name, types};
use super::parse::{Event, EventLog, Kind};
use super::replay::{Algorithm, Registers, replay};
use crate::verdict::{Check, Component, Revocation};

/// Most bytes of an event's data that are shown.
const SHOWN: usize = 48;

/// Compares a log of a TD with RTMR0 to RTMR3 of its verified quote. All four must come out.
pub fn check_rtmrs(log: &EventLog, rtmrs: &[[u8; 48]; 4]) -> Result<Component, LogError> {
    if log.kind == Kind::Tpm {
        return Err(LogError::OtherKind {
            found: "a TPM",
            expected: "a TD",
        });
    }
    let values = (0..).zip(rtmrs).map(|(index, rtmr)| (index, rtmr.to_vec()));
    check(log, Algorithm::Sha384, &values.collect(), "TDX quote")
}

/// Compares a log of a TPM with PCRs of its verified quote, by index. Each must come out, and there must be one for each
/// that the log extends: events of another register would be nobody's word.
pub fn check_pcrs(
    log: &EventLog,
    bank: Algorithm,
    pcrs: &BTreeMap<u32, Vec<u8>>,
) -> Result<Component, LogError> {
    if log.kind != Kind::Tpm {
        return Err(LogError::OtherKind {
            found: "a TD",
            expected: "a TPM",
        });
    }
    check(log, bank, pcrs, "TPM quote")
}

fn check(
    log: &EventLog,
    bank: Algorithm,
    values: &BTreeMap<u32, Vec<u8>>,
    quote: &str,
) -> Result<Component, LogError> {
    if values.is_empty() {
        return Err(LogError::NothingToCompare);
    }
    let registers = replay(log);
    let mut checks = Vec::new();
    for (index, value) in values {
        let register = log.kind.register(*index);
        let replayed = registers
            .value(bank, *index)
            .ok_or(LogError::BankAbsent(bank.name()))?;
        if replayed != *value {
            return Err(LogError::Mismatch {
                register,
                value: hex::encode(value),
                replayed: hex::encode(replayed),
            });
        }
        let line = format!(
            "{register} = {} ({})",
            hex::encode(value),
            events(&registers, bank, *index)
        );
        checks.push(Check::new("register", line, quote, "replay of the event log"));
    }
    if let Some(index) = registers.extended(bank).find(|index| !values.contains_key(index)) {
        return Err(LogError::RegisterAbsent(log.kind.register(index)));
    }
    for event in &log.events {
        let anchor = match event.is_extended() {
            true => format!("{quote}, {}", log.kind.register(event.register)),
            false => "none".to_owned(),
        };
        let check = event.binding.describe();
        let digest = event.digests.iter().find(|digest| digest.algorithm == bank);
        let digest = digest.map_or_else(String::new, |digest| hex::encode(&digest.value[..8]));
        let value = format!("{} ({digest}…)", describe(event));
        checks.push(Check::new(name(event.event_type), value, anchor, check));
    }
    Ok(Component {
        kind: "event-log",
        tcb: None,
        // A log rests on no key of its own.
        revocation: Revocation::Unknown,
        checks,
    })
}

fn events(registers: &Registers, bank: Algorithm, index: u32) -> String {
    match registers.events(bank, index) {
        0 => "no events".to_owned(),
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    }
}

/// Every event of a log, for people; nothing is compared with hardware.
pub fn fields(log: &EventLog) -> Vec<(&'static str, String)> {
    let line = |event: &Event| {
        let register = match event.is_extended() {
            true => log.kind.register(event.register),
            false => "no register".to_owned(),
        };
        let digests = event
            .digests
            .iter()
            .filter(|digest| digest.algorithm.is_replayed());
        let digests: Vec<String> = digests
            .map(|digest| format!("{} {}", digest.algorithm.name(), hex::encode(&digest.value)))
            .collect();
        let text = format!(
            "{register}, {}, {} ({})",
            digests.join(", "),
            describe(event),
            event.binding.describe()
        );
        (name(event.event_type), text)
    };
    log.events.iter().map(line).collect()
}

/// Name and data, shortened; the sender's text is shown in one line.
fn describe(event: &Event) -> String {
    let is_variable = matches!(
        event.event_type,
        types::EV_EFI_VARIABLE_DRIVER_CONFIG
            | types::EV_EFI_VARIABLE_BOOT
            | types::EV_EFI_VARIABLE_BOOT2
            | types::EV_EFI_VARIABLE_AUTHORITY
    );
    let data = match variable(&event.data) {
        Some((name, value)) if is_variable => format!("{} = {}", utf16(name), shown(value)),
        _ => shown(&event.data),
    };
    match event.name.as_deref() {
        None | Some("") => data,
        Some(name) => format!("{} = {data}", one_line(name)),
    }
}

fn shown(data: &[u8]) -> String {
    let text = data.strip_suffix(&[0]).unwrap_or(data);
    let printable = !text.is_empty()
        && text
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    match core::str::from_utf8(text) {
        Ok(text) if printable => format!("{:?}", one_line(text)),
        _ if data.len() > SHOWN => format!("{}… ({} bytes)", hex::encode(&data[..SHOWN]), data.len()),
        _ => hex::encode(data),
    }
}

fn utf16(name: &[u8]) -> String {
    let units = name
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    one_line(&text)
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}
