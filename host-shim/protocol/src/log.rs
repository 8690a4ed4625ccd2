//! Log sink (port 5004): frames from the guest, `u8 kind`, `u16 length`, payload (`wire-formats.md` §5).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{ExchangeError, ParseError};

/// Longest payload in bytes.
pub const MAX_PAYLOAD: usize = 4096;

const HEADER: usize = 3;
const KIND_FATAL: u8 = 1;
const KIND_OPAQUE: u8 = 2;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFrame {
    /// The node powers off, and this is its last frame. The number is [`crate::fatal::FatalCode`]'s; one that this
    /// version's table lacks is passed on, because a newer guest's reason is worth printing.
    Fatal(u16),
    /// Log bytes, at most [`MAX_PAYLOAD`], that mean nothing to the host.
    Opaque(Vec<u8>),
}

impl LogFrame {
    /// Parses exactly one frame.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`LogFrame::encode`] wouldn't have written.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        let Some((header, payload)) = frame.split_first_chunk::<HEADER>() else {
            return Err(ParseError::FrameLength {
                expected: HEADER,
                actual: frame.len(),
            });
        };
        let len = payload_len(header)?;
        if payload.len() != len {
            return Err(ParseError::FrameLength {
                expected: HEADER + len,
                actual: frame.len(),
            });
        }
        Ok(match header[0] {
            KIND_FATAL => Self::Fatal(u16::from_be_bytes([payload[0], payload[1]])),
            _ => Self::Opaque(payload.to_vec()),
        })
    }

    /// The frame, or `None` for an opaque payload over [`MAX_PAYLOAD`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        let code;
        let (kind, payload) = match self {
            Self::Fatal(number) => {
                code = number.to_be_bytes();
                (KIND_FATAL, &code[..])
            }
            Self::Opaque(bytes) => (KIND_OPAQUE, &bytes[..]),
        };
        if payload.len() > MAX_PAYLOAD {
            return None;
        }
        let len = (payload.len() as u16).to_be_bytes();
        Some([&[kind, len[0], len[1]], payload].concat())
    }
}

/// Host side: reads the next frame; `None` at a clean end. The caller bounds the time.
///
/// # Errors
/// [`ExchangeError::Closed`] inside a frame, [`ExchangeError::Parse`], [`ExchangeError::Io`].
pub async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<LogFrame>, ExchangeError> {
    let mut frame = vec![0; HEADER];
    if stream.read(&mut frame[..1]).await? == 0 {
        return Ok(None);
    }
    stream
        .read_exact(&mut frame[1..])
        .await
        .map_err(ExchangeError::from_read)?;
    let len = payload_len(&[frame[0], frame[1], frame[2]])?;
    frame.resize(HEADER + len, 0);
    stream
        .read_exact(&mut frame[HEADER..])
        .await
        .map_err(ExchangeError::from_read)?;
    Ok(Some(LogFrame::parse(&frame)?))
}

/// Guest side: sends one frame.
///
/// # Errors
/// [`ExchangeError::Parse`] for an opaque payload over [`MAX_PAYLOAD`], [`ExchangeError::Io`].
pub async fn write_frame<S: AsyncWrite + Unpin>(
    stream: &mut S,
    frame: &LogFrame,
) -> Result<(), ExchangeError> {
    let Some(bytes) = frame.encode() else {
        let len = if let LogFrame::Opaque(bytes) = frame {
            bytes.len()
        } else {
            0
        };
        return Err(ParseError::FrameTooLong {
            len,
            max: MAX_PAYLOAD,
        }
        .into());
    };
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

/// Payload length in bytes that a header announces, checked against its kind before anything is allocated.
fn payload_len(header: &[u8; HEADER]) -> Result<usize, ParseError> {
    let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
    match header[0] {
        KIND_FATAL if len == 2 => Ok(len),
        KIND_FATAL => Err(ParseError::PayloadLength {
            kind: KIND_FATAL,
            expected: 2,
            actual: len,
        }),
        KIND_OPAQUE if len <= MAX_PAYLOAD => Ok(len),
        KIND_OPAQUE => Err(ParseError::FrameTooLong {
            len,
            max: MAX_PAYLOAD,
        }),
        kind => Err(ParseError::UnknownKind(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fatal::FatalCode;

    #[test]
    fn frames_round_trip() {
        for frame in [
            LogFrame::Fatal(FatalCode::QuotingFailed.as_u16()),
            LogFrame::Fatal(u16::MAX),
            LogFrame::Opaque(Vec::new()),
            LogFrame::Opaque(vec![7; MAX_PAYLOAD]),
        ] {
            assert_eq!(LogFrame::parse(&frame.encode().unwrap()), Ok(frame));
        }
        assert_eq!(LogFrame::Fatal(9).encode().unwrap(), [1, 0, 2, 0, 9]);
        assert_eq!(LogFrame::Opaque(vec![7; MAX_PAYLOAD + 1]).encode(), None);
    }

    #[test]
    fn other_frames_are_refused() {
        use ParseError::*;
        for (frame, error) in [
            (
                &[][..],
                FrameLength {
                    expected: 3,
                    actual: 0,
                },
            ),
            (
                &[1, 0],
                FrameLength {
                    expected: 3,
                    actual: 2,
                },
            ),
            (&[0, 0, 0], UnknownKind(0)),
            (&[3, 0, 0], UnknownKind(3)),
            (
                &[1, 0, 1, 9],
                PayloadLength {
                    kind: 1,
                    expected: 2,
                    actual: 1,
                },
            ),
            (
                &[1, 0, 3, 0, 9, 0],
                PayloadLength {
                    kind: 1,
                    expected: 2,
                    actual: 3,
                },
            ),
            (
                &[1, 0, 2, 0],
                FrameLength {
                    expected: 5,
                    actual: 4,
                },
            ),
            (
                &[1, 0, 2, 0, 9, 9],
                FrameLength {
                    expected: 5,
                    actual: 6,
                },
            ),
            (
                &[2, 0, 1],
                FrameLength {
                    expected: 4,
                    actual: 3,
                },
            ),
            (&[2, 0x10, 1], FrameTooLong { len: 4097, max: 4096 }),
            (
                &[2, 0xff, 0xff],
                FrameTooLong {
                    len: 65535,
                    max: 4096,
                },
            ),
        ] {
            assert_eq!(LogFrame::parse(frame), Err(error), "{frame:?}");
        }
    }

    #[tokio::test]
    async fn frames_are_read_one_by_one() {
        let mut wire = Vec::new();
        write_frame(&mut wire, &LogFrame::Opaque(b"abc".to_vec()))
            .await
            .unwrap();
        write_frame(&mut wire, &LogFrame::Fatal(3)).await.unwrap();
        let mut stream = &wire[..];
        assert_eq!(
            read_frame(&mut stream).await.unwrap(),
            Some(LogFrame::Opaque(b"abc".to_vec()))
        );
        assert_eq!(read_frame(&mut stream).await.unwrap(), Some(LogFrame::Fatal(3)));
        assert_eq!(read_frame(&mut stream).await.unwrap(), None);
        assert!(matches!(
            read_frame(&mut &wire[..4]).await,
            Err(ExchangeError::Closed)
        ));
        assert!(matches!(
            read_frame(&mut &wire[..2]).await,
            Err(ExchangeError::Closed)
        ));
        let long = LogFrame::Opaque(vec![0; MAX_PAYLOAD + 1]);
        assert!(matches!(
            write_frame(&mut Vec::new(), &long).await,
            Err(ExchangeError::Parse(_))
        ));
    }
}
