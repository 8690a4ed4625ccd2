//! Bytes of one body on their way from the process to whoever reads it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jeju_worker_protocol::{BODY_WINDOW, Failure, MAX_CHUNK};
use tokio::sync::Notify;

/// What came from the process and wasn't read yet. It holds [`BODY_WINDOW`] bytes at most, in pieces that are put
/// together where they are small.
pub(crate) struct Pipe {
    inner: Mutex<Inner>,
    wake: Notify,
    held: Arc<Held>,
}

/// Bytes that lie in all pipes of a process.
#[derive(Default)]
pub(crate) struct Held(AtomicUsize);

/// What a [`Pipe`] gives.
pub(crate) enum Piece {
    /// Bytes, as many as the process may be given credit for.
    Data(Vec<u8>),
    /// The end, and what cut it off.
    End(Option<Failure>),
}

#[derive(Default)]
struct Inner {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes that came and that no credit was given for.
    owed: usize,
    /// Bytes in `pieces`.
    len: usize,
    end: Option<Option<Failure>>,
    /// The end was taken.
    over: bool,
    /// Nobody reads any more.
    closed: bool,
}

impl Held {
    /// How many bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Pipe {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            held,
        }
    }

    /// Takes a piece from the process.
    ///
    /// # Errors
    /// What the process did wrong.
    pub(crate) fn push(&self, data: Vec<u8>) -> Result<(), &'static str> {
        let mut inner = self.inner();
        if inner.end.is_some() {
            return Err("a body goes on after its end");
        }
        if data.is_empty() || data.len() > MAX_CHUNK {
            return Err("a piece of a body is empty or too long");
        }
        inner.owed += data.len();
        if inner.owed > BODY_WINDOW as usize {
            return Err("a body has more bytes than there is credit for");
        }
        if inner.closed {
            return Ok(());
        }
        inner.len += data.len();
        self.held.0.fetch_add(data.len(), Ordering::Relaxed);
        match inner.pieces.back_mut() {
            Some(last) if last.len() + data.len() <= MAX_CHUNK => last.extend_from_slice(&data),
            _ => inner.pieces.push_back(data),
        }
        drop(inner);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes the end from the process.
    ///
    /// # Errors
    /// As [`Pipe::push`].
    pub(crate) fn end(&self, failure: Option<Failure>) -> Result<(), &'static str> {
        let mut inner = self.inner();
        if inner.end.is_some() {
            return Err("a body ends twice");
        }
        inner.end = Some(failure);
        drop(inner);
        self.wake.notify_one();
        Ok(())
    }

    /// Ends the body from this side, unless it has ended.
    pub(crate) fn cut(&self, failure: impl FnOnce() -> Failure) {
        let mut inner = self.inner();
        if inner.end.is_none() {
            inner.end = Some(Some(failure()));
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// What is there now. `None`: nothing, or the end was taken before.
    pub(crate) fn try_take(&self) -> Option<Piece> {
        let mut inner = self.inner();
        if let Some(data) = inner.pieces.pop_front() {
            inner.owed -= data.len();
            inner.len -= data.len();
            self.held.0.fetch_sub(data.len(), Ordering::Relaxed);
            return Some(Piece::Data(data));
        }
        if inner.over {
            return None;
        }
        let end = inner.end.clone()?;
        inner.over = true;
        Some(Piece::End(end))
    }

    /// What comes next. One reader only; it waits for ever once the end was taken.
    pub(crate) async fn take(&self) -> Piece {
        loop {
            if let Some(piece) = self.try_take() {
                return piece;
            }
            self.wake.notified().await;
        }
    }

    /// Nobody reads any more: what is there goes, and what comes isn't kept.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        self.held.0.fetch_sub(inner.len, Ordering::Relaxed);
        inner.len = 0;
        inner.pieces.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (Pipe, Arc<Held>) {
        let held = Arc::new(Held::default());
        (Pipe::new(held.clone()), held)
    }

    #[test]
    fn small_pieces_are_put_together_and_counted() {
        let (pipe, held) = pipe();
        for _ in 0..1000 {
            pipe.push(vec![1]).unwrap();
        }
        assert_eq!(held.bytes(), 1000);
        assert!(matches!(pipe.try_take(), Some(Piece::Data(data)) if data.len() == 1000));
        assert_eq!(held.bytes(), 0);
        pipe.end(None).unwrap();
        assert!(matches!(pipe.try_take(), Some(Piece::End(None))));
        assert!(pipe.try_take().is_none());
    }

    #[test]
    fn no_more_is_taken_than_the_window_even_where_nobody_reads() {
        for closed in [false, true] {
            let (pipe, held) = pipe();
            if closed {
                pipe.close();
            }
            for _ in 0..BODY_WINDOW as usize / MAX_CHUNK {
                pipe.push(vec![0; MAX_CHUNK]).unwrap();
            }
            assert!(pipe.push(vec![0]).is_err());
            assert_eq!(held.bytes() == 0, closed);
            drop(pipe);
            assert_eq!(held.bytes(), 0);
        }
    }

    #[test]
    fn pieces_that_no_process_sends_are_refused() {
        let (pipe, _) = pipe();
        assert!(pipe.push(Vec::new()).is_err());
        assert!(pipe.push(vec![0; MAX_CHUNK + 1]).is_err());
        pipe.end(None).unwrap();
        assert!(pipe.push(vec![0]).is_err());
        assert!(pipe.end(None).is_err());
    }
}
