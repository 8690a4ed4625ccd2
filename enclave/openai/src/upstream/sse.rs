//! Server-sent events (WHATWG HTML §9.2.6), as bytes arrive: the data of each event, and nothing else of it.

use zeroize::Zeroizing;

/// Longest event, in bytes of its lines.
pub const MAX_EVENT: usize = 1 << 20;

/// Takes a stream apart. Its buffers are wiped when they are dropped.
#[derive(Default)]
pub struct Events {
    /// Bytes of a line that hasn't ended.
    line: Zeroizing<Vec<u8>>,
    /// Data of the event that hasn't ended.
    data: Zeroizing<Vec<u8>>,
    has_data: bool,
    /// Whether the last byte was a carriage return, after which a line feed ends no other line.
    after_return: bool,
    started: bool,
}

/// An event that is longer than [`MAX_EVENT`]. Nothing may be read after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_EVENT} bytes")]
pub struct TooLong;

impl Events {
    /// Takes bytes, and gives the data of each event that ends in them to `event`, as long as that says so.
    ///
    /// # Errors
    /// [`TooLong`], or what `event` answers.
    pub fn push<E: From<TooLong>>(
        &mut self,
        bytes: &[u8],
        mut event: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = &rest[1..];
            }
            let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                break;
            };
            let line = &rest[..at];
            self.after_return = rest[at] == b'\r';
            rest = &rest[at + 1..];
            // What most servers send: an event of one line, all of it here. It isn't copied.
            if self.is_between()
                && !self.after_return
                && line.len() <= MAX_EVENT
                && let (Some(value), [b'\n', behind @ ..]) = (data(line), rest)
            {
                rest = behind;
                event(value)?;
                continue;
            }
            append(&mut self.line, line, self.data.len())?;
            self.end_line(&mut event)?;
        }
        append(&mut self.line, rest, self.data.len())?;
        Ok(())
    }

    /// Whether nothing is kept, and the next byte begins an event.
    fn is_between(&self) -> bool {
        self.started && self.line.is_empty() && !self.has_data
    }

    fn end_line<E: From<TooLong>>(
        &mut self,
        event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = std::mem::take(&mut self.line);
        let mut line: &[u8] = &line;
        if !self.started {
            self.started = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return match std::mem::take(&mut self.has_data) {
                true => event(&data),
                false => Ok(()),
            };
        }
        let Some(value) = data(line) else {
            return Ok(());
        };
        if self.has_data {
            append(&mut self.data, b"\n", 0)?;
        }
        self.has_data = true;
        append(&mut self.data, value, 0)?;
        Ok(())
    }
}

/// A line's data; none of a comment, or of a field that says nothing here.
fn data(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data:") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None if line == b"data" => Some(b""),
        None => None,
    }
}

/// Grows by copying into a new buffer, so that the old one is wiped.
fn append(buffer: &mut Zeroizing<Vec<u8>>, bytes: &[u8], beside: usize) -> Result<(), TooLong> {
    let needed = buffer.len() + bytes.len();
    if needed + beside > MAX_EVENT {
        return Err(TooLong);
    }
    if needed > buffer.capacity() {
        let capacity = needed.next_power_of_two().max(256);
        let mut grown = Zeroizing::new(Vec::with_capacity(capacity));
        grown.extend_from_slice(buffer);
        *buffer = grown;
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of all events, with the input cut into pieces of this length.
    fn events(input: &[u8], piece: usize) -> Result<Vec<String>, TooLong> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for bytes in input.chunks(piece) {
            events.push(bytes, |data| {
                found.push(String::from_utf8_lossy(data).into_owned());
                Ok::<(), TooLong>(())
            })?;
        }
        Ok(found)
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        // The examples of the specification, and what servers send.
        let cases: [(&[u8], &[&str]); 9] = [
            (b"data: a\n\ndata: b\n\n", &["a", "b"]),
            (b"data: YHOO\ndata: +2\ndata: 10\n\n", &["YHOO\n+2\n10"]),
            (
                b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
                &["first event", "second event"],
            ),
            (b"data\n\ndata\ndata\n\ndata:", &["", "\n"]),
            (b"data:test\n\ndata: test\n\n", &["test", "test"]),
            (
                b"\xEF\xBB\xBFdata: a\r\n\r\ndata: b\r\rdata: c\n\r\n",
                &["a", "b", "c"],
            ),
            (b"event: error\ndata: {}\nretry: 5\n\n", &["{}"]),
            (b"datax: a\n\n data: b\n\nDATA: c\n\n", &[]),
            (b"data: [DONE]\n\n", &["[DONE]"]),
        ];
        for (input, expected) in cases {
            for piece in 1..=input.len() {
                assert_eq!(
                    events(input, piece).unwrap(),
                    expected,
                    "{} in pieces of {piece}",
                    String::from_utf8_lossy(input)
                );
            }
        }
    }

    #[test]
    fn an_event_that_never_ends_is_refused() {
        let long = "x".repeat(MAX_EVENT);
        assert_eq!(events(long.as_bytes(), 4096), Ok(vec![]));
        assert_eq!(events(format!("{long}x").as_bytes(), 4096), Err(TooLong));
        let lines = "data: x\n".repeat(MAX_EVENT);
        assert_eq!(events(lines.as_bytes(), 4096), Err(TooLong));
        // Comments hold nothing, however many there are.
        assert_eq!(events(":\n".repeat(MAX_EVENT).as_bytes(), 4096), Ok(vec![]));
    }
}
