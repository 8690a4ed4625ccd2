//! What the node says on its serial line, or on standard output and error in process mode.
//!
//! Two kinds of line mean something (`docs/wire-formats.md` §5). The rest is kept in small measure, for the case that
//! the guest ends without a reason.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use jeju_shim_protocol::fatal::{SERIAL_READY, parse_serial_line};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use super::child::Pipes;
use super::{Event, EventSink, RunError};

/// Longest line that is kept, in bytes; the rest of a longer one is dropped.
const MAX_LINE: usize = 512;
/// Lines kept for an unexpected end.
const LAST_LINES: usize = 16;

/// A line that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SerialLine {
    /// The node serves.
    Ready,
    /// The node gave up.
    Fatal(u16),
}

/// The node's output, being read.
#[derive(Debug)]
pub(super) struct Watched {
    lines: mpsc::Receiver<SerialLine>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Watched {
    /// Reads until all pipes end. `console`: other lines become events too.
    pub(super) fn watch(pipes: Pipes, events: &EventSink, console: bool) -> Result<Self, RunError> {
        // Each pipe tells each kind of line once.
        let (to_waiter, lines) = mpsc::channel(4);
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let ends = [pipes.stdout.map(OwnedFd::from), pipes.stderr.map(OwnedFd::from)];
        for end in ends.into_iter().flatten() {
            let pipe = Receiver::from_owned_fd(end).map_err(|source| RunError::Io {
                path: "output of the node".into(),
                source,
            })?;
            let reader = Reader {
                to_waiter: to_waiter.clone(),
                last: Arc::clone(&last),
                events: console.then(|| events.clone()),
                line: Vec::new(),
                was_ready: false,
                gave_up: false,
            };
            tokio::spawn(reader.run(pipe));
        }
        Ok(Self { lines, last })
    }

    /// The next line that means something; `None` once all output has ended.
    pub(super) async fn next(&mut self) -> Option<SerialLine> {
        self.lines.recv().await
    }

    /// What was said last, each line after a line end.
    pub(super) fn last_words(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|line| format!("\n  {line}")).collect()
    }
}

struct Reader {
    to_waiter: mpsc::Sender<SerialLine>,
    last: Arc<Mutex<VecDeque<String>>>,
    events: Option<EventSink>,
    line: Vec<u8>,
    was_ready: bool,
    gave_up: bool,
}

impl Reader {
    async fn run(mut self, mut pipe: Receiver) {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            for byte in &piece[..length] {
                self.push(*byte);
            }
        }
        self.end_line();
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            // One byte more than is kept shows that a line is longer, so that its start isn't taken for all of it.
            _ if self.line.len() <= MAX_LINE => self.line.push(byte),
            _ => {}
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text: String = line
            .strip_suffix(b"\r")
            .unwrap_or(&line)
            .iter()
            .take(MAX_LINE)
            .map(|byte| {
                if (b' '..=b'~').contains(byte) {
                    char::from(*byte)
                } else {
                    '.'
                }
            })
            .collect();
        if text.is_empty() {
            return;
        }
        if text == SERIAL_READY {
            if !std::mem::replace(&mut self.was_ready, true) {
                let _ = self.to_waiter.try_send(SerialLine::Ready);
            }
        } else if let Some(code) = parse_serial_line(&text) {
            if !std::mem::replace(&mut self.gave_up, true) {
                let _ = self.to_waiter.try_send(SerialLine::Fatal(code));
            }
        } else {
            self.remember(text);
        }
    }

    fn remember(&self, text: String) {
        if let Some(events) = &self.events {
            events.send(Event::Console { text: text.clone() });
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::child::Child;
    use super::*;

    async fn lines_of(script: &str) -> (Vec<SerialLine>, String) {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut child, pipes) = Child::spawn(command).unwrap();
        let mut watched = Watched::watch(pipes, &EventSink::none(), false).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = watched.next().await {
            lines.push(line);
        }
        child.ended().await;
        (lines, watched.last_words())
    }

    #[tokio::test]
    async fn finds_the_lines_that_mean_something() {
        let (lines, last) = lines_of(r"printf 'noise\r\nJEJU-READY\r\n\033[2Jx\nJEJU-FATAL 8\r\n'").await;
        assert_eq!(lines, [SerialLine::Ready, SerialLine::Fatal(8)]);
        assert_eq!(last, "\n  noise\n  .[2Jx");
    }

    #[tokio::test]
    async fn near_misses_mean_nothing() {
        let script = r"printf ' JEJU-READY\nJEJU-READY x\nJEJU-FATAL\nJEJU-FATAL 99999999\nJEJU-FATAL 08x'";
        assert_eq!(lines_of(script).await.0, []);
    }

    #[tokio::test]
    async fn a_flood_stays_small() {
        let script = r"i=0; while [ $i -lt 3000 ]; do echo JEJU-READY; echo line $i; i=$((i+1)); done; head -c 1000000 /dev/zero";
        let (lines, last) = lines_of(script).await;
        assert_eq!(lines, [SerialLine::Ready]);
        assert!(last.contains("line 2999") && !last.contains("line 2900"));
        assert!(last.len() < LAST_LINES * (MAX_LINE + 4));
    }
}
