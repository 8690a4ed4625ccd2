//! Attestation evidence in, verdict out.
//!
//! This crate is pure: bytes, a policy and a time go in; a [`verdict::Verdict`] or a [`rejection::Rejection`] comes
//! out. It does no I/O, reads no clock, and builds for `wasm32-unknown-unknown`. What it names follows RATS
//! (RFC 9334): evidence, endorsement, reference value, appraisal policy.
//!
//! Evidence flows one way: [`bundle`] (bytes) → [`evidence`] (parse, chain of trust, binding to the claims) →
//! [`appraisal`] (policy, reference values, freshness) → [`verdict`]. Once a session is attested, each HTTP response
//! is checked by [`response`] against keys that the claims name.

pub mod appraisal;
pub mod bundle;
pub mod cbor;
pub mod certificate;
pub mod claims;
mod der;
pub mod endorsements;
pub mod event_log;
pub mod evidence;
pub mod hardware;
pub mod hash;
pub mod hex_bytes;
pub mod input;
pub mod intel;
pub mod keys;
pub mod launch;
pub mod measurement;
pub mod merkle;
pub mod nitro;
pub mod nvidia;
pub mod offline;
pub mod policy;
pub mod primitives;
mod reasons;
pub mod receipts;
pub mod rejection;
pub mod response;
pub mod roots;
pub mod sev_snp;
pub mod sgx;
pub mod simulated;
pub mod stripped;
pub mod structured_field;
pub mod tdx;
pub mod tee;
pub mod toml_items;
pub mod verdict;
pub mod x509;
