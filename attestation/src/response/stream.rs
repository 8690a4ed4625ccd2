//! The end of a signed SSE stream: one comment line directly before `data: [DONE]`.
//!
//! A comment is the only carrier that no OpenAI client chokes on, and it stands before `[DONE]` because some clients
//! close there. Text that a model writes can't forge it: JSON strings hold no line breaks.
//!
//! What a worker streams is its own business, so its stream may hold any bytes and no `[DONE]` is asked of it: the comment
//! line is the last of the stream. A worker that writes such a line itself makes its own stream fail.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::primitives::primitives;
use crate::rejection::Rejection;
use crate::structured_field::{binary, digest, parse_binary, parse_digest, unquote};

/// How the comment line begins.
pub const STREAM_END_PREFIX: &str = ": jeju-sig ";
/// Longest event that is read before it must end, in bytes.
pub const MAX_EVENT_LEN: usize = 256 * 1024;

const DONE: &[u8] = b"data: [DONE]\n\n";
/// Longest comment line with the blank line after it, in bytes.
const MAX_END_LEN: usize = 512;
const VERSION: &str = "v=1";

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The model stopped, or a stop sequence was met.
    Stop,
    /// The token limit was reached.
    Length,
    /// The engine failed.
    Error,
    /// The node went down or cancelled.
    Abort,
}

impl EndReason {
    const ALL: [EndReason; 4] = [
        EndReason::Stop,
        EndReason::Length,
        EndReason::Error,
        EndReason::Abort,
    ];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            EndReason::Stop => "stop",
            EndReason::Length => "length",
            EndReason::Error => "error",
            EndReason::Abort => "abort",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the final signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// SHA-256 of all body bytes before the comment.
    pub body_sha256: [u8; 32],
    /// How many they are.
    pub len: u64,
    /// SHA-256 of the start signature, and so of the request, nonce, connection and evidence.
    pub start: [u8; 32],
    /// Why the stream ended.
    pub reason: EndReason,
}

impl StreamEnd {
    /// What is signed.
    pub fn signature_base(&self) -> Vec<u8> {
        format!(
            "jeju-stream-end-v1\ndigest: {}\nn: {}\nstart: {}\nend: {}",
            digest(&self.body_sha256),
            self.len,
            digest(&self.start),
            self.reason
        )
        .into_bytes()
    }

    /// The comment line with the blank line after it.
    pub fn render(&self, signature: &[u8; 64]) -> String {
        format!(
            "{STREAM_END_PREFIX}{VERSION}; digest={}; n={}; start={}; end=\"{}\"; sig={}\n\n",
            digest(&self.body_sha256),
            self.len,
            digest(&self.start),
            self.reason,
            binary(signature)
        )
    }

    fn parse(event: &str) -> Option<(Self, [u8; 64])> {
        let mut fields = event
            .strip_prefix(STREAM_END_PREFIX)?
            .strip_suffix("\n\n")?
            .split("; ");
        if fields.next()? != VERSION {
            return None;
        }
        let mut field = |name: &str| fields.next()?.strip_prefix(name);
        let body_sha256 = parse_digest(field("digest=")?)?;
        let len = field("n=")?.parse().ok()?;
        let start = parse_digest(field("start=")?)?;
        let reason = unquote(field("end=")?)?;
        let reason = EndReason::ALL.into_iter().find(|known| known.name() == reason)?;
        let signature = parse_binary(field("sig=")?)?.try_into().ok()?;
        let end = Self {
            body_sha256,
            len,
            start,
            reason,
        };
        (end.render(&signature) == event).then_some((end, signature))
    }
}

/// Who writes a stream.
enum Writer {
    /// The node: events, `[DONE]` last.
    Node,
    /// A worker: any bytes. Whether the next byte begins a line.
    Worker { line_start: bool },
}

enum State {
    Open,
    Ended(EndReason),
    Done(EndReason),
}

/// Verifies a stream while it passes: of a node's stream it hands on whole events, and `[DONE]` only after a good final
/// signature; of a worker's all that can't be the end.
pub struct StreamVerifier {
    writer: Writer,
    key: [u8; 32],
    start: [u8; 32],
    hash: Sha256,
    len: u64,
    pending: Vec<u8>,
    /// How much of `pending` was searched for the end of an event: keeps the search linear.
    searched: usize,
    state: State,
}

impl StreamVerifier {
    /// For the node's stream whose head verified with this `key` and `start`.
    pub fn new(key: [u8; 32], start: [u8; 32]) -> Self {
        Self::with(Writer::Node, key, start)
    }

    /// For a worker's stream; see [`VerifiedAnswer::stream`](super::VerifiedAnswer::stream).
    pub fn of_worker(key: [u8; 32], start: [u8; 32]) -> Self {
        Self::with(Writer::Worker { line_start: true }, key, start)
    }

    fn with(writer: Writer, key: [u8; 32], start: [u8; 32]) -> Self {
        Self {
            writer,
            key,
            start,
            hash: Sha256::new(),
            len: 0,
            pending: Vec::new(),
            searched: 0,
            state: State::Open,
        }
    }

