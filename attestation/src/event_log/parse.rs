//! Bytes → events: the crypto-agile log (PFP, "Event Logging").

use super::binding::{Binding, binding_of};
use super::event_type::types;
use super::replay::Algorithm;
use super::{LogError, dstack};
use crate::hash::is_zero;

/// Longest log that is read, in bytes. Firmware reserves 64 to 256 KiB.
pub const MAX_LEN: usize = 1024 * 1024;
/// Most events that are read.
pub const MAX_EVENTS: usize = 4096;

const MAX_BANKS: usize = 8;
/// TCG_EfiSpecIDEvent.signature.
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// TCG_EfiStartupLocalityEvent.signature.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// Whose registers a log is about, and in which form it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TPM's: PCR0 to PCR23. Binary.
    Tpm,
    /// A TD's, as the CCEL table's area has it: register 1 to 4 are RTMR0 to RTMR3. Binary.
    Ccel,
    /// A TD's, as dstack's JSON has it: `imr` 0 to 3.
    Dstack,
}

impl Kind {
    /// The name of a register.
    pub fn register(self, index: u32) -> String {
        match self {
            Kind::Tpm => format!("PCR{index}"),
            Kind::Ccel | Kind::Dstack => format!("RTMR{index}"),
        }
    }
}

/// A digest of one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Bank.
    pub algorithm: Algorithm,
    /// As long as the algorithm's digests.
    pub value: Vec<u8>,
}

/// An event, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// PCR or RTMR; 0 to 3 for RTMRs in both forms.
    pub register: u32,
    /// Type; not bound by anything.
    pub event_type: u32,
    /// One for each bank of the log.
    pub digests: Vec<Digest>,
    /// Event data.
    pub data: Vec<u8>,
    /// Name that dstack gives the event.
    pub name: Option<String>,
    /// What of this event the digests bind.
    pub binding: Binding,
}

impl Event {
    /// Whether its digests are extended into the register.
    pub fn is_extended(&self) -> bool {
        self.event_type != types::EV_NO_ACTION
    }
}

/// A log that is well formed, and whose data fit their digests where the type says that they must. It is nobody's word
/// before it is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    pub(super) kind: Kind,
    pub(super) banks: Vec<Algorithm>,
    pub(super) events: Vec<Event>,
    pub(super) startup_locality: u8,
}

impl EventLog {
    /// Reads a log.
    pub fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, LogError> {
        if bytes.len() > MAX_LEN {
            return Err(LogError::TooLong(bytes.len()));
        }
        match kind {
            Kind::Tpm | Kind::Ccel => parse(kind, bytes),
            Kind::Dstack => dstack::parse(bytes),
        }
    }

    /// Reads a TD's log in whichever form it has.
    pub fn read(file: &[u8]) -> Result<Self, LogError> {
        let kind = match file.trim_ascii_start().first() {
            Some(b'{' | b'[') => Kind::Dstack,
            _ => Kind::Ccel,
        };
        Self::parse(kind, file)
    }

    /// Whose registers it is about.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Digest algorithms, in the log's order.
    pub fn banks(&self) -> &[Algorithm] {
        &self.banks
    }

    /// The events, without the Spec ID event.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Locality from which the TPM was started: PCR0 starts with it.
    pub fn startup_locality(&self) -> u8 {
        self.startup_locality
    }
}

fn parse(kind: Kind, bytes: &[u8]) -> Result<EventLog, LogError> {
    let mut reader = Reader { bytes, at: 0 };
    let banks = read_spec_id(&mut reader)?;
    let mut log = EventLog {
        kind,
        banks,
        events: Vec::new(),
        startup_locality: 0,
    };
    let mut locality_set = false;
    while !is_padding(&reader)? {
        if log.events.len() == MAX_EVENTS {
            return Err(LogError::TooMany);
        }
        let at = reader.at;
        let event = read_event(&mut reader, &log)?;
        if !event.is_extended() && event.data.starts_with(STARTUP_LOCALITY) {
            let problem = |problem| LogError::StartupLocality { at, problem };
            if core::mem::replace(&mut locality_set, true) {
                return Err(problem("it was set before"));
            }
            log.startup_locality = startup_locality(&event, &log).map_err(problem)?;
        }
        log.events.push(event);
    }
    Ok(log)
}

