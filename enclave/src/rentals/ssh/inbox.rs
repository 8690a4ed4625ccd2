//! What a client sent on a channel and nobody has taken yet. The channel's window bounds it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use jeju_agent_protocol::Size;
use tokio::sync::Notify;

/// Small packets are kept together in pieces of this size, so that many of them aren't more memory than their bytes.
const PIECE: usize = 4096;
/// Signals that may wait.
const SIGNALS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    signals: VecDeque<String>,
    resize: Option<Size>,
    data: VecDeque<BytesMut>,
    eof: bool,
}

/// The next thing for the container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Signal(String),
    Resize(Size),
    Data(Bytes),
    Eof,
}

impl std::fmt::Debug for Waiting {
    /// Without what the tenant typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("pieces", &self.data.len())
            .field("eof", &self.eof)
            .finish_non_exhaustive()
    }
}

impl Inbox {
    pub(super) fn push(&self, data: &[u8]) {
        self.change(|waiting| match waiting.data.back_mut() {
            _ if waiting.eof || data.is_empty() => (),
            Some(last) if last.capacity() - last.len() >= data.len() => last.extend_from_slice(data),
            _ => {
                let mut piece = BytesMut::with_capacity(data.len().max(PIECE));
                piece.extend_from_slice(data);
                waiting.data.push_back(piece);
            }
        });
    }

    /// No data comes any more.
    pub(super) fn end(&self) {
        self.change(|waiting| waiting.eof = true);
    }

    /// Of several sizes the last one counts.
    pub(super) fn resize(&self, size: Size) {
        self.change(|waiting| waiting.resize = Some(size));
    }

    /// Goes before data. One of too many is dropped.
    pub(super) fn signal(&self, name: &str) {
        self.change(|waiting| {
            if waiting.signals.len() < SIGNALS {
                waiting.signals.push_back(name.to_owned());
            }
        });
    }

    /// The next item; waits for it. The end is told again and again.
    pub(super) async fn next(&self) -> Item {
        loop {
            let changed = self.changed.notified();
            if let Some(item) = self.waiting().take() {
                return item;
            }
            changed.await;
        }
    }

    /// Waits for something other than the end.
    pub(super) async fn next_control(&self) -> Item {
        loop {
            let changed = self.changed.notified();
            if let Some(item) = self.waiting().take_control() {
                return item;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting());
        self.changed.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Item> {
        if let Some(control) = self.take_control() {
            return Some(control);
        }
        match self.data.pop_front() {
            Some(data) => Some(Item::Data(data.freeze())),
            None => self.eof.then_some(Item::Eof),
        }
    }

    fn take_control(&mut self) -> Option<Item> {
        match self.signals.pop_front() {
            Some(name) => Some(Item::Signal(name)),
            None => self.resize.take().map(Item::Resize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn signals_and_sizes_go_before_data_and_the_end_comes_last() {
        let inbox = Inbox::default();
        let size = Size {
            columns: 80,
            rows: 24,
            width_px: 0,
            height_px: 0,
        };
        inbox.push(b"typed");
        inbox.push(b"");
        inbox.end();
        inbox.push(b"late");
        inbox.resize(Size { columns: 1, ..size });
        inbox.resize(size);
        for _ in 0..2 * SIGNALS {
            inbox.signal("INT");
        }
        for _ in 0..SIGNALS {
            assert_eq!(inbox.next().await, Item::Signal("INT".to_owned()));
        }
        assert_eq!(inbox.next().await, Item::Resize(size));
        assert_eq!(inbox.next().await, Item::Data(Bytes::from_static(b"typed")));
        assert_eq!(inbox.next().await, Item::Eof);
        assert_eq!(inbox.next().await, Item::Eof);
        assert!(!format!("{inbox:?}").contains("typed"));
    }

    #[test]
    fn many_small_packets_are_few_pieces() {
        let inbox = Inbox::default();
        (0..=255).for_each(|byte| inbox.push(&[byte; 64]));
        let waiting = inbox.waiting();
        assert_eq!(waiting.data.len(), 4);
        assert_eq!(
            waiting.data.iter().map(|piece| piece.len()).sum::<usize>(),
            256 * 64
        );
    }
}
