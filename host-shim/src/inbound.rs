//! A TCP connection from outside to a service of the guest.

use std::io;
use std::sync::Arc;

use jeju_shim_protocol::Port;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::metrics::PortMetrics;
use crate::relay::{RelayEnd, relay};
use crate::shim::State;

/// Dials the guest and forwards until both sides are done.
pub(crate) async fn forward(
    mut outside: TcpStream,
    port: Port,
    state: Arc<State>,
    metrics: Arc<PortMetrics>,
) {
    // Bytes come joined already; waiting for more would only delay them.
    let _ = outside.set_nodelay(true);
    let dialled = timeout(state.config.connect_timeout, state.config.transport.dial(port)).await;
    let mut guest = match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(guest) => guest,
        Err(error) => {
            metrics.dial_failures.one();
            state
                .events
                .caused("dial_failed", &[("port", &port), ("error", &error)]);
            return;
        }
    };
    if relay(&mut outside, &mut guest, state.relay_rules(), &metrics).await == RelayEnd::Idle {
        metrics.idle_timeouts.one();
    }
}
