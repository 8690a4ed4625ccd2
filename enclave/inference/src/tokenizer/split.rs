//! Pre-tokenizer `smollm`: cuts text into the words inside which byte pairs are merged.
//!
//! Two rules, applied one after the other. First each numeric character (`\p{N}`) is cut out on its own.
//! Then what lies between is cut by GPT-2's pattern,
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, for which a piece ends where
//! a number begins: spaces before a number all stay together.

use super::unicode::{is_letter, is_number};

/// Calls `word` with each piece of the text, in order.
pub(super) fn words(text: &str, mut word: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(number) = rest.find(is_number) {
        let (before, from) = rest.split_at(number);
        words_between_numbers(before, &mut word);
        let (digit, after) = from.split_at(from.chars().next().map_or(0, char::len_utf8));
        word(digit);
        rest = after;
    }
    words_between_numbers(rest, &mut word);
}

fn words_between_numbers(mut rest: &str, word: &mut impl FnMut(&str)) {
    while let Some(first) = rest.chars().next() {
        let (head, tail) = rest.split_at(word_length(rest, first));
        word(head);
        rest = tail;
    }
}

/// Length in bytes of the word at the start of `text`, which begins with `first` and has no numbers.
fn word_length(text: &str, first: char) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    if let Some(contraction) = CONTRACTIONS
        .iter()
        .find(|contraction| text.starts_with(**contraction))
    {
        return contraction.len();
    }
    let space = usize::from(first == ' ');
    let run = |kind: fn(char) -> bool| text[space..].find(|c| !kind(c)).unwrap_or(text.len() - space);
    let letters = run(is_letter);
    if letters > 0 {
        return space + letters;
    }
    let symbols = run(|c| !c.is_whitespace() && !is_letter(c));
    if symbols > 0 {
        return space + symbols;
    }
    let spaces = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    // The last space before a word belongs to the word.
    let last = text[..spaces].chars().next_back().map_or(0, char::len_utf8);
    if spaces < text.len() && spaces > last {
        spaces - last
    } else {
        spaces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let mut out = Vec::new();
        let start = text.as_ptr() as usize;
        words(text, |word| {
            let at = word.as_ptr() as usize - start;
            out.push(&text[at..at + word.len()]);
        });
        assert_eq!(out.concat(), text);
        out
    }

    #[test]
    fn splits_as_gpt2_with_single_digits() {
        assert_eq!(split("Hello world"), ["Hello", " world"]);
        assert_eq!(
            split("it's we'll'x 'S"),
            ["it", "'s", " we", "'ll", "'", "x", " '", "S"]
        );
        assert_eq!(split("a1234b"), ["a", "1", "2", "3", "4", "b"]);
        assert_eq!(split("x 5  6"), ["x", " ", "5", "  ", "6"]);
        assert_eq!(split("a   b\n\n c \n"), ["a", "  ", " b", "\n\n", " c", " \n"]);
        assert_eq!(split("a\u{a0}\u{3000}b"), ["a", "\u{a0}", "\u{3000}", "b"]);
        assert_eq!(
            split("if (x != y) {}"),
            ["if", " (", "x", " !=", " y", ")", " {}"]
        );
        assert_eq!(split("é²Ⅷ漢字"), ["é", "²", "Ⅷ", "漢字"]);
        assert_eq!(split("👍🏽 ok"), ["👍🏽", " ok"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("   "), ["   "]);
    }
}
