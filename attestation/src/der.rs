//! DER (X.690), read without copying: tag, length in its one form, content.
//!
//! For the vendors' own extensions, and for revocation lists, of which a general parser reads every entry in full.

/// A row of items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items<'a>(pub(crate) &'a [u8]);

/// One item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    /// Identifier octet; tags above 30 aren't read.
    pub(crate) tag: u8,
    /// Content.
    pub(crate) content: &'a [u8],
    /// The item with its tag and length.
    pub(crate) raw: &'a [u8],
}

/// Identifier octets.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0A;
    pub(crate) const UTF8_STRING: u8 = 0x0C;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

impl<'a> Items<'a> {
    /// The next item.
    pub(crate) fn next(&mut self) -> Option<Item<'a>> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (len, rest) = match (first, rest) {
            (0..=0x7F, _) => (usize::from(*first), rest),
            (0x81, [len @ 0x80..=0xFF, rest @ ..]) => (usize::from(*len), rest),
            (0x82, [high @ 1..=0xFF, low, rest @ ..]) => (usize::from(*high) << 8 | usize::from(*low), rest),
            (0x83, [high @ 1..=0xFF, middle, low, rest @ ..]) => {
                let len = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
                (len, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        let raw = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Item {
            tag: *tag,
            content,
            raw,
        })
    }

    /// The next item, if it has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().and_then(|item| item.expect(tag))
    }

    /// The next item, only if it has this tag; else it stays.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Item<'a>> {
        match self.0.first() {
            Some(found) if *found == tag => self.next(),
            _ => None,
        }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Item<'a> {
    /// The content, if it has this tag.
    pub(crate) fn expect(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }

    /// OCTET STRING of exactly `N` bytes.
    pub(crate) fn octets<const N: usize>(self) -> Option<[u8; N]> {
        self.expect(tag::OCTET_STRING)?.try_into().ok()
    }

    /// Non-negative INTEGER below 2^16.
    pub(crate) fn integer(self) -> Option<u16> {
        match self.expect(tag::INTEGER)? {
            [low @ 0..0x80] => Some((*low).into()),
            [0, low @ 0x80..=0xFF] => Some((*low).into()),
            [high @ 1..0x80, low] => Some(u16::from_be_bytes([*high, *low])),
            [0, high @ 0x80..=0xFF, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }

    /// ENUMERATED below 128.
    pub(crate) fn enumerated(self) -> Option<u8> {
        match self.expect(tag::ENUMERATED)? {
            [value @ 0..0x80] => Some(*value),
            _ => None,
        }
    }

    /// BOOLEAN.
    pub(crate) fn boolean(self) -> Option<bool> {
        match self.expect(tag::BOOLEAN)? {
            [0] => Some(false),
            [0xFF] => Some(true),
            _ => None,
        }
    }
}

/// The content of the only item, if it has this tag and nothing is behind it.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut items = Items(bytes);
    let content = items.expect(tag)?;
    items.is_empty().then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        assert_eq!(only(&[4, 0x81, 0x7F], 4), None);
        assert_eq!(only(&[4, 0x82, 0, 1, 9], 4), None);
        assert_eq!(only(&[4, 0x83, 0, 1, 0, 9], 4), None);
        assert_eq!(only(&[4, 0x80, 9, 0, 0], 4), None);
        assert_eq!(only(&[4, 1, 9], 4), Some(&[9][..]));
        assert_eq!(only(&[4, 1, 9, 0], 4), None);
        assert_eq!(only(&[4, 2, 9], 4), None);
        assert_eq!(only(&[0x1F, 1, 9], 0x1F), None);
        let long = [&[4, 0x83, 1, 0, 0][..], &[7; 0x1_0000]].concat();
        assert_eq!(only(&long, 4).map(<[u8]>::len), Some(0x1_0000));
    }

    #[test]
    fn numbers_have_one_form() {
        let number = |bytes: &[u8]| Items(bytes).next().and_then(Item::integer);
        assert_eq!(number(&[2, 1, 0x7F]), Some(0x7F));
        assert_eq!(number(&[2, 2, 0, 0x80]), Some(0x80));
        assert_eq!(number(&[2, 3, 0, 0xFF, 0xFF]), Some(0xFFFF));
        for refused in [
            &[2, 1, 0x80][..],
            &[2, 2, 0, 0x7F],
            &[2, 3, 1, 0, 0],
            &[2, 0],
            &[4, 1, 1],
        ] {
            assert_eq!(number(refused), None, "{refused:?}");
        }
    }
}
