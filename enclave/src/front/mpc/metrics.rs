//! Counters of the MPC service, as Prometheus reads them: no key, no account and no member's secret is ever a label.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::signer::outcome::Status;

/// Upper ends of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 12] = [5, 10, 15, 25, 50, 100, 250, 500, 1000, 2500, 10_000, 30_000];
/// Different codes that are counted; there are far fewer.
const MAX_CODES: usize = 64;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::front) enum Operation {
    Keygen,
    Sign,
    Refresh,
    Policy,
    Configure,
}

impl Operation {
    /// All of them.
    pub(in crate::front) const ALL: [Operation; 5] = [
        Operation::Keygen,
        Operation::Sign,
        Operation::Refresh,
        Operation::Policy,
        Operation::Configure,
    ];

    /// Name in the path and in the metrics.
    pub(in crate::front) const fn name(self) -> &'static str {
        match self {
            Operation::Keygen => "keygen",
            Operation::Sign => "sign",
            Operation::Refresh => "refresh",
            Operation::Policy => "policy",
            Operation::Configure => "configure",
        }
    }

    /// The operation of a path.
    pub(in crate::front) fn of_path(path: &str) -> Option<Operation> {
        let name = path.strip_prefix("/mpc/")?;
        Operation::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }
}

/// All counters.
pub(in crate::front) struct MpcMetrics {
    done: [AtomicU64; 5],
    latency: [Histogram; 5],
    refused: Mutex<BTreeMap<String, u64>>,
    active: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let millis = took.as_micros().div_ceil(1000);
        for (bucket, end) in self.buckets.iter().zip(BUCKETS) {
            if millis <= u128::from(end) {
                bucket.fetch_add(1, Relaxed);
            }
        }
        self.count.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Relaxed);
    }
}

impl MpcMetrics {
    pub(in crate::front) fn new() -> Self {
        Self {
            done: Default::default(),
            latency: Default::default(),
            refused: Mutex::default(),
            active: AtomicU64::new(0),
        }
    }

    /// A request that was served.
    pub(in crate::front) fn done(&self, operation: Operation, took: Duration) {
        self.done[operation as usize].fetch_add(1, Relaxed);
        self.latency[operation as usize].observe(took);
    }

    /// A request that was refused with this code.
    pub(in crate::front) fn refused(&self, code: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = refused.get_mut(code) {
            *count += 1;
        } else if refused.len() < MAX_CODES {
            refused.insert(code.to_owned(), 1);
        }
    }

