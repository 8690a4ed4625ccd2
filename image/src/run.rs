//! Launches a node: the image in QEMU, or the same binary as an ordinary process.
//!
//! The launcher stands in for the platform. It hashes exactly what it loads (private copies that nobody changes
//! between hash and load), takes the launch document's digest as HOST_DATA, and serves simulated silicon on the
//! guest's port 5006; the guest never states its own measurement. Everything else that the guest asks for, it asks
//! the host shim for, on [`RunningImage::transport`].
//!
//! All that a launch starts dies with it, even when it is killed, and all its files lie in folders of its own that
//! it removes.

mod accelerator;
mod child;
mod error;
mod event;
mod load;
mod process;
mod qemu;
mod serial;
mod state;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jeju_attestation::launch::{self, LaunchDocument};
use jeju_shim_protocol::fatal::FatalCode;
use jeju_shim_protocol::transport::HostTransport;
use jeju_simulated::{Chip, Silicon};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use accelerator::{Accelerator, AcceleratorChoice};
pub use error::RunError;
pub use event::{Event, EventSink};

use crate::measure::Measured;
use child::Child;
use serial::{SerialLine, Watched};
use state::StateDir;

/// What to launch, and where.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The node.
    pub guest: Guest,
    /// Launch document (TOML).
    pub launch: PathBuf,
    /// Folder for what the launch needs while it lasts; one launch at a time can use it. In process mode the
    /// boundary's Unix sockets lie here.
    pub state: PathBuf,
    /// Folder of the machine's simulated silicon; made when it isn't there.
    pub silicon: PathBuf,
    /// Hears of progress.
    pub events: EventSink,
}

/// What runs the node.
#[derive(Debug, Clone)]
pub enum Guest {
    /// An image folder in QEMU.
    Qemu(QemuGuest),
    /// A binary as an ordinary process.
    Process(ProcessGuest),
}

/// An image and its machine.
#[derive(Debug, Clone)]
pub struct QemuGuest {
    /// Image folder.
    pub image: PathBuf,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// KVM or emulation.
    pub accelerator: AcceleratorChoice,
    /// Load files that aren't those of the manifest. They measure to what they are, so that verifiers refuse them.
    pub allow_modified: bool,
    /// Report the guest's serial line as events.
    pub console: bool,
}

/// A binary, its model, and what it puts into containers.
#[derive(Debug, Clone)]
pub struct ProcessGuest {
    /// `jeju-enclave`, built with the feature `sim`.
    pub enclave: PathBuf,
    /// The model's file.
    pub model: Option<PathBuf>,
    /// `jeju-rental-agent`; without it the node takes no rentals.
    pub agent: Option<PathBuf>,
    /// Report its standard output and error as events.
    pub console: bool,
}

/// A node that was launched. Dropping it ends the node; [`RunningImage::shutdown`] does so in order.
#[derive(Debug)]
pub struct RunningImage {
    parts: Started,
    host_data: [u8; 32],
    events: EventSink,
    // Last: the folder goes when those who use it are gone.
    _state: StateDir,
}

impl RunningImage {
    /// Measures and starts the node. Returns when it runs, long before it is ready.
    ///
    /// # Errors
    /// Any of [`RunError`]; nothing is left running then.
    pub async fn start(config: RunConfig) -> Result<Self, RunError> {
        let launch = read_launch(&config.launch)?;
        let host_data = LaunchDocument::digest(&launch);
        let silicon = Silicon::open_or_create(&config.silicon)?;
        let mut state = StateDir::open(&config.state)?;
        let chip = |measured: &Measured| {
            announce(&config.events, measured, host_data);
            silicon.chip(measured.image_digest, host_data)
        };
        let parts = match &config.guest {
            Guest::Qemu(guest) => qemu::start(guest, &state, &config.events, chip).await?,
            Guest::Process(guest) => process::start(guest, &mut state, &config.events, chip)?,
        };
        let event = Event::Started {
            transport: parts.transport.to_string(),
            pid: parts.node.id(),
        };
        config.events.send(event);
        Ok(Self {
            parts,
            host_data,
            events: config.events,
            _state: state,
        })
    }

    /// How the host shim reaches the node. It can listen there at once, and dial once [`Self::wait_ready`] or
    /// [`Self::wait_end`] has seen that the node is ready.
    pub fn transport(&self) -> &HostTransport {
        &self.parts.transport
    }

    /// Path of [`Self::transport`]: the vsock device's Unix socket (the host connects to it, and listens on
    /// `<path>_<port>`), or in process mode the folder of the sockets `<port>.sock`.
    pub fn vsock_uds(&self) -> &Path {
        match &self.parts.transport {
            HostTransport::Unix(path) | HostTransport::VhostUser(path) => path,
            HostTransport::Vsock { .. } => unreachable!("no launch gives the host's own vsock"),
        }
    }

