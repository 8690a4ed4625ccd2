//! The ASCII lines that open an exchange, and the codes that refuse one (`wire-formats.md` §4).

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{ExchangeError, ParseError};

/// Longest line in bytes, newline included.
pub const MAX_LINE: usize = 512;

/// Code after `ERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Policy doesn't allow it.
    Denied,
    /// The request line isn't valid.
    BadRequest,
    /// No such document.
    NotFound,
    /// The document exceeds the limit of its kind.
    TooLarge,
    /// The target isn't a public address, where none other will do.
    NotPublic,
    /// The target can't be resolved or refuses connections.
    Unreachable,
    /// It took too long.
    Timeout,
    /// A connection limit is reached.
    Busy,
    /// No room is left in the store.
    Full,
    /// The host doesn't offer this service.
    Unavailable,
    /// The answering side failed.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 11] = [
        ErrorCode::Denied,
        ErrorCode::BadRequest,
        ErrorCode::NotFound,
        ErrorCode::TooLarge,
        ErrorCode::NotPublic,
        ErrorCode::Unreachable,
        ErrorCode::Timeout,
        ErrorCode::Busy,
        ErrorCode::Full,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];

    /// The code as it is spelt on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Denied => "denied",
            ErrorCode::BadRequest => "bad-request",
            ErrorCode::NotFound => "not-found",
            ErrorCode::TooLarge => "too-large",
            ErrorCode::NotPublic => "not-public",
            ErrorCode::Unreachable => "unreachable",
            ErrorCode::Timeout => "timeout",
            ErrorCode::Busy => "busy",
            ErrorCode::Full => "full",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }

    /// The line `ERR code\n`.
    pub fn encode(self) -> Vec<u8> {
        format!("ERR {self}\n").into_bytes()
    }

    /// Parses what follows `ERR `.
    pub(crate) fn parse(code: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == code)
            .ok_or(ParseError::UnknownErrorCode)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads up to and including the first `\n`, and not one byte more: what follows belongs to the next protocol layer.
///
/// Reads byte by byte for that reason; lines are short and come once per connection. The caller bounds the time.
///
/// # Errors
/// [`ExchangeError::Closed`] at end of file, [`ParseError::LineTooLong`] after [`MAX_LINE`] bytes without newline.
pub async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, ExchangeError> {
    let mut line = Vec::with_capacity(64);
    while line.len() < MAX_LINE {
        let byte = stream.read_u8().await.map_err(ExchangeError::from_read)?;
        line.push(byte);
        if byte == b'\n' {
            return Ok(line);
        }
    }
    Err(ParseError::LineTooLong.into())
}

/// The text of a whole line without its newline: at most [`MAX_LINE`] bytes, printable ASCII.
pub(crate) fn text(line: &[u8]) -> Result<&str, ParseError> {
    if line.len() > MAX_LINE {
        return Err(ParseError::LineTooLong);
    }
    let [body @ .., b'\n'] = line else {
        return Err(ParseError::Unterminated);
    };
    match body.iter().find(|byte| !(0x20..0x7f).contains(*byte)) {
        Some(b'\n') => Err(ParseError::Unterminated),
        Some(byte) => Err(ParseError::NotAscii(*byte)),
        None => std::str::from_utf8(body).map_err(|_| ParseError::NotAscii(0x80)),
    }
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Result<u64, ParseError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(ParseError::BadNumber);
    }
    text.parse().map_err(|_| ParseError::BadNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_round_trip() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Ok(code));
            assert_eq!(code.encode(), format!("ERR {}\n", code.as_str()).into_bytes());
        }
        assert_eq!(ErrorCode::parse("Denied"), Err(ParseError::UnknownErrorCode));
    }

    #[test]
    fn text_refuses_what_is_not_one_ascii_line() {
        assert_eq!(text(b"OK\n"), Ok("OK"));
        for (line, error) in [
            (&b"OK"[..], ParseError::Unterminated),
            (b"", ParseError::Unterminated),
            (b"A\nB\n", ParseError::Unterminated),
            (b"A\r\n", ParseError::NotAscii(b'\r')),
            (b"A\0\n", ParseError::NotAscii(0)),
            (b"A\xff\n", ParseError::NotAscii(0xff)),
            (b"\x7f\n", ParseError::NotAscii(0x7f)),
        ] {
            assert_eq!(text(line), Err(error), "{line:?}");
        }
        assert_eq!(text(&[b'a'; MAX_LINE + 1]), Err(ParseError::LineTooLong));
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(decimal("0"), Ok(0));
        assert_eq!(decimal("18446744073709551615"), Ok(u64::MAX));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "18446744073709551616",
        ] {
            assert_eq!(decimal(bad), Err(ParseError::BadNumber), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn read_line_leaves_what_follows() {
        let mut stream = &b"OK\nSSH-2.0"[..];
        assert_eq!(read_line(&mut stream).await.unwrap(), b"OK\n");
        assert_eq!(stream, b"SSH-2.0");
    }

    #[tokio::test]
    async fn read_line_is_bounded() {
        let flood = vec![b'a'; 2 * MAX_LINE];
        let mut stream = &flood[..];
        assert!(matches!(
            read_line(&mut stream).await,
            Err(ExchangeError::Parse(ParseError::LineTooLong))
        ));
        assert_eq!(stream.len(), MAX_LINE);
        assert!(matches!(
            read_line(&mut &b"OK"[..]).await,
            Err(ExchangeError::Closed)
        ));
    }
}
