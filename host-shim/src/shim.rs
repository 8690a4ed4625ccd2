use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jeju_shim_protocol::document::MAX_LAUNCH;
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::{Port, transport};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::blobs::{self, BlobDirectory, OpenBlobsError, Usage};
use crate::config::{Config, ConfigError};
use crate::docker::{self, Docker};
use crate::documents::{self, read_file};
use crate::event::Events;
use crate::log_sink::{self, LogFile};
use crate::metrics::{self, Metrics, PortMetrics};
use crate::relay::RelayRules;
use crate::serve::{Accept, Service};
use crate::{egress, inbound};

/// The shim.
pub struct HostShim;

impl HostShim {
    /// Reads the launch document, listens on every port, and serves in the background of this tokio runtime.
    /// On return all ports are open, so the guest can be booted.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: Config) -> Result<RunningShim, StartError> {
        config.check()?;
        let launch = match read_file(&config.launch, MAX_LAUNCH) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(StartError::LaunchTooLarge(config.launch)),
            Err(source) => {
                return Err(StartError::Launch {
                    path: config.launch,
                    source,
                });
            }
        };
        let log_file = match &config.log_file {
            None => LogFile::default(),
            Some(path) => {
                LogFile::open(path, config.log_file_limit).map_err(|source| StartError::LogFile {
                    path: path.clone(),
                    source,
                })?
            }
        };
        let blobs = match config.blobs.clone() {
            None => None,
            Some(path) => Some(open_blobs(path, &config).await?),
        };
        let state = Arc::new(State {
            launch,
            blobs,
            docker: Docker::new(),
            log_file,
            lookups: egress::Lookups::new(),
            events: Arc::new(Events::new(config.log)),
            fatal: watch::Sender::new(None),
            config,
        });
        Starter {
            state,
            stop: watch::Sender::new(()),
            tasks: JoinSet::new(),
            metrics: Metrics::new(),
        }
        .start()
        .await
    }
}

/// A shim that serves. Dropping it cuts every connection; [`RunningShim::shutdown`] lets them end.
pub struct RunningShim {
    state: Arc<State>,
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
    addresses: BTreeMap<Port, SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl RunningShim {
    /// TCP address of a port that is listened on.
    pub fn local_addr(&self, port: Port) -> Option<SocketAddr> {
        self.addresses.get(&port).copied()
    }

    /// Address of the metrics endpoint.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Last fatal code that the guest has sent, as it comes; see [`jeju_shim_protocol::fatal::FatalCode`].
    pub fn fatal(&self) -> watch::Receiver<Option<u16>> {
        self.state.fatal.subscribe()
    }

    /// Stops accepting at once, lets open connections end until the drain time is over, and cuts the rest.
    pub async fn shutdown(mut self) {
        self.state.events.note("stopping", &[]);
        self.stop.send_replace(());
        while self.tasks.join_next().await.is_some() {}
        self.state.events.note("stopped", &[]);
    }
}

/// Why a shim didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The launch document can't be read.
    #[error("launch document {}: {source}", path.display())]
    Launch {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The launch document is over 256 KiB.
    #[error("launch document {} is longer than {MAX_LAUNCH} bytes", .0.display())]
    LaunchTooLarge(PathBuf),
    /// The log file can't be opened.
    #[error("log file {}: {source}", path.display())]
    LogFile {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory of blobs can't be used.
    #[error("blobs {}: {source}", path.display())]
    Blobs {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: OpenBlobsError,
    },
    /// A TCP address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A port can't be listened on for the guest.
    #[error("cannot listen for the guest on port {port} of {transport}: {source}")]
    ListenForGuest {
        /// The port.
        port: Port,
        /// The transport.
        transport: transport::HostTransport,
        /// Why not.
        source: io::Error,
    },
}

/// What every connection of a shim shares.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) launch: Vec<u8>,
    pub(crate) blobs: Option<BlobDirectory>,
    pub(crate) docker: Docker,
    pub(crate) log_file: LogFile,
    pub(crate) lookups: egress::Lookups,
    pub(crate) events: Arc<Events>,
    pub(crate) fatal: watch::Sender<Option<u16>>,
}

impl State {
    pub(crate) fn relay_rules(&self) -> RelayRules {
        RelayRules {
            idle: self.config.idle_timeout,
            half_close: self.config.transport.carries_half_close(),
            grace: self.config.half_close_grace,
        }
    }
}

/// A shim while its ports are being opened.
struct Starter {
    state: Arc<State>,
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
    metrics: Metrics,
}

impl Starter {
    async fn start(mut self) -> Result<RunningShim, StartError> {
        match self.open().await {
            Ok((addresses, metrics)) => Ok(RunningShim {
                state: self.state,
                stop: self.stop,
                tasks: self.tasks,
                addresses,
                metrics,
            }),
            Err(error) => {
                self.tasks.shutdown().await;
                Err(error)
            }
        }
    }

