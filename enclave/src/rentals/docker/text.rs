//! Text that came from the host or out of a container, made fit to be shown.

/// Longest log that is handed out, in bytes.
pub(super) const MAX_LOG: usize = 1 << 20;

/// One line of at most `limit` bytes without anything that moves a cursor.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().map(|c| if is_control(c) { ' ' } else { c }) {
        if shown.len() + character.len_utf8() > limit {
            break;
        }
        shown.push(character);
    }
    shown.trim().to_owned()
}

/// Output of a container: UTF-8 as far as it is, without control characters but newline and tab. Of what is too long the
/// end is kept, from the start of a line where there is one.
pub(super) fn log(bytes: &[u8]) -> String {
    let mut text: String = String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| matches!(c, '\n' | '\t') || !is_control(*c))
        .collect();
    if text.len() > MAX_LOG {
        let from = text.ceil_char_boundary(text.len() - MAX_LOG);
        let from = text[from..].find('\n').map_or(from, |line| from + line + 1);
        text.drain(..from);
    }
    text
}

/// C0, DEL, C1, and what turns the direction of text around (UAX #9 §2), which makes it read otherwise than it is.
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_moves_no_cursor() {
        assert_eq!(printable("a\n\x1b[2Jb\u{9b}c\u{202e}d ", 100), "a  [2Jb c d");
        assert_eq!(printable("ääää", 5), "ää");
        assert_eq!(printable("", 5), "");
        assert_eq!(log(b"a\tb\r\n\x1b[31mc\xff\n\x00"), "a\tb\n[31mc\u{fffd}\n");
    }

    #[test]
    fn long_logs_keep_their_end() {
        let mut bytes = vec![b'x'; MAX_LOG];
        bytes.extend_from_slice(b"\nlast line\n");
        assert_eq!(log(&bytes), "last line\n");
        // Three bytes for each that is no UTF-8, and no newline anywhere.
        let text = log(&vec![0xff; MAX_LOG]);
        assert!(text.len() <= MAX_LOG && text.len() > MAX_LOG - 3);
        assert!(text.chars().all(|c| c == '\u{fffd}'));
    }
}
