//! The binary encoding of messages and records: big-endian integers, counts before lists, nothing optional but where a
//! flag byte says so. Each value has exactly one encoding, so a digest of bytes is a digest of the value.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::network::MemberIndex;

/// Why bytes aren't the encoding of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// The input ends too early.
    #[error("input ends inside a field")]
    Truncated,
    /// Bytes after the end.
    #[error("bytes after the end")]
    Trailing,
    /// A count or length above its limit.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// A value that the field can't have.
    #[error("{0} has no such value")]
    Value(&'static str),
}

/// Appends fields. The buffer is wiped when dropped, and is made large enough at first that fields which hold secrets
/// don't make it move.
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.fixed(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn member(&mut self, member: MemberIndex) -> &mut Self {
        self.u16(member.0)
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Length as `u32`, then the bytes. Readers have limits far below what doesn't fit.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32).fixed(bytes)
    }

    /// Count as `u16`. Readers have limits far below what doesn't fit.
    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.u16(count as u16)
    }
}

/// Reads fields, borrowing from the input. Allocates nothing.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn end(self) -> Result<(), WireError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(WireError::Trailing),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.fixed::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.fixed().map(u64::from_be_bytes)
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Value(field)),
        }
    }

    pub(crate) fn member(&mut self) -> Result<MemberIndex, WireError> {
        match self.u16()? {
            index if (1..=crate::network::MAX_MEMBERS).contains(&index) => Ok(MemberIndex(index)),
            _ => Err(WireError::Value("member")),
        }
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn bytes(&mut self, field: &'static str, limit: usize) -> Result<&'a [u8], WireError> {
        let len = self.u32()? as usize;
        if len > limit {
            return Err(WireError::TooLong(field));
        }
        let (head, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn count(&mut self, field: &'static str, limit: usize) -> Result<usize, WireError> {
        match usize::from(self.u16()?) {
            count if count > limit => Err(WireError::TooLong(field)),
            count => Ok(count),
        }
    }
}
