//! Egress: the guest names a target, and reaches it if the host's list has it.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use jeju_shim_protocol::egress::{EgressReply, EgressRequest, Host};
use jeju_shim_protocol::line::{ErrorCode, read_line};
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
/// Time for one of several addresses of a name.
const ADDRESS_TIME: Duration = Duration::from_secs(4);
/// Time for the guest to take a one-line answer.
const REPLY_TIME: Duration = Duration::from_secs(5);

/// Look-up slots of a shim.
pub(crate) fn lookup_slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_LOOKUPS))
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
        Ok(Ok(line)) => EgressRequest::parse(&line),
        Ok(Err(ExchangeError::Parse(error))) => Err(error),
        Ok(Err(_)) => return Err(None),
        Err(_) => {
            metrics.bad_requests.one();
            return Err(Some(ErrorCode::Timeout));
        }
    };
    let request = request.map_err(|error| {
        metrics.bad_requests.one();
        state
            .events
            .caused("bad_request", &[("port", &Port::Egress), ("error", &error)]);
        ErrorCode::BadRequest
    })?;
    if !state.config.egress_allow.contains(&request) {
        metrics.denied.one();
        state.events.caused("egress_denied", &[("target", &request)]);
        return Err(Some(ErrorCode::Denied));
    }
    let connected = timeout(state.config.connect_timeout, connect(&request, &state.lookups)).await;
    connected.unwrap_or(Err(ErrorCode::Timeout)).map_err(|code| {
        metrics.unreachable.one();
        state
            .events
            .caused("egress_failed", &[("target", &request), ("code", &code)]);
        Some(code)
    })
}

async fn connect(request: &EgressRequest, lookups: &Arc<Semaphore>) -> Result<TcpStream, ErrorCode> {
    let mut outcome = Err(ErrorCode::Unreachable);
    for address in resolve(request, lookups).await? {
        outcome = match timeout(ADDRESS_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => Err(ErrorCode::Unreachable),
            Err(_) => Err(ErrorCode::Timeout),
        };
    }
    outcome
}

async fn resolve(request: &EgressRequest, lookups: &Arc<Semaphore>) -> Result<Vec<SocketAddr>, ErrorCode> {
    let port = request.port.get();
    let name = match &request.host {
        Host::Ip(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => name.as_str().to_owned(),
    };
    let slot = lookups.clone().try_acquire_owned().map_err(|_| ErrorCode::Busy)?;
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
