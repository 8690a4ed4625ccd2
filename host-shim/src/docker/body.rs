//! Bodies of answers that come bit by bit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use jeju_shim_protocol::docker::answer::{MAX_PROGRESS_LINE, PullProgress, read, write};
use tokio::time::{Instant, Sleep, sleep};

use super::engine::{Answer, Driver};
use crate::metrics::PortMetrics;

/// Most bytes of one answer that has a container's output. Its log files hold 4 MB, which grow when framed.
const MAX_LOGS: u64 = 16 << 20;
/// Most bytes of one pull's progress.
const MAX_PROGRESS: u64 = 64 << 20;

/// What happens to bytes of the engine on their way to the guest.
pub(super) trait Passage: Unpin {
    /// Most bytes of the engine's.
    const LIMIT: u64;

    /// Takes bytes of the engine and gives those for the guest, perhaps none yet.
    fn pass(&mut self, bytes: Bytes) -> io::Result<Bytes>;

    /// What is left at the end.
    fn end(&mut self) -> io::Result<Bytes>;
}

/// A container's output, as it is.
pub(super) struct Output;

impl Passage for Output {
    const LIMIT: u64 = MAX_LOGS;

    fn pass(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        Ok(bytes)
    }

    fn end(&mut self) -> io::Result<Bytes> {
        Ok(Bytes::new())
    }
}

/// A pull's progress: each line read and written anew.
#[derive(Default)]
pub(super) struct Progress {
    /// Start of a line whose end hasn't come.
    line: Vec<u8>,
}

impl Passage for Progress {
    const LIMIT: u64 = MAX_PROGRESS;

    fn pass(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        let mut anew = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > MAX_PROGRESS_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                anew.extend(rewritten(&std::mem::take(&mut self.line))?);
            }
        }
        Ok(anew.into())
    }

    fn end(&mut self) -> io::Result<Bytes> {
        rewritten(&std::mem::take(&mut self.line)).map(Bytes::from)
    }
}

fn rewritten(line: &[u8]) -> io::Result<Vec<u8>> {
    if line.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let progress: PullProgress = read(line).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut anew = write(&progress.only());
    anew.push(b'\n');
    Ok(anew)
}

/// A body that comes from the engine, with bounded silence and length. Where the engine breaks off, so does it: the guest
/// sees no regular end.
pub(super) struct Passing<P> {
    engine: Incoming,
    passage: P,
    passed: u64,
    ended: bool,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    metrics: Arc<PortMetrics>,
    /// Dropped last of all: it ends the connection to the engine.
    _driver: Driver,
}

impl<P: Passage> Passing<P> {
    pub(super) fn new(answer: Answer, passage: P, silence: Duration, metrics: Arc<PortMetrics>) -> Self {
        let (engine, driver) = answer.into_stream();
        Self {
            engine,
            passage,
            passed: 0,
            ended: false,
            silence,
            timer: Box::pin(sleep(silence)),
            metrics,
            _driver: driver,
        }
    }

    fn frame(&self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.metrics.to_guest.add(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl<P: Passage> Body for Passing<P> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        while !this.ended {
            let Poll::Ready(frame) = Pin::new(&mut this.engine).poll_frame(cx) else {
                ready!(this.timer.as_mut().poll(cx));
                this.metrics.idle_timeouts.one();
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            };
            this.timer.as_mut().reset(Instant::now() + this.silence);
            let bytes = match frame {
                None => {
                    this.ended = true;
                    this.passage.end()?
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                Some(Ok(frame)) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    this.passed += bytes.len() as u64;
                    if this.passed > P::LIMIT {
                        return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
                    }
                    this.passage.pass(bytes)?
                }
            };
            if !bytes.is_empty() {
                return this.frame(bytes);
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_written_anew_line_by_line() {
        let mut progress = Progress::default();
        let mut seen = Vec::new();
        for piece in [
            "{\"status\":\"Pull",
            "ing\",\"id\":\"a\",\"aux\":{\"x\":1},\"progress\":\"[=>]\"}\r",
            "\n{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2},\"id\":\"b\"}\r\n\r\n{\"error\":",
            "\"no\\nsuch\",\"errorDetail\":{\"message\":\"no\"}}",
        ] {
            seen.extend(progress.pass(Bytes::from(piece)).unwrap());
        }
        seen.extend(progress.end().unwrap());
        assert_eq!(
            String::from_utf8(seen).unwrap(),
            "{\"status\":\"Pulling\",\"id\":\"a\"}\n\
             {\"status\":\"Downloading\",\"id\":\"b\",\"progressDetail\":{\"current\":1,\"total\":2}}\n\
             {\"error\":\"no such\"}\n"
        );
    }

    #[test]
    fn endless_and_garbled_lines_end_a_pull() {
        let mut progress = Progress::default();
        let piece = Bytes::from(vec![b'a'; 1000]);
        let taken = (0..1000)
            .take_while(|_| progress.pass(piece.clone()).is_ok())
            .count();
        assert!(taken <= MAX_PROGRESS_LINE / 1000);
        for line in ["<html>\n", "{}{}\n", "[\n", "\"x\"\n"] {
            assert!(Progress::default().pass(Bytes::from(line)).is_err(), "{line:?}");
        }
        let mut cut = Progress::default();
        assert!(cut.pass(Bytes::from("{\"status\":")).unwrap().is_empty());
        assert!(cut.end().is_err());
    }
}
