//! Length-prefixed frames on a stream socket: `u32 length` (of what follows, big-endian), `u8 kind`, body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame in bytes, kind included, length prefix not, where a socket has no limit of its own.
pub const MAX_FRAME: usize = 64 * 1024;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// At most the socket's limit − 1 bytes.
    pub body: Vec<u8>,
}

/// Why a frame can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end closed between two frames.
    #[error("the other end closed the socket")]
    Closed,
    /// A frame without a kind.
    #[error("empty frame")]
    Empty,
    /// More bytes than the socket's limit.
    #[error("frame of {0} bytes is too long")]
    TooLong(usize),
    /// The socket failed, or closed inside a frame.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
}

/// Reads one frame of at most [`MAX_FRAME`] bytes. Not cancel-safe: a reader that is dropped half-way must not be used
/// again.
///
/// # Errors
/// See [`FrameError`].
pub async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Frame, FrameError> {
    read_within(reader, MAX_FRAME).await
}

/// Reads one frame of at most `limit` bytes, kind included. Not cancel-safe.
///
/// # Errors
/// See [`FrameError`].
pub async fn read_within<R: AsyncRead + Unpin>(reader: &mut R, limit: usize) -> Result<Frame, FrameError> {
    let mut prefix = [0u8; 4];
    if reader.read(&mut prefix[..1]).await? == 0 {
        return Err(FrameError::Closed);
    }
    reader.read_exact(&mut prefix[1..]).await?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > limit {
        return Err(FrameError::TooLong(length));
    }
    let Some(body_length) = length.checked_sub(1) else {
        return Err(FrameError::Empty);
    };
    let kind = reader.read_u8().await?;
    let mut body = vec![0; body_length];
    reader.read_exact(&mut body).await?;
    Ok(Frame { kind, body })
}

/// Writes one frame of at most [`MAX_FRAME`] bytes.
///
/// # Errors
/// [`FrameError::TooLong`] and [`FrameError::Socket`].
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, kind: u8, body: &[u8]) -> Result<(), FrameError> {
    write_within(writer, kind, body, MAX_FRAME).await
}

/// Writes one frame of at most `limit` bytes, kind included.
///
/// # Errors
/// [`FrameError::TooLong`] and [`FrameError::Socket`].
pub async fn write_within<W: AsyncWrite + Unpin>(
    writer: &mut W,
    kind: u8,
    body: &[u8],
    limit: usize,
) -> Result<(), FrameError> {
    let length = body.len() + 1;
    if length > limit {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = Vec::with_capacity(4 + length);
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    writer.write_all(&bytes).await?;
    Ok(())
}

/// Takes the fields of a message one after the other; each is `None` when the message is too short for it.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the first byte of `message`.
    pub fn new(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// Exactly `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A big-endian `u16`.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian `u32`.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian `u64`.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A `u32` length of at most `limit`, and that many bytes.
    pub fn bytes(&mut self, limit: usize) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length > limit {
            return None;
        }
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// All that is left, as the last field.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// `None` when bytes are left over, so that no message has two spellings.
    pub fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// Appends what [`Fields::bytes`] takes.
pub fn put_bytes(message: &mut Vec<u8>, bytes: &[u8]) {
    message.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_bytes(bytes: &[u8]) -> Result<Frame, FrameError> {
        read(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn frames_round_trip() {
        for body in [vec![], vec![7; 10], vec![9; MAX_FRAME - 1]] {
            let mut bytes = Vec::new();
            write(&mut bytes, 5, &body).await.unwrap();
            assert_eq!(read_bytes(&bytes).await.unwrap(), Frame { kind: 5, body });
        }
    }

    #[tokio::test]
    async fn overlong_frames_are_refused_before_memory_is_taken() {
        assert!(matches!(
            read_bytes(&[0xff, 0xff, 0xff, 0xff, 1]).await,
            Err(FrameError::TooLong(_))
        ));
        assert!(matches!(
            read_bytes(&[0, 1, 0, 1, 1]).await,
            Err(FrameError::TooLong(0x10001))
        ));
        assert!(matches!(
            write(&mut Vec::new(), 1, &vec![0; MAX_FRAME]).await,
            Err(FrameError::TooLong(_))
        ));
    }

    #[tokio::test]
    async fn empty_cut_and_absent_frames_are_refused() {
        assert!(matches!(read_bytes(&[]).await, Err(FrameError::Closed)));
        assert!(matches!(read_bytes(&[0, 0, 0, 0]).await, Err(FrameError::Empty)));
        assert!(matches!(read_bytes(&[0, 0]).await, Err(FrameError::Socket(_))));
        assert!(matches!(
            read_bytes(&[0, 0, 0, 3, 1, 2]).await,
            Err(FrameError::Socket(_))
        ));
    }

    #[test]
    fn fields_refuse_what_is_too_short_too_long_or_left_over() {
        assert_eq!(Fields::new(&[0, 0, 0]).u64(), None);
        assert_eq!(Fields::new(&[0, 0, 0, 2, 1]).bytes(10), None);
        assert_eq!(Fields::new(&[0, 0, 0, 2, 1, 2]).bytes(1), None);
        assert_eq!(Fields::new(&[0xff, 0xff, 0xff, 0xff]).bytes(usize::MAX), None);
        let mut fields = Fields::new(&[0, 0, 0, 1, 9, 8]);
        assert_eq!(fields.bytes(1), Some(&[9][..]));
        assert_eq!(fields.end(), None);
    }
}
