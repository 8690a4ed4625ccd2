//! When tokens came, and how long each stream waited for its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A stream that runs.
pub struct Stream {
    counts: bool,
    asked: Instant,
    last: Option<Instant>,
    /// Tokens that all streams had when this one got its last, or was asked for.
    others: u64,
    first: Duration,
    longest: Duration,
    /// Most tokens that others got while it waited for one.
    passed_over: u64,
}

/// All streams.
pub struct Statistics {
    streams: usize,
    tokens: u64,
    ended: u64,
    refused: u64,
    failures: BTreeMap<String, u64>,
    gaps: Vec<f32>,
    /// When each gap ended, in order, and the sum of all up to it, in seconds.
    ends: Vec<(Instant, f64)>,
    first: Vec<f32>,
    longest: Vec<f32>,
    /// Longest gap of each stream to the mean of all gaps that ended while it ran.
    to_mean: Vec<f32>,
    passed_over: Vec<f32>,
}

impl Statistics {
    pub fn new(streams: usize) -> Self {
        Self {
            streams,
            tokens: 0,
            ended: 0,
            refused: 0,
            failures: BTreeMap::new(),
            gaps: Vec::new(),
            ends: Vec::new(),
            first: Vec::new(),
            longest: Vec::new(),
            to_mean: Vec::new(),
            passed_over: Vec::new(),
        }
    }

    pub fn asked(&mut self, counts: bool) -> Stream {
        Stream {
            counts,
            asked: Instant::now(),
            last: None,
            others: self.tokens,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            passed_over: 0,
        }
    }

    pub fn token(&mut self, stream: &mut Stream) {
        let now = Instant::now();
        self.tokens += 1;
        match stream.last {
            None => stream.first = now - stream.asked,
            Some(last) => {
                let gap = now - last;
                stream.longest = stream.longest.max(gap);
                let sum = self.ends.last().map_or(0.0, |(_, sum)| *sum);
                self.ends.push((now, sum + gap.as_secs_f64()));
                if stream.counts {
                    self.gaps.push(gap.as_secs_f32());
                }
            }
        }
        stream.passed_over = stream.passed_over.max(self.tokens - stream.others);
        (stream.last, stream.others) = (Some(now), self.tokens);
    }

    pub fn ended(&mut self, stream: Stream) {
        self.ended += 1;
        if stream.counts {
            self.first.push(stream.first.as_secs_f32());
            self.longest.push(stream.longest.as_secs_f32());
            let mean = self.mean_since(stream.asked);
            self.to_mean.push((stream.longest.as_secs_f64() / mean) as f32);
            self.passed_over.push(stream.passed_over as f32);
        }
    }

    /// The mean of all gaps that ended since then: of these seconds, because other load on the machine comes and goes.
    fn mean_since(&self, then: Instant) -> f64 {
        let from = self.ends.partition_point(|(end, _)| *end < then);
        let before = from.checked_sub(1).map_or(0.0, |last| self.ends[last].1);
        let sum = self.ends.last().map_or(0.0, |(_, sum)| *sum);
        (sum - before) / (self.ends.len() - from).max(1) as f64
    }

    pub fn refused(&mut self) {
        self.refused += 1;
    }

    pub fn failed(&mut self, why: &str) {
        // No more kinds of failure than somebody would read.
        let why = if self.failures.len() < 16 { why } else { "others" };
        *self.failures.entry(why.to_owned()).or_default() += 1;
    }

    /// Times in milliseconds. `turns`: how many rounds of all streams went by between two tokens of one stream, or before
    /// its first, at most; 1 where all take turns. Counts tokens and no time, so that other load on the machine is no part
    /// of it.
    pub fn document(&mut self, took: Duration) -> Value {
        let mean = self.gaps.iter().map(|gap| f64::from(*gap)).sum::<f64>() / self.gaps.len().max(1) as f64;
        let millis = |times: &mut Vec<f32>| quantiles(times, 1e3);
        let most = |times: &[f32]| f64::from(times.iter().copied().fold(0.0, f32::max));
        json!({
            "streams": self.streams,
            "seconds": took.as_secs_f64(),
            "ended": self.ended,
            "counted": self.first.len(),
            "tokens": self.tokens,
            "refused": self.refused,
            "failures": self.failures,
            "mean_gap_ms": mean * 1e3,
            "longest_gap_to_mean": quantiles(&mut self.to_mean, 1.0),
            "first_token_to_mean": most(&self.first) / mean,
            "gap_ms": millis(&mut self.gaps),
            "longest_gap_of_a_stream_ms": millis(&mut self.longest),
            "first_token_ms": millis(&mut self.first),
            "turns": quantiles(&mut self.passed_over, 1.0 / self.streams as f64),
        })
    }
}

fn quantiles(values: &mut [f32], unit: f64) -> Value {
    values.sort_by(f32::total_cmp);
    let at = |share: f64| {
        let last = values.len().checked_sub(1)?;
        let value = f64::from(values[(last as f64 * share).round() as usize]) * unit;
        Some((value * 1e3).round() / 1e3)
    };
    json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "most": at(1.0)})
}
