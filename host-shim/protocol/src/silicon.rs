//! Simulated silicon (port 5006), in development images only: `u32 length` (at most 1024, of all that follows it),
//! `u8 kind`, body (`wire-formats.md` §6). One or more requests on a connection, answered in order.

use std::fmt;
use std::io::{self, Read};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{ExchangeError, ParseError};

/// Longest frame in bytes after the length field.
pub const MAX_FRAME: usize = 1024;
/// Length in bytes of simulated evidence (`wire-formats.md` §3).
pub const EVIDENCE_LEN: usize = 282;

const LENGTH: usize = 4;
const KIND_DESCRIBE: u8 = 1;
const KIND_REPORT: u8 = 2;
const KIND_SEALING_KEY: u8 = 3;
const KIND_HOST_DATA: u8 = 0x81;
const KIND_EVIDENCE: u8 = 0x82;
const KIND_DERIVED_KEY: u8 = 0x83;
const KIND_ERROR: u8 = 0xff;

/// What the guest asks of its silicon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiliconRequest {
    /// HOST_DATA that the launcher set.
    Describe,
    /// Evidence over this REPORT_DATA.
    Report([u8; 64]),
    /// The key that this chip derives for this image with this HOST_DATA, and for no other: what SNP_GET_DERIVED_KEY
    /// with the measurement mixed in is on SEV-SNP.
    SealingKey,
}

impl SiliconRequest {
    /// Parses exactly one frame, length field included.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`SiliconRequest::encode`] wouldn't have written.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        match split(frame)? {
            (KIND_DESCRIBE, body) => sized::<0>(KIND_DESCRIBE, body).map(|_| Self::Describe),
            (KIND_REPORT, body) => sized(KIND_REPORT, body).map(Self::Report),
            (KIND_SEALING_KEY, body) => sized::<0>(KIND_SEALING_KEY, body).map(|_| Self::SealingKey),
            (kind, _) => Err(ParseError::UnknownKind(kind)),
        }
    }

    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Describe => frame(KIND_DESCRIBE, &[]),
            Self::Report(report_data) => frame(KIND_REPORT, report_data),
            Self::SealingKey => frame(KIND_SEALING_KEY, &[]),
        }
    }
}

/// What the silicon answers.
#[expect(
    clippy::large_enum_variant,
    reason = "evidence is the usual answer, and 284 bytes are passed once"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiliconAnswer {
    /// HOST_DATA: the launch document's digest.
    HostData([u8; 32]),
    /// Signed evidence.
    Evidence([u8; EVIDENCE_LEN]),
    /// A key for sealing.
    DerivedKey(DerivedKey),
    /// The silicon refused, with a number for its log.
    Error(u16),
}

impl SiliconAnswer {
    /// Parses exactly one frame, length field included.
    ///
    /// # Errors
    /// [`ParseError`], for anything that [`SiliconAnswer::encode`] wouldn't have written.
    pub fn parse(frame: &[u8]) -> Result<Self, ParseError> {
        match split(frame)? {
            (KIND_HOST_DATA, body) => sized(KIND_HOST_DATA, body).map(Self::HostData),
            (KIND_EVIDENCE, body) => sized(KIND_EVIDENCE, body).map(Self::Evidence),
            (KIND_DERIVED_KEY, body) => {
                sized(KIND_DERIVED_KEY, body).map(|key| Self::DerivedKey(DerivedKey(key)))
            }
            (KIND_ERROR, body) => sized(KIND_ERROR, body).map(|code| Self::Error(u16::from_be_bytes(code))),
            (kind, _) => Err(ParseError::UnknownKind(kind)),
        }
    }

    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::HostData(host_data) => frame(KIND_HOST_DATA, host_data),
            Self::Evidence(evidence) => frame(KIND_EVIDENCE, evidence),
            Self::DerivedKey(DerivedKey(key)) => frame(KIND_DERIVED_KEY, key),
            Self::Error(code) => frame(KIND_ERROR, &code.to_be_bytes()),
        }
    }
}

/// A key that the silicon derived. `Debug` doesn't show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DerivedKey(pub [u8; 32]);

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey")
    }
}

