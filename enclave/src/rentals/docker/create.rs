//! Makes a rental's container: all of it, or nothing.

use std::time::Duration;

use bytes::Bytes;
use jeju_attestation::launch::rentals;
use jeju_shim_protocol::docker::answer::{self, Created};
use jeju_shim_protocol::docker::archive::{self, Entry};
use jeju_shim_protocol::docker::{
    AGENT_PATH, ContainerName, ContainerSpec as Asked, ImageReference, Network, NetworkSpec, Request,
};
use tokio::time::timeout;

use super::client::CallError;
use super::image::{self, Image};
use super::{AGAIN, ANSWER, DockerBackend, MAKE, START, exec, record};
use crate::rentals::backend::{BackendError, Container, ContainerSpec, ContainerState, Progress, Resources};

/// Processes and threads of a container.
const PIDS: u32 = 4096;
const NANO: u64 = 1_000_000_000;
const GIB: u64 = 1 << 30;
const GB: u64 = 1_000_000_000;
/// How often a name that is taken is tried again.
const TRIES: usize = 100;
/// Time for all of it, once the image is there.
const WHOLE: Duration = Duration::from_secs(600);
/// Time to take away what couldn't be finished.
const CLEAR: Duration = Duration::from_secs(60);

pub(super) async fn create(
    backend: &DockerBackend,
    spec: ContainerSpec,
    progress: Progress,
) -> Result<Container, BackendError> {
    let image: ImageReference = spec
        .image
        .parse()
        .map_err(|refusal: jeju_shim_protocol::docker::Refusal| BackendError::Image(refusal.message))?;
    let making = Making {
        backend,
        name: ContainerName::from_id(spec.rental),
        reference: image,
        resources: spec.resources,
        address: spec.address,
        network: match spec.network {
            rentals::Network::None => Network::None,
            rentals::Network::Open => Network::Own,
        },
    };
    let archive = archive(&backend.program, spec.script.as_ref())?;
    // Before the image, which may take an hour, and again behind it: there is never a second container.
    if let Some(there) = making.whole().await? {
        return Ok(there);
    }
    let image = image::have(&backend.client, &making.reference, &progress).await?;
    let _place = backend.places.take(spec.rental).await;
    progress("making the container".to_owned());
    timeout(WHOLE, making.settle(&image, &archive))
        .await
        .unwrap_or(Err(BackendError::TimedOut))
}

struct Making<'a> {
    backend: &'a DockerBackend,
    name: ContainerName,
    reference: ImageReference,
    resources: Resources,
    address: String,
    network: Network,
}

/// Why it wasn't made.
enum Failed {
    /// The name is in use: a call of a former try, whose caller is gone, may still be under way in the engine.
    Taken,
    /// A step failed, and something of ours may be left.
    Step(BackendError),
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Step(error)
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        match error.is_conflict() {
            true => Self::Taken,
            false => Self::Step(error.into()),
        }
    }
}

