//! Ends of events that a thread holds back for a moment, so that several go to the front at once: writing wakes the front,
//! which costs more than a short event.
//!
//! Nothing is held for longer than [`HOLD`] plus the time in which the engine doesn't ask whether to go on: it is written
//! when there is no other event, when it is much, and when another event's code, a load or a slow native runs for long.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Writer;

/// Longest time between two events for which something is held.
const HOLD: Duration = Duration::from_micros(200);
/// Most bytes that are held.
const MOST: usize = 64 * 1024;

struct Held {
    writer: Arc<Writer>,
    bytes: Vec<u8>,
    since: Instant,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Holds bytes, or writes them with what is held.
pub(super) fn hold(writer: &Arc<Writer>, bytes: &[u8]) {
    HELD.with_borrow_mut(|held| {
        let held = held.get_or_insert_with(|| Held {
            writer: Arc::clone(writer),
            bytes: Vec::new(),
            since: Instant::now(),
        });
        if held.bytes.is_empty() {
            held.since = Instant::now();
        }
        held.bytes.extend_from_slice(bytes);
        if held.bytes.len() >= MOST || held.since.elapsed() >= HOLD {
            held.write();
        }
    });
}

/// Writes what this thread holds.
pub(crate) fn release() {
    HELD.with_borrow_mut(|held| {
        if let Some(held) = held {
            held.write();
        }
    });
}

impl Held {
    fn write(&mut self) {
        if !self.bytes.is_empty() {
            self.writer.write(&self.bytes);
            self.bytes.clear();
            self.bytes.shrink_to(MOST);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.write();
    }
}
