//! The agent in the rental's container: one for each SSH connection, from its first channel on.

use std::sync::Arc;
use std::time::Duration;

use jeju_agent_protocol::{Agent, Channel, Open, OpenError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::rentals::backend::{BackendError, ContainerBackend, RentalId};

/// Time for the container engine to start the agent.
const ATTACH_TIME: Duration = Duration::from_secs(30);

/// Why a channel has nobody on its other side.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("the container can't be reached: {0}")]
    Backend(#[from] BackendError),
    #[error("{}", .0.message)]
    Refused(#[from] OpenError),
}

/// Reaches the agent.
pub(super) struct Attach {
    backend: Arc<dyn ContainerBackend>,
    rental: RentalId,
    attached: Mutex<Option<Attached>>,
}

struct Attached {
    agent: Agent,
    driver: Task,
}

impl Attach {
    pub(super) fn new(backend: Arc<dyn ContainerBackend>, rental: RentalId) -> Self {
        Self {
            backend,
            rental,
            attached: Mutex::new(None),
        }
    }

    /// Opens a channel. An agent that is gone, as after the container's restart, is started again. One that goes meanwhile is
    /// not: what was asked for may have been done.
    pub(super) async fn open(&self, request: Open) -> Result<Channel, Unreachable> {
        let agent = self.agent().await?;
        Ok(agent.open(request).await?)
    }

    async fn agent(&self) -> Result<Agent, BackendError> {
        let mut attached = self.attached.lock().await;
        if let Some(attached) = attached
            .as_ref()
            .filter(|attached| !attached.driver.is_finished())
        {
            return Ok(attached.agent.clone());
        }
        let stream = timeout(ATTACH_TIME, self.backend.attach(self.rental))
            .await
            .map_err(|_| BackendError::TimedOut)??;
        let (agent, driver) = Agent::connect(stream);
        let driver = Task::spawn(async move {
            // However it ends, its channels say so.
            let _ = driver.await;
        });
        *attached = Some(Attached {
            agent: agent.clone(),
            driver,
        });
        Ok(agent)
    }
}

/// A task that ends when this is dropped.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
