//! Bytes both ways between two connections.
//!
//! A direction that has nothing to carry holds no buffer: each thread has one, and what the other end doesn't take at once
//! is kept by itself until it does. So 1,000 idle connections cost their sockets and little more.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
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

/// Carries until both ends are done, one breaks off, or neither says anything for `idle`. Who is done closes them.
pub(crate) async fn pump(
    client: &mut TcpStream,
    provider: &mut TcpStream,
    carried: &Carried,
    idle: Duration,
) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_provider, mut to_provider) = provider.split();
    // The second to be done needn't tell the first.
    let ended = AtomicBool::new(false);
    let both = async {
        tokio::try_join!(
            one_way(&mut from_client, &mut to_provider, &carried.to_provider, &ended),
            one_way(&mut from_provider, &mut to_client, &carried.to_client, &ended),
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

/// Carries until `from` has said all, and tells `to` so, unless the other way has ended before.
async fn one_way(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    carried: &AtomicU64,
    ended: &AtomicBool,
) -> io::Result<()> {
    loop {
        // Nothing is awaited while the thread's buffer is borrowed.
        let step = poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| step(Pin::new(from), Pin::new(to), buffer, context))
        });
        let (count, rest) = step.await?;
        if count == 0 {
            return match ended.swap(true, Relaxed) {
                false => to.shutdown().await,
                true => Ok(()),
            };
        }
        carried.fetch_add(count as u64, Relaxed);
        if !rest.is_empty() {
            to.write_all(&rest).await?;
        }
    }
}

/// So many bytes were read, none once `from` has said all; and those of them that `to` didn't take at once.
///
/// By polling and not by `try_read`, which would ask again after each read that `from` has no more.
fn step(
    from: Pin<&mut ReadHalf<'_>>,
    to: Pin<&mut WriteHalf<'_>>,
    buffer: &mut [u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<(usize, Vec<u8>)>> {
    let mut read = ReadBuf::new(buffer);
    ready!(from.poll_read(context, &mut read))?;
    let bytes = read.filled();
    let written = match bytes.is_empty() {
        true => 0,
        false => match to.poll_write(context, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        },
    };
    Poll::Ready(Ok((bytes.len(), bytes[written..].to_vec())))
}
