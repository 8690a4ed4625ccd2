//! All ports of a gateway but its API's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::health::Health;
use crate::http_route::{Front, HttpRoutes};
use crate::index::Index;
use crate::inside::{Inside, KEY_FILE as ROUTE_KEY_FILE};
use crate::names::{Names, Resolver};
use crate::passthrough::{Addresses, Admission, Counters, Drain, Limits, Passthrough, Sockets};
use crate::routes::{Routes, Ways};
use crate::ssh::{HOST_KEY_FILE, HostKey, SshProxy, Targets};
use crate::tcp_route::TcpRoutes;

/// Time without a byte after which a session of a rental is closed. Nodes ask their clients every 30 s whether they are there.
const ROUTE_IDLE: Duration = Duration::from_secs(3600);

/// Why listeners can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A port that can't be had.
    #[error("{0} can't be had: {1}")]
    Bind(SocketAddr, io::Error),
    /// No threads for connections to providers.
    #[error("no threads: {0}")]
    Threads(io::Error),
    /// The SSH proxy's host key can't be had.
    #[error("{HOST_KEY_FILE}: {0}")]
    HostKey(io::Error),
    /// The key for routes into containers can't be had.
    #[error("{ROUTE_KEY_FILE}: {0}")]
    RouteKey(io::Error),
}

/// What connections are led by.
pub struct Leads {
    /// Providers.
    pub index: Arc<Index>,
    /// Which of them are well.
    pub health: Arc<Health>,
    /// Addresses that may be dialled.
    pub resolver: Arc<Resolver>,
    /// Ways to rentals.
    pub routes: Arc<Routes>,
}

/// What is served until the gateway's end.
pub struct Listeners {
    /// Of each listener.
    pub counters: Vec<Arc<Counters>>,
    /// What API clients are told about the ends of routes.
    pub ways: Ways,
    /// Ways into containers, where routes may lead there.
    pub inside: Option<Arc<Inside>>,
    serving: JoinSet<()>,
}

impl Listeners {
    /// Takes all ports of the configuration, and serves on them until `drain` asks for an end. Clients reach them at `host`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        config: &Config,
        host: String,
        leads: &Leads,
        drain: &Drain,
    ) -> Result<Self, OpenError> {
        let mut this = Self {
            counters: Vec::new(),
            ways: Ways {
                host,
                ..Ways::default()
            },
            inside: None,
            serving: JoinSet::new(),
        };
        let addresses = Arc::new(Addresses::new(config.connections_per_address));
        let admission = |connections| Admission::new(connections, addresses.clone());
        for tls in &config.tls {
            let sockets = Sockets::bind(tls.listen).map_err(|error| OpenError::Bind(tls.listen, error))?;
            let names = Names::new(
                leads.index.clone(),
                leads.health.clone(),
                leads.resolver.clone(),
                tls.service.service(),
                config.domains.clone(),
            );
            let passthrough = Passthrough::new(Arc::new(names), Limits::default());
            this.counters.push(passthrough.counters());
            let serve = passthrough.serve(sockets, admission(tls.connections), drain.clone());
            this.serving.spawn(serve.map_err(OpenError::Threads)?);
        }
        let limits = Limits {
            idle: ROUTE_IDLE,
            ..Limits::default()
        };
        let targets = Arc::new(Targets::new(leads.resolver.clone(), limits.dial));
        let routes = || (leads.routes.clone(), targets.clone(), limits.clone());
        if let Some(ssh) = &config.ssh {
            let listener = bind(ssh.listen).await?;
            this.ways.ssh = listener.local_addr().ok().map(|address| address.port());
            let (routes, targets, limits) = routes();
            let key = match &config.state {
                Some(state) => HostKey::of(state),
                None => HostKey::generate(),
            };
            let proxy = SshProxy::new(key.map_err(OpenError::HostKey)?, routes, targets, limits);
            this.counters.push(proxy.counters());
            this.serving
                .spawn(proxy.serve(listener, admission(ssh.connections), drain.clone()));
        }
        if config.http_route.is_some() || config.tcp_route.is_some() {
            let inside = Inside::new(config.state.as_deref(), targets.clone());
            this.inside = Some(Arc::new(inside.map_err(OpenError::RouteKey)?));
        }
        if let (Some(http), Some(inside)) = (&config.http_route, &this.inside) {
            let listener = bind(http.listen).await?;
            let port = listener.local_addr().ok().map(|address| address.port());
            this.ways.http = port.map(|port| (http.domain.clone(), port));
            let (routes, targets, limits) = routes();
            let front = Front {
                domain: http.domain.clone(),
                forwarded: http.forwarded,
                answer: Duration::from_secs(http.answer_seconds),
            };
            let admission = match http.forwarded {
                // All of them are the web server's.
                true => Admission::new(http.connections, Arc::new(Addresses::new(http.connections))),
                false => admission(http.connections),
            };
            let proxy = HttpRoutes::new(front, routes, targets, inside.clone(), limits);
            this.counters.push(proxy.counters());
            this.serving
                .spawn(proxy.serve(listener, admission, drain.clone()));
        }
        let tcp = config.tcp_route.as_ref();
        let tcp = tcp.and_then(|tcp| Some((tcp, tcp.range()?, this.inside.clone()?)));
        if let Some((tcp, range, inside)) = tcp {
            let (routes, targets, limits) = routes();
            let ports = TcpRoutes::bind(tcp.address, range, routes, targets, inside, limits).await?;
            this.counters.push(ports.counters());
            this.serving
                .spawn(ports.serve(admission(tcp.connections), drain.clone()));
        }
        Ok(this)
    }

    /// Returns once all listeners are closed and their connections have ended, or their time is over.
    pub async fn ended(&mut self) {
        while self.serving.join_next().await.is_some() {}
    }
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, OpenError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| OpenError::Bind(address, error))
}
