//! Server-sent events of a node's own streams: `data` fields alone.

/// Takes a stream apart.
#[derive(Default)]
pub struct Events {
    rest: Vec<u8>,
    data: Vec<String>,
}

impl Events {
    /// The data of the events that are whole with these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() && !self.data.is_empty() {
                events.push(self.data.join("\n"));
                self.data.clear();
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_the_bytes_do() {
        let text = b": hello\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:b\r\ndata: c\r\n\r\n: bye\n\ndata: cut";
        let mut whole = Events::default();
        assert_eq!(whole.push(text), ["{\"a\":1}", "b\nc"]);
        let mut bytewise = Events::default();
        let events: Vec<_> = text.iter().flat_map(|byte| bytewise.push(&[*byte])).collect();
        assert_eq!(events, ["{\"a\":1}", "b\nc"]);
        assert_eq!(whole.push(b"!\n\n"), ["cut!"]);
    }
}