    /// Takes received bytes; returns those that may be handed on.
    pub fn push(&mut self, received: &[u8]) -> Result<Vec<u8>, Rejection> {
        self.pending.extend_from_slice(received);
        if matches!(self.writer, Writer::Worker { .. }) {
            return self.pass_lines();
        }
        let mut passed = Vec::new();
        while let Some(len) = self.event_len() {
            let rest = self.pending.split_off(len);
            let event = core::mem::replace(&mut self.pending, rest);
            self.searched = 0;
            self.event(&event)?;
            passed.extend_from_slice(&event);
        }
        if self.pending.len() > MAX_EVENT_LEN {
            return Err(Rejection::StreamEventTooLong(MAX_EVENT_LEN));
        }
        Ok(passed)
    }

    /// The stream is over: why, if it was complete.
    pub fn finish(self) -> Result<EndReason, Rejection> {
        match (self.state, self.writer) {
            (State::Done(reason), _) if self.pending.is_empty() => Ok(reason),
            (State::Ended(reason), Writer::Worker { .. }) if self.pending.is_empty() => Ok(reason),
            (State::Done(_), _) | (State::Ended(_), Writer::Worker { .. }) => Err(Rejection::StreamTrailing),
            (State::Open | State::Ended(_), _) => Err(Rejection::StreamUnsigned),
        }
    }

    /// Hands on whole lines and parts of lines, but for those that may become the comment line.
    fn pass_lines(&mut self) -> Result<Vec<u8>, Rejection> {
        let bytes = core::mem::take(&mut self.pending);
        let prefix = STREAM_END_PREFIX.as_bytes();
        let mut line_start = matches!(self.writer, Writer::Worker { line_start: true });
        let mut at = 0;
        let mut end = None;
        while at < bytes.len() && end.is_none() {
            let rest = &bytes[at..];
            if line_start && (rest.starts_with(prefix) || prefix.starts_with(rest)) {
                end = Some(at);
            } else {
                let newline = rest.iter().position(|byte| *byte == b'\n');
                at += newline.map_or(rest.len(), |newline| newline + 1);
                line_start = newline.is_some();
            }
        }
        self.writer = Writer::Worker { line_start };
        let mut passed = bytes;
        let rest = passed.split_off(end.unwrap_or(passed.len()));
        if !passed.is_empty() && !matches!(self.state, State::Open) {
            return Err(Rejection::StreamTrailing);
        }
        self.hash.update(&passed);
        self.len += passed.len() as u64;
        match rest.windows(2).position(|pair| pair == b"\n\n") {
            Some(_) if !matches!(self.state, State::Open) => Err(Rejection::StreamTrailing),
            Some(blank) => {
                self.end(&rest[..blank + 2])?;
                if rest.len() > blank + 2 {
                    return Err(Rejection::StreamTrailing);
                }
                passed.extend_from_slice(&rest);
                Ok(passed)
            }
            None if rest.len() > MAX_END_LEN => Err(Rejection::StreamEndMalformed),
            None => {
                self.pending = rest;
                Ok(passed)
            }
        }
    }

    fn event_len(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(1);
        let found = self.pending[from..].windows(2).position(|pair| pair == b"\n\n");
        self.searched = self.pending.len();
        found.map(|at| from + at + 2)
    }

    fn event(&mut self, event: &[u8]) -> Result<(), Rejection> {
        match self.state {
            State::Open if event.starts_with(STREAM_END_PREFIX.as_bytes()) => self.end(event),
            State::Open if is_done(event) => Err(Rejection::StreamUnsigned),
            State::Open => {
                self.hash.update(event);
                self.len += event.len() as u64;
                Ok(())
            }
            State::Ended(reason) if event == DONE => {
                self.state = State::Done(reason);
                Ok(())
            }
            State::Ended(_) | State::Done(_) => Err(Rejection::StreamTrailing),
        }
    }

    fn end(&mut self, event: &[u8]) -> Result<(), Rejection> {
        let (end, signature) = core::str::from_utf8(event)
            .ok()
            .and_then(StreamEnd::parse)
            .ok_or(Rejection::StreamEndMalformed)?;
        primitives()
            .ed25519(&self.key, &end.signature_base(), &signature)
            .map_err(|_| Rejection::StreamSignature)?;
        let body_sha256: [u8; 32] = self.hash.clone().finalize().into();
        if (end.body_sha256, end.len, end.start) != (body_sha256, self.len, self.start) {
            return Err(Rejection::StreamDigest);
        }
        self.state = State::Ended(end.reason);
        Ok(())
    }
}

/// Whether a client would take any line of this event as the end of the stream.
fn is_done(event: &[u8]) -> bool {
    event.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        let value = line.strip_prefix(b"data:").unwrap_or_default();
        value.strip_prefix(b" ").unwrap_or(value).starts_with(b"[DONE]")
    })
}
