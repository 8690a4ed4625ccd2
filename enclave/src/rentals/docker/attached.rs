//! Standard input and output of the agent in a container, over the connection of an exec.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use jeju_shim_protocol::docker::frame::{HEAD, Output};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Most bytes of standard error that are read and dropped. The agent writes none there; a tenant can.
const MAX_STDERR: usize = 1 << 20;

/// Reads give standard output alone; writes and shutdown are those of the connection.
#[derive(Debug)]
pub(super) struct Attached<S> {
    io: S,
    /// Came with the answer's head.
    early: Bytes,
    frames: Frames,
    /// Standard output that was looked at and is to be read again.
    held: Bytes,
    stderr: usize,
    broken: bool,
}

impl<S: AsyncRead + Unpin> Attached<S> {
    pub(super) fn new(io: S, early: Bytes) -> Self {
        Self {
            io,
            early,
            frames: Frames::default(),
            held: Bytes::new(),
            stderr: 0,
            broken: false,
        }
    }

    /// Gives back what was read last.
    pub(super) fn hold(&mut self, bytes: Bytes) {
        self.held = bytes;
    }

    /// Bytes as they come; none at the end.
    fn poll_raw(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(into.len());
            self.early.copy_to_slice(&mut into[..count]);
            return Poll::Ready(Ok(count));
        }
        let mut space = ReadBuf::new(into);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }

    /// The reader's own buffer takes the payload and, behind it, the head of the next frame, which is taken out again: one
    /// system call a frame, and no copy.
    fn poll_stdout(
        &mut self,
        cx: &mut Context<'_>,
        left: usize,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(left + HEAD);
        let space = buf.initialize_unfilled_to(room);
        let got = match ready!(self.poll_raw(cx, space))? {
            0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            got => got,
        };
        let payload = got.min(left);
        self.frames.advance(payload);
        if let Some(head) = space.get(payload..got) {
            // What came before it is good.
            self.broken = self.frames.head(head).is_err();
        }
        buf.advance(payload);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Attached<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if !this.held.is_empty() {
            let count = this.held.len().min(buf.remaining());
            buf.put_slice(&this.held.split_to(count));
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.broken {
                return Poll::Ready(Err(broken("output is not framed")));
            }
            match this.frames.payload() {
                Some((Output::Stdout, left)) => return this.poll_stdout(cx, left, buf),
                Some((Output::Stderr, left)) => {
                    let mut dropped = [0; 1024];
                    let room = left.min(dropped.len());
                    let got = ready!(this.poll_raw(cx, &mut dropped[..room]))?;
                    this.frames.advance(got);
                    this.stderr += got;
                    if got == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    if this.stderr > MAX_STDERR {
                        this.broken = true;
                    }
                }
                None => {
                    let mut head = [0; HEAD];
                    let room = this.frames.head_missing();
                    let got = ready!(this.poll_raw(cx, &mut head[..room]))?;
                    if got == 0 {
                        let end = match this.frames.is_between() {
                            true => Ok(()),
                            false => Err(io::ErrorKind::UnexpectedEof.into()),
                        };
                        return Poll::Ready(end);
                    }
                    this.broken = this.frames.head(&head[..got]).is_err();
                }
            }
        }
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Attached<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::super::frames::tests::{Numbers, stream};
    use super::*;

    fn frame(output: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&[output, 0, 0, 0], &length[..], payload].concat()
    }

    #[tokio::test]
    async fn standard_output_comes_through_whatever_the_pieces_and_buffers() {
        let mut numbers = Numbers(3);
        for _ in 0..300 {
            let (bytes, [stdout, _]) = stream(&mut numbers);
            let early = numbers.below(bytes.len() + 1);
            let (ours, mut theirs) = duplex([1, 13, 600, 70_000][numbers.below(4)]);
            let rest = bytes[early..].to_vec();
            let writer = tokio::spawn(async move {
                theirs.write_all(&rest).await.unwrap();
            });
            let mut attached = Attached::new(ours, Bytes::copy_from_slice(&bytes[..early]));
            let mut read = Vec::new();
            let mut buffer = vec![0; [1, 8, 9, 4096][numbers.below(4)]];
            loop {
                match attached.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
                if numbers.below(8) == 0 {
                    let last = read.split_off(read.len() - 1);
                    attached.hold(last.into());
                }
            }
            writer.await.unwrap();
            assert_eq!(read, stdout);
        }
    }

    /// What a reader has read, and how it ended.
    async fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut attached = Attached::new(tokio::io::empty(), bytes.into());
        let mut read = Vec::new();
        let end = attached.read_to_end(&mut read).await;
        (read, end.err().map(|error| error.kind()))
    }

    #[tokio::test]
    async fn wrong_frames_are_errors_behind_what_was_good() {
        let good = frame(1, b"good");
        for bad in [
            frame(0, b""),
            frame(3, b"x"),
            b"HTTP/1.1 ".to_vec(),
            vec![1, 0, 0, 0, 255, 255, 255, 255],
            vec![1, 0, 0, 1, 0, 0, 0, 1],
        ] {
            let (read, end) = read([&good[..], &bad].concat()).await;
            assert_eq!((&read[..], end), (&b"good"[..], Some(io::ErrorKind::InvalidData)));
        }
        for cut in 1..good.len() {
            let (read, end) = read([&good[..], &good[..cut]].concat()).await;
            assert!(read.starts_with(b"good"));
            assert_eq!(end, Some(io::ErrorKind::UnexpectedEof), "{cut}");
        }
        assert_eq!(read(Vec::new()).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn standard_error_is_dropped_up_to_a_limit() {
        let error = frame(2, &[b'e'; 1000]);
        let some = [error.repeat(10), frame(1, b"out"), error.repeat(10)].concat();
        assert_eq!(read(some).await, (b"out".to_vec(), None));
        let (_, end) = read(error.repeat(2000)).await;
        assert_eq!(end, Some(io::ErrorKind::InvalidData));
    }

    #[tokio::test]
    async fn writes_pass_through_and_shutdown_closes_one_direction() {
        let (ours, mut theirs) = duplex(64);
        let mut attached = Attached::new(ours, Bytes::new());
        attached.write_all(b"in").await.unwrap();
        attached.shutdown().await.unwrap();
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"in");
        theirs.write_all(&frame(1, b"out")).await.unwrap();
        drop(theirs);
        let mut read = Vec::new();
        attached.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"out");
    }
}
