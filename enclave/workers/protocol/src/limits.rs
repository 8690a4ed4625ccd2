//! What one event may use.

use serde::{Deserialize, Serialize};

/// Bytes of one body that may be under way before the reader gave [`ToProcess::Credit`](crate::ToProcess::Credit) or
/// [`ToBroker::Credit`](crate::ToBroker::Credit) for more.
pub const BODY_WINDOW: u32 = 256 * 1024;
/// Longest piece of a body in one message, in bytes.
pub const MAX_CHUNK: usize = 64 * 1024;

/// What one event of a worker may use. Each limit has its own code in [`crate::code`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time from the event to its last answer and `waitUntil`, in milliseconds.
    pub wall_ms: u32,
    /// Time on a CPU, in milliseconds.
    pub cpu_ms: u32,
    /// Memory of an isolate, in bytes.
    pub memory: u64,
    /// Longest request body, in bytes.
    pub request_body: u64,
    /// Longest response body, in bytes.
    pub response_body: u64,
    /// Outgoing requests.
    pub subrequests: u32,
    /// Log lines.
    pub log_lines: u32,
    /// Longest log line, in bytes; what is longer is cut.
    pub log_line: u32,
    /// Timers at a time.
    pub timers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 30_000,
            cpu_ms: 10_000,
            memory: 128 << 20,
            request_body: 10 << 20,
            response_body: 10 << 20,
            subrequests: 50,
            log_lines: 256,
            log_line: 4096,
            timers: 1024,
        }
    }
}
