//! Counters of the node: numbers only, so that no label can ever hold what a user wrote.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Since when an engine counts as hot or warm, as existing clients know it.
const HOT: Duration = Duration::from_secs(10);
const WARM: Duration = Duration::from_secs(60);
const NEVER: u64 = u64::MAX;

/// All counters.
pub(super) struct Metrics {
    started: Instant,
    requests: AtomicU64,
    errors: AtomicU64,
    inferences: AtomicU64,
    inference_millis: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    /// Milliseconds from start to the first and the last finished inference.
    first: AtomicU64,
    last: AtomicU64,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: Instant::now(),
            requests: zero(),
            errors: zero(),
            inferences: zero(),
            inference_millis: zero(),
            prompt_tokens: zero(),
            completion_tokens: zero(),
            first: AtomicU64::new(NEVER),
            last: AtomicU64::new(NEVER),
        }
    }

    pub(super) fn request(&self, is_error: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.errors.fetch_add(u64::from(is_error), Relaxed);
    }

    pub(super) fn inference(&self, took: Duration, prompt_tokens: u64, completion_tokens: u64) {
        let now = self.uptime_millis();
        self.inferences.fetch_add(1, Relaxed);
        self.inference_millis
            .fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.prompt_tokens.fetch_add(prompt_tokens, Relaxed);
        self.completion_tokens.fetch_add(completion_tokens, Relaxed);
        let _ = self.first.compare_exchange(NEVER, now, Relaxed, Relaxed);
        self.last.store(now, Relaxed);
    }

    pub(super) fn uptime_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// `cold`, `warm` or `hot`.
    pub(super) fn warmth(&self) -> &'static str {
        match self.last.load(Relaxed) {
            NEVER => "cold",
            last => match Duration::from_millis(self.uptime_millis().saturating_sub(last)) {
                since if since < HOT => "hot",
                since if since < WARM => "warm",
                _ => "cold",
            },
        }
    }

    /// The document of `/v1/metrics`. Times are milliseconds since the node started: it reads no wall clock.
    pub(super) fn document(&self) -> Value {
        let inferences = self.inferences.load(Relaxed);
        let known = |value: u64| (value != NEVER).then_some(value);
        json!({
            "coldStartTime": known(self.first.load(Relaxed)),
            "warmth": self.warmth(),
            "lastInferenceAt": known(self.last.load(Relaxed)),
            "totalInferences": inferences,
            "averageLatency": self.inference_millis.load(Relaxed).checked_div(inferences),
            "uptime": self.uptime_millis(),
            "requests": self.requests.load(Relaxed),
            "errors": self.errors.load(Relaxed),
            "promptTokens": self.prompt_tokens.load(Relaxed),
            "completionTokens": self.completion_tokens.load(Relaxed),
        })
    }
}
