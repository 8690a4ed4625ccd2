//! Where containers run. The manager and the SSH server know containers by this trait alone, so that containers inside the
//! guest can come beside those on the host's Docker.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::launch::rentals::{Isolation, Network};
use tokio::io::{AsyncRead, AsyncWrite};

/// Id of a rental on chain.
pub type RentalId = [u8; 32];

/// Standard input and output of the agent in a container.
pub trait AgentStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> AgentStream for S {}

/// What was rented. Sizes are those of the offer on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Cores.
    pub cpu_cores: u16,
    /// GiB.
    pub memory_gib: u32,
    /// GB.
    pub storage_gb: u32,
    /// Mbit/s; zero: none was rented. SSH sessions keep to it ([`super::pace`]); no backend does.
    pub bandwidth_mbps: u32,
}

/// A container to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Whose it is.
    pub rental: RentalId,
    /// Image reference.
    pub image: String,
    /// Start-up script, run once.
    pub script: Option<Bytes>,
    /// Its limits.
    pub resources: Resources,
    /// Where it may connect to.
    pub network: Network,
    /// Host and port where its tenant is told to log in, `host:port`.
    pub address: String,
}

/// A container as the engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Whose it is.
    pub rental: RentalId,
    /// The engine's id.
    pub id: String,
    /// Image reference that it was made from.
    pub image: String,
    /// The image's digest as the engine says (`sha256:…`).
    pub image_digest: String,
    /// How it is.
    pub state: ContainerState,
    /// The limits that it was made with.
    pub resources: Resources,
    /// Where its tenant was to log in when it was made, `host:port`; none for one that an earlier version made.
    pub address: Option<String>,
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started: what was copied into it may be incomplete.
    Created,
    /// Running.
    Running,
    /// Ended; can be started again.
    Exited {
        /// Status of its first process.
        code: i64,
    },
    /// Being removed, or beyond repair.
    Dead,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of CPU since its start.
    pub cpu_nanoseconds: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Processes.
    pub pids: u64,
    /// Bytes received.
    pub network_received: u64,
    /// Bytes sent.
    pub network_sent: u64,
    /// Bytes that it wrote and keeps.
    pub disk_bytes: u64,
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its status.
    pub exit_code: i64,
    /// What it wrote, cut off at the backend's limit.
    pub stdout: Bytes,
    /// The same of standard error.
    pub stderr: Bytes,
    /// Whether something was cut off.
    pub truncated: bool,
}

/// How the disk's limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskLimit {
    /// The engine's storage refuses what is too much.
    Quota,
    /// It is measured, and a container that has too much is stopped.
    Measured,
}

/// Why the backend didn't do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The engine can't be reached, or doesn't speak its protocol.
    #[error("the container engine can't be asked: {0}")]
    Unavailable(String),
    /// There is no such container.
    #[error("no such container")]
    NotFound,
    /// The container isn't running.
    #[error("the container isn't running")]
    NotRunning,
    /// The image reference can't be had.
    #[error("image: {0}")]
    Image(String),
    /// The engine refuses; the text is its own, cut and made printable.
    #[error("refused by the container engine: {0}")]
    Refused(String),
    /// The agent can't run in this image, or isn't there.
    #[error("the agent does not run in the container: {0}")]
    Agent(String),
    /// It took too long.
    #[error("the container engine did not answer in time")]
    TimedOut,
    /// A command ran for so many seconds and was stopped, with all that it had started.
    #[error("the command didn't end within {0} s and was stopped")]
    Stopped(u64),
}

/// Says how far an image is: free text for the tenant.
pub type Progress = Box<dyn Fn(String) + Send + Sync>;

/// A container engine.
pub trait ContainerBackend: Send + Sync {
    /// Who can look into the containers.
    fn isolation(&self) -> Isolation;

    /// How the disk's limit holds.
    fn disk_limit(&self) -> BoxFuture<'_, Result<DiskLimit, BackendError>>;

    /// All containers of this node, however they are.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Container>, BackendError>>;

    /// Rentals of this node that have something else than a container, such as a network: where a removal was broken off, or a
    /// creation, that is all that is left.
    fn remains(&self) -> BoxFuture<'_, Result<Vec<RentalId>, BackendError>>;

    /// Fetches the image where it isn't there, makes the container and what it needs, and starts it. What a former try left
    /// half done is removed before. There is never a second container of a rental.
    fn create(
        &self,
        spec: ContainerSpec,
        progress: Progress,
    ) -> BoxFuture<'_, Result<Container, BackendError>>;

    /// Starts a container that has ended.
    fn start(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Stops a container and keeps it.
    fn stop(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>>;

    /// Removes a container and all that was made for it; done already is no error.
    fn remove(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>>;

    /// What a container uses.
    fn usage(&self, rental: RentalId) -> BoxFuture<'_, Result<Usage, BackendError>>;

    /// The last `lines` of a container's log, as text, at most 1 MiB.
    fn logs(&self, rental: RentalId, lines: u32) -> BoxFuture<'_, Result<String, BackendError>>;

    /// Runs a command in a container to its end, or to the backend's limit: then all of it is ended.
    fn exec(&self, rental: RentalId, command: Vec<String>)
    -> BoxFuture<'_, Result<ExecOutput, BackendError>>;

    /// Starts the agent in a container; the stream is its standard input and output.
    fn attach(&self, rental: RentalId) -> BoxFuture<'_, Result<Box<dyn AgentStream>, BackendError>>;
}
