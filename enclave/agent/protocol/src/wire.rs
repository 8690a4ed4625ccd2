//! Reading and writing the fields of a payload.

use crate::error::MuxError;

/// What remains of a payload.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Fields(payload)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], MuxError> {
        let (found, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(MuxError::Malformed("a field is cut off"))?;
        self.0 = rest;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MuxError> {
        Ok(self.bytes(N)?.try_into().expect("a slice of this length"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MuxError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MuxError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MuxError> {
        self.array().map(u32::from_be_bytes)
    }

    /// 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, MuxError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(MuxError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    /// Text behind its length of two bytes, without NUL, which no C program could be given.
    pub(crate) fn text(&mut self) -> Result<String, MuxError> {
        let len = self.u16()?;
        let found = self.bytes(len.into())?;
        match core::str::from_utf8(found) {
            Ok(text) if !found.contains(&0) => Ok(text.to_owned()),
            _ => Err(MuxError::Malformed("a text is not UTF-8 without NUL")),
        }
    }

    /// All of the payload has been read.
    pub(crate) fn end(self) -> Result<(), MuxError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(MuxError::Malformed("bytes follow the last field")),
        }
    }
}

/// The inverse of [`Fields::text`]. `None` for a text that can't be written.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let len = u16::try_from(text.len()).ok()?;
    if text.contains('\0') {
        return None;
    }
    out.extend(len.to_be_bytes());
    out.extend(text.as_bytes());
    Some(())
}
