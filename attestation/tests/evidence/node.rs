//! Whole nodes: a verdict is the AND over CPU, each GPU, event log and launch document, and over what binds them.

mod caches;
mod composite;
pub mod files;
mod negatives;
mod policies;
mod synthetic;
mod wrong_claims;
mod wrong_evidence;
mod wrong_policies;
