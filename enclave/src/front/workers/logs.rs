//! What workers logged, for their owners: the last lines of each, in memory, bounded for each and for all.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jeju_worker_protocol::LogLine;
use jeju_worker_protocol::api::{LogEntry, Logs as LogDocument};
use tokio::sync::Notify;

/// Lines and bytes that are kept of a worker.
const MAX_LINES: usize = 1000;
const MAX_BYTES: usize = 256 * 1024;
/// Bytes that are kept of all workers: the log that was longest left alone goes first.
const MAX_TOTAL: usize = 64 << 20;
/// What a line takes beside its text.
const LINE: usize = 128;

/// The logs of all workers.
pub(super) struct LogStore {
    rings: Mutex<Rings>,
    limits: Limits,
}

struct Limits {
    lines: usize,
    bytes: usize,
    total: usize,
}

#[derive(Default)]
struct Rings {
    by_worker: HashMap<String, Ring>,
    /// Workers by when they last logged.
    by_age: BTreeMap<u64, String>,
    clock: u64,
    bytes: usize,
}

struct Ring {
    lines: VecDeque<LogEntry>,
    bytes: usize,
    next: u64,
    touched: u64,
    wake: Arc<Notify>,
}

/// Where a line comes from.
pub(super) struct Source<'a> {
    pub(super) worker: &'a str,
    pub(super) execution: &'a str,
    pub(super) version: u32,
    /// Milliseconds since 1970.
    pub(super) time: u64,
}

impl Default for LogStore {
    fn default() -> Self {
        Self::with(MAX_LINES, MAX_BYTES, MAX_TOTAL)
    }
}

impl LogStore {
    fn with(lines: usize, bytes: usize, total: usize) -> Self {
        Self {
            rings: Mutex::default(),
            limits: Limits { lines, bytes, total },
        }
    }

    /// Keeps a line.
    pub(super) fn push(&self, source: &Source<'_>, line: LogLine) {
        let mut rings = self.rings();
        let rings = &mut *rings;
        rings.clock += 1;
        let ring = rings
            .by_worker
            .entry(source.worker.to_owned())
            .or_insert_with(Ring::new);
        let entry = LogEntry {
            seq: ring.next,
            time: source.time,
            level: line.level,
            text: line.text,
            execution_id: source.execution.to_owned(),
            version: source.version,
        };
        ring.next += 1;
        ring.bytes += size(&entry);
        rings.bytes += size(&entry);
        ring.lines.push_back(entry);
        while ring.lines.len() > self.limits.lines || ring.bytes > self.limits.bytes {
            rings.bytes -= ring.drop_oldest();
        }
        rings.by_age.remove(&ring.touched);
        ring.touched = rings.clock;
        rings.by_age.insert(rings.clock, source.worker.to_owned());
        ring.wake.notify_waiters();
        while rings.bytes > self.limits.total {
            let Some((_, oldest)) = rings.by_age.pop_first() else {
                return;
            };
            if let Some(ring) = rings.by_worker.get_mut(&oldest) {
                rings.bytes -= ring.bytes;
                ring.bytes = 0;
                ring.lines = VecDeque::new();
            }
        }
    }

    /// Up to `limit` lines from number `since` on. Without `since`, the last ones.
    pub(super) fn read(&self, worker: &str, since: Option<u64>, limit: usize) -> LogDocument {
        let rings = self.rings();
        let Some(ring) = rings.by_worker.get(worker) else {
            return LogDocument {
                logs: Vec::new(),
                next: since.unwrap_or(1).max(1),
            };
        };
        let skip = match since {
            Some(since) => ring.lines.partition_point(|line| line.seq < since),
            None => ring.lines.len().saturating_sub(limit),
        };
        let logs: Vec<_> = ring.lines.iter().skip(skip).take(limit).cloned().collect();
        let next = logs.last().map_or(ring.next, |line| line.seq + 1);
        LogDocument { logs, next }
    }

