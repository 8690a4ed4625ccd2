//! Answers that are a JSON object (RFC 8259): which tokens can come next.
//!
//! Byte by byte, with a state of a few words. It is narrower than JSON where parsers or small models have
//! trouble: nesting is at most [`MAX_DEPTH`] deep, numbers have at most [`MAX_DIGITS`] digits in a row and
//! exponents [`MAX_EXPONENT_DIGITS`], so that they fit a double; `\u` never writes half of a surrogate pair;
//! white space is at most [`MAX_SPACES`] bytes in a row. Text is well-formed UTF-8.

use crate::tokenizer::Tokenizer;

const MAX_DEPTH: u8 = 32;
const MAX_DIGITS: u8 = 18;
const MAX_EXPONENT_DIGITS: u8 = 2;
const MAX_SPACES: u8 = 64;

/// How far a JSON object has come. The default is its start.
#[derive(Clone, Copy)]
pub(crate) struct Json {
    place: Place,
    /// Objects and arrays that are open.
    depth: u8,
    /// One bit for each of them, the innermost lowest: 1 is an object.
    objects: u32,
    /// White space, or digits, in a row.
    run: u8,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Place {
    /// The object's brace.
    Start,
    /// The first key, or the end of the object.
    FirstKey,
    /// A key after a comma.
    Key,
    Colon,
    Value,
    /// The first value of an array, or its end.
    FirstValue,
    /// A comma, or the end of what is open.
    Next,
    String {
        key: bool,
        text: Text,
    },
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// Nothing.
    Done,
}

/// Where in a string.
#[derive(Clone, Copy)]
enum Text {
    Plain,
    /// After a backslash.
    Escape,
    /// Digits of `\u` that are left.
    Hex {
        left: u8,
        /// After a first digit D: D800 to DFFF are surrogates.
        after_d: bool,
    },
    /// Bytes of a character that are left; the next is from `low` to `high`.
    Character {
        left: u8,
        low: u8,
        high: u8,
    },
}

/// The part of a number that the latest byte belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Number {
    Minus,
    /// A leading zero, which no digit follows.
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ExponentSign,
    Exponent,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            place: Place::Start,
            depth: 0,
            objects: 0,
            run: 0,
        }
    }
}

impl Json {
    /// Rules out all tokens that can't come next, by a logit of minus infinity. Control tokens never can: an
    /// answer ends when its object does.
    pub(crate) fn mask(&self, tokenizer: &Tokenizer, logits: &mut [f32]) {
        // Most tokens are decided by their first byte.
        let mut after: [Option<Self>; 256] = [None; 256];
        for (byte, state) in (0..=255).zip(&mut after) {
            *state = self.after(byte);
        }
        for (token, logit) in (0..).zip(logits) {
            let allowed = match tokenizer.bytes(token) {
                [] => false,
                [first, rest @ ..] => rest
                    .iter()
                    .try_fold(after[usize::from(*first)], |state, byte| {
                        Some(state?.after(*byte))
                    })
                    .flatten()
                    .is_some(),
            };
            if !allowed {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// Adds the bytes of a token that [`Self::mask`] let through; true when the object is whole.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match self.after(*byte) {
                Some(next) => *self = next,
                None => debug_assert!(false, "the token was ruled out"),
            }
        }
        matches!(self.place, Place::Done)
    }

    /// The state after one more byte; None if it can't come next.
    fn after(mut self, byte: u8) -> Option<Self> {
        if let Place::Number(number) = self.place {
            if let Some((next, run)) = number_after(number, self.run, byte) {
                (self.place, self.run) = (Place::Number(next), run);
                return Some(self);
            }
            // What isn't part of the number ends it, if it can end here.
            if !matches!(
                number,
                Number::Zero | Number::Integer | Number::Fraction | Number::Exponent
            ) {
                return None;
            }
            (self.place, self.run) = (Place::Next, 0);
        }
        if let Place::String { key, text } = self.place {
            self.place = match text_after(text, byte)? {
                Some(text) => Place::String { key, text },
                None if key => Place::Colon,
                None => Place::Next,
            };
            return Some(self);
        }
        if let Place::Literal([wanted, rest @ ..]) = self.place {
            self.place = match rest {
                [] => Place::Next,
                rest => Place::Literal(rest),
            };
            return (byte == *wanted).then_some(self);
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            self.run += 1;
            let between = !matches!(self.place, Place::Start | Place::Done);
            return (between && self.run <= MAX_SPACES).then_some(self);
        }
        self.run = 0;
        let in_object = self.objects & 1 == 1;
        match (self.place, byte) {
            (Place::Start, b'{') => self.open(true),
            (Place::FirstKey | Place::Key, b'"') => self.go(Place::String {
                key: true,
                text: Text::Plain,
            }),
            (Place::FirstKey, b'}') | (Place::FirstValue, b']') => self.close(),
            (Place::Next, b'}') if in_object => self.close(),
            (Place::Next, b']') if !in_object => self.close(),
            (Place::Next, b',') => self.go(if in_object { Place::Key } else { Place::Value }),
            (Place::Colon, b':') => self.go(Place::Value),
            (Place::Value | Place::FirstValue, _) => self.value(byte),
            _ => None,
        }
    }

