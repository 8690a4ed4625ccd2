//! Accepts connections within bounds, until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Counters;
use super::addresses::Addresses;

/// Wait after a failed accept: descriptors may be short.
const RETRY: Duration = Duration::from_millis(50);

/// Who may come in.
#[derive(Clone)]
pub struct Admission {
    /// Places of a listener, or of several together; further connections wait, one accepted and the rest in the system's queue.
    places: Arc<Semaphore>,
    most: u32,
    addresses: Arc<Addresses>,
}

/// The end of a gateway's work.
#[derive(Clone)]
pub struct Drain {
    /// True from when no more is taken on.
    pub asked: watch::Receiver<bool>,
    /// How long connections may go on then.
    pub patience: Duration,
}

impl Admission {
    /// At most `connections` at a time, and of each address as many as `addresses` says.
    pub fn new(connections: usize, addresses: Arc<Addresses>) -> Self {
        let most = u32::try_from(connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            addresses,
        }
    }
}

/// Hands connections to `handle` until `drain` asks for an end, and then waits for those that there are.
pub(crate) async fn accept<H, F>(
    listener: TcpListener,
    admission: Admission,
    counters: Arc<Counters>,
    mut drain: Drain,
    handle: H,
) where
    H: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Admission {
        places,
        most,
        addresses,
    } = admission;
    let accept = async {
        loop {
            let Ok((client, peer)) = listener.accept().await else {
                sleep(RETRY).await;
                continue;
            };
            counters.accepted.fetch_add(1, Relaxed);
            let Some(of_address) = addresses.take(peer.ip()) else {
                counters.refused.fetch_add(1, Relaxed);
                continue;
            };
            // Behind the accept: a listener that nobody comes to holds no place that it shares with others.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let connection = handle(client);
            tokio::spawn(async move {
                connection.await;
                drop((place, of_address));
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = drain.asked.wait_for(|asked| *asked) => {}
    }
    drop(listener);
    let _ = timeout(drain.patience, places.acquire_many(most)).await;
}
