//! Synthetic silicon: chains and evidence of each vendor's form under roots of our own, right or subtly wrong.
//!
//! Development and tests only. Nothing here is shared with the verifier: layouts are written out a second time from the
//! vendors' documents, so that a mistake in one of the two shows.

pub mod amd;
pub mod certificate;
pub mod crl;
pub mod der;
pub mod event_log;
pub mod intel;
pub mod key;
pub mod nitro;
pub mod nvidia;

/// A time at which everything is valid unless a template says otherwise: 2026-01-01T00:00:00Z, in seconds since 1970.
pub const NOW: u64 = 1_767_225_600;
/// Seconds of a day.
pub const DAY: i64 = 86_400;
