//! Events, and the register that they amount to.

use sha2::{Digest as _, Sha384};

use super::Digest;

/// A register that is extended at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Register {
    /// RTMR0.
    Rtmr0,
    /// RTMR1.
    Rtmr1,
    /// RTMR2.
    Rtmr2,
    /// RTMR3.
    Rtmr3,
}

/// One extension of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub register: Register,
    /// What is measured, in the words of an event log or of edk2's source.
    pub name: String,
    /// What the register is extended with.
    pub digest: Digest,
}

impl Event {
    /// An event whose digest is that of `data`.
    pub fn of(register: Register, name: impl Into<String>, data: &[u8]) -> Self {
        Self {
            register,
            name: name.into(),
            digest: Sha384::digest(data).into(),
        }
    }
}

/// The register after one more digest (TDG.MR.RTMR.EXTEND): SHA-384 over the old value and the digest.
pub fn extend(register: &Digest, digest: &Digest) -> Digest {
    Sha384::new()
        .chain_update(register)
        .chain_update(digest)
        .finalize()
        .into()
}

/// What a register holds after those of the events that are its own, in order.
pub fn replay(register: Register, events: &[Event]) -> Digest {
    events
        .iter()
        .filter(|event| event.register == register)
        .fold([0; 48], |value, event| extend(&value, &event.digest))
}