/// Reads one whole frame of at most [`MAX_FRAME`] bytes after its length field, for `parse` of either direction;
/// `None` at a clean end. The caller bounds the time.
///
/// # Errors
/// [`ExchangeError::Closed`] inside a frame, [`ExchangeError::Parse`] for a length out of bounds,
/// [`ExchangeError::Io`].
pub async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<Vec<u8>>, ExchangeError> {
    let mut length = [0; LENGTH];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream
        .read_exact(&mut length[1..])
        .await
        .map_err(ExchangeError::from_read)?;
    let mut frame = vec![0; LENGTH + announced(length)?];
    frame[..LENGTH].copy_from_slice(&length);
    stream
        .read_exact(&mut frame[LENGTH..])
        .await
        .map_err(ExchangeError::from_read)?;
    Ok(Some(frame))
}

/// [`read_frame`] on a blocking stream; the caller sets its read timeout.
///
/// # Errors
/// As [`read_frame`].
pub fn read_frame_blocking<S: Read>(stream: &mut S) -> Result<Option<Vec<u8>>, ExchangeError> {
    let mut length = [0; LENGTH];
    let first = loop {
        match stream.read(&mut length[..1]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    stream
        .read_exact(&mut length[1..])
        .map_err(ExchangeError::from_read)?;
    let mut frame = vec![0; LENGTH + announced(length)?];
    frame[..LENGTH].copy_from_slice(&length);
    stream
        .read_exact(&mut frame[LENGTH..])
        .map_err(ExchangeError::from_read)?;
    Ok(Some(frame))
}

/// Kind and body of exactly one frame.
fn split(frame: &[u8]) -> Result<(u8, &[u8]), ParseError> {
    let Some((length, rest)) = frame.split_first_chunk::<LENGTH>() else {
        return Err(ParseError::FrameLength {
            expected: LENGTH,
            actual: frame.len(),
        });
    };
    let len = announced(*length)?;
    match rest.split_first() {
        Some((kind, body)) if rest.len() == len => Ok((*kind, body)),
        _ => Err(ParseError::FrameLength {
            expected: LENGTH + len,
            actual: frame.len(),
        }),
    }
}

/// Bytes after the length field, from 1 (a kind without body) to [`MAX_FRAME`].
fn announced(length: [u8; LENGTH]) -> Result<usize, ParseError> {
    match u32::from_be_bytes(length) as usize {
        0 => Err(ParseError::FrameLength {
            expected: LENGTH + 1,
            actual: LENGTH,
        }),
        len if len > MAX_FRAME => Err(ParseError::FrameTooLong { len, max: MAX_FRAME }),
        len => Ok(len),
    }
}

fn sized<const N: usize>(kind: u8, body: &[u8]) -> Result<[u8; N], ParseError> {
    body.try_into().map_err(|_| ParseError::PayloadLength {
        kind,
        expected: N,
        actual: body.len(),
    })
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [&(1 + body.len() as u32).to_be_bytes()[..], &[kind], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        for request in [
            SiliconRequest::Describe,
            SiliconRequest::Report([7; 64]),
            SiliconRequest::SealingKey,
        ] {
            assert_eq!(SiliconRequest::parse(&request.encode()), Ok(request));
        }
        for answer in [
            SiliconAnswer::HostData([1; 32]),
            SiliconAnswer::Evidence([2; EVIDENCE_LEN]),
            SiliconAnswer::DerivedKey(DerivedKey([0x5a; 32])),
            SiliconAnswer::Error(0x0102),
        ] {
            assert_eq!(SiliconAnswer::parse(&answer.encode()), Ok(answer));
        }
        assert_eq!(SiliconRequest::Describe.encode(), [0, 0, 0, 1, 1]);
        assert_eq!(SiliconRequest::SealingKey.encode(), [0, 0, 0, 1, 3]);
        assert_eq!(SiliconAnswer::Error(0x0102).encode(), [0, 0, 0, 3, 0xff, 1, 2]);
    }

    #[test]
    fn a_key_is_not_printed() {
        let shown = format!("{:?}", SiliconAnswer::DerivedKey(DerivedKey([0x5a; 32])));
        assert_eq!(shown, "DerivedKey(DerivedKey)");
    }

    #[test]
    fn other_frames_are_refused() {
        use ParseError::*;
        let report_of = |len: usize| frame(KIND_REPORT, &vec![0; len]);
        for (bytes, error) in [
            (
                vec![],
                FrameLength {
                    expected: 4,
                    actual: 0,
                },
            ),
            (
                vec![0, 0, 0],
                FrameLength {
                    expected: 4,
                    actual: 3,
                },
            ),
            (
                vec![0, 0, 0, 0],
                FrameLength {
                    expected: 5,
                    actual: 4,
                },
            ),
            (
                vec![0, 0, 0, 1],
                FrameLength {
                    expected: 5,
                    actual: 4,
                },
            ),
            (
                vec![0, 0, 0, 1, 1, 1],
                FrameLength {
                    expected: 5,
                    actual: 6,
                },
            ),
            (vec![0, 0, 0, 1, 9], UnknownKind(9)),
            (vec![0, 0, 0, 1, 0x81], UnknownKind(0x81)),
            (
                vec![0, 0, 0, 2, 1, 0],
                PayloadLength {
                    kind: 1,
                    expected: 0,
                    actual: 1,
                },
            ),
            (vec![0, 0, 4, 1], FrameTooLong { len: 1025, max: 1024 }),
            (
                vec![0xff; 8],
                FrameTooLong {
                    len: u32::MAX as usize,
                    max: 1024,
                },
            ),
            (
                frame(KIND_SEALING_KEY, &[0]),
                PayloadLength {
                    kind: 3,
                    expected: 0,
                    actual: 1,
                },
            ),
            (
                report_of(63),
                PayloadLength {
                    kind: 2,
                    expected: 64,
                    actual: 63,
                },
            ),
            (
                report_of(65),
                PayloadLength {
                    kind: 2,
                    expected: 64,
                    actual: 65,
                },
            ),
        ] {
            assert_eq!(SiliconRequest::parse(&bytes), Err(error), "{bytes:?}");
        }
        for (bytes, error) in [
            (SiliconRequest::Describe.encode(), UnknownKind(1)),
            (
                frame(KIND_HOST_DATA, &[0; 31]),
                PayloadLength {
                    kind: 0x81,
                    expected: 32,
                    actual: 31,
                },
            ),
            (
                frame(KIND_EVIDENCE, &[0; 283]),
                PayloadLength {
                    kind: 0x82,
                    expected: 282,
                    actual: 283,
                },
            ),
            (
                frame(KIND_DERIVED_KEY, &[0; 31]),
                PayloadLength {
                    kind: 0x83,
                    expected: 32,
                    actual: 31,
                },
            ),
            (
                frame(KIND_ERROR, &[0]),
                PayloadLength {
                    kind: 0xff,
                    expected: 2,
                    actual: 1,
                },
            ),
        ] {
            assert_eq!(SiliconAnswer::parse(&bytes), Err(error), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn both_readers_take_frames_one_by_one_and_are_bounded() {
        let wire = [
            SiliconRequest::Describe.encode(),
            SiliconRequest::Report([7; 64]).encode(),
        ]
        .concat();
        let (mut a, mut b) = (&wire[..], &wire[..]);
        for expected in [
            Some(SiliconRequest::Describe),
            Some(SiliconRequest::Report([7; 64])),
            None,
        ] {
            let parse = |frame: Option<Vec<u8>>| frame.map(|bytes| SiliconRequest::parse(&bytes).unwrap());
            assert_eq!(parse(read_frame(&mut a).await.unwrap()), expected);
            assert_eq!(parse(read_frame_blocking(&mut b).unwrap()), expected);
        }
        for cut in [1, 4, 7] {
            let bytes = &SiliconRequest::Report([7; 64]).encode()[..cut];
            assert!(matches!(
                read_frame(&mut &bytes[..]).await,
                Err(ExchangeError::Closed)
            ));
            assert!(matches!(
                read_frame_blocking(&mut &bytes[..]),
                Err(ExchangeError::Closed)
            ));
        }
        let long = [0xff; 16];
        assert!(matches!(
            read_frame(&mut &long[..]).await,
            Err(ExchangeError::Parse(_))
        ));
        assert!(matches!(
            read_frame_blocking(&mut &long[..]),
            Err(ExchangeError::Parse(_))
        ));
    }
}
