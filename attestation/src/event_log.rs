//! Event logs: replay against measurement registers.
//!
//! A log is the host's word until its digests, extended one after another, give the registers that hardware signed: the
//! RTMRs of a TDX quote, or the PCRs of a TPM quote. Then each digest, and the order, is the hardware's word. What an
//! event's *data* are worth is another question, answered per event by [`Binding`]: for some types the digest is of the
//! data, for others it is of something that isn't in the log (a file, a firmware volume), and the data are a mere label.
//! An event's type is never bound: whoever hands the log over can call a separator an action. Judge events by digest.
//!
//! Forms: the crypto-agile log of *TCG PC Client Platform Firmware Profile* (PFP); the same in the area to which the CCEL
//! table points (ACPI 6.5), where measurement registers 1 to 4 are RTMR0 to RTMR3 (UEFI 2.10 §38, mapping for TDX); and
//! dstack's JSON. [`EventLog::parse`] → [`replay()`] → [`check_rtmrs`] or [`check_pcrs`].

mod appraise;
mod binding;
mod dstack;
mod event_type;
mod form;
mod parse;
mod replay;

pub use appraise::{check_pcrs, check_rtmrs, fields};
pub use binding::Binding;
pub use dstack::{RUNTIME_EVENT, runtime_digest};
pub use event_type::{name as event_type_name, types};
pub use form::{Form, read};
pub use parse::{Digest, Event, EventLog, Kind, MAX_EVENTS, MAX_LEN};
pub use replay::{Algorithm, Registers, replay};

use crate::reasons::reasons;

reasons! {
    /// Why an event log is refused.
    pub enum LogError {
        own {
            #[error("event log of {0} bytes is longer than {MAX_LEN}")]
            TooLong(usize) => Evidence "log_too_long",
            #[error("event log has more than {MAX_EVENTS} events")]
            TooMany => Evidence "log_too_many_events",
            #[error("event log ends inside the event at byte {0}")]
            Truncated(usize) => Evidence "log_truncated",
            #[error("event log doesn't start with a Spec ID event of EV_NO_ACTION")]
            NoSpecId => Evidence "log_no_spec_id",
            #[error("event log's Spec ID event is malformed: {0}")]
            SpecId(&'static str) => Evidence "log_spec_id",
            #[error("event log names digest algorithm {0:#06x}, which is not known")]
            Algorithm(u16) => Evidence "log_algorithm",
            #[error("event log says that digests of algorithm {algorithm:#06x} have {found} bytes, not {expected}")]
            AlgorithmLength { algorithm: u16, found: u16, expected: usize } => Evidence "log_algorithm_length",
            #[error("event log has a bank of algorithm {0:#06x} twice")]
            DuplicateBank(u16) => Evidence "log_duplicate_bank",
            #[error("event log has no bank of SHA-256, SHA-384 or SHA-512")]
            WeakBanks => Evidence "log_weak_banks",
            #[error("event at byte {at} has {found} digests, the log has {expected} banks")]
            DigestCount { at: usize, found: u32, expected: usize } => Evidence "log_digest_count",
            #[error("event at byte {at} has no digest for the bank of algorithm {algorithm:#06x}")]
            DigestMissing { at: usize, algorithm: u16 } => Evidence "log_digest_missing",
            #[error("event at byte {at} extends register {found}, allowed are {least} to {most}")]
            Register { at: usize, found: u32, least: u32, most: u32 } => Evidence "log_register",
            #[error("event at byte {at} says that it has {size} bytes of data, {left} are left")]
            EventSize { at: usize, size: u32, left: usize } => Evidence "log_event_size",
            #[error("there is something other than padding after the last event, at byte {0}")]
            Trailing(usize) => Evidence "log_trailing_bytes",
            #[error("event at byte {0} is EV_NO_ACTION and has a digest")]
            NoActionDigest(usize) => Evidence "log_no_action_digest",
            #[error("event at byte {at} sets the startup locality: {problem}")]
            StartupLocality { at: usize, problem: &'static str } => Evidence "log_startup_locality",
            #[error("event {number} ({name} in {register}) has a digest that is not of its data")]
            EventData { number: usize, name: &'static str, register: String } => Evidence "log_event_data",
            #[error("event {number} is an error separator in {register}: firmware gave up measuring")]
            ErrorSeparator { number: usize, register: String } => Policy "log_error_separator",
            #[error("event log is not dstack's JSON: {0}")]
            Json(String) => Evidence "log_json",
            #[error("event {number} of dstack's log has a malformed {field}")]
            JsonField { number: usize, field: &'static str } => Evidence "log_json_field",
            #[error("event log has no bank of {0}")]
            BankAbsent(&'static str) => Evidence "log_bank_absent",
            #[error("event log is of {found}, not of {expected}")]
            OtherKind { found: &'static str, expected: &'static str } => Evidence "log_other_kind",
            #[error("there are no registers to compare the event log with")]
            NothingToCompare => Evidence "log_nothing_to_compare",
            #[error("event log extends {0}, whose value is not at hand")]
            RegisterAbsent(String) => Evidence "log_register_absent",
            #[error("{register} is {value}, replaying the event log gives {replayed}")]
            Mismatch { register: String, value: String, replayed: String } => Evidence "log_register_mismatch",
        }
        of {}
    }
}
