//! Frames of a command's output and of a log: `[stream, 0, 0, 0]`, length (4 bytes, big-endian), bytes.

/// Bytes of a frame's head.
pub const HEAD: usize = 8;
/// Longest frame that is taken, in bytes behind the head. The engine copies in pieces of 32 KiB.
pub const MAX_FRAME: u32 = 1 << 20;

/// Which output a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A frame's head is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output is not framed as the Docker API frames it")]
pub struct FrameError;

/// Reads a frame's head: which output, and how many bytes follow.
///
/// # Errors
/// [`FrameError`] for another stream than the two outputs, or a frame over [`MAX_FRAME`].
pub fn parse_head(head: [u8; HEAD]) -> Result<(Output, u32), FrameError> {
    let [stream, 0, 0, 0, a, b, c, d] = head else {
        return Err(FrameError);
    };
    let output = match stream {
        1 => Output::Stdout,
        2 => Output::Stderr,
        _ => return Err(FrameError),
    };
    match u32::from_be_bytes([a, b, c, d]) {
        len if len <= MAX_FRAME => Ok((output, len)),
        _ => Err(FrameError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_strictly() {
        assert_eq!(parse_head([1, 0, 0, 0, 0, 0, 1, 2]), Ok((Output::Stdout, 258)));
        assert_eq!(parse_head([2, 0, 0, 0, 0, 0, 0, 0]), Ok((Output::Stderr, 0)));
        for head in [
            [0, 0, 0, 0, 0, 0, 0, 1],
            [3, 0, 0, 0, 0, 0, 0, 1],
            [1, 1, 0, 0, 0, 0, 0, 1],
            [1, 0, 0, 1, 0, 0, 0, 1],
            [1, 0, 0, 0, 0, 0x10, 0, 1],
            [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            *b"HTTP/1.1",
        ] {
            assert_eq!(parse_head(head), Err(FrameError), "{head:?}");
        }
    }
}
