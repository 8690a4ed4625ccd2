//! Containers on the host's Docker, through the shim's port 5002.
//!
//! ```text
//! DockerBackend ─▶ Request ─▶ filter ─▶ client ──vsock 5002──▶ shim: filter ──▶ dockerd
//!       create: image ─▶ network ─▶ container ─▶ archive with the agent ─▶ start ─▶ the agent speaks
//! ```
//!
//! The host sees and can change all that is in a container, can lie in every answer, and can put a tenant into another
//! container if it lies consistently: that is what `isolation: host` says. What it can't do is make this end send anything
//! but a [`filter`]ed request, hang, grow or panic. An answer that names another container, image or limit than was asked
//! for is an error.

mod attached;
mod client;
mod create;
mod exec;
pub mod filter;
mod frames;
mod image;
mod quota;
mod record;
mod text;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::launch::rentals::Isolation;
use jeju_shim_protocol::docker::answer::{self, ListedContainer, ListedNetwork};
use jeju_shim_protocol::docker::{ContainerName, Request};
use jeju_shim_protocol::transport::GuestTransport;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use self::client::{CallError, Client};
use self::quota::Quota;
use super::backend::{
    AgentStream, BackendError, Container, ContainerBackend, ContainerSpec, ContainerState, DiskLimit,
    ExecOutput, Progress, RentalId, Usage,
};

/// Time for an answer that the engine has at hand.
const ANSWER: Duration = Duration::from_secs(20);
/// Time for a whole list.
const LIST: Duration = Duration::from_secs(60);
/// Time to make a container; some storage drivers copy the image.
const MAKE: Duration = Duration::from_secs(120);
/// Time to start one, and to fill it.
const START: Duration = Duration::from_secs(60);
/// Seconds that a container has to end by itself, and time for the answer.
const STOP_SECONDS: u32 = 10;
const STOP: Duration = Duration::from_secs(40);
/// Time to remove one, and how long another's removal is waited for.
const REMOVE: Duration = Duration::from_secs(120);
/// Time to measure what one has written.
const MEASURE: Duration = Duration::from_secs(60);
/// Pause before something is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// Most containers, or networks, of a list.
const MAX_LISTED: usize = 1024;
/// Most lines of a log; the engine's files hold 4 MB.
const MAX_LINES: u32 = 10_000;
/// Most bytes that come for a log.
const MAX_LOG_STREAM: usize = 16 << 20;

/// Docker on the host, behind the shim.
#[derive(Debug)]
pub struct DockerBackend {
    client: Client,
    /// The node's agent id, which its containers are marked with.
    agent: [u8; 32],
    /// Program of the rental agent: a static executable.
    program: Bytes,
    quota: Quota,
    places: Places,
    /// How long a command may run.
    command_limit: Duration,
}

impl DockerBackend {
    /// The engine behind a transport. `agent` is the node's agent id, `program` the static executable of the rental agent,
    /// which is copied into each container.
    pub fn new(transport: GuestTransport, agent: [u8; 32], program: Bytes) -> Self {
        Self {
            client: Client::new(transport),
            agent,
            program,
            quota: Quota::default(),
            places: Places::default(),
            command_limit: exec::EXEC,
        }
    }

    /// The same where a command runs for so long at most, in whole seconds from one on.
    #[must_use]
    pub fn with_command_limit(self, command_limit: Duration) -> Self {
        Self {
            command_limit,
            ..self
        }
    }