    async fn open(&mut self) -> Result<(BTreeMap<Port, SocketAddr>, Option<SocketAddr>), StartError> {
        let limit = self.state.config.max_connections;
        self.serve_guest(Port::Egress, limit, egress::serve, |guest| {
            egress::refuse(guest, ErrorCode::Busy)
        })?;
        self.serve_guest(
            Port::Blobs,
            blobs::MAX_CONNECTIONS.min(limit),
            blobs::serve,
            |guest| blobs::refuse(guest, ErrorCode::Busy),
        )?;
        if let (Some(blobs), Some(metrics)) = (&self.state.blobs, self.metrics.get(&Port::Blobs)) {
            metrics.stored_bytes.set(blobs.usage().bytes);
            metrics.stored_blobs.set(blobs.usage().count);
        }
        self.serve_guest(Port::Docker, limit, docker::serve, docker::refuse)?;
        self.serve_guest(
            Port::Documents,
            documents::MAX_READERS.min(limit),
            documents::serve,
            |guest| documents::refuse(guest, ErrorCode::Busy),
        )?;
        self.serve_guest(
            Port::Log,
            log_sink::MAX_WRITERS.min(limit),
            log_sink::serve,
            async |_| {},
        )?;
        let mut addresses = BTreeMap::new();
        for (port, address) in self.state.config.listen.clone() {
            let (listener, bound) = listen(address).await?;
            let service = self.service(listener, port, limit);
            let (state, metrics) = (self.state.clone(), service.metrics.clone());
            let handle = move |outside| inbound::forward(outside, port, state.clone(), metrics.clone());
            self.tasks.spawn(service.run(handle, async |_| {}));
            addresses.insert(port, bound);
            self.state
                .events
                .note("listening", &[("port", &port), ("address", &bound)]);
        }
        let metrics = match self.state.config.metrics {
            None => None,
            Some(address) => Some(self.serve_metrics(address).await?),
        };
        let digest = hex::encode(Sha256::digest(&self.state.launch));
        let transport = &self.state.config.transport;
        self.state
            .events
            .note("started", &[("transport", transport), ("launch_sha256", &digest)]);
        Ok((addresses, metrics))
    }

    /// Serves a port that the guest dials.
    fn serve_guest<F, R>(
        &mut self,
        port: Port,
        limit: usize,
        serve: fn(transport::Stream, Arc<State>, Arc<PortMetrics>) -> F,
        refuse: impl Fn(transport::Stream) -> R + Send + 'static,
    ) -> Result<(), StartError>
    where
        F: Future<Output = ()> + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let transport = &self.state.config.transport;
        let listener = transport
            .listen(port)
            .map_err(|source| StartError::ListenForGuest {
                port,
                transport: transport.clone(),
                source,
            })?;
        let service = self.service(listener, port, limit);
        let (state, metrics) = (self.state.clone(), service.metrics.clone());
        let handle = move |guest| serve(guest, state.clone(), metrics.clone());
        self.tasks.spawn(service.run(handle, refuse));
        Ok(())
    }

    /// Serves the metrics endpoint, whose own connections nobody counts. Called last: it shows every port opened
    /// before.
    async fn serve_metrics(&mut self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let (listener, bound) = listen(address).await?;
        let service = Service {
            listener,
            name: "metrics".to_owned(),
            limit: metrics::MAX_SCRAPES,
            metrics: Arc::default(),
            events: self.state.events.clone(),
            stop: self.stop.subscribe(),
            drain: self.state.config.drain_timeout,
        };
        let shown = Arc::new(self.metrics.clone());
        let handle = move |stream| metrics::answer_scrape(stream, shown.clone());
        self.tasks.spawn(service.run(handle, async |_| {}));
        self.state
            .events
            .note("listening", &[("port", &"metrics"), ("address", &bound)]);
        Ok(bound)
    }

    fn service<L: Accept>(&mut self, listener: L, port: Port, limit: usize) -> Service<L> {
        Service {
            listener,
            name: port.to_string(),
            limit,
            metrics: self.metrics.entry(port).or_default().clone(),
            events: self.state.events.clone(),
            stop: self.stop.subscribe(),
            drain: self.state.config.drain_timeout,
        }
    }
}

/// Reads what is there on a thread where waiting for a disk does no harm.
async fn open_blobs(path: PathBuf, config: &Config) -> Result<BlobDirectory, StartError> {
    let limit = Usage {
        bytes: config.blobs_limit,
        count: config.blobs_max_count,
    };
    let at = path.clone();
    let opened = tokio::task::spawn_blocking(move || BlobDirectory::open(&at, limit)).await;
    opened
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
        .map_err(|source| StartError::Blobs { path, source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let open = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open.await
        .map_err(|source| StartError::Listen { address, source })
}
