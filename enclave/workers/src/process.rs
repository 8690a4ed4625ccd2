//! The process: reads what the front says, has a pool of threads run isolates, and watches them.

mod calls;
pub(crate) mod held;
mod pool;
mod thread;

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jeju_worker_protocol::{Frames, MAX_FRAME, ToBroker, ToProcess, frame};
use thiserror::Error;

use crate::isolate::Mail;
use crate::realm;
use pool::{Pool, WATCH};

/// Bytes that are read at once.
const READ: usize = 64 * 1024;

/// Why a process ends other than by its channel's end.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The channel broke.
    #[error("the channel broke: {0}")]
    Channel(#[from] io::Error),
    /// The front said what it may not say.
    #[error("the front said what makes no sense")]
    Protocol,
    /// Code of a worker that doesn't obey: its event was ended, but its thread can't be had back.
    #[error("a worker doesn't obey its limits")]
    Hangs,
}

/// Runs workers for whoever has the channel's other end, until that is closed.
///
/// # Errors
/// [`ServeError`]. Calls that are under way are lost then.
pub fn serve(channel: UnixStream) -> Result<(), ServeError> {
    realm::prepare();
    let writer = Arc::new(Writer(Mutex::new(channel.try_clone()?)));
    let pool = Pool::new(writer);
    let result = read(&channel, &pool);
    pool.stop();
    result
}

fn read(mut channel: &UnixStream, pool: &Arc<Pool>) -> Result<(), ServeError> {
    let mut frames = Frames::new(MAX_FRAME);
    let mut bytes = vec![0; READ];
    let mut watched = Instant::now();
    loop {
        if readable(channel, pool.patience())? {
            match channel.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(len) => frames.buffer().extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            while let Some(message) = frames.take().map_err(|_| ServeError::Protocol)? {
                handle(pool, message);
            }
        }
        pool.wake();
        if watched.elapsed() >= WATCH {
            pool.watch().map_err(|()| ServeError::Hangs)?;
            watched = Instant::now();
        }
    }
}

fn handle(pool: &Arc<Pool>, message: ToProcess) {
    match message {
        ToProcess::Load(load) => pool.load(load),
        ToProcess::Unload(worker) => pool.unload(worker),
        ToProcess::Call { call, worker, event } => pool.call(call, worker, event),
        ToProcess::Body { call, of, data } => pool.mail(call, Mail::Body(of, data)),
        ToProcess::BodyEnd { call, of, failure } => pool.mail(call, Mail::BodyEnd(of, failure)),
        ToProcess::Credit { call, of, bytes } => pool.mail(call, Mail::Credit(of, bytes)),
        ToProcess::FetchHead {
            call,
            fetch,
            response,
        } => pool.mail(call, Mail::FetchHead(fetch, response)),
        ToProcess::FetchFailed { call, fetch, failure } => pool.mail(call, Mail::FetchFailed(fetch, failure)),
        ToProcess::Cancel(call) => pool.cancel(call),
        ToProcess::Trim => pool.trim(),
    }
}

/// Whether there is something to read within a time.
fn readable(channel: &UnixStream, patience: Option<Duration>) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: channel.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let patience = patience.map_or(-1, |patience| patience.as_millis() as libc::c_int);
    // SAFETY: one descriptor, which the channel keeps open.
    match unsafe { libc::poll(&mut poll, 1, patience) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

/// The channel's way out. The front always reads, so writing may block.
pub(crate) struct Writer(Mutex<UnixStream>);

impl Writer {
    /// Writes messages. If the channel is broken the reader sees it too.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = channel.write_all(bytes);
    }

    /// Writes a message.
    pub(crate) fn send(&self, message: &ToBroker) {
        if let Ok(bytes) = frame(message) {
            self.write(&bytes);
        }
    }
}
