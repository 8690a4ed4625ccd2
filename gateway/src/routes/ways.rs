//! Where routes begin.

use super::{Route, RouteKind};

/// Where clients find the gateway's ends of routes. A kind without one can't be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ways {
    /// Name or address by which clients reach the gateway.
    pub host: String,
    /// Port of the SSH proxy.
    pub ssh: Option<u16>,
    /// Domain below which a route's id is a host name, and the port that serves it.
    pub http: Option<(String, u16)>,
}

impl Ways {
    /// Host and port at which a client finds a route.
    pub fn to(&self, route: &Route) -> Option<(String, u16)> {
        match route.asked.kind {
            RouteKind::Ssh => self.ssh.map(|port| (self.host.clone(), port)),
            RouteKind::Http => self
                .http
                .as_ref()
                .map(|(domain, port)| (format!("{}.{domain}", route.id), *port)),
            RouteKind::Tcp => route.port.map(|port| (self.host.clone(), port)),
        }
    }

    /// Whether routes of the kind lead anywhere here, where TCP routes have ports or not.
    pub fn offers(&self, kind: RouteKind, has_ports: bool) -> bool {
        match kind {
            RouteKind::Ssh => self.ssh.is_some(),
            RouteKind::Http => self.http.is_some(),
            RouteKind::Tcp => has_ports,
        }
    }
}
