//! Events → registers: each is the hash of its old value and the next digest.

use std::collections::BTreeMap;

use sha2::{Sha256, Sha384, Sha512};

use super::parse::{EventLog, Kind};

/// Digest algorithms, by TPM_ALG_ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// 0x0004. Read, never replayed: its digests can be forged.
    Sha1,
    /// 0x000B.
    Sha256,
    /// 0x000C.
    Sha384,
    /// 0x000D.
    Sha512,
    /// 0x0012. Read, never replayed.
    Sm3,
}

impl Algorithm {
    /// From a TPM_ALG_ID.
    pub const fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            0x0004 => Algorithm::Sha1,
            0x000B => Algorithm::Sha256,
            0x000C => Algorithm::Sha384,
            0x000D => Algorithm::Sha512,
            0x0012 => Algorithm::Sm3,
            _ => return None,
        })
    }

    /// TPM_ALG_ID.
    pub const fn id(self) -> u16 {
        match self {
            Algorithm::Sha1 => 0x0004,
            Algorithm::Sha256 => 0x000B,
            Algorithm::Sha384 => 0x000C,
            Algorithm::Sha512 => 0x000D,
            Algorithm::Sm3 => 0x0012,
        }
    }

    /// Name.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha384 => "SHA-384",
            Algorithm::Sha512 => "SHA-512",
            Algorithm::Sm3 => "SM3",
        }
    }

    /// Length of a digest, in bytes.
    #[allow(clippy::len_without_is_empty, reason = "no digest is empty")]
    pub const fn len(self) -> usize {
        match self {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 | Algorithm::Sm3 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }

    /// Whether its bank is replayed, and its digests compared with data.
    pub const fn is_replayed(self) -> bool {
        matches!(self, Algorithm::Sha256 | Algorithm::Sha384 | Algorithm::Sha512)
    }

    /// Hash over all parts; empty for an algorithm that isn't replayed.
    pub(super) fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        fn over<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hash = D::new();
            for part in parts {
                hash.update(part);
            }
            hash.finalize().to_vec()
        }
        match self {
            Algorithm::Sha256 => over::<Sha256>(parts),
            Algorithm::Sha384 => over::<Sha384>(parts),
            Algorithm::Sha512 => over::<Sha512>(parts),
            Algorithm::Sha1 | Algorithm::Sm3 => Vec::new(),
        }
    }
}

/// What the registers must hold if the log is the true one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    kind: Kind,
    banks: Vec<Algorithm>,
    startup_locality: u8,
    /// Those that were extended, with the count of events.
    values: BTreeMap<(Algorithm, u32), (Vec<u8>, usize)>,
}

impl Registers {
    /// The value of a register in a bank; `None` where the bank isn't replayed.
    pub fn value(&self, bank: Algorithm, index: u32) -> Option<Vec<u8>> {
        if !self.banks.contains(&bank) {
            return None;
        }
        Some(match self.values.get(&(bank, index)) {
            Some((value, _)) => value.clone(),
            None => self.start(bank, index),
        })
    }

    /// How many events extended a register.
    pub fn events(&self, bank: Algorithm, index: u32) -> usize {
        self.values.get(&(bank, index)).map_or(0, |(_, events)| *events)
    }

    /// The registers that were extended in a bank, in order.
    pub fn extended(&self, bank: Algorithm) -> impl Iterator<Item = u32> {
        self.values
            .keys()
            .filter(move |(of, _)| *of == bank)
            .map(|(_, index)| *index)
    }

    /// Zeros; the locality of startup as the last byte of PCR0; ones in the PCRs that only a dynamic launch resets (TCG PC
    /// Client Platform TPM Profile, "PCR Attributes").
    fn start(&self, bank: Algorithm, index: u32) -> Vec<u8> {
        let filler = match (self.kind, index) {
            (Kind::Tpm, 17..=22) => 0xFF,
            _ => 0,
        };
        let mut value = vec![filler; bank.len()];
        if let (Kind::Tpm, 0, Some(last)) = (self.kind, index, value.last_mut()) {
            *last = self.startup_locality;
        }
        value
    }
}

/// Extends all events of the log, in each bank that is replayed.
pub fn replay(log: &EventLog) -> Registers {
    let mut registers = Registers {
        kind: log.kind,
        banks: log
            .banks
            .iter()
            .copied()
            .filter(|bank| bank.is_replayed())
            .collect(),
        startup_locality: log.startup_locality,
        values: BTreeMap::new(),
    };
    for event in log.events.iter().filter(|event| event.is_extended()) {
        for digest in event
            .digests
            .iter()
            .filter(|digest| digest.algorithm.is_replayed())
        {
            let (bank, index) = (digest.algorithm, event.register);
            let start = registers.start(bank, index);
            let (value, events) = registers.values.entry((bank, index)).or_insert((start, 0));
            *value = bank.hash(&[value, &digest.value]);
            *events += 1;
        }
    }
    registers
}
