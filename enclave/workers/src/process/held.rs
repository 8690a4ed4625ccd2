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
    let now = Instant::now();
    HELD.with_borrow_mut(|held| {
        let held = held.get_or_insert_with(|| Held::new(Arc::clone(writer), now));
        held.add(bytes, now);
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
    fn new(writer: Arc<Writer>, since: Instant) -> Self {
        Self {
            writer,
            bytes: Vec::new(),
            since,
        }
    }

    fn add(&mut self, bytes: &[u8], now: Instant) {
        if self.bytes.is_empty() {
            self.since = now;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= MOST || now.duration_since(self.since) >= HOLD {
            self.write();
        }
    }

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

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    use super::*;

    fn channel() -> (Arc<Writer>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.set_nonblocking(true).expect("it is set");
        (Arc::new(Writer(Mutex::new(ours))), theirs)
    }

    /// What has been written by now.
    fn written(mut channel: &UnixStream) -> Vec<u8> {
        let mut bytes = vec![0; 2 * MOST];
        match channel.read(&mut bytes) {
            Ok(len) => bytes[..len].to_vec(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn ends_of_events_that_follow_each_other_soon_go_together() {
        let (writer, channel) = channel();
        let start = Instant::now();
        let mut held = Held::new(writer, start);
        let later = |time| start + Duration::from_secs(1) + time;
        // The time counts from the first that is held.
        held.add(b"a", later(Duration::ZERO));
        held.add(b"b", later(HOLD - Duration::from_nanos(1)));
        assert_eq!(written(&channel), b"");
        held.add(b"c", later(HOLD));
        assert_eq!(written(&channel), b"abc");
        held.add(b"d", later(2 * HOLD));
        assert_eq!(written(&channel), b"");
        drop(held);
        assert_eq!(written(&channel), b"d");
    }

    #[test]
    fn much_is_not_held() {
        let (writer, channel) = channel();
        let now = Instant::now();
        let mut held = Held::new(writer, now);
        held.add(&vec![1; MOST - 1], now);
        assert_eq!(written(&channel), b"");
        held.add(&[1], now);
        assert_eq!(written(&channel).len(), MOST);
        assert!(held.bytes.is_empty() && held.bytes.capacity() <= 2 * MOST);
    }

    #[test]
    fn what_a_thread_holds_goes_when_it_says_so_or_ends() {
        let (writer, channel) = channel();
        let other = Arc::clone(&writer);
        let thread = std::thread::spawn(move || {
            release();
            hold(&other, b"a");
            release();
            hold(&other, b"b");
            release();
            release();
            hold(&other, b"c");
        });
        thread.join().expect("no panic");
        assert_eq!(written(&channel), b"abc");
        // Another thread's release has nothing to do with it.
        hold(&writer, b"d");
        std::thread::spawn(release).join().expect("no panic");
        release();
        assert_eq!(written(&channel), b"d");
    }
}
