//! How much a client may send on a channel before somebody in the container reads it.
//!
//! A window is reopened as its bytes are taken, and grows while they are: a process that doesn't read holds up its own channel
//! and no other, and keeps a bounded part of the node's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use russh::ChannelId;
use russh::server::Handle;

/// A new channel's window, in bytes.
pub(super) const FIRST_WINDOW: u32 = 32 * 1024;
/// The largest window, in bytes: at 100 ms there and back, 20 MB/s.
const MAX_WINDOW: u32 = 2 * 1024 * 1024;
/// What the windows of one connection may have beyond their first size, in bytes.
pub(super) const SPARE: u32 = 4 * 1024 * 1024;

/// What is left of a connection's room for larger windows.
#[derive(Debug)]
pub(super) struct Spare(AtomicU32);

impl Spare {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(SPARE)))
    }

    /// All of `len`, or nothing.
    fn take(&self, len: u32) -> u32 {
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len));
        taken.map_or(0, |_| len)
    }
}

/// The window of one channel.
pub(super) struct Window {
    handle: Handle,
    channel: ChannelId,
    size: Size,
}

/// The part of a window that has no channel.
struct Size {
    now: u32,
    /// Read, and not given back to the client yet.
    taken: u32,
    spare: Arc<Spare>,
}

impl Window {
    pub(super) fn new(handle: Handle, channel: ChannelId, spare: Arc<Spare>) -> Self {
        let size = Size {
            now: FIRST_WINDOW,
            taken: 0,
            spare,
        };
        Self {
            handle,
            channel,
            size,
        }
    }

    /// `len` bytes of what came are where they belong.
    pub(super) fn took(&mut self, len: usize) {
        if let Some(more) = self.size.took(len) {
            // Without a connection there is nobody to tell.
            let _ = self.handle.grant_window(self.channel, more);
        }
    }
}

impl Size {
    /// What the client gets to know, once it is worth a message.
    fn took(&mut self, len: usize) -> Option<u32> {
        // Never more than the window, which is what russh let in.
        self.taken += len as u32;
        if self.taken < self.now / 2 {
            return None;
        }
        let growth = match self.now < MAX_WINDOW {
            true => self.spare.take(self.now),
            false => 0,
        };
        self.now += growth;
        Some(std::mem::take(&mut self.taken) + growth)
    }
}

impl Drop for Size {
    fn drop(&mut self) {
        self.spare.0.fetch_add(self.now - FIRST_WINDOW, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(spare: &Arc<Spare>) -> Size {
        Size {
            now: FIRST_WINDOW,
            taken: 0,
            spare: spare.clone(),
        }
    }

    /// Reads all that a client may send, again and again.
    fn grow(size: &mut Size) {
        for _ in 0..20 {
            let before = size.now;
            let granted = size.took(size.now as usize).unwrap();
            assert_eq!(granted, before + (size.now - before));
        }
    }

    #[test]
    fn a_window_grows_while_it_is_read_and_the_connection_has_room() {
        let spare = Spare::new();
        let mut sizes: Vec<_> = (0..5).map(|_| size(&spare)).collect();
        sizes.iter_mut().for_each(grow);
        assert_eq!(sizes[0].now, MAX_WINDOW);
        let all: u32 = sizes.iter().map(|size| size.now - FIRST_WINDOW).sum();
        assert!(all <= SPARE && sizes[4].now >= FIRST_WINDOW);
        drop(sizes);
        assert_eq!(spare.0.load(Ordering::Relaxed), SPARE);
    }

    #[test]
    fn small_reads_are_told_together() {
        let mut size = size(&Spare::new());
        let half = FIRST_WINDOW as usize / 2;
        assert!((1..half).all(|_| size.took(1).is_none()));
        assert_eq!(size.took(1), Some(half as u32 + FIRST_WINDOW));
    }
}
