//! From tokens to text that can be sent: whole characters only, and nothing of a stop string.

use zeroize::{Zeroize, Zeroizing};

use crate::private_text::PrivateText;

/// More than what is ever held back with the longest token, so that growing leaves no copies behind.
const ROOM: usize = 2048;

/// The text of one answer as it grows. Wiped when dropped.
pub(crate) struct Answer {
    stops: Zeroizing<Vec<String>>,
    /// Bytes that can't be sent yet: the start of a character, or what may become a stop string.
    held: Vec<u8>,
    stopped: bool,
}

impl Answer {
    /// The stop strings aren't empty.
    pub(crate) fn new(stops: Zeroizing<Vec<String>>) -> Self {
        Self {
            stops,
            held: Vec::with_capacity(ROOM),
            stopped: false,
        }
    }

    /// Adds the bytes of a token; returns the text that is certain now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> PrivateText {
        self.held.extend_from_slice(bytes);
        let starts = self
            .stops
            .iter()
            .filter_map(|stop| find(&self.held, stop.as_bytes()));
        if let Some(start) = starts.min() {
            self.stopped = true;
            self.held[start..].zeroize();
            self.held.truncate(start);
            return self.take(start, true);
        }
        let maybe_stop = self
            .stops
            .iter()
            .map(|stop| overlap(&self.held, stop.as_bytes()))
            .max();
        self.take(self.held.len() - maybe_stop.unwrap_or(0), false)
    }

    /// Whether a stop string has been met; it and what follows are never sent.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// The text that was held back, when no more tokens follow.
    pub(crate) fn finish(&mut self) -> PrivateText {
        self.take(self.held.len(), true)
    }

    /// Takes the first `end` bytes as text. An incomplete character at their end stays, unless it is `last`.
    fn take(&mut self, end: usize, last: bool) -> PrivateText {
        let mut text = String::with_capacity(end * 3);
        let mut taken = 0;
        for chunk in self.held[..end].utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            let rest = chunk.invalid();
            let incomplete = taken + rest.len() == end
                && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
            if rest.is_empty() || (incomplete && !last) {
                continue;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            taken += rest.len();
        }
        self.held[..taken].zeroize();
        self.held.drain(..taken);
        PrivateText::from(text)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// Length of the longest end of `text` that `pattern` begins with.
fn overlap(text: &[u8], pattern: &[u8]) -> usize {
    let longest = text.len().min(pattern.len() - 1);
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&pattern[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stops: &[&str]) -> Answer {
        Answer::new(Zeroizing::new(
            stops.iter().map(|stop| (*stop).to_owned()).collect(),
        ))
    }

    #[test]
    fn characters_are_never_cut() {
        let mut answer = answer(&[]);
        let bytes = "a😀é".as_bytes();
        let pieces: Vec<String> = bytes
            .chunks(2)
            .map(|bytes| answer.push(bytes).to_string())
            .collect();
        assert_eq!(pieces, ["a", "", "😀", "é"]);
        assert_eq!(&*answer.finish(), "");
    }

    #[test]
    fn bytes_that_are_no_character_are_replaced() {
        let mut answer = answer(&[]);
        assert_eq!(&*answer.push(b"a\xffb\xf0\x9f"), "a\u{fffd}b");
        assert_eq!(&*answer.push(b"c"), "\u{fffd}c");
        assert_eq!(&*answer.push(b"\xe2\x82"), "");
        assert_eq!(&*answer.finish(), "\u{fffd}");
    }

    #[test]
    fn stop_strings_are_found_across_tokens_and_never_sent() {
        let mut answer = answer(&["###", "\nUser:"]);
        assert_eq!(&*answer.push(b"one #"), "one ");
        assert_eq!(&*answer.push(b" two\nUs"), "# two");
        assert_eq!(&*answer.push(b"es\nUser"), "\nUses");
        assert_eq!(&*answer.push(b": ignored"), "");
        assert!(answer.stopped());
        assert_eq!(&*answer.finish(), "");
    }

    #[test]
    fn the_earliest_stop_string_counts() {
        let mut answer = answer(&["cd", "b"]);
        assert_eq!(&*answer.push(b"abcd"), "a");
        assert!(answer.stopped());
    }

    #[test]
    fn what_only_looked_like_a_stop_string_is_sent_in_the_end() {
        let mut answer = answer(&["END", "é!"]);
        assert_eq!(&*answer.push(b"x EN"), "x ");
        assert_eq!(&*answer.finish(), "EN");
        assert_eq!(&*answer.push("é".as_bytes()), "");
        assert_eq!(&*answer.push(b"?"), "é?");
    }
}
