//! PID 1 of a guest whose only occupation is moving bytes through the product's guest streams: the guest of
//! `image/tests/vsock.rs`, which builds it static and boots it.
//!
//! The host dials port 4007 and sends a line:
//!
//! - `give LENGTH PIECE`: the guest sends so many bytes of [`pattern`], that many in one write;
//! - `take LENGTH PAUSE`: it waits PAUSE milliseconds, then reads so many bytes and answers their SHA-256 in hexadecimal;
//! - `echo`: it sends back what comes, until the host closes;
//! - `ask the host`: it sends a line to port 5000 of its host, and passes on what comes back;
//! - `call PORT give …` or `call PORT take …`: the same on a connection that the guest opens, through the host's egress,
//!   to that port of 127.0.0.1.

use std::io;
use std::time::Duration;

use jeju_shim_protocol::transport::{GuestTransport, Stream};
use jeju_shim_protocol::{Port, egress, line};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = GuestTransport::Vsock.listen(Port::Node)?;
    // A line of the kernel's may come in the middle of one.
    tokio::spawn(async {
        for _ in 0..5 {
            println!("JEJU-READY");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                println!("stream: {error}");
            }
        });
    }
}

async fn serve(mut stream: Stream) -> io::Result<()> {
    let line = line::read_line(&mut stream).await.map_err(io::Error::other)?;
    let words = String::from_utf8_lossy(&line).into_owned();
    let words: Vec<&str> = words.split_whitespace().collect();
    match words[..] {
        ["echo"] => echo(stream).await,
        ["ask", "the", "host"] => {
            let mut host = host().await?;
            host.write_all(b"who is there\n").await?;
            let answer = line::read_line(&mut host).await.map_err(io::Error::other)?;
            stream.write_all(&answer).await?;
            while stream.read(&mut [0; 64]).await? > 0 {}
            Ok(())
        }
        ["call", port, ref rest @ ..] => {
            let mut called = host().await?;
            egress::connect(&mut called, "127.0.0.1", number(port)?)
                .await
                .map_err(io::Error::other)?;
            carry_out(called, rest).await
        }
        ref rest => carry_out(stream, rest).await,
    }
}

/// A connection is given up after 2 s in which the host's device or machine was held up.
async fn host() -> io::Result<Stream> {
    let mut tries = 0;
    loop {
        match GuestTransport::Vsock.dial(Port::Egress).await {
            Err(_) if tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
}

async fn carry_out(mut stream: Stream, words: &[&str]) -> io::Result<()> {
    match *words {
        ["give", length, piece] => give(&mut stream, number(length)?, number(piece)?).await?,
        ["take", length, pause] => {
            tokio::time::sleep(Duration::from_millis(number(pause)?)).await;
            let digest = take(&mut stream, number(length)?).await?;
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            stream.write_all(hex.as_bytes()).await?;
        }
        _ => return Err(io::Error::other(format!("{words:?}"))),
    }
    // A device may drop what is under way when its guest closes first.
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

async fn give(stream: &mut Stream, length: u64, piece: usize) -> io::Result<()> {
    let pattern = pattern();
    let (mut at, mut left) = (0, length);
    while left > 0 {
        let count = piece
            .min(pattern.len() - at)
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        stream.write_all(&pattern[at..at + count]).await?;
        at = (at + count) % pattern.len();
        left -= count as u64;
    }
    Ok(())
}

async fn take(stream: &mut Stream, length: u64) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    let mut left = length;
    while left > 0 {
        let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = stream.read(&mut piece[..wanted]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        digest.update(&piece[..count]);
        left -= count as u64;
    }
    Ok(digest.finalize().into())
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut piece = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            count => stream.write_all(&piece[..count]).await?,
        }
    }
}

/// What is sent, over and over: a prime number of bytes without a period of their own, so that a lost, doubled or swapped
/// piece of any size shows.
pub fn pattern() -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..1_048_573).map(|_| next()).collect()
}

fn number<N: std::str::FromStr>(word: &str) -> io::Result<N> {
    word.parse()
        .map_err(|_| io::Error::other(format!("{word:?} is no number")))
}
