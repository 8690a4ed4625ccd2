//! Event logs: genuine ones replay, changed ones don't.

use jeju_attestation::event_log::{
    self, Algorithm, Binding, EventLog, Kind, LogError, check_pcrs, check_rtmrs, replay,
};

use crate::vectors;

pub mod genuine;
mod negatives;
