//! Frames: what the stream is cut into.
//!
//! ```text
//! kind(1) channel(4) length(3) payload(length)          numbers big-endian; length ≤ 32768
//! ```
//!
//! | kind | name | from | payload |
//! |---|---|---|---|
//! | 0 | HELLO | both, first, channel 0 | `jejuagnt`, version(2) |
//! | 1 | OPEN | SSH server | request |
//! | 2 | OPENED | agent | empty |
//! | 3 | REFUSED | agent | code, message |
//! | 4 | DATA | both | 1 byte or more |
//! | 5 | STDERR | agent | 1 byte or more |
//! | 6 | EOF | both | empty |
//! | 7 | CREDIT | both | bytes(4), not 0 |
//! | 8 | RESIZE | SSH server | columns(2) rows(2) width(2) height(2) |
//! | 9 | SIGNAL | SSH server | name |
//! | 10 | EXIT | agent | 0 code(4), or 1 core(1) name |
//! | 11 | CLOSE | both | empty |
//! | 12 | ALIVE | both, channel 0 | empty: whoever carries the stream ends what is silent |

use bytes::{Bytes, BytesMut};

use crate::error::{MuxError, OpenError};
use crate::request::{Exit, Open, Signal, Size};
use crate::wire::Fields;

/// The version of this protocol.
pub const VERSION: u16 = 1;
/// Length of what stands before a payload, in bytes.
pub const HEADER_LEN: usize = 8;
/// Longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 32 * 1024;
/// What a frame of data costs beside its length: what it takes to keep it.
pub const FRAME_COST: u32 = 64;

/// The frame of [`Body::Alive`].
pub(crate) const ALIVE: [u8; HEADER_LEN] = [12, 0, 0, 0, 0, 0, 0, 0];

const MAGIC: &[u8; 8] = b"jejuagnt";
/// A payload shorter than this is copied out of the buffer that it came in, which it would keep whole otherwise.
const SHARED_FROM: usize = 16 * 1024;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which channel; 0 for [`Body::Hello`] and [`Body::Alive`] alone.
    pub channel: u32,
    /// What it says.
    pub body: Body,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The first frame of each end: its version.
    Hello(u16),
    /// The SSH server asks for a channel.
    Open(Open),
    /// The agent grants it.
    Opened,
    /// The agent refuses it, and closes the channel by that.
    Refused(OpenError),
    /// Standard input, or output.
    Data(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// No further data comes from this end.
    Eof,
    /// The peer may send this much more: each frame of data costs its length and [`FRAME_COST`].
    Credit(u32),
    /// The terminal's size is another.
    Resize(Size),
    /// To the process group.
    Signal(Signal),
    /// How the process ended.
    Exit(Exit),
    /// This end is done with the channel.
    Close,
    /// This end has nothing to say, and is there.
    Alive,
}

/// Takes one frame off the front of `buffer`; `None` where it isn't whole yet.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, MuxError> {
    let Some((header, _)) = buffer.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let kind = header[0];
    let channel = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    let len = u32::from_be_bytes([0, header[5], header[6], header[7]]);
    if len as usize > MAX_PAYLOAD {
        return Err(MuxError::TooLong(len));
    }
    if matches!(kind, 0 | 12) != (channel == 0) {
        return Err(MuxError::Malformed("channel 0 is for what belongs to no channel"));
    }
    if buffer.len() < HEADER_LEN + len as usize {
        return Ok(None);
    }
    let mut whole = buffer.split_to(HEADER_LEN + len as usize);
    let payload = whole.split_off(HEADER_LEN);
    let body = parse(kind, payload)?;
    Ok(Some(Frame { channel, body }))
}

fn parse(kind: u8, payload: BytesMut) -> Result<Body, MuxError> {
    Ok(match kind {
        0 => hello(&payload)?,
        1 => Body::Open(Open::parse(&payload)?),
        2 => empty(&payload, Body::Opened)?,
        3 => Body::Refused(OpenError::parse(&payload)?),
        4 => Body::Data(data(payload)?),
        5 => Body::Stderr(data(payload)?),
        6 => empty(&payload, Body::Eof)?,
        7 => credit(&payload)?,
        8 => Body::Resize(Size::parse(&payload)?),
        9 => Body::Signal(
            core::str::from_utf8(&payload)
                .ok()
                .and_then(Signal::parse)
                .ok_or(MuxError::Malformed("an unknown signal"))?,
        ),
        10 => Body::Exit(Exit::parse(&payload)?),
        11 => empty(&payload, Body::Close)?,
        12 => empty(&payload, Body::Alive)?,
        _ => return Err(MuxError::Kind(kind)),
    })
}

fn hello(payload: &[u8]) -> Result<Body, MuxError> {
    match payload.strip_prefix(MAGIC) {
        Some(&[high, low]) => Ok(Body::Hello(u16::from_be_bytes([high, low]))),
        _ => Err(MuxError::NotThisProtocol),
    }
}

fn empty(payload: &[u8], body: Body) -> Result<Body, MuxError> {
    match payload.is_empty() {
        true => Ok(body),
        false => Err(MuxError::Malformed("a frame without a payload has one")),
    }
}

fn data(payload: BytesMut) -> Result<Bytes, MuxError> {
    match payload.len() {
        0 => Err(MuxError::Malformed("a frame of data is empty")),
        SHARED_FROM.. => Ok(payload.freeze()),
        _ => Ok(Bytes::copy_from_slice(&payload)),
    }
}

fn credit(payload: &[u8]) -> Result<Body, MuxError> {
    let mut fields = Fields::new(payload);
    let found = fields.u32()?;
    fields.end()?;
    match found {
        0 => Err(MuxError::Malformed("a credit of nothing")),
        _ => Ok(Body::Credit(found)),
    }
}

impl Frame {
    /// Appends the frame. `Err` for a request that can't be carried.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), OpenError> {
        let payload = match &self.body {
            Body::Hello(version) => [&MAGIC[..], &version.to_be_bytes()].concat(),
            Body::Open(request) => request.encode()?,
            Body::Refused(error) => error.encode(),
            Body::Data(data) | Body::Stderr(data) => {
                debug_assert!((1..=MAX_PAYLOAD).contains(&data.len()));
                put_header(out, self.body.kind(), self.channel, data.len());
                out.extend_from_slice(data);
                return Ok(());
            }
            Body::Credit(bytes) => bytes.to_be_bytes().to_vec(),
            Body::Resize(size) => size.encode().to_vec(),
            Body::Signal(signal) => signal.as_str().as_bytes().to_vec(),
            Body::Exit(exit) => exit.encode(),
            Body::Opened | Body::Eof | Body::Close | Body::Alive => Vec::new(),
        };
        put_header(out, self.body.kind(), self.channel, payload.len());
        out.extend(payload);
        Ok(())
    }
}

impl Body {
    /// The number on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Body::Hello(_) => 0,
            Body::Open(_) => 1,
            Body::Opened => 2,
            Body::Refused(_) => 3,
            Body::Data(_) => 4,
            Body::Stderr(_) => 5,
            Body::Eof => 6,
            Body::Credit(_) => 7,
            Body::Resize(_) => 8,
            Body::Signal(_) => 9,
            Body::Exit(_) => 10,
            Body::Close => 11,
            Body::Alive => 12,
        }
    }
}

/// What a frame of data of `len` bytes costs.
pub(crate) fn cost(len: usize) -> u32 {
    len as u32 + FRAME_COST
}

fn put_header(out: &mut Vec<u8>, kind: u8, channel: u32, len: usize) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend(&(len as u32).to_be_bytes()[1..]);
}
