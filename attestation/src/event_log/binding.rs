//! What of an event its digests bind.

use serde::Serialize;

use super::LogError;
use super::dstack::{RUNTIME_EVENT, runtime_digest};
use super::event_type::{name, types};
use super::parse::{Event, Kind};

/// What of an event is as good as the register, once the log was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// All of the data: the digest is of them.
    Data,
    /// The value of a UEFI variable; its name is the sender's word.
    VariableValue,
    /// The command behind GRUB's `grub_cmd: ` or `kernel_cmdline: `; which of the two is the sender's word.
    Command,
    /// Type, name and payload of dstack's events.
    Event,
    /// The digest alone: the data are the sender's word.
    Digest,
    /// Nothing: the event is not extended.
    NotExtended,
}

impl Binding {
    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Binding::Data => "digest is of the data",
            Binding::VariableValue => "digest is of the variable's value; its name is not bound",
            Binding::Command => "digest is of the command; its prefix is not bound",
            Binding::Event => "digest is of type, name and payload",
            Binding::Digest => "only the digest is bound; the data are the sender's word",
            Binding::NotExtended => "not extended: the sender's word",
        }
    }
}

/// `number` is the event's place in the log.
///
/// Some types must hash to their data, as PFP says of each. For the others it is only found out whether they do.
pub(super) fn binding_of(event: &Event, kind: Kind, number: usize) -> Result<Binding, LogError> {
    let wrong = || LogError::EventData {
        number,
        name: name(event.event_type),
        register: kind.register(event.register),
    };
    if kind == Kind::Dstack && event.event_type == RUNTIME_EVENT {
        let name = event.name.as_deref().unwrap_or_default();
        let expected = runtime_digest(name, &event.data);
        return match event.digests.iter().all(|digest| digest.value == expected) {
            true => Ok(Binding::Event),
            false => Err(wrong()),
        };
    }
    // A separator of 1 says that an error happened, which the event data then describe.
    if event.event_type == types::EV_SEPARATOR && hashes_to(event, &1u32.to_le_bytes()) {
        return Err(LogError::ErrorSeparator {
            number,
            register: kind.register(event.register),
        });
    }
    // dstack leaves the payload of firmware's events out when it shortens a log.
    if kind == Kind::Dstack && event.data.is_empty() {
        return Ok(Binding::Digest);
    }
    if hashes_to(event, &event.data) {
        return Ok(Binding::Data);
    }
    match event.event_type {
        types::EV_SEPARATOR
        | types::EV_ACTION
        | types::EV_S_CRTM_VERSION
        | types::EV_EFI_VARIABLE_DRIVER_CONFIG
        | types::EV_EFI_VARIABLE_AUTHORITY
        | types::EV_EFI_VARIABLE_BOOT2
        | types::EV_EFI_GPT_EVENT
        | types::EV_EFI_ACTION => Err(wrong()),
        // The older of the two types for boot variables hashes their value alone.
        types::EV_EFI_VARIABLE_BOOT => match variable_value(&event.data) {
            Some(value) if hashes_to(event, value) => Ok(Binding::VariableValue),
            _ => Err(wrong()),
        },
        types::EV_IPL if command(&event.data).is_some_and(|text| hashes_to(event, text)) => {
            Ok(Binding::Command)
        }
        _ => Ok(Binding::Digest),
    }
}

/// Whether the digests of all banks that are replayed are of `data`.
fn hashes_to(event: &Event, data: &[u8]) -> bool {
    let mut replayed = event
        .digests
        .iter()
        .filter(|digest| digest.algorithm.is_replayed())
        .peekable();
    replayed.peek().is_some() && replayed.all(|digest| digest.algorithm.hash(&[data]) == digest.value)
}

/// UEFI_VARIABLE_DATA: GUID (16), characters of the name (8), bytes of the value (8), name in UTF-16, value.
pub(super) fn variable(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let number = |at: usize| {
        let bytes = data.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (name_len, value_len) = (number(16)?.checked_mul(2)?, number(24)?);
    let rest = &data[32..];
    let name = rest.get(..name_len)?;
    let value = &rest[name_len..];
    (value.len() == value_len).then_some((name, value))
}

fn variable_value(data: &[u8]) -> Option<&[u8]> {
    variable(data).map(|(_, value)| value)
}

fn command(data: &[u8]) -> Option<&[u8]> {
    let text = data.strip_suffix(&[0]).unwrap_or(data);
    text.strip_prefix(b"grub_cmd: ")
        .or_else(|| text.strip_prefix(b"kernel_cmdline: "))
}
