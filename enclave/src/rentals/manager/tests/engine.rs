//! A container engine as Docker is one: names are taken once, what was asked for is done even if nobody waits for the answer
//! any more, and containers outlive whoever made them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jeju_attestation::launch::rentals::Isolation;

use super::steps::Steps;
use crate::rentals::backend::{
    AgentStream, BackendError, Container, ContainerBackend, ContainerSpec, ContainerState, DiskLimit,
    ExecOutput, Progress, RentalId, Usage,
};

/// An image that no registry has.
pub const MISSING: &str = "missing:latest";

#[derive(Debug, Clone)]
pub struct Made {
    pub container: Container,
    pub spec: ContainerSpec,
    /// Whether agent and script were copied in.
    pub filled: bool,
    pub disk: u64,
}

#[derive(Default)]
pub struct World {
    pub containers: HashMap<RentalId, Made>,
    pub networks: HashSet<RentalId>,
    /// How often a new container of a rental was started.
    pub first_starts: HashMap<RentalId, u32>,
    pub pulls: u32,
    pub down: bool,
    pub quota: bool,
    /// Pulls wait.
    pub slow: bool,
}

pub struct Engine {
    pub world: Arc<Mutex<World>>,
    steps: Arc<Steps>,
}

type Done<T> = Result<T, BackendError>;

impl Engine {
    pub fn new(steps: Arc<Steps>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::default(),
            steps,
        })
    }

    pub fn state(&self, rental: RentalId) -> Option<ContainerState> {
        let world = self.world.lock().unwrap();
        world.containers.get(&rental).map(|made| made.container.state)
    }

    /// Containers and networks.
    pub fn left(&self) -> usize {
        let world = self.world.lock().unwrap();
        world.containers.len() + world.networks.len()
    }

    pub fn change(&self, rental: RentalId, change: impl FnOnce(&mut Made)) {
        change(self.world.lock().unwrap().containers.get_mut(&rental).unwrap());
    }

    /// A request: once it is sent it is carried out, whoever waits.
    async fn request<T: Send + 'static>(
        &self,
        carry_out: impl FnOnce(&mut World) -> Done<T> + Send + 'static,
    ) -> Done<T> {
        self.steps.step().await;
        let world = self.world.clone();
        let sent = tokio::spawn(async move {
            tokio::task::yield_now().await;
            let mut world = world.lock().unwrap();
            match world.down {
                true => Err(BackendError::Unavailable("down".into())),
                false => carry_out(&mut world),
            }
        });
        self.steps.step().await;
        sent.await.unwrap()
    }

    async fn make(&self, spec: ContainerSpec, progress: Progress) -> Done<Container> {
        let id = spec.rental;
        self.request(|world| {
            world.pulls += 1;
            Ok(())
        })
        .await?;
        progress(format!("fetching image {}", spec.image));
        while self.world.lock().unwrap().slow {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        if spec.image == MISSING {
            return Err(BackendError::Image("not found\n".into()));
        }
        progress("making the container".into());
        self.request(move |world| {
            let half_made = |made: &Made| made.container.state == ContainerState::Created;
            if world.containers.get(&id).is_some_and(half_made) {
                world.containers.remove(&id);
            }
            Ok(())
        })
        .await?;
        self.request(move |world| {
            world.networks.insert(id);
            Ok(())
        })
        .await?;
        self.request(move |world| {
            if world.containers.contains_key(&id) {
                return Err(BackendError::Refused("name in use".into()));
            }
            let container = Container {
                rental: id,
                id: hex::encode(&id[..6]),
                image: spec.image.clone(),
                image_digest: format!("sha256:{}", "ab".repeat(32)),
                state: ContainerState::Created,
                resources: spec.resources,
                address: Some(spec.address.clone()),
            };
            let made = Made {
                container,
                spec,
                filled: false,
                disk: 0,
            };
            world.containers.insert(id, made);
            Ok(())
        })
        .await?;
        self.request(move |world| {
            world
                .containers
                .get_mut(&id)
                .ok_or(BackendError::NotFound)?
                .filled = true;
            Ok(())
        })
        .await?;
        self.start(id).await?;
        let world = self.world.lock().unwrap();
        world
            .containers
            .get(&id)
            .map(|made| made.container.clone())
            .ok_or(BackendError::NotFound)
    }
}

