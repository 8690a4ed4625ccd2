use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jeju_shim_protocol::Port;
use jeju_shim_protocol::egress::EgressRequest;
use jeju_shim_protocol::transport::HostTransport;

/// What a shim does. Build one with [`Config::new`] and set what differs.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the guest is reached.
    pub transport: HostTransport,
    /// File whose exact bytes are the launch document, at most 256 KiB; read once, at the start.
    pub launch: PathBuf,
    /// TCP address for each port of the guest that the host dials. Port 0 takes a free one.
    pub listen: BTreeMap<Port, SocketAddr>,
    /// Targets that the guest may reach. Empty: none.
    pub egress_allow: HashSet<EgressRequest>,
    /// Whether the guest may reach every public address, in the form of its request that asks for one. Such a request
    /// for a listed target needs no more than the list.
    pub egress_public: bool,
    /// Directory of collateral files. `None`: there are none.
    pub collateral_dir: Option<PathBuf>,
    /// Directory for the guest's sealed blobs; one shim at a time. `None`: none are kept.
    pub blobs: Option<PathBuf>,
    /// Most bytes of blobs.
    pub blobs_limit: u64,
    /// Most blobs.
    pub blobs_max_count: u64,
    /// Unix socket of the Docker engine that rentals run on. `None`: there is none.
    pub docker: Option<PathBuf>,
    /// Agent whose containers the guest may touch. `None`: those of any, for an engine that serves one node.
    pub docker_agent: Option<[u8; 32]>,
    /// Most images that were fetched for rentals and that no container uses: of more, those go that were used longest ago.
    pub docker_images: usize,
    /// Whether containers' own networks are held to the bandwidth that was rented, which takes iproute2 and `CAP_NET_ADMIN`.
    pub docker_bandwidth: bool,
    /// Loopback address of the Prometheus endpoint. `None`: no endpoint.
    pub metrics: Option<SocketAddr>,
    /// File that the guest's opaque log bytes are appended to. `None`: they are counted and dropped.
    pub log_file: Option<PathBuf>,
    /// Size in bytes at which the log file stops growing.
    pub log_file_limit: u64,
    /// Most connections on each port at once; more are closed at once.
    pub max_connections: usize,
    /// A forwarded connection without a byte in either direction for so long is closed.
    pub idle_timeout: Duration,
    /// How long after one side has stopped sending the other may stay silent, where the transport carries no
    /// half-close; see [`HostTransport::carries_half_close`].
    pub half_close_grace: Duration,
    /// Time for the guest to send a request line.
    pub request_timeout: Duration,
    /// Time to connect, to the guest or to an egress target.
    pub connect_timeout: Duration,
    /// Time for open connections to end after [`crate::RunningShim::shutdown`].
    pub drain_timeout: Duration,
    /// Where log lines of the shim itself go.
    pub log: LogFormat,
}

impl Config {
    /// No listening port, no egress, no collateral, no blobs, no Docker, no metrics, silent; 512 connections a port, 15 minutes idle.
    pub fn new(transport: HostTransport, launch: impl Into<PathBuf>) -> Self {
        Self {
            transport,
            launch: launch.into(),
            listen: BTreeMap::new(),
            egress_allow: HashSet::new(),
            egress_public: false,
            collateral_dir: None,
            blobs: None,
            blobs_limit: 1024 * 1024 * 1024,
            blobs_max_count: 65_536,
            docker: None,
            docker_agent: None,
            docker_images: 16,
            docker_bandwidth: false,
            metrics: None,
            log_file: None,
            log_file_limit: 64 * 1024 * 1024,
            max_connections: 512,
            idle_timeout: Duration::from_secs(900),
            half_close_grace: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            log: LogFormat::Silent,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let Some(port) = self.listen.keys().find(|port| !port.host_dials()) {
            return Err(ConfigError::NotAService(*port));
        }
        if let Some(address) = self.metrics.filter(|address| !address.ip().is_loopback()) {
            return Err(ConfigError::MetricsNotLoopback(address));
        }
        if self.max_connections == 0 {
            return Err(ConfigError::NoConnections);
        }
        Ok(())
    }
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A port that the guest dials can't be listened on over TCP.
    #[error("port {0} is not a service of the guest; those are 2222, 4007, 4010 and 4020")]
    NotAService(Port),
    /// Metrics tell who talks when, so they stay on the machine.
    #[error("metrics address {0} is not a loopback address")]
    MetricsNotLoopback(SocketAddr),
    /// A limit of 0 serves nobody.
    #[error("the connection limit is 0")]
    NoConnections,
}

/// Log lines of the shim itself, on standard error. They never hold payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// None.
    #[default]
    Silent,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_settings_are_refused() {
        let config = || Config::new(HostTransport::Unix("/run/jeju".into()), "launch.toml");
        assert_eq!(config().check(), Ok(()));
        let mut with = config();
        with.listen.insert(Port::Egress, ([127, 0, 0, 1], 0).into());
        assert_eq!(with.check(), Err(ConfigError::NotAService(Port::Egress)));
        let public = ([0, 0, 0, 0], 9000).into();
        let with = Config {
            metrics: Some(public),
            ..config()
        };
        assert_eq!(with.check(), Err(ConfigError::MetricsNotLoopback(public)));
        let with = Config {
            max_connections: 0,
            ..config()
        };
        assert_eq!(with.check(), Err(ConfigError::NoConnections));
    }
}
