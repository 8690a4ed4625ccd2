//! TCP routes: a port of the gateway's for each. It leads to the rental's SSH server, so that any SSH client reaches a rental
//! without knowing of routes, or to a port of the rental's container.
//!
//! All ports of the range are held from the start on: a port that the API promises is the gateway's. A connection to one that
//! no route has is closed.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::inside::{self, Inside, Tally};
use crate::listeners::{OpenError, bind};
use crate::passthrough::{Admission, Counters, Drain, Limits, Said, accept, carry};
use crate::routes::{RouteError, RouteKind, Routes, Session};
use crate::ssh::{Target, Targets, within};

/// Most ports of a range.
pub const MAX_PORTS: usize = 1000;

/// The listeners of a range of ports.
pub struct TcpRoutes {
    routes: Arc<Routes>,
    targets: Arc<Targets>,
    inside: Arc<Inside>,
    limits: Limits,
    counters: Arc<Counters>,
    listeners: Vec<(u16, TcpListener)>,
}

impl TcpRoutes {
    /// Takes all `ports` of `address`.
    ///
    /// # Errors
    /// [`OpenError::Bind`] where one of them can't be had.
    pub async fn bind(
        address: IpAddr,
        ports: RangeInclusive<u16>,
        routes: Arc<Routes>,
        targets: Arc<Targets>,
        inside: Arc<Inside>,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let mut listeners = Vec::new();
        for port in ports {
            listeners.push((port, bind(SocketAddr::new(address, port)).await?));
        }
        Ok(Self {
            routes,
            targets,
            inside,
            limits,
            counters: Arc::default(),
            listeners,
        })
    }

    /// What was counted so far, on all ports.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Accepts until `drain` asks for an end, and then waits for the connections that there are. The ports share `admission`.
    pub async fn serve(mut self, admission: Admission, drain: Drain) {
        let (listeners, counters) = (std::mem::take(&mut self.listeners), self.counters());
        let this = Arc::new(self);
        let mut ports = JoinSet::new();
        for (port, listener) in listeners {
            let this = this.clone();
            let handle = move |client| {
                let this = this.clone();
                async move { this.connection(port, client).await }
            };
            ports.spawn(accept(
                listener,
                admission.clone(),
                counters.clone(),
                drain.clone(),
                handle,
            ));
        }
        while ports.join_next().await.is_some() {}
    }

    async fn connection(&self, port: u16, mut client: TcpStream) {
        let counters = &self.counters;
        let Ok(session) = self.open(port) else {
            counters.unknown.fetch_add(1, Relaxed);
            return;
        };
        if session.route().grant().is_some() {
            return within(&session, self.container(&session, client)).await;
        }
        let Some(Target { mut stream, version }) = self.targets.reach(&session).await else {
            counters.unreachable.fetch_add(1, Relaxed);
            return;
        };
        let said = Said {
            client: Vec::new(),
            target: version,
        };
        within(
            &session,
            carry(&mut client, &mut stream, said, counters, self.limits.idle),
        )
        .await;
    }

    /// To the port of the container.
    async fn container(&self, session: &Session, client: TcpStream) {
        let Ok(channel) = self.inside.open(session).await else {
            self.counters.unreachable.fetch_add(1, Relaxed);
            return;
        };
        if client.set_nodelay(true).is_ok() {
            let tally = Tally::new(self.counters.clone());
            inside::carry(client, channel, &tally, self.limits.idle).await;
        }
    }

    fn open(&self, port: u16) -> Result<Session, RouteError> {
        let routes = self.routes.of_kind(RouteKind::Tcp);
        let route = routes.iter().find(|route| route.port == Some(port));
        self.routes
            .open(&route.ok_or(RouteError::NotFound)?.id, RouteKind::Tcp)
    }
}
