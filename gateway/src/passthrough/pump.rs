//! Bytes both ways between two connections.
//!
//! A direction that has nothing to carry holds no buffer: each thread has one, and what the other end doesn't take at once
//! is kept by itself until it does. So 1,000 idle connections cost their sockets and little more.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Bytes that are carried at a time.
const PIECE: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// Bytes that a connection carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// From the client to the provider.
    pub to_provider: AtomicU64,
    /// From the provider to the client.
    pub to_client: AtomicU64,
}

impl Carried {
    fn sum(&self) -> u64 {
        self.to_provider
            .load(Relaxed)
            .wrapping_add(self.to_client.load(Relaxed))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both ends were done.
    Done,
    /// One of them broke off.
    Broken,
    /// Neither said anything for too long.
    Idle,
}

/// Carries until both ends are done, one breaks off, or neither says anything for `idle`.
pub(crate) async fn pump(client: &TcpStream, provider: &TcpStream, carried: &Carried, idle: Duration) -> End {
    let both = async {
        tokio::try_join!(
            one_way(client, provider, &carried.to_provider),
            one_way(provider, client, &carried.to_client),
        )
    };
    let silence = async {
        let mut before = carried.sum();
        loop {
            sleep(idle).await;
            let now = carried.sum();
            if now == before {
                return;
            }
            before = now;
        }
    };
    tokio::select! {
        outcome = both => match outcome {
            Ok(_) => End::Done,
            Err(_) => End::Broken,
        },
        () = silence => End::Idle,
    }
}

/// Carries until `from` has said all, and tells `to` so.
async fn one_way(from: &TcpStream, to: &TcpStream, carried: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        // No await while the thread's buffer is borrowed.
        let step = BUFFER.with_borrow_mut(|buffer| step(from, to, buffer))?;
        match step {
            Step::Wait => {}
            Step::End => return SockRef::from(to).shutdown(Shutdown::Write),
            Step::Carried(count, rest) => {
                carried.fetch_add(count as u64, Relaxed);
                if !rest.is_empty() {
                    write(to, &rest).await?;
                }
            }
        }
    }
}

enum Step {
    /// Nothing was there after all.
    Wait,
    /// `from` has said all.
    End,
    /// So many bytes were read; the rest is what `to` didn't take at once.
    Carried(usize, Vec<u8>),
}

fn step(from: &TcpStream, to: &TcpStream, buffer: &mut [u8]) -> io::Result<Step> {
    let count = match from.try_read(buffer) {
        Ok(0) => return Ok(Step::End),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Wait),
        Err(error) => return Err(error),
    };
    let written = match to.try_write(&buffer[..count]) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    Ok(Step::Carried(count, buffer[written..count].to_vec()))
}

/// Writes all.
pub(crate) async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