    /// The state after the first byte of a value.
    fn value(self, byte: u8) -> Option<Self> {
        match byte {
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'"' => self.go(Place::String {
                key: false,
                text: Text::Plain,
            }),
            b't' => self.go(Place::Literal(b"rue")),
            b'f' => self.go(Place::Literal(b"alse")),
            b'n' => self.go(Place::Literal(b"ull")),
            b'-' => self.go(Place::Number(Number::Minus)),
            b'0' => self.go(Place::Number(Number::Zero)),
            b'1'..=b'9' => {
                let mut next = self.go(Place::Number(Number::Integer))?;
                next.run = 1;
                Some(next)
            }
            _ => None,
        }
    }

    fn go(mut self, place: Place) -> Option<Self> {
        self.place = place;
        Some(self)
    }

    fn open(mut self, object: bool) -> Option<Self> {
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        let place = if object {
            Place::FirstKey
        } else {
            Place::FirstValue
        };
        (self.depth <= MAX_DEPTH).then_some(self)?.go(place)
    }

    fn close(mut self) -> Option<Self> {
        self.depth -= 1;
        self.objects >>= 1;
        self.go(if self.depth == 0 { Place::Done } else { Place::Next })
    }
}

/// The part of the number that this byte belongs to, and the digits in a row with it.
fn number_after(number: Number, run: u8, byte: u8) -> Option<(Number, u8)> {
    use Number::{E, Exponent, ExponentSign, Fraction, Integer, Minus, Point, Zero};
    let next = match (number, byte) {
        (Minus, b'0') => Zero,
        (Minus, b'1'..=b'9') | (Integer, b'0'..=b'9') => Integer,
        (Zero | Integer, b'.') => Point,
        (Point | Fraction, b'0'..=b'9') => Fraction,
        (Zero | Integer | Fraction, b'e' | b'E') => E,
        (E, b'+' | b'-') => ExponentSign,
        (E | ExponentSign | Exponent, b'0'..=b'9') => Exponent,
        _ => return None,
    };
    let run = if next == number { run + 1 } else { 1 };
    let limit = match next {
        Exponent => MAX_EXPONENT_DIGITS,
        _ => MAX_DIGITS,
    };
    (run <= limit).then_some((next, run))
}

/// Where in the string one is after this byte: Some(None) after its end.
fn text_after(text: Text, byte: u8) -> Option<Option<Text>> {
    let character = |left, low, high| Text::Character { left, low, high };
    Some(Some(match (text, byte) {
        (Text::Plain, b'"') => return Some(None),
        (Text::Plain, b'\\') => Text::Escape,
        (Text::Plain, 0x20..=0x7f) => Text::Plain,
        // Table 3-7 of the Unicode Standard.
        (Text::Plain, 0xc2..=0xdf) => character(1, 0x80, 0xbf),
        (Text::Plain, 0xe0) => character(2, 0xa0, 0xbf),
        (Text::Plain, 0xe1..=0xec | 0xee..=0xef) => character(2, 0x80, 0xbf),
        (Text::Plain, 0xed) => character(2, 0x80, 0x9f),
        (Text::Plain, 0xf0) => character(3, 0x90, 0xbf),
        (Text::Plain, 0xf1..=0xf3) => character(3, 0x80, 0xbf),
        (Text::Plain, 0xf4) => character(3, 0x80, 0x8f),
        (Text::Character { left, low, high }, _) if (low..=high).contains(&byte) => match left {
            1 => Text::Plain,
            _ => character(left - 1, 0x80, 0xbf),
        },
        (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text::Plain,
        (Text::Escape, b'u') => Text::Hex {
            left: 4,
            after_d: false,
        },
        (Text::Hex { after_d: true, .. }, b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => return None,
        (Text::Hex { left, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => match left {
            1 => Text::Plain,
            _ => Text::Hex {
                left: left - 1,
                after_d: left == 4 && matches!(byte, b'd' | b'D'),
            },
        },
        _ => return None,
    }))
}

#[cfg(test)]
mod tests;
