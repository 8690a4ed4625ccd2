//! Log lines of the shim: an event name and fields, as text or JSON, at a bounded rate.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::config::LogFormat;

/// A field's value. Only what was parsed strictly or made here: never payload.
pub(crate) type Field<'a> = (&'static str, &'a dyn Display);

/// Lines a second, and at once, for events that a peer can cause at will.
const RATE: f64 = 20.0;
const BURST: f64 = 50.0;

/// Where events go.
pub(crate) struct Events {
    format: LogFormat,
    budget: Mutex<Budget>,
}

impl Events {
    pub(crate) fn new(format: LogFormat) -> Self {
        Self {
            format,
            budget: Mutex::new(Budget {
                lines: BURST,
                filled: Instant::now(),
                suppressed: 0,
            }),
        }
    }

    /// An event of the shim's own life.
    pub(crate) fn note(&self, event: &'static str, fields: &[Field<'_>]) {
        self.write(event, fields, 0);
    }

    /// An event that a peer caused. Beyond the rate it is only counted, so that a flood fills no disk.
    pub(crate) fn caused(&self, event: &'static str, fields: &[Field<'_>]) {
        let admitted = self
            .budget
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .admit(Instant::now());
        if let Some(suppressed) = admitted {
            self.write(event, fields, suppressed);
        }
    }

    fn write(&self, event: &'static str, fields: &[Field<'_>], suppressed: u64) {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let Some(mut line) = render(self.format, seconds, event, fields, suppressed) else {
            return;
        };
        line.push('\n');
        // Nothing can be done about a closed standard error.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Token bucket.
struct Budget {
    lines: f64,
    filled: Instant,
    suppressed: u64,
}

impl Budget {
    /// `Some` number of lines left out before this one, or `None` when this one is left out as well.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.lines = (self.lines + elapsed * RATE).min(BURST);
        self.filled = now;
        if self.lines < 1.0 {
            self.suppressed += 1;
            return None;
        }
        self.lines -= 1.0;
        Some(std::mem::take(&mut self.suppressed))
    }
}

fn render(
    format: LogFormat,
    seconds: f64,
    event: &str,
    fields: &[Field<'_>],
    suppressed: u64,
) -> Option<String> {
    match format {
        LogFormat::Silent => None,
        LogFormat::Text => {
            let mut line = format!("jeju-host-shim: {event}");
            for (key, value) in fields {
                let _ = write!(line, " {key}={value}");
            }
            if suppressed > 0 {
                let _ = write!(line, " suppressed={suppressed}");
            }
            // A value may quote an operating-system message; one event stays one line.
            Some(line.replace(['\n', '\r'], " "))
        }
        LogFormat::Json => {
            let mut object = serde_json::Map::new();
            object.insert("time".into(), ((seconds * 1000.0).round() / 1000.0).into());
            object.insert("event".into(), event.into());
            for (key, value) in fields {
                object.insert((*key).into(), value.to_string().into());
            }
            if suppressed > 0 {
                object.insert("suppressed".into(), suppressed.into());
            }
            Some(serde_json::Value::from(object).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let start = Instant::now();
        let mut budget = Budget {
            lines: BURST,
            filled: start,
            suppressed: 0,
        };
        let written = (0..1000).filter(|_| budget.admit(start).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(
            budget.admit(start + Duration::from_secs(1)),
            Some(1000 - BURST as u64)
        );
    }

    #[test]
    fn one_event_is_one_line() {
        let fields: [Field<'_>; 2] = [("port", &4007), ("error", &"two\nlines")];
        let text = render(LogFormat::Text, 1.5, "dial_failed", &fields, 3).unwrap();
        assert_eq!(
            text,
            "jeju-host-shim: dial_failed port=4007 error=two lines suppressed=3"
        );
        let json = render(LogFormat::Json, 1.5, "dial_failed", &fields, 0).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["event"], "dial_failed");
        assert_eq!(parsed["error"], "two\nlines");
        assert_eq!(json.lines().count(), 1);
        assert_eq!(render(LogFormat::Silent, 1.5, "x", &[], 0), None);
    }
}
