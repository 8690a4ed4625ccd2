use std::io;

use crate::line::{ErrorCode, MAX_LINE};

/// Why bytes from the other side were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The line doesn't end in exactly one `\n`.
    #[error("line does not end in one newline")]
    Unterminated,
    /// The line is longer than [`MAX_LINE`] bytes, newline included.
    #[error("line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A byte outside printable ASCII.
    #[error("byte 0x{0:02x} is not printable ASCII")]
    NotAscii(u8),
    /// The line starts with no verb that this protocol knows.
    #[error("unknown verb")]
    UnknownVerb,
    /// `ERR` with a code that isn't in the table.
    #[error("unknown error code")]
    UnknownErrorCode,
    /// A number with a sign, leading zeros, other characters, or out of range.
    #[error("not a canonical decimal number in range")]
    BadNumber,
    /// `host:port` without a port.
    #[error("no port")]
    MissingPort,
    /// Port 0, above 65535, or not a canonical decimal number.
    #[error("port is not a canonical number from 1 to 65535")]
    BadPort,
    /// Host longer than 253 bytes.
    #[error("host is longer than 253 bytes")]
    HostTooLong,
    /// Host is neither a lower-case DNS name, an IPv4 address, nor a bracketed IPv6 address in canonical form.
    #[error("host is not a lower-case DNS name, IPv4 address or bracketed canonical IPv6 address")]
    BadHost,
    /// Document name outside `[a-z0-9._-]`, empty, over 128 bytes, or starting with a dot.
    #[error("document name is not 1 to 128 characters of [a-z0-9._-] with no dot in front")]
    BadName,
    /// Blob name that isn't `SPACE/LEAF` of 1 to 96 characters of `[a-z0-9-]` each, or a part of one that isn't.
    #[error("blob name is not SPACE/LEAF, each 1 to 96 characters of [a-z0-9-]")]
    BadBlobName,
    /// Page of names that are out of order, weren't asked for, are too many, or end early.
    #[error("page of blob names is not an answer to its request")]
    BadPage,
    /// Announced document or blob length above the limit of its kind.
    #[error("document of {len} bytes is over the limit of {max}")]
    DocumentTooLong {
        /// Announced length in bytes.
        len: u64,
        /// Limit in bytes.
        max: usize,
    },
    /// Frame shorter or longer than its own length field says.
    #[error("frame is {actual} bytes, its header says {expected}")]
    FrameLength {
        /// Bytes that the header announces, header included.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Frame whose announced payload exceeds the limit.
    #[error("frame payload of {len} bytes is over the limit of {max}")]
    FrameTooLong {
        /// Announced payload length in bytes.
        len: usize,
        /// Limit in bytes.
        max: usize,
    },
    /// Frame of a kind that this protocol doesn't know.
    #[error("unknown frame kind 0x{0:02x}")]
    UnknownKind(u8),
    /// Payload whose length doesn't fit its kind.
    #[error("payload of kind 0x{kind:02x} is {actual} bytes, not {expected}")]
    PayloadLength {
        /// Frame kind.
        kind: u8,
        /// Length in bytes that the kind demands.
        expected: usize,
        /// Length in bytes received.
        actual: usize,
    },
    /// Port number that isn't in the table of `wire-formats.md` §4.
    #[error("unknown port {0}")]
    UnknownPort(u32),
    /// Transport that is none of the known spellings.
    #[error("unknown transport `{given}`, expected {expected}")]
    UnknownTransport {
        /// What was given.
        given: String,
        /// The spellings that are accepted.
        expected: &'static str,
    },
}

/// Why an exchange with the other side failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The socket failed.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The other side closed in the middle of a message.
    #[error("closed in the middle of a message")]
    Closed,
    /// The other side sent bytes that the protocol doesn't allow.
    #[error("protocol: {0}")]
    Parse(#[from] ParseError),
    /// The other side answered `ERR`.
    #[error("refused: {0}")]
    Refused(ErrorCode),
    /// The document is longer than the caller's limit, or the blob longer than any may be.
    #[error("document of {len} bytes is over the caller's limit of {limit}")]
    OverLimit {
        /// Length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl ExchangeError {
    /// Turns the end-of-file that `read_exact` reports into [`ExchangeError::Closed`].
    pub(crate) fn from_read(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}