    /// Woken when the worker logs, and when it is gone.
    pub(super) fn wake(&self, worker: &str) -> Arc<Notify> {
        let mut rings = self.rings();
        let ring = rings.by_worker.entry(worker.to_owned()).or_insert_with(Ring::new);
        ring.wake.clone()
    }

    /// Forgets a worker's.
    pub(super) fn remove(&self, worker: &str) {
        let mut rings = self.rings();
        if let Some(ring) = rings.by_worker.remove(worker) {
            rings.by_age.remove(&ring.touched);
            rings.bytes -= ring.bytes;
            ring.wake.notify_waiters();
        }
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            next: 1,
            touched: 0,
            wake: Arc::default(),
        }
    }

    fn drop_oldest(&mut self) -> usize {
        let freed = self.lines.pop_front().map_or(0, |line| size(&line));
        self.bytes -= freed;
        freed
    }
}

fn size(entry: &LogEntry) -> usize {
    LINE + entry.text.len() + entry.execution_id.len()
}

#[cfg(test)]
mod tests {
    use jeju_worker_protocol::Level;

    use super::*;

    fn push(logs: &LogStore, worker: &str, text: &str) {
        let source = Source {
            worker,
            execution: "e",
            version: 1,
            time: 5,
        };
        let text = text.to_owned();
        logs.push(
            &source,
            LogLine {
                level: Level::Log,
                text,
            },
        );
    }

    fn texts(document: &LogDocument) -> Vec<&str> {
        document.logs.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_read_on_from_where_one_stopped() {
        let logs = LogStore::default();
        for text in ["1", "2", "3"] {
            push(&logs, "a", text);
        }
        push(&logs, "b", "other");
        let first = logs.read("a", Some(0), 2);
        assert_eq!((texts(&first), first.next), (vec!["1", "2"], 3));
        let second = logs.read("a", Some(first.next), 2);
        assert_eq!((texts(&second), second.next), (vec!["3"], 4));
        let third = logs.read("a", Some(second.next), 2);
        assert_eq!((texts(&third), third.next), (vec![], 4));
        assert_eq!(texts(&logs.read("a", None, 2)), ["2", "3"]);
        assert_eq!(logs.read("never", Some(7), 2).next, 7);
        logs.remove("a");
        assert!(logs.read("a", None, 9).logs.is_empty());
    }

    #[test]
    fn a_log_is_bounded_and_its_gap_shows() {
        let logs = LogStore::with(3, 1 << 20, 1 << 20);
        for i in 1..=5 {
            push(&logs, "a", &i.to_string());
        }
        let read = logs.read("a", Some(1), 9);
        assert_eq!(
            read.logs.iter().map(|line| line.seq).collect::<Vec<_>>(),
            [3, 4, 5]
        );
        let logs = LogStore::with(100, 2 * (LINE + 11), 1 << 20);
        for _ in 0..5 {
            push(&logs, "a", "0123456789");
        }
        assert_eq!(logs.read("a", Some(1), 9).logs.len(), 2);
        push(&logs, "a", &"x".repeat(1000));
        assert!(
            logs.read("a", Some(1), 9).logs.is_empty(),
            "longer than all of it"
        );
        assert_eq!(logs.rings().bytes, 0);
    }

    #[test]
    fn the_log_that_was_longest_left_alone_goes_first() {
        let logs = LogStore::with(100, 1 << 20, 3 * (LINE + 11));
        for worker in ["a", "b", "a", "c"] {
            push(&logs, worker, "0123456789");
        }
        assert_eq!(logs.read("b", None, 9).logs.len(), 0);
        assert_eq!(logs.read("a", None, 9).logs.len(), 2);
        push(&logs, "b", "0123456789");
        assert_eq!(logs.read("a", None, 9).logs.len(), 0);
        assert_eq!(logs.read("b", None, 9).logs[0].seq, 2, "numbers never repeat");
        assert_eq!(logs.rings().by_age.len(), 2);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let logs = LogStore::default();
        let wake = logs.wake("a");
        let woken = wake.notified();
        push(&logs, "a", "1");
        woken.await;
        let wake = logs.wake("a");
        let woken = wake.notified();
        logs.remove("a");
        woken.await;
    }
}