/// The first event has the layout of TCG 1.2 (TCG_PCClientPCREvent): register, type, SHA-1 digest of zeros, size, data.
fn read_spec_id(reader: &mut Reader<'_>) -> Result<Vec<Algorithm>, LogError> {
    let (_register, event_type) = (reader.u32()?, reader.u32()?);
    let digest = reader.take(20)?;
    if event_type != types::EV_NO_ACTION || !is_zero(digest) {
        return Err(LogError::NoSpecId);
    }
    let data = reader.data(0)?;
    let mut data = Reader { bytes: data, at: 0 };
    if data.take(16).ok() != Some(&SPEC_ID[..]) {
        return Err(LogError::NoSpecId);
    }
    let short = |_| LogError::SpecId("it is cut");
    let _platform_class = data.u32().map_err(short)?;
    let version = data.take(4).map_err(short)?;
    // Minor, major, errata, and the size of UINTN, on which nothing depends.
    if version[..2] != [0, 2] {
        return Err(LogError::SpecId("it is not of version 2.0"));
    }
    let count = data.u32().map_err(short)? as usize;
    if count == 0 || count > MAX_BANKS {
        return Err(LogError::SpecId("it names no algorithms, or more than there are"));
    }
    let mut banks: Vec<Algorithm> = Vec::new();
    for _ in 0..count {
        let (id, found) = (data.u16().map_err(short)?, data.u16().map_err(short)?);
        let algorithm = Algorithm::from_id(id).ok_or(LogError::Algorithm(id))?;
        if usize::from(found) != algorithm.len() {
            return Err(LogError::AlgorithmLength {
                algorithm: id,
                found,
                expected: algorithm.len(),
            });
        }
        if banks.contains(&algorithm) {
            return Err(LogError::DuplicateBank(id));
        }
        banks.push(algorithm);
    }
    let vendor = usize::from(data.take(1).map_err(short)?[0]);
    if data.left() != vendor {
        return Err(LogError::SpecId("its vendor's data are cut or too long"));
    }
    // Digests of SHA-1 can be forged: a log of nothing else shows nothing.
    match banks.iter().any(|bank| bank.is_replayed()) {
        true => Ok(banks),
        false => Err(LogError::WeakBanks),
    }
}

/// TCG_PCR_EVENT2.
fn read_event(reader: &mut Reader<'_>, log: &EventLog) -> Result<Event, LogError> {
    let start = reader.at;
    let cut = |_| LogError::Truncated(start);
    let (register, event_type) = (reader.u32().map_err(cut)?, reader.u32().map_err(cut)?);
    let count = reader.u32().map_err(cut)?;
    if count as usize != log.banks.len() {
        return Err(LogError::DigestCount {
            at: start,
            found: count,
            expected: log.banks.len(),
        });
    }
    let mut digests: Vec<Digest> = Vec::with_capacity(log.banks.len());
    for _ in 0..count {
        let id = reader.u16().map_err(cut)?;
        let algorithm = Algorithm::from_id(id)
            .filter(|algorithm| log.banks.contains(algorithm))
            .ok_or(LogError::Algorithm(id))?;
        let value = reader.take(algorithm.len()).map_err(cut)?.to_vec();
        digests.push(Digest { algorithm, value });
    }
    // As many digests as banks: one that is there twice leaves another bank out.
    let missing = log
        .banks
        .iter()
        .find(|bank| !digests.iter().any(|digest| digest.algorithm == **bank));
    if let Some(bank) = missing {
        return Err(LogError::DigestMissing {
            at: start,
            algorithm: bank.id(),
        });
    }
    let data = reader.data(start)?.to_vec();
    let mut event = Event {
        register,
        event_type,
        digests,
        data,
        name: None,
        binding: Binding::NotExtended,
    };
    if !event.is_extended() {
        return match event.digests.iter().all(|digest| is_zero(&digest.value)) {
            true => Ok(event),
            false => Err(LogError::NoActionDigest(start)),
        };
    }
    event.register = register_index(register, log.kind, start)?;
    event.binding = binding_of(&event, log.kind, log.events.len())?;
    Ok(event)
}

/// MRTD is measurement register 0 of a TD, and no event extends it.
fn register_index(found: u32, kind: Kind, at: usize) -> Result<u32, LogError> {
    let (least, most) = match kind {
        Kind::Tpm => (0, 23),
        Kind::Ccel => (1, 4),
        Kind::Dstack => (0, 3),
    };
    match (least..=most).contains(&found) {
        true => Ok(found - least),
        false => Err(LogError::Register {
            at,
            found,
            least,
            most,
        }),
    }
}

/// The locality is PCR0's start value, so it must be known before PCR0 is first extended.
fn startup_locality(event: &Event, log: &EventLog) -> Result<u8, &'static str> {
    if log.kind != Kind::Tpm || event.register != 0 {
        return Err("only PCR0 has one");
    }
    if log
        .events
        .iter()
        .any(|event| event.is_extended() && event.register == 0)
    {
        return Err("PCR0 was extended before");
    }
    match event.data[STARTUP_LOCALITY.len()..] {
        [locality @ (0 | 3 | 4)] => Ok(locality),
        _ => Err("it is none of 0, 3 and 4"),
    }
}

/// The area behind the last event is all ones (CCEL) or all zeros. What starts like padding must be padding to the end,
/// or a second log could hide there.
fn is_padding(reader: &Reader<'_>) -> Result<bool, LogError> {
    let rest = &reader.bytes[reader.at..];
    for filler in [0x00, 0xFF] {
        if rest.iter().all(|byte| *byte == filler) {
            return Ok(true);
        }
        if rest.len() >= 8 && rest[..8].iter().all(|byte| *byte == filler) {
            return Err(LogError::Trailing(reader.at));
        }
    }
    Ok(false)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], LogError> {
        let taken = self
            .at
            .checked_add(len)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or(LogError::Truncated(self.at))?;
        self.at += len;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, LogError> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, LogError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Size and data of the event that starts at byte `start`.
    fn data(&mut self, start: usize) -> Result<&'a [u8], LogError> {
        let size = self.u32().map_err(|_| LogError::Truncated(start))?;
        let left = self.left();
        match usize::try_from(size) {
            Ok(size) if size <= left => self.take(size),
            _ => Err(LogError::EventSize {
                at: start,
                size,
                left,
            }),
        }
    }
}
