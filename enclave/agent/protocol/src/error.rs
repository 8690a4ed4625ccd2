//! Why a connection ended, and why a channel wasn't opened.

use core::fmt;

/// Longest message of a refusal, in bytes.
pub(crate) const MAX_MESSAGE: usize = 512;

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The stream failed.
    #[error("the stream failed: {0}")]
    Stream(#[from] std::io::Error),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// The peer didn't greet in time.
    #[error("no greeting came in time")]
    Silent,
    /// The first frame isn't the greeting of this protocol.
    #[error("the peer doesn't speak this protocol")]
    NotThisProtocol,
    /// The peer speaks another version.
    #[error("the peer speaks version {found}, not {expected}")]
    Version {
        /// The peer's.
        found: u16,
        /// Ours.
        expected: u16,
    },
    /// A frame has the kind of none, or of one that only the other end sends.
    #[error("a frame of kind {0} can't come from this end")]
    Kind(u8),
    /// A frame is longer than any may be.
    #[error("a frame of {0} bytes is too long")]
    TooLong(u32),
    /// A frame of a fixed form has another one.
    #[error("a frame is malformed: {0}")]
    Malformed(&'static str),
    /// A frame can't come in this state of its channel, or the channel isn't open.
    #[error("channel {channel}: {reason}")]
    Order {
        /// Which.
        channel: u32,
        /// What the peer did.
        reason: &'static str,
    },
    /// More channels than [`crate::MAX_CHANNELS`].
    #[error("the peer opened too many channels")]
    TooManyChannels,
}

/// Why a channel wasn't opened: a stable code for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenCode {
    /// The container has no shell.
    NoShell,
    /// There is no such command.
    NotFound,
    /// The user may not do that.
    PermissionDenied,
    /// The service refused the connection.
    Refused,
    /// No route leads there.
    Unreachable,
    /// The name isn't known inside the container.
    UnknownHost,
    /// No answer came in time.
    TimedOut,
    /// This connection has as many channels as it may have.
    TooManyChannels,
    /// The request can't be carried, or makes no sense.
    InvalidRequest,
    /// The connection to the agent is gone.
    ConnectionLost,
    /// Anything else, which the message says.
    Failed,
}

const CODES: [(OpenCode, &str); 11] = [
    (OpenCode::NoShell, "no_shell"),
    (OpenCode::NotFound, "not_found"),
    (OpenCode::PermissionDenied, "permission_denied"),
    (OpenCode::Refused, "refused"),
    (OpenCode::Unreachable, "unreachable"),
    (OpenCode::UnknownHost, "unknown_host"),
    (OpenCode::TimedOut, "timed_out"),
    (OpenCode::TooManyChannels, "too_many_channels"),
    (OpenCode::InvalidRequest, "invalid_request"),
    (OpenCode::ConnectionLost, "connection_lost"),
    (OpenCode::Failed, "failed"),
];

impl OpenCode {
    /// As it is written on the wire and in APIs.
    pub fn as_str(self) -> &'static str {
        let known = CODES.iter().find(|(code, _)| *code == self);
        known.map_or("failed", |(_, text)| text)
    }

    pub(crate) fn parse(text: &str) -> Option<OpenCode> {
        CODES
            .iter()
            .find(|(_, known)| *known == text)
            .map(|(code, _)| *code)
    }
}

impl fmt::Display for OpenCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a channel wasn't opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct OpenError {
    /// For programs.
    pub code: OpenCode,
    /// For people: one line without control characters, at most 512 bytes. The container wrote it.
    pub message: String,
}

impl OpenError {
    /// Control characters of `message` become spaces, and what is too long is cut off.
    pub fn new(code: OpenCode, message: impl Into<String>) -> Self {
        let mut message: String = message
            .into()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        OpenError { code, message }
    }

    pub(crate) fn lost() -> Self {
        OpenError::new(
            OpenCode::ConnectionLost,
            "the connection to the container is gone",
        )
    }
}

/// The channel is closed, or the connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;
