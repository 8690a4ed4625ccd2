//! Messages on a stream of bytes: a length as four bytes, big-endian, and then as many bytes of `postcard`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::bundle::MAX_BUNDLE;

/// Bytes before each message.
pub const HEADER_LEN: usize = 4;
/// Longest message, in bytes: a bundle with its variables.
pub const MAX_FRAME: usize = MAX_BUNDLE + 1024 * 1024;

/// Why bytes aren't messages. The channel is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length above the reader's bound.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// Bytes that are no message.
    #[error("a message is malformed")]
    Malformed,
}

/// One message with its header.
///
/// # Errors
/// [`FrameError::TooLong`] for more than [`MAX_FRAME`] bytes.
pub fn frame(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    append_frame(message, &mut bytes)?;
    Ok(bytes)
}

/// Appends one message with its header. Where it fails nothing is appended.
///
/// # Errors
/// [`FrameError::TooLong`] for more than [`MAX_FRAME`] bytes.
pub fn append_frame(message: &impl Serialize, bytes: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEADER_LEN]);
    let written = postcard::to_extend(message, End(bytes)).map(drop);
    let len = bytes.len() - start - HEADER_LEN;
    let header = match written {
        Ok(()) if len <= MAX_FRAME => Ok(len as u32),
        Ok(()) => Err(FrameError::TooLong(len)),
        Err(_) => Err(FrameError::Malformed),
    };
    let header = header.inspect_err(|_| bytes.truncate(start))?;
    bytes[start..start + HEADER_LEN].copy_from_slice(&header.to_be_bytes());
    Ok(())
}

/// The end of bytes, as `postcard` writes to it.
struct End<'a>(&'a mut Vec<u8>);

impl Extend<u8> for End<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// Takes messages out of the bytes that came so far.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    start: usize,
    longest: usize,
}

impl Frames {
    /// For messages of at most `longest` bytes each.
    pub fn new(longest: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            longest: longest.min(MAX_FRAME),
        }
    }

    /// Where the next bytes that came go: append to it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        &mut self.buffer
    }

    /// The next whole message, if it is there.
    ///
    /// # Errors
    /// [`FrameError`]: nothing after it can be read.
    pub fn take<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*header) as usize;
        if len > self.longest {
            return Err(FrameError::TooLong(len));
        }
        let Some(bytes) = rest.get(..len) else {
            return Ok(None);
        };
        match postcard::take_from_bytes(bytes) {
            Ok((message, [])) => {
                self.start += HEADER_LEN + len;
                Ok(Some(message))
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BodyOf, Failure, LogLine, ToBroker, Usage, code};

    fn messages() -> Vec<ToBroker> {
        vec![
            ToBroker::Head {
                call: 7,
                status: 200,
                status_text: String::new(),
                headers: vec![("content-type".into(), "text/plain".into())],
                body: Some(b"hello".to_vec()),
            },
            ToBroker::Body {
                call: u64::MAX,
                of: BodyOf::Fetch(3),
                data: vec![0; 1000],
            },
            ToBroker::Log {
                call: 7,
                line: LogLine {
                    level: crate::Level::Warn,
                    text: "\u{1f600}".into(),
                },
            },
            ToBroker::Done {
                call: 7,
                usage: Usage::default(),
                failure: Some(Failure::new(code::TIMEOUT, "late")),
            },
        ]
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let bytes: Vec<u8> = messages()
            .iter()
            .flat_map(|message| frame(message).unwrap())
            .collect();
        for size in [1, 3, 7, 100, bytes.len()] {
            let mut frames = Frames::new(MAX_FRAME);
            let mut found = Vec::<ToBroker>::new();
            for piece in bytes.chunks(size) {
                frames.buffer().extend_from_slice(piece);
                while let Some(message) = frames.take().unwrap() {
                    found.push(message);
                }
            }
            assert!(found == messages(), "{size}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_leaves_what_was_before_it() {
        let mut bytes = frame(&messages()[0]).unwrap();
        let before = bytes.clone();
        let long = ToBroker::Body {
            call: 1,
            of: BodyOf::Event,
            data: vec![0; MAX_FRAME],
        };
        assert!(matches!(
            append_frame(&long, &mut bytes),
            Err(FrameError::TooLong(_))
        ));
        assert_eq!(bytes, before);
        append_frame(&messages()[2], &mut bytes).unwrap();
        assert_eq!(bytes[before.len()..], frame(&messages()[2]).unwrap());
    }

    #[test]
    fn anything_else_is_refused() {
        let read = |bytes: &[u8]| {
            let mut frames = Frames::new(1000);
            frames.buffer().extend_from_slice(bytes);
            frames.take::<ToBroker>().map(|message| message.is_some())
        };
        assert_eq!(read(&[0, 0, 0]), Ok(false));
        assert_eq!(read(&[0, 0, 3, 233]), Err(FrameError::TooLong(1001)));
        assert_eq!(read(&[0, 0, 0, 0]), Err(FrameError::Malformed));
        assert_eq!(read(&[0, 0, 0, 1, 255]), Err(FrameError::Malformed));
        let mut trailing = frame(&messages()[0]).unwrap();
        trailing.push(0);
        trailing[3] += 1;
        assert_eq!(read(&trailing), Err(FrameError::Malformed));
        // A length inside that promises more than there is reserves nothing.
        let huge = [0, 0, 0, 9, 3, 1, 0, 255, 255, 255, 255, 255, 15];
        assert_eq!(read(&huge), Err(FrameError::Malformed));
    }
}
