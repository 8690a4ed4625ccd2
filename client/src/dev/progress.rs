//! Steps, shown while they last and timed.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::DevError;

/// How often a long step shows its time, on a terminal and elsewhere.
const TERMINAL_TICK: Duration = Duration::from_secs(1);
const LOG_TICK: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    started: Instant,
    terminal: bool,
    /// Whether anything is shown.
    shown: bool,
    steps: Vec<(&'static str, Duration)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            terminal: io::stderr().is_terminal(),
            shown: true,
            steps: Vec::new(),
        }
    }

    /// The same, which shows nothing unless `shown`.
    pub(super) fn shown(shown: bool) -> Self {
        Self { shown, ..Self::new() }
    }

    /// Does a step, and shows how long it takes.
    pub(super) async fn step<T>(
        &mut self,
        key: &'static str,
        what: &str,
        work: impl Future<Output = Result<T, DevError>>,
    ) -> Result<T, DevError> {
        let started = Instant::now();
        self.show(what, started);
        let period = if self.terminal { TERMINAL_TICK } else { LOG_TICK };
        let mut ticks = tokio::time::interval_at((started + period).into(), period);
        tokio::pin!(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = ticks.tick() => self.show(what, started),
            }
        };
        let took = started.elapsed();
        let mark = if outcome.is_ok() { "ok" } else { "failed" };
        let back = if self.terminal { "\r" } else { "" };
        if self.shown {
            eprintln!("{back}  {what}: {mark} after {:.1} s", took.as_secs_f64());
        }
        self.steps.push((key, took));
        outcome
    }

    /// Time of each step, and of all.
    pub(super) fn milliseconds(&self) -> Value {
        let mut times: Map<String, Value> = self
            .steps
            .iter()
            .map(|(key, took)| ((*key).to_owned(), milliseconds(*took)))
            .collect();
        times.insert("total".to_owned(), milliseconds(self.started.elapsed()));
        Value::Object(times)
    }

    fn show(&self, what: &str, started: Instant) {
        if !self.shown {
            return;
        }
        let seconds = started.elapsed().as_secs();
        let mut error = io::stderr().lock();
        // A closed terminal is no reason to fail.
        let _ = if self.terminal {
            write!(error, "\r  {what} … {seconds} s")
        } else {
            writeln!(error, "  {what} … {seconds} s")
        };
        let _ = error.flush();
    }
}

fn milliseconds(duration: Duration) -> Value {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()
}
