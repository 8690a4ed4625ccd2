//! The two outputs of a process out of one stream (`frame` of the protocol), however it is cut up.

use jeju_shim_protocol::docker::frame::{FrameError, HEAD, Output, parse_head};

/// Where in the stream a reader is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How much of the head is there.
    have: usize,
    /// Output and bytes that are left of a frame; never 0.
    payload: Option<(Output, usize)>,
}

impl Frames {
    /// What comes next: so many bytes of an output, or, where there is none, of a head.
    pub(super) fn payload(&self) -> Option<(Output, usize)> {
        self.payload
    }

    /// How many bytes are missing of the head that comes next.
    pub(super) fn head_missing(&self) -> usize {
        HEAD - self.have
    }

    /// Whether the stream may end here.
    pub(super) fn is_between(&self) -> bool {
        self.payload.is_none() && self.have == 0
    }

    /// Takes bytes of a head, no more than are missing.
    pub(super) fn head(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let end = self.have + bytes.len();
        self.head
            .get_mut(self.have..end)
            .ok_or(FrameError)?
            .copy_from_slice(bytes);
        self.have = end;
        if self.have == HEAD {
            let (output, length) = parse_head(self.head)?;
            self.have = 0;
            self.payload = Some((output, length as usize)).filter(|(_, length)| *length > 0);
        }
        Ok(())
    }

    /// Counts bytes of a payload as read, no more than are left.
    pub(super) fn advance(&mut self, count: usize) {
        self.payload = self
            .payload
            .map(|(output, left)| (output, left.saturating_sub(count)))
            .filter(|(_, left)| *left > 0);
    }

    /// Takes whatever came, and hands on what it holds of the outputs.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Output, &[u8]),
    ) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match self.payload {
                None => {
                    let (head, rest) = bytes.split_at(bytes.len().min(self.head_missing()));
                    self.head(head)?;
                    bytes = rest;
                }
                Some((output, left)) => {
                    let (payload, rest) = bytes.split_at(bytes.len().min(left));
                    each(output, payload);
                    self.advance(payload.len());
                    bytes = rest;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Pseudo-random numbers, the same in each run (xorshift64*).
    pub(in super::super) struct Numbers(pub(in super::super) u64);

    impl Numbers {
        pub(in super::super) fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
        }
    }

    /// A stream of frames, and what it says on each output.
    pub(in super::super) fn stream(numbers: &mut Numbers) -> (Vec<u8>, [Vec<u8>; 2]) {
        let (mut bytes, mut outputs) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..numbers.below(12) {
            let output = numbers.below(2);
            let longest = [1, 9, 300, 5000][numbers.below(4)];
            let payload: Vec<u8> = (0..numbers.below(longest))
                .map(|_| numbers.below(256) as u8)
                .collect();
            bytes.extend_from_slice(&[output as u8 + 1, 0, 0, 0]);
            bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            bytes.extend_from_slice(&payload);
            outputs[output].extend(payload);
        }
        (bytes, outputs)
    }

    #[test]
    fn outputs_are_the_same_however_the_stream_is_cut() {
        let mut numbers = Numbers(1);
        for _ in 0..2000 {
            let (bytes, outputs) = stream(&mut numbers);
            let (mut frames, mut read) = (Frames::default(), [Vec::new(), Vec::new()]);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let longest = [1, 7, 8, 9, 4096][numbers.below(5)];
                let (piece, behind) = rest.split_at(rest.len().min(1 + numbers.below(longest)));
                frames
                    .feed(piece, |output, payload| {
                        read[output as usize].extend_from_slice(payload)
                    })
                    .unwrap();
                rest = behind;
            }
            assert!(frames.is_between());
            assert_eq!(read, outputs);
        }
    }

    #[test]
    fn any_bytes_give_outputs_or_an_error() {
        let mut numbers = Numbers(2);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..numbers.below(64))
                .map(|_| [0, 1, 2, 255, numbers.below(256) as u8][numbers.below(5)])
                .collect();
            let (mut frames, mut read) = (Frames::default(), 0);
            let _ = frames.feed(&bytes, |_, payload| read += payload.len());
            assert!(read + 8 * usize::from(read > 0) <= bytes.len());
        }
    }

    #[test]
    fn a_stream_may_end_between_frames_only() {
        let mut frames = Frames::default();
        for (bytes, between) in [
            (&[1, 0, 0][..], false),
            (&[0, 0, 0, 0, 2], false),
            (b"ab", true),
            (&[2, 0, 0, 0, 0, 0, 0, 0], true),
        ] {
            frames.feed(bytes, |_, _| {}).unwrap();
            assert_eq!(frames.is_between(), between, "{bytes:?}");
        }
        assert_eq!(frames.feed(b"HTTP/1.1 200 OK", |_, _| {}), Err(FrameError));
    }
}
