//! Which gateway is tried when, and the connection through it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use jeju_session::{Connection, Target};
use tokio::net::TcpStream;

use super::Gateway;
use super::named::expecting;
use crate::error::Error;
use crate::node_url::NodeUrl;
use crate::relying_party::RelyingParty;

/// The gateways that lead to nodes; none: connections are direct.
#[derive(Debug, Default)]
pub struct Via {
    gateways: Vec<Gateway>,
    /// The one that led to a node last.
    first: AtomicUsize,
}

impl Via {
    /// Through these, the first first.
    pub fn new(gateways: Vec<Gateway>) -> Self {
        Self {
            gateways,
            first: AtomicUsize::new(0),
        }
    }

    /// The ways to a node in the order in which they are tried: each gateway from the one on that led last, or the direct
    /// one where there is none.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Option<&Gateway>> {
        let (count, first) = (self.gateways.len(), self.first.load(Relaxed));
        let through = (0..count).map(move |step| Some(&self.gateways[(first + step) % count]));
        through.chain((count == 0).then_some(None))
    }

    /// Remembers that this one led to a node.
    pub(crate) fn led(&self, gateway: &Gateway) {
        if let Some(place) = self.gateways.iter().position(|known| known == gateway) {
            self.first.store(place, Relaxed);
        }
    }
}

/// Connects to a node, directly or through a gateway, of which the certificate doesn't hang.
pub(crate) async fn connect(
    url: &NodeUrl,
    gateway: Option<&Gateway>,
    party: &RelyingParty,
) -> Result<Connection, Error> {
    let authority = gateway.map_or(url.authority(), Gateway::authority);
    let server_name = match gateway {
        Some(gateway) => gateway.server_name(url)?,
        None => url.server_name(),
    };
    let tls = match server_name == url.server_name() {
        true => party.tls(),
        false => expecting(
            &party.tls(),
            party.certificate_verifier().clone(),
            url.server_name(),
        ),
    };
    let stream = TcpStream::connect(authority)
        .await
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| Error::Connect {
            authority: authority.to_owned(),
            source,
        })?;
    let target = Target {
        authority: url.authority(),
        server_name,
        certificates: party.certificate_verifier(),
        tls,
    };
    Ok(Connection::open(stream, &target).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_that_led_last_is_tried_first() {
        let gateway = |port: u16| -> Gateway { format!("127.0.0.1:{port}").parse().unwrap() };
        let via = Via::new(vec![gateway(1), gateway(2), gateway(3)]);
        let order = || -> Vec<_> {
            via.ways()
                .map(|way| way.unwrap().authority().to_owned())
                .collect()
        };
        assert_eq!(order(), ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        via.led(&gateway(2));
        assert_eq!(order(), ["127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:1"]);
        assert_eq!(Via::default().ways().collect::<Vec<_>>(), [None]);
    }
}
