//! Egress: the guest names a target, and reaches it if the host's list has it. A guest that asks for a public address gets
//! no other, whatever the name leads to; each address is looked at and connected to, not looked up again in between.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::egress::{Addresses, EgressLine, EgressReply, EgressRequest, Host};
use jeju_shim_protocol::line::{ErrorCode, read_line};
use jeju_shim_protocol::public::is_public;
use jeju_shim_protocol::transport::Stream;
use jeju_shim_protocol::{ExchangeError, Port};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics::PortMetrics;
use crate::relay::{RelayEnd, relay};
use crate::shim::State;

/// Name look-ups at once. Each holds a thread, also after its request has timed out.
const MAX_LOOKUPS: usize = 8;
/// The same for requests for public addresses, which strangers cause: they take no look-up from the guest itself.
const MAX_PUBLIC_LOOKUPS: usize = 6;
/// Time for one of several addresses of a name.
const ADDRESS_TIME: Duration = Duration::from_secs(4);
/// Time for the guest to take a one-line answer.
const REPLY_TIME: Duration = Duration::from_secs(5);

/// Look-up slots of a shim.
pub(crate) struct Lookups {
    any: Arc<Semaphore>,
    public: Arc<Semaphore>,
}

impl Lookups {
    pub(crate) fn new() -> Self {
        Self {
            any: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            public: Arc::new(Semaphore::new(MAX_PUBLIC_LOOKUPS)),
        }
    }
}

/// Serves one connection of the guest.
pub(crate) async fn serve(mut guest: Stream, state: Arc<State>, metrics: Arc<PortMetrics>) {
    let mut target = match open(&mut guest, &state, &metrics).await {
        Ok(target) => target,
        Err(Some(code)) => return refuse(guest, code).await,
        Err(None) => return,
    };
    let _ = target.set_nodelay(true);
    if !reply(&mut guest, EgressReply::Connected).await {
        return;
    }
    if relay(&mut target, &mut guest, state.relay_rules(), &metrics).await == RelayEnd::Idle {
        metrics.idle_timeouts.one();
    }
}

/// Answers a connection that won't be served.
pub(crate) async fn refuse(mut guest: Stream, code: ErrorCode) {
    reply(&mut guest, EgressReply::Refused(code)).await;
}

/// The connection that the guest asks for, or the code to answer; `None` when there is nobody to answer.
async fn open(
    guest: &mut Stream,
    state: &State,
    metrics: &PortMetrics,
) -> Result<TcpStream, Option<ErrorCode>> {
    let request = match timeout(state.config.request_timeout, read_line(guest)).await {
        Ok(Ok(line)) => EgressLine::parse(&line),
        Ok(Err(ExchangeError::Parse(error))) => Err(error),
        Ok(Err(_)) => return Err(None),
        Err(_) => {
            metrics.bad_requests.one();
            return Err(Some(ErrorCode::Timeout));
        }
    };
    let EgressLine { target, addresses } = request.map_err(|error| {
        metrics.bad_requests.one();
        state
            .events
            .caused("bad_request", &[("port", &Port::Egress), ("error", &error)]);
        ErrorCode::BadRequest
    })?;
    let everywhere = state.config.egress_public && addresses == Addresses::Public;
    if !everywhere && !state.config.egress_allow.contains(&target) {
        metrics.denied.one();
        state.events.caused("egress_denied", &[("target", &target)]);
        return Err(Some(ErrorCode::Denied));
    }
    let connecting = connect(&target, addresses, &state.lookups);
    let connected = timeout(state.config.connect_timeout, connecting).await;
    connected.unwrap_or(Err(ErrorCode::Timeout)).map_err(|code| {
        match code {
            ErrorCode::NotPublic => metrics.denied.one(),
            _ => metrics.unreachable.one(),
        }
        state
            .events
            .caused("egress_failed", &[("target", &target), ("code", &code)]);
        Some(code)
    })
}

async fn connect(
    target: &EgressRequest,
    addresses: Addresses,
    lookups: &Lookups,
) -> Result<TcpStream, ErrorCode> {
    let found = match addresses {
        Addresses::Any => resolve(target, &lookups.any).await?,
        Addresses::Public => public(resolve(target, &lookups.public).await?)?,
    };
    let mut outcome = Err(ErrorCode::Unreachable);
    for address in found {
        outcome = match timeout(ADDRESS_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => Err(ErrorCode::Unreachable),
            Err(_) => Err(ErrorCode::Timeout),
        };
    }
    outcome
}

/// Those that strangers may reach.
fn public(mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ErrorCode> {
    let some = !found.is_empty();
    found.retain(|address| is_public(address.ip()) && !is_own(*address));
    if some && found.is_empty() {
        return Err(ErrorCode::NotPublic);
    }
    Ok(found)
}

/// Whether an address is this machine's, where services may listen that a firewall keeps the world from: then the kernel
/// would talk to it from that same address. No packet is sent.
fn is_own(address: SocketAddr) -> bool {
    let unspecified: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let from = UdpSocket::bind(unspecified).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address.ip())
}

async fn resolve(target: &EgressRequest, slots: &Arc<Semaphore>) -> Result<Vec<SocketAddr>, ErrorCode> {
    let port = target.port.get();
    let name = match &target.host {
        Host::Ip(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => name.as_str().to_owned(),
    };
    let slot = slots.clone().try_acquire_owned().map_err(|_| ErrorCode::Busy)?;
    let looked_up = tokio::task::spawn_blocking(move || -> io::Result<Vec<SocketAddr>> {
        let addresses = (name.as_str(), port).to_socket_addrs()?.collect();
        drop(slot);
        Ok(addresses)
    });
    match looked_up.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) => Err(ErrorCode::Unreachable),
        Err(_) => Err(ErrorCode::Internal),
    }
}

/// Whether the guest took the answer.
async fn reply(guest: &mut Stream, reply: EgressReply) -> bool {
    timeout(REPLY_TIME, guest.write_all(&reply.encode()))
        .await
        .is_ok_and(|written| written.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 443))
            .collect()
    }

    #[test]
    fn of_what_a_name_leads_to_only_public_addresses_are_left() {
        let mixed = addresses(&["127.0.0.1", "8.8.8.8", "10.0.0.1", "::1", "2606:4700::1111"]);
        assert_eq!(public(mixed), Ok(addresses(&["8.8.8.8", "2606:4700::1111"])));
        for private in ["127.0.0.1", "::1", "169.254.169.254", "::ffff:8.8.8.8", "fd00::1"] {
            assert_eq!(
                public(addresses(&[private])),
                Err(ErrorCode::NotPublic),
                "{private}"
            );
        }
        assert_eq!(public(vec![]), Ok(vec![]));
    }

    #[test]
    fn the_machines_own_addresses_are_known() {
        assert!(is_own(([127, 0, 0, 1], 443).into()));
        assert!(!is_own(([8, 8, 8, 8], 443).into()));
    }
}
