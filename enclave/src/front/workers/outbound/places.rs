//! Room for fetches: of all workers, of one owner, of one worker. Who finds none waits for its turn, first come, first
//! served; what an owner waits for takes no turn from another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jeju_worker_broker::CallContext;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use super::connection::Idle;

type Account = [u8; 20];

/// All room there is.
pub(super) struct Places {
    total: Arc<Semaphore>,
    owners: Mutex<HashMap<Account, Arc<Owner>>>,
    idle: Arc<Semaphore>,
    limits: Limits,
}

/// What an owner's workers share.
pub(super) struct Owner {
    pub(super) idle: Idle,
    places: Arc<Semaphore>,
    workers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Room for one fetch, until it is dropped.
pub(super) struct Place {
    pub(super) owner: Arc<Owner>,
    _permits: [OwnedSemaphorePermit; 3],
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            total: Arc::new(Semaphore::new(limits.total)),
            owners: Mutex::default(),
            idle: Arc::new(Semaphore::new(limits.idle)),
            limits,
        }
    }

    /// Waits for room. The worker's own comes first, so that whoever waits for others' holds none of them.
    pub(super) async fn take(&self, context: &CallContext) -> Place {
        let owner = self.owner(context.owner);
        let worker = owner.worker(&context.worker, self.limits.per_worker);
        let permits = [
            permit(worker).await,
            permit(owner.places.clone()).await,
            permit(self.total.clone()).await,
        ];
        Place {
            owner,
            _permits: permits,
        }
    }

    fn owner(&self, account: Account) -> Arc<Owner> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = owners.entry(account).or_insert_with(|| {
            Arc::new(Owner {
                idle: Idle::new(self.idle.clone(), self.limits.keep),
                places: Arc::new(Semaphore::new(self.limits.per_owner)),
                workers: Mutex::default(),
            })
        });
        owner.clone()
    }

    /// Lets go of connections that have waited for too long, and of owners that have none and do nothing.
    pub(super) fn sweep(&self) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, owner| owner.idle.sweep() || Arc::strong_count(owner) > 1);
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Owner {
    fn worker(&self, id: &str, places: usize) -> Arc<Semaphore> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|_, worker| worker.strong_count() > 0);
        if let Some(worker) = workers.get(id).and_then(Weak::upgrade) {
            return worker;
        }
        let worker = Arc::new(Semaphore::new(places));
        workers.insert(id.to_owned(), Arc::downgrade(&worker));
        worker
    }
}

async fn permit(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("it is never closed")
}