    /// What was loaded, as simulated silicon signs it.
    pub fn measured(&self) -> Measured {
        self.parts.measured
    }

    /// SHA-256 of the launch document, as simulated silicon signs it.
    pub fn host_data(&self) -> [u8; 32] {
        self.host_data
    }

    /// What runs QEMU's guest; none in process mode.
    pub fn accelerator(&self) -> Option<Accelerator> {
        self.parts.accelerator
    }

    /// Process id of QEMU, or of the node in process mode.
    pub fn pid(&self) -> u32 {
        self.parts.node.id()
    }

    /// Waits until the node serves. Returns the time since it was started.
    ///
    /// # Errors
    /// [`RunError::Fatal`] when it gave up, [`RunError::Ended`] when it ended without a word,
    /// [`RunError::NotReady`] when the time is over; it runs on then.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<Duration, RunError> {
        match timeout(limit, self.next_line())
            .await
            .map_err(|_| RunError::NotReady(limit))??
        {
            Some(SerialLine::Ready) => {
                let elapsed = self.parts.launched.elapsed();
                self.events.send(Event::Ready {
                    milliseconds: elapsed.as_millis() as u64,
                });
                Ok(elapsed)
            }
            Some(SerialLine::Fatal(code)) => Err(self.fatal(code)),
            None => Err(self.ended().await),
        }
    }

    /// Waits until the node ends by itself, which it never does but for a reason.
    pub async fn wait_end(&mut self) -> RunError {
        loop {
            match self.next_line().await {
                Ok(Some(SerialLine::Ready)) => {}
                Ok(Some(SerialLine::Fatal(code))) => return self.fatal(code),
                Ok(None) => return self.ended().await,
                Err(error) => return error,
            }
        }
    }

    /// Ends the node, and removes all that the launch made.
    pub async fn shutdown(mut self) {
        self.parts.node.end().await;
        if let Some(device) = &mut self.parts.device {
            device.end().await;
        }
        let events = self.events.clone();
        drop(self);
        events.send(Event::Stopped);
    }

    /// `None`: the node has ended.
    async fn next_line(&mut self) -> Result<Option<SerialLine>, RunError> {
        let device_ended = async {
            match &mut self.parts.device {
                Some(device) => drop(device.ended().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            line = self.parts.serial.next() => {
                if line == Some(SerialLine::Ready)
                    && let Some(door) = self.parts.door.take()
                {
                    door.open()?;
                }
                Ok(line)
            }
            () = device_ended => Err(RunError::DeviceEnded),
        }
    }

    fn fatal(&self, code: u16) -> RunError {
        let known = FatalCode::from_u16(code);
        let meaning = known
            .map_or("unknown to this version", FatalCode::meaning)
            .to_owned();
        self.events.send(Event::Fatal { code, meaning });
        known.map_or(RunError::UnknownFatal(code), RunError::Fatal)
    }

    async fn ended(&mut self) -> RunError {
        let status = self.parts.node.end().await;
        RunError::Ended {
            status,
            last_words: self.parts.serial.last_words(),
        }
    }
}

/// What a kind of guest hands back once it runs.
#[derive(Debug)]
struct Started {
    node: Child,
    /// The vsock device, in QEMU.
    device: Option<Child>,
    /// Behind which the device can't be dialled yet.
    door: Option<qemu::Door>,
    serial: Watched,
    /// Serves simulated silicon until it is dropped.
    _silicon: JoinSet<()>,
    measured: Measured,
    transport: HostTransport,
    accelerator: Option<Accelerator>,
    launched: Instant,
}

fn announce(events: &EventSink, measured: &Measured, host_data: [u8; 32]) {
    events.send(Event::Measured {
        image_digest: hex::encode(measured.image_digest),
        measurement: measured.measurement.to_string(),
        launch: hex::encode(host_data),
    });
}

/// Reads the launch document once, and refuses early what the node would refuse late.
fn read_launch(path: &Path) -> Result<Vec<u8>, RunError> {
    let bytes = load::read_bounded(path, launch::MAX_LEN as u64)?;
    LaunchDocument::parse(&bytes).map_err(|source| RunError::Launch {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// Serves the chip on the socket that the guest's port 5006 leads to.
fn serve_silicon(socket: &Path, chip: Chip) -> Result<JoinSet<()>, RunError> {
    let listener = UnixListener::bind(socket).map_err(|source| RunError::Io {
        path: socket.to_owned(),
        source,
    })?;
    // Ends with the set.
    let mut tasks = JoinSet::new();
    tasks.spawn(jeju_simulated::serve(chip, listener));
    Ok(tasks)
}