    /// The container of a rental; none where the engine has none.
    async fn find(
        &self,
        name: ContainerName,
    ) -> Result<Option<(Container, answer::Container)>, BackendError> {
        let request = Request::InspectContainer { name, size: false };
        match self.client.read(&request, ANSWER).await {
            Ok(found) => Ok(Some((record::inspected(self.agent, name, &found)?, found))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn list_all(&self) -> Result<Vec<Container>, BackendError> {
        let request = Request::ListContainers { agent: self.agent };
        let listed: Vec<ListedContainer> = self.client.read(&request, ANSWER).await?;
        if listed.len() > MAX_LISTED {
            return Err(CallError::TooLong.into());
        }
        let (mut containers, mut seen) = (Vec::new(), HashSet::new());
        for found in listed.into_iter().filter_map(|found| found.only(self.agent)) {
            let Some(name) = found.name() else { continue };
            if !seen.insert(name) {
                return Err(BackendError::Unavailable(format!("it lists {name} twice")));
            }
            let container = record::listed(self.agent, name, &found)?;
            match container.state {
                // With what code, only this says; it may be gone by now.
                ContainerState::Exited { .. } => {
                    containers.extend(self.find(name).await?.map(|(container, _)| container));
                }
                _ => containers.push(container),
            }
        }
        Ok(containers)
    }

    async fn networks(&self) -> Result<Vec<RentalId>, BackendError> {
        let request = Request::ListNetworks { agent: self.agent };
        let listed: Vec<ListedNetwork> = self.client.read(&request, ANSWER).await?;
        if listed.len() > MAX_LISTED {
            return Err(CallError::TooLong.into());
        }
        let names = listed.iter().filter_map(|network| network.of(self.agent));
        Ok(names.map(|name| name.id()).collect())
    }

    /// Removes container and network, whichever of them are there.
    async fn clear(&self, name: ContainerName) -> Result<(), BackendError> {
        self.gone(&Request::RemoveContainer(name)).await?;
        self.gone(&Request::RemoveNetwork(name)).await
    }

    /// Removes something. Another removal may be under way, or the network's last end still closing.
    async fn gone(&self, request: &Request) -> Result<(), BackendError> {
        let removed = timeout(REMOVE, async {
            let mut tries = 0;
            loop {
                tries += 1;
                match self.client.call(request, REMOVE).await {
                    Ok(()) => return Ok(()),
                    Err(error) if error.is_not_found() => return Ok(()),
                    Err(error) if tries < 100 && (error.is_conflict() || error.is_forbidden()) => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        });
        removed.await.unwrap_or(Err(BackendError::TimedOut))
    }

    async fn usage_of(&self, name: ContainerName) -> Result<Usage, BackendError> {
        let stats: answer::Stats = self.client.read(&Request::Stats(name), ANSWER).await?;
        let request = Request::InspectContainer { name, size: true };
        let measured: answer::Container = self.client.read(&request, MEASURE).await?;
        record::inspected(self.agent, name, &measured)?;
        let sum = |bytes: fn(&answer::NetworkStats) -> u64| {
            stats.networks.values().map(bytes).fold(0, u64::saturating_add)
        };
        Ok(Usage {
            cpu_nanoseconds: stats.cpu_stats.cpu_usage.total_usage,
            memory_bytes: stats.memory_stats.usage,
            pids: stats.pids_stats.current,
            network_received: sum(|network| network.rx_bytes),
            network_sent: sum(|network| network.tx_bytes),
            disk_bytes: measured
                .size_rw
                .ok_or_else(|| BackendError::Unavailable("a container's size is missing".to_owned()))?,
        })
    }

    async fn log_of(&self, name: ContainerName, lines: u32) -> Result<String, BackendError> {
        if lines == 0 {
            return Ok(String::new());
        }
        let tail = lines.min(MAX_LINES);
        let read = timeout(LIST, async {
            let mut answer = self.client.stream(&Request::Logs { name, tail }, ANSWER).await?;
            let (mut frames, mut log, mut total) = (frames::Frames::default(), Vec::new(), 0);
            while let Some(piece) = answer.next().await? {
                total += piece.len();
                if total > MAX_LOG_STREAM {
                    return Err(CallError::TooLong.into());
                }
                frames
                    .feed(&piece, |_, bytes| log.extend_from_slice(bytes))
                    .map_err(|error| BackendError::Unavailable(error.to_string()))?;
                if log.len() > 2 * text::MAX_LOG {
                    log.drain(..log.len() - text::MAX_LOG);
                }
            }
            match frames.is_between() {
                true => Ok(text::log(&log)),
                false => Err(BackendError::Unavailable("a log ends early".to_owned())),
            }
        });
        read.await.unwrap_or(Err(BackendError::TimedOut))
    }
}

impl ContainerBackend for DockerBackend {
    fn isolation(&self) -> Isolation {
        Isolation::Host
    }

    fn disk_limit(&self) -> BoxFuture<'_, Result<DiskLimit, BackendError>> {
        Box::pin(async { self.quota.limit(&self.client).await })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Container>, BackendError>> {
        Box::pin(async {
            timeout(LIST, self.list_all())
                .await
                .unwrap_or(Err(BackendError::TimedOut))
        })
    }

    fn remains(&self) -> BoxFuture<'_, Result<Vec<RentalId>, BackendError>> {
        Box::pin(self.networks())
    }

    fn create(
        &self,
        spec: ContainerSpec,
        progress: Progress,
    ) -> BoxFuture<'_, Result<Container, BackendError>> {
        Box::pin(async move { create::create(self, spec, progress).await })
    }

    fn start(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let _place = self.places.take(rental).await;
            let request = Request::StartContainer(ContainerName::from_id(rental));
            Ok(self.client.call(&request, START).await?)
        })
    }

    fn stop(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let _place = self.places.take(rental).await;
            let request = Request::StopContainer {
                name: ContainerName::from_id(rental),
                seconds: STOP_SECONDS,
            };
            Ok(self.client.call(&request, STOP).await?)
        })
    }

    fn remove(&self, rental: RentalId) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async move {
            let _place = self.places.take(rental).await;
            self.clear(ContainerName::from_id(rental)).await
        })
    }

    fn usage(&self, rental: RentalId) -> BoxFuture<'_, Result<Usage, BackendError>> {
        Box::pin(self.usage_of(ContainerName::from_id(rental)))
    }

    fn logs(&self, rental: RentalId, lines: u32) -> BoxFuture<'_, Result<String, BackendError>> {
        Box::pin(self.log_of(ContainerName::from_id(rental), lines))
    }

    fn exec(
        &self,
        rental: RentalId,
        command: Vec<String>,
    ) -> BoxFuture<'_, Result<ExecOutput, BackendError>> {
        Box::pin(exec::run(
            &self.client,
            ContainerName::from_id(rental),
            command,
            self.command_limit,
        ))
    }

    fn attach(&self, rental: RentalId) -> BoxFuture<'_, Result<Box<dyn AgentStream>, BackendError>> {
        Box::pin(async move {
            let stream = exec::attach(&self.client, ContainerName::from_id(rental)).await?;
            Ok(Box::new(stream) as Box<dyn AgentStream>)
        })
    }
}

/// One change of a rental's container at a time.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<RentalId, Arc<tokio::sync::Mutex<()>>>>);

impl Places {
    async fn take(&self, rental: RentalId) -> OwnedMutexGuard<()> {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            places.retain(|_, place| Arc::strong_count(place) > 1);
            places.entry(rental).or_default().clone()
        };
        place.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rental_has_one_change_at_a_time_and_leaves_no_trace() {
        let places = Places::default();
        let first = places.take([1; 32]).await;
        let _other = places.take([2; 32]).await;
        let waits = timeout(Duration::from_millis(20), places.take([1; 32])).await;
        assert!(waits.is_err());
        drop(first);
        drop(places.take([1; 32]).await);
        let _third = places.take([3; 32]).await;
        assert_eq!(places.0.lock().unwrap().len(), 2);
    }
}
