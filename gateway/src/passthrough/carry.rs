//! A connection and its target: what each said already, then bytes both ways, counted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jeju_shim_protocol::public::is_public;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Counters;
use super::pump::{self, Carried, End};

/// The first of the addresses that answers, and isn't this machine.
pub(crate) async fn dial(addresses: &[SocketAddr], patience: Duration) -> Option<TcpStream> {
    for address in addresses {
        if let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await
            && !is_loop(|| stream.local_addr().ok(), address.ip())
        {
            return Some(stream);
        }
    }
    None
}

/// Whether a connection leads to the machine that it comes from. Who writes a gateway's own address on chain would have it
/// call itself without end. Private addresses are dialled on development chains alone, where all is on one machine.
fn is_loop(local: impl FnOnce() -> Option<SocketAddr>, target: IpAddr) -> bool {
    let target = target.to_canonical();
    is_public(target) && local().is_some_and(|local| local.ip().to_canonical() == target)
}

/// Bytes that were read from the ends of a connection before they were joined.
#[derive(Default)]
pub(crate) struct Said {
    /// By the client.
    pub(crate) client: Vec<u8>,
    /// By the target.
    pub(crate) target: Vec<u8>,
}

/// Carries until the connection's end, and counts it.
pub(crate) async fn carry(
    client: &mut TcpStream,
    target: &mut TcpStream,
    said: Said,
    counters: &Counters,
    idle: Duration,
) {
    let counted = Counted::new(counters);
    match join(client, target, said, &counted.carried, idle).await {
        Ok(End::Done) => {}
        Ok(End::Idle) => drop(counters.idle.fetch_add(1, Relaxed)),
        Ok(End::Broken) | Err(_) => drop(counters.broken.fetch_add(1, Relaxed)),
    }
}

async fn join(
    client: &mut TcpStream,
    target: &mut TcpStream,
    said: Said,
    carried: &Carried,
    idle: Duration,
) -> io::Result<End> {
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let first = async {
        target.write_all(&said.client).await?;
        carried.to_provider.fetch_add(said.client.len() as u64, Relaxed);
        client.write_all(&said.target).await?;
        carried.to_client.fetch_add(said.target.len() as u64, Relaxed);
        io::Result::Ok(())
    };
    timeout(idle, first)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    drop(said);
    Ok(pump::pump(client, target, carried, idle).await)
}

/// A connection that has its target, until this is dropped, however that comes about.
pub(crate) struct Counted<'a> {
    counters: &'a Counters,
    pub(crate) carried: Carried,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(counters: &'a Counters) -> Self {
        counters.active.fetch_add(1, Relaxed);
        Self {
            counters,
            carried: Carried::default(),
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let (all, own) = (&self.counters.carried, &self.carried);
        all.to_provider.fetch_add(own.to_provider.load(Relaxed), Relaxed);
        all.to_client.fetch_add(own.to_client.load(Relaxed), Relaxed);
        self.counters.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_does_not_call_itself() {
        let is = |local: &str, target: &str| {
            let local = SocketAddr::new(local.parse().unwrap(), 1);
            is_loop(|| Some(local), target.parse().unwrap())
        };
        assert!(is("8.8.8.8", "8.8.8.8") && is("::ffff:8.8.8.8", "8.8.8.8"));
        assert!(is("2606:4700:4700::1111", "2606:4700:4700::1111"));
        assert!(!is("8.8.8.8", "1.1.1.1") && !is("127.0.0.1", "127.0.0.1"));
    }
}