impl Making<'_> {
    /// Makes the container, after what former tries have left is gone.
    async fn settle(&self, image: &Image, archive: &Bytes) -> Result<Container, BackendError> {
        for _ in 0..TRIES {
            if let Some(there) = self.whole().await? {
                return Ok(there);
            }
            self.backend.clear(self.name).await?;
            match self.make(image, archive.clone()).await {
                Ok(made) => return Ok(made),
                Err(Failed::Taken) => tokio::time::sleep(AGAIN).await,
                Err(Failed::Step(why)) => {
                    // What is still there then, the next try finds half made and removes.
                    let _ = timeout(CLEAR, self.backend.clear(self.name)).await;
                    return Err(why);
                }
            }
        }
        Err(BackendError::Refused(
            "its name is taken by what the engine neither shows nor removes".to_owned(),
        ))
    }

    /// The container that is there already, unless it was never started: then it may be incomplete.
    async fn whole(&self) -> Result<Option<Container>, BackendError> {
        let Some((there, _)) = self.backend.find(self.name).await? else {
            return Ok(None);
        };
        if there.state == ContainerState::Created {
            return Ok(None);
        }
        match there.resources == self.resources && there.image == self.reference.to_string() {
            true => Ok(Some(there)),
            false => Err(BackendError::Refused(
                "the rental has a container with another image or other limits".to_owned(),
            )),
        }
    }

    async fn make(&self, image: &Image, archive: Bytes) -> Result<Container, Failed> {
        let client = &self.backend.client;
        if self.network == Network::Own {
            let spec = NetworkSpec {
                name: self.name,
                agent: self.backend.agent,
                internal: false,
            };
            client.call(&Request::CreateNetwork(spec), ANSWER).await?;
        }
        let asked = self.create(image).await?;
        let (made, found) = self.look().await?;
        self.compare(&asked, image, &made, &found)?;
        let put = client.put(self.name, archive, START).await;
        put.map_err(BackendError::from)?;
        client
            .call(&Request::StartContainer(self.name), START)
            .await
            .map_err(not_started)?;
        // An engine says that a program was started before it knows whether it runs.
        let spoken = exec::attach(client, self.name).await;
        let (started, found) = self.look().await?;
        match (started.state, spoken) {
            (ContainerState::Running, Ok(_)) if started.id == made.id => Ok(started),
            (ContainerState::Running, Ok(_)) => Err(changed("it became another container").into()),
            (ContainerState::Running, Err(error)) => Err(error.into()),
            _ => Err(
                BackendError::Agent(format!("it ended at once with status {}", found.state.exit_code)).into(),
            ),
        }
    }

    /// Creates the container, with a quota where there may be one.
    async fn create(&self, image: &Image) -> Result<Asked, Failed> {
        let Resources {
            cpu_cores,
            memory_gib,
            storage_gb,
            ..
        } = self.resources;
        let quota = self.backend.quota.may_hold(&self.backend.client).await?;
        let mut asked = Asked {
            name: self.name,
            agent: self.backend.agent,
            image: self.reference.clone(),
            command: image.command.clone(),
            labels: record::labels(&self.reference, &self.resources, &self.address),
            memory: u64::from(memory_gib) * GIB,
            nano_cpus: u64::from(cpu_cores) * NANO,
            pids: PIDS,
            network: self.network,
            storage: quota.then_some(u64::from(storage_gb) * GB),
            memory_paths: image.volumes.clone(),
        };
        loop {
            let request = Request::CreateContainer(Box::new(asked.clone()));
            match self.backend.client.read::<Created>(&request, MAKE).await {
                Ok(_) => {
                    if asked.storage.is_some() {
                        self.backend.quota.held();
                    }
                    return Ok(asked);
                }
                Err(CallError::Failed { failure, .. })
                    if asked.storage.is_some() && failure.message.contains("storage-opt") =>
                {
                    self.backend.quota.refused();
                    asked.storage = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn look(&self) -> Result<(Container, answer::Container), BackendError> {
        let found = self.backend.find(self.name).await?;
        found.ok_or_else(|| changed("it is gone"))
    }

    /// Whether what was made is what was asked for: engines leave out limits that their kernel doesn't have.
    fn compare(
        &self,
        asked: &Asked,
        image: &Image,
        made: &Container,
        found: &answer::Container,
    ) -> Result<(), BackendError> {
        let limits = &found.host_config;
        let network = match self.network {
            Network::None => "none".to_owned(),
            Network::Own => self.name.to_string(),
        };
        let quota = asked.storage.map(|bytes| bytes.to_string());
        let agrees = [
            ("image", made.image_digest == image.id),
            ("image reference", made.image == self.reference.to_string()),
            ("label", made.resources == self.resources),
            ("state", made.state == ContainerState::Created),
            ("memory limit", limits.memory == asked.memory),
            ("CPU limit", limits.nano_cpus == asked.nano_cpus),
            ("limit of processes", limits.pids_limit == i64::from(asked.pids)),
            ("network", limits.network_mode == network),
            ("disk quota", quota.as_ref() == limits.storage_opt.get("size")),
        ];
        match agrees.iter().find(|(_, agrees)| !agrees) {
            None => Ok(()),
            Some((what, _)) => Err(BackendError::Refused(format!(
                "the container that it made has another {what} than was asked for"
            ))),
        }
    }
}

fn changed(what: &str) -> BackendError {
    BackendError::Unavailable(format!("while the container was made, {what}"))
}

/// What starts first is the agent, so that is what most often can't.
fn not_started(error: CallError) -> BackendError {
    match error {
        CallError::Failed { failure, .. } if failure.message.contains(AGENT_PATH) => {
            BackendError::Agent(failure.message)
        }
        other => other.into(),
    }
}

/// What a container gets beside its image.
fn archive(program: &[u8], script: Option<&Bytes>) -> Result<Bytes, BackendError> {
    let directory = |path, mode| Entry {
        path,
        mode,
        content: None,
    };
    let mut entries = vec![
        directory(".jeju", 0o755),
        Entry {
            path: ".jeju/agent",
            mode: 0o755,
            content: Some(program),
        },
        directory(".jeju/state", 0o700),
    ];
    entries.extend(script.map(|script| Entry {
        path: ".jeju/script",
        mode: 0o700,
        content: Some(script),
    }));
    archive::encode(&entries)
        .map(Bytes::from)
        .map_err(|refusal| BackendError::Refused(refusal.message))
}
