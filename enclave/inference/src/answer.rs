//! From tokens to text that can be sent: whole characters only, and nothing of a stop string.

use std::collections::VecDeque;

use zeroize::{Zeroize, Zeroizing};

use crate::engine::{Piece, TokenLogprob};
use crate::private_text::PrivateText;

/// More than what is ever held back with the longest token, so that growing leaves no copies behind.
const ROOM: usize = 2048;

/// The text of one answer as it grows. Wiped when dropped.
pub(crate) struct Answer {
    stops: Zeroizing<Vec<String>>,
    /// Bytes that can't be sent yet: the start of a character, or what may become a stop string.
    held: Vec<u8>,
    /// Bytes of all tokens so far, and of all text sent.
    received: usize,
    sent: usize,
    /// Tokens that wait for their text, each with where its bytes begin and end.
    tokens: VecDeque<(TokenLogprob, usize, usize)>,
    stopped: bool,
}

impl Answer {
    /// The stop strings aren't empty.
    pub(crate) fn new(stops: Zeroizing<Vec<String>>) -> Self {
        Self {
            stops,
            held: Vec::with_capacity(ROOM),
            received: 0,
            sent: 0,
            tokens: VecDeque::new(),
            stopped: false,
        }
    }

    /// Adds the bytes of a token; returns the text that is certain now, and the tokens that it completes.
    pub(crate) fn push(&mut self, bytes: &[u8], token: Option<TokenLogprob>) -> Piece {
        self.held.extend_from_slice(bytes);
        let start = self.received;
        self.received += bytes.len();
        if let Some(token) = token {
            self.tokens.push_back((token, start, self.received));
        }
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
    pub(crate) fn finish(&mut self) -> Piece {
        self.take(self.held.len(), true)
    }

    /// Takes the first `end` bytes as text. An incomplete character at their end stays, unless it is `last`.
    fn take(&mut self, end: usize, last: bool) -> Piece {
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
        self.sent += taken;
        let mut tokens = Vec::new();
        while let Some((_, start, end)) = self.tokens.front()
            // In the end, a token that began in the text belongs to it.
            && (*end <= self.sent || (last && *start < self.sent))
            && let Some((token, ..)) = self.tokens.pop_front()
        {
            tokens.push(token);
        }
        Piece {
            text: PrivateText::from(text),
            tokens,
        }
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

    fn push(answer: &mut Answer, bytes: &[u8]) -> PrivateText {
        answer.push(bytes, None).text
    }

    #[test]
    fn characters_are_never_cut() {
        let mut answer = answer(&[]);
        let bytes = "a😀é".as_bytes();
        let pieces: Vec<String> = bytes
            .chunks(2)
            .map(|bytes| push(&mut answer, bytes).to_string())
            .collect();
        assert_eq!(pieces, ["a", "", "😀", "é"]);
        assert_eq!(&*answer.finish().text, "");
    }

    #[test]
    fn bytes_that_are_no_character_are_replaced() {
        let mut answer = answer(&[]);
        assert_eq!(&*push(&mut answer, b"a\xffb\xf0\x9f"), "a\u{fffd}b");
        assert_eq!(&*push(&mut answer, b"c"), "\u{fffd}c");
        assert_eq!(&*push(&mut answer, b"\xe2\x82"), "");
        assert_eq!(&*answer.finish().text, "\u{fffd}");
    }

    #[test]
    fn stop_strings_are_found_across_tokens_and_never_sent() {
        let mut answer = answer(&["###", "\nUser:"]);
        assert_eq!(&*push(&mut answer, b"one #"), "one ");
        assert_eq!(&*push(&mut answer, b" two\nUs"), "# two");
        assert_eq!(&*push(&mut answer, b"es\nUser"), "\nUses");
        assert_eq!(&*push(&mut answer, b": ignored"), "");
        assert!(answer.stopped());
        assert_eq!(&*answer.finish().text, "");
    }

    #[test]
    fn the_earliest_stop_string_counts() {
        let mut answer = answer(&["cd", "b"]);
        assert_eq!(&*push(&mut answer, b"abcd"), "a");
        assert!(answer.stopped());
    }

    #[test]
    fn what_only_looked_like_a_stop_string_is_sent_in_the_end() {
        let mut answer = answer(&["END", "é!"]);
        assert_eq!(&*push(&mut answer, b"x EN"), "x ");
        assert_eq!(&*answer.finish().text, "EN");
        assert_eq!(&*push(&mut answer, "é".as_bytes()), "");
        assert_eq!(&*push(&mut answer, b"?"), "é?");
    }

    #[test]
    fn tokens_come_with_the_text_that_they_complete() {
        let token = |token| TokenLogprob {
            token,
            logprob: 0.0,
            top: Vec::new(),
        };
        let mut answer = answer(&["END"]);
        let mut push = |bytes: &[u8], id| {
            let piece = answer.push(bytes, Some(token(id)));
            let ids: Vec<u32> = piece.tokens.iter().map(|token| token.token).collect();
            (piece.text.to_string(), ids)
        };
        assert_eq!(push(b"a", 1), ("a".to_owned(), vec![1]));
        assert_eq!(push(b"\xf0\x9f", 2), (String::new(), vec![]));
        assert_eq!(push(b"\x98\x80 E", 3), ("\u{1f600} ".to_owned(), vec![2]));
        assert_eq!(push(b"N", 4), (String::new(), vec![]));
        assert_eq!(push(b"T", 5), ("ENT".to_owned(), vec![3, 4, 5]));
        assert_eq!(push(b"xE", 6), ("x".to_owned(), vec![]));
        // Token 6 began before the stop string, 7 is part of it.
        assert_eq!(push(b"ND", 7), (String::new(), vec![6]));
    }

    #[test]
    fn the_last_tokens_come_with_the_end() {
        let mut answer = answer(&["END"]);
        let token = TokenLogprob {
            token: 1,
            logprob: 0.0,
            top: Vec::new(),
        };
        assert!(answer.push(b"E", Some(token)).tokens.is_empty());
        let rest = answer.finish();
        assert_eq!((&*rest.text, rest.tokens.len()), ("E", 1));
    }
}