    /// Counts a request as long as it lives.
    pub(in crate::front) fn active(&self) -> Active<'_> {
        self.active.fetch_add(1, Relaxed);
        Active(self)
    }

    /// The document, with what the signer says of itself.
    pub(in crate::front) fn document(&self, status: Option<&Status>) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            let _ = writeln!(
                text,
                "# HELP jeju_mpc_{name} {help}\n# TYPE jeju_mpc_{name} {kind}"
            );
            for (labels, value) in samples {
                let _ = writeln!(text, "jeju_mpc_{name}{labels} {value}");
            }
        };
        let plain = |value: u64| [(String::new(), value)];
        let done: Vec<_> = Operation::ALL
            .into_iter()
            .map(|operation| {
                let label = format!("{{operation=\"{}\"}}", operation.name());
                (label, self.done[operation as usize].load(Relaxed))
            })
            .collect();
        family("requests_total", "counter", "Requests that were served.", &done);
        let refused: Vec<_> = {
            let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused
                .iter()
                .map(|(code, count)| (format!("{{code=\"{code}\"}}"), *count))
                .collect()
        };
        family(
            "refusals_total",
            "counter",
            "Requests that were refused, by code.",
            &refused,
        );
        family(
            "requests_active",
            "gauge",
            "Requests that wait.",
            &plain(self.active.load(Relaxed)),
        );
        if let Some(status) = status {
            let counters = &status.counters;
            for (name, help, value) in [
                (
                    "keys_active_total",
                    "Keys that became active, refreshed ones included.",
                    counters.keys_active,
                ),
                (
                    "shares_given_total",
                    "Shares of signatures that this member gave.",
                    counters.shares_given,
                ),
                (
                    "shares_refused_total",
                    "Requests that got no share of this member.",
                    counters.refused,
                ),
                (
                    "members_blamed_total",
                    "Times that a member broke the protocol.",
                    counters.blamed,
                ),
                (
                    "shares_repaired_total",
                    "Lost shares that came back.",
                    counters.repaired,
                ),
                (
                    "rollbacks_total",
                    "Times that the stored state was found to be an old one.",
                    counters.rolled_back,
                ),
                (
                    "peers_admitted_total",
                    "Times that a peer's evidence was accepted.",
                    counters.peers_admitted,
                ),
                (
                    "peers_refused_total",
                    "Times that a peer's evidence was refused.",
                    counters.peers_refused,
                ),
                (
                    "audit_entries_total",
                    "Entries of the audit log.",
                    status.audit_count,
                ),
            ] {
                family(name, "counter", help, &plain(value));
            }
            for (name, help, value) in [
                (
                    "peers_admitted",
                    "Peers that are admitted now.",
                    status.admitted.len() as u64,
                ),
                (
                    "keys_stored",
                    "Generated keys that this member has a share of.",
                    status.stored_keys,
                ),
                ("members", "Members of the network.", status.members.into()),
                ("threshold", "Members that must sign.", status.threshold.into()),
            ] {
                family(name, "gauge", help, &plain(value));
            }
        }
        self.write_histograms(&mut text);
        text
    }

    fn write_histograms(&self, text: &mut String) {
        let name = "jeju_mpc_request_seconds";
        let _ = writeln!(
            text,
            "# HELP {name} How long served requests took.\n# TYPE {name} histogram"
        );
        for operation in Operation::ALL {
            let histogram = &self.latency[operation as usize];
            let label = operation.name();
            for (bucket, end) in histogram.buckets.iter().zip(BUCKETS) {
                let (end, count) = (end as f64 / 1000.0, bucket.load(Relaxed));
                let _ = writeln!(
                    text,
                    "{name}_bucket{{operation=\"{label}\",le=\"{end}\"}} {count}"
                );
            }
            let count = histogram.count.load(Relaxed);
            let sum = histogram.sum_micros.load(Relaxed) as f64 / 1e6;
            let _ = writeln!(text, "{name}_bucket{{operation=\"{label}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_sum{{operation=\"{label}\"}} {sum}");
            let _ = writeln!(text, "{name}_count{{operation=\"{label}\"}} {count}");
        }
    }
}

/// A request that waits.
pub(in crate::front) struct Active<'a>(&'a MpcMetrics);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_counts() {
        let metrics = MpcMetrics::new();
        metrics.done(Operation::Sign, Duration::from_micros(9_500));
        metrics.done(Operation::Sign, Duration::from_secs(60));
        metrics.refused("mpc_busy");
        metrics.refused("mpc_busy");
        let active = metrics.active();
        let text = metrics.document(None);
        for line in [
            "# TYPE jeju_mpc_requests_total counter",
            "jeju_mpc_requests_total{operation=\"sign\"} 2",
            "jeju_mpc_requests_total{operation=\"keygen\"} 0",
            "jeju_mpc_refusals_total{code=\"mpc_busy\"} 2",
            "jeju_mpc_requests_active 1",
            "jeju_mpc_request_seconds_bucket{operation=\"sign\",le=\"0.005\"} 0",
            "jeju_mpc_request_seconds_bucket{operation=\"sign\",le=\"0.01\"} 1",
            "jeju_mpc_request_seconds_bucket{operation=\"sign\",le=\"30\"} 1",
            "jeju_mpc_request_seconds_bucket{operation=\"sign\",le=\"+Inf\"} 2",
            "jeju_mpc_request_seconds_sum{operation=\"sign\"} 60.0095",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(active);
        assert!(metrics.document(None).contains("jeju_mpc_requests_active 0"));
    }

    #[test]
    fn codes_are_bounded() {
        let metrics = MpcMetrics::new();
        for at in 0..1000 {
            metrics.refused(&format!("code_{at}"));
        }
        assert_eq!(metrics.refused.lock().unwrap().len(), MAX_CODES);
    }

    #[test]
    fn operations_have_paths() {
        assert_eq!(Operation::of_path("/mpc/sign"), Some(Operation::Sign));
        for path in ["/mpc/", "/mpc/status", "sign", "/mpc/sign/"] {
            assert_eq!(Operation::of_path(path), None);
        }
    }
}
