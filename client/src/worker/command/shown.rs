//! How workers look on a terminal.

use jeju_worker_protocol::Level;
use jeju_worker_protocol::api::{Deployment, LogEntry, Status};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::node::words;

/// A name and what it is.
pub fn line(name: &str, value: &str) -> String {
    format!("{name:<12}{}", words(value))
}

/// A version that answers.
pub fn deployment(deployment: &Deployment) -> Vec<String> {
    vec![
        line("worker", &deployment.worker_id),
        line("version", &deployment.version.to_string()),
        line("code hash", &deployment.code_hash),
        line("status", status(deployment.status)),
        line("deployed", &time(deployment.deployed_at)),
        line("by", &deployment.deployed_by),
        line("endpoint", &deployment.endpoint),
    ]
}

/// Whether a worker answers.
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Paused => "paused",
    }
}

/// A line of a log.
pub fn entry(entry: &LogEntry) -> String {
    format!(
        "{} {:<5} {}",
        time(entry.time),
        level(entry.level),
        words(&entry.text)
    )
}

/// How loud.
pub const fn level(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Log => "log",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Milliseconds since 1970.
pub fn time(milliseconds: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| milliseconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_log_do_nothing_to_a_terminal() {
        let line = entry(&LogEntry {
            seq: 1,
            time: 1_764_162_000_123,
            level: Level::Warn,
            text: "a\u{1b}[2Jb".into(),
            execution_id: String::new(),
            version: 1,
        });
        assert_eq!(line, "2025-11-26T13:00:00.123Z warn  a[2Jb");
        assert_eq!(time(u64::MAX), u64::MAX.to_string());
    }
}