impl ContainerBackend for Engine {
    fn isolation(&self) -> Isolation {
        Isolation::Host
    }

    fn disk_limit(&self) -> BoxFuture<'_, Done<DiskLimit>> {
        Box::pin(self.request(|world| {
            Ok(match world.quota {
                true => DiskLimit::Quota,
                false => DiskLimit::Measured,
            })
        }))
    }

    fn list(&self) -> BoxFuture<'_, Done<Vec<Container>>> {
        Box::pin(self.request(|world| {
            let containers = world.containers.values();
            Ok(containers.map(|made| made.container.clone()).collect())
        }))
    }

    fn remains(&self) -> BoxFuture<'_, Done<Vec<RentalId>>> {
        Box::pin(self.request(|world| Ok(world.networks.iter().copied().collect())))
    }

    fn create(&self, spec: ContainerSpec, progress: Progress) -> BoxFuture<'_, Done<Container>> {
        Box::pin(self.make(spec, progress))
    }

    fn start(&self, rental: RentalId) -> BoxFuture<'_, Done<()>> {
        Box::pin(self.request(move |world| {
            let made = world.containers.get_mut(&rental).ok_or(BackendError::NotFound)?;
            assert!(made.filled, "a half-made container was started");
            if made.container.state == ContainerState::Created {
                *world.first_starts.entry(rental).or_default() += 1;
            }
            made.container.state = ContainerState::Running;
            Ok(())
        }))
    }

    fn stop(&self, rental: RentalId) -> BoxFuture<'_, Done<()>> {
        Box::pin(self.request(move |world| {
            let made = world.containers.get_mut(&rental).ok_or(BackendError::NotFound)?;
            made.container.state = ContainerState::Exited { code: 143 };
            Ok(())
        }))
    }

    fn remove(&self, rental: RentalId) -> BoxFuture<'_, Done<()>> {
        Box::pin(async move {
            self.request(move |world| {
                world.containers.remove(&rental);
                Ok(())
            })
            .await?;
            self.request(move |world| {
                world.networks.remove(&rental);
                Ok(())
            })
            .await
        })
    }

    fn usage(&self, rental: RentalId) -> BoxFuture<'_, Done<Usage>> {
        Box::pin(self.request(move |world| {
            let made = world.containers.get(&rental).ok_or(BackendError::NotFound)?;
            Ok(Usage {
                cpu_nanoseconds: 1_000_000,
                memory_bytes: 4096,
                pids: 3,
                disk_bytes: made.disk,
                ..Usage::default()
            })
        }))
    }

    fn logs(&self, rental: RentalId, lines: u32) -> BoxFuture<'_, Done<String>> {
        Box::pin(async move {
            match self.state(rental) {
                Some(_) => Ok(format!("last {lines} lines\n")),
                None => Err(BackendError::NotFound),
            }
        })
    }

    fn exec(&self, rental: RentalId, command: Vec<String>) -> BoxFuture<'_, Done<ExecOutput>> {
        Box::pin(async move {
            if self.state(rental) != Some(ContainerState::Running) {
                return Err(BackendError::NotRunning);
            }
            if command == ["sleep"] {
                std::future::pending::<()>().await;
            }
            Ok(ExecOutput {
                exit_code: 7,
                stdout: Bytes::from(command.join(" ")),
                stderr: Bytes::from_static(b"\xffno"),
                truncated: false,
            })
        })
    }

    fn attach(&self, _: RentalId) -> BoxFuture<'_, Done<Box<dyn AgentStream>>> {
        Box::pin(async { Err(BackendError::NotRunning) })
    }
}
