//! What an owner changes: deploy, update, roll back, pause, resume, delete. One change at a time: it is checked, stored, and
//! then seen by all. A change runs to its end even if its client goes away.

use std::sync::Arc;

use http::StatusCode;
use jeju_store::Change;
use jeju_worker_protocol::api::{Deploy, DeployError, from_hex, hex};
use jeju_worker_protocol::{Bundle, Failure, Form, Limits, Load, MAX_BUNDLE, Schedule};
use zeroize::Zeroizing;

use super::super::error::ApiError;
use super::super::identity::random;
use super::super::storage::StorageError;
use super::processes::WorkerKey;
use super::worker::{Content, MAX_VERSIONS, SecretValues, Version, Worker, decode, pieces};
use super::{Effect, LoadWorker, Workers, failure};

/// Events at a time where a worker doesn't say, and at most.
const CONCURRENT: u16 = 10;
const MAX_CONCURRENT: u16 = 100;
/// Least memory of an isolate, in MiB.
const MIN_MEMORY: u32 = 1;

/// Why something isn't changed.
pub(super) enum Refusal {
    /// What the request says.
    Api(ApiError),
    /// What the code does: for its owner alone.
    Code(Failure),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Api(error)
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Refusal::Api(storage_error(error))
    }
}

impl From<DeployError> for Refusal {
    fn from(error: DeployError) -> Self {
        Refusal::Api(ApiError::invalid(
            error.code(),
            error.to_string(),
            Some(error.field()),
        ))
    }
}

/// New code, variables or limits.
struct Draft {
    version: Version,
    content: Content,
}

impl Workers {
    /// Deploys a worker, or a new version of the owner's worker of that name. The flag: whether it is new.
    pub(super) async fn deploy(
        self: &Arc<Self>,
        owner: [u8; 20],
        deploy: Deploy,
    ) -> Result<(Worker, bool), Refusal> {
        deploy.check()?;
        let name = deploy.name.clone().ok_or(DeployError::Name)?;
        let now = self.change_time().await?;
        let fetched = self.fetched(&owner, &deploy).await?;
        let _changing = self.begin(&owner).await?;
        let found = self
            .directory()
            .of_owner(&owner)
            .find(|worker| worker.name == name)
            .cloned();
        if let Some(worker) = found {
            let worker = self.updated(&worker, &deploy, fetched, now).await?;
            return Ok((worker, false));
        }
        self.check_room(&owner)?;
        let bundle = fetched.ok_or_else(|| {
            let message = "name and code are required";
            ApiError::invalid("worker_code_missing", message, Some("code"))
        })?;
        let code_hash = bundle.code_hash();
        let id = self.free_id(&name, &code_hash, &owner)?;
        let mut worker = Worker {
            key: u64::from_be_bytes(random().map_err(|_| StorageError::Random)?),
            id,
            name,
            owner,
            created: now,
            paused: false,
            routes: Vec::new(),
            cron: None,
            cron_since: now,
            active: 0,
            last: 0,
            revision: 0,
            versions: Vec::new(),
            secrets: Vec::new(),
        };
        self.place(&mut worker, &deploy, now)?;
        let draft = self.draft(&worker, &deploy, None, Some(bundle), now)?;
        self.add(&mut worker, draft).await?;
        Ok((worker, true))
    }

    /// Changes a worker.
    pub(super) async fn update(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        deploy: Deploy,
    ) -> Result<Worker, Refusal> {
        deploy.check()?;
        let worker = self.own(&owner, id)?;
        if deploy.name.as_ref().is_some_and(|name| *name != worker.name) {
            let message = "A worker's name can't be changed.";
            return Err(ApiError::invalid("worker_name_invalid", message, Some("name")).into());
        }
        let now = self.change_time().await?;
        let fetched = self.fetched(&owner, &deploy).await?;
        let _changing = self.begin(&owner).await?;
        let worker = self.own(&owner, id)?;
        self.updated(&worker, &deploy, fetched, now).await
    }

    async fn updated(
        self: &Arc<Self>,
        worker: &Worker,
        deploy: &Deploy,
        bundle: Option<Bundle>,
        now: u64,
    ) -> Result<Worker, Refusal> {
        let mut worker = worker.clone();
        self.place(&mut worker, deploy, now)?;
        let runs_differently = bundle.is_some()
            || deploy.env.is_some()
            || deploy.registry_id.is_some()
            || deploy.timeout_ms.is_some()
            || deploy.cpu_ms.is_some()
            || deploy.memory_limit_mb.is_some()
            || deploy.max_concurrent.is_some()
            || deploy.compatibility.is_some();
        if !runs_differently {
            self.store(&worker, Vec::new()).await?;
            return Ok(worker);
        }
        let before = self.content(&worker, worker.active).await?;
        let draft = self.draft(&worker, deploy, Some(before), bundle, now)?;
        self.add(&mut worker, draft).await?;
        Ok(worker)
    }

    /// Lets a version answer that is kept.
    pub(super) async fn roll_back(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        number: u32,
    ) -> Result<Worker, Refusal> {
        let revision = self.next_revision();
        self.edit(owner, id, |worker| {
            if worker.find(number).is_none() {
                let message = format!("Version {number} isn't there: the last {MAX_VERSIONS} are kept.");
                return Err(ApiError::not_found("worker_version_not_found", message));
            }
            worker.active = number;
            worker.revision = revision;
            Ok(())
        })
        .await
    }

    /// Pauses a worker, or lets it answer again.
    pub(super) async fn set_paused(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        paused: bool,
    ) -> Result<Worker, Refusal> {
        let now = self.change_time().await?;
        self.edit(owner, id, |worker| {
            // What was due meanwhile doesn't run.
            if worker.paused && !paused {
                worker.cron_since = now;
            }
            worker.paused = paused;
            Ok(())
        })
        .await
    }

    /// Forgets a worker; whether there was one.
    pub(super) async fn delete(self: &Arc<Self>, owner: [u8; 20], id: &str) -> Result<bool, Refusal> {
        let _changing = self.begin(&owner).await?;
        let Ok(worker) = self.own(&owner, id) else {
            return Ok(false);
        };
        let effect = Effect::Remove(worker.id.clone());
        self.commit(&owner, worker.erase(), effect).await?;
        Ok(true)
    }

    /// Changes the short record alone.
    async fn edit(
        self: &Arc<Self>,
        owner: [u8; 20],
        id: &str,
        change: impl FnOnce(&mut Worker) -> Result<(), ApiError>,
    ) -> Result<Worker, Refusal> {
        let _changing = self.begin(&owner).await?;
        let mut worker = Worker::clone(&*self.own(&owner, id)?);
        change(&mut worker)?;
        self.store(&worker, Vec::new()).await?;
        Ok(worker)
    }

    /// The owner's worker. Somebody else's is as if it weren't there.
    pub(super) fn own(&self, owner: &[u8; 20], id: &str) -> Result<Arc<Worker>, ApiError> {
        let found = self.directory().get(id).cloned();
        found
            .filter(|worker| worker.owner == *owner)
            .ok_or_else(not_found)
    }

    /// Waits for its turn to change something; what was begun before is brought to its end.
    pub(super) async fn begin(&self, owner: &[u8; 20]) -> Result<tokio::sync::MutexGuard<'_, ()>, Refusal> {
        let turn = self.changing.lock().await;
        let shard = self.storage.shard_of(owner);
        if let Some(effect) = self.storage.settle(shard).await? {
            self.apply(effect);
        }
        Ok(turn)
    }

    /// Stores a worker with further changes.
    pub(super) async fn store(&self, worker: &Worker, mut changes: Vec<Change>) -> Result<(), Refusal> {
        changes.push(worker.put()?);
        let effect = Effect::Put(Box::new(worker.clone()));
        self.commit(&worker.owner, changes, effect).await
    }

    async fn commit(&self, owner: &[u8; 20], changes: Vec<Change>, effect: Effect) -> Result<(), Refusal> {
        let shard = self.storage.shard_of(owner);
        let effect = self.storage.commit(shard, changes, effect).await?;
        self.apply(effect);
        Ok(())
    }

    pub(super) async fn change_time(&self) -> Result<u64, ApiError> {
        self.now().await.ok_or_else(|| {
            let message = "The node can't tell the time: it reads no block of the chain.";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "wallet_time_unknown", message).with_retry_after(5)
        })
    }

    fn check_room(&self, owner: &[u8; 20]) -> Result<(), ApiError> {
        let allowed = &self.config.owners;
        if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed.0 == *owner) {
            let message = "The node's launch document doesn't let this account deploy workers.";
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "worker_owner_not_allowed",
                message,
            ));
        }
        let directory = self.directory();
        if directory.len() >= self.config.max as usize {
            let message = format!("The node has {} workers already.", self.config.max);
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "workers_full",
                message,
            ));
        }
        if directory.of_owner(owner).count() >= self.config.max_per_owner as usize {
            let message = format!("An account may have {} workers here.", self.config.max_per_owner);
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "worker_quota_exceeded",
                message,
            ));
        }
        Ok(())
    }

    fn free_id(&self, name: &str, code_hash: &[u8; 32], owner: &[u8; 20]) -> Result<String, ApiError> {
        let directory = self.directory();
        let ids = [false, true].map(|again| Worker::id_of(name, code_hash, owner, again));
        let free = ids.into_iter().find(|id| directory.get(id).is_none());
        free.ok_or_else(|| {
            let message = "The worker's id is taken. Another name gives another one.";
            ApiError::new(StatusCode::CONFLICT, "worker_id_taken", message)
        })
    }

    /// Sets routes and schedule, which belong to the worker and to no version of it.
    fn place(&self, worker: &mut Worker, deploy: &Deploy, now: u64) -> Result<(), ApiError> {
        if let Some(routes) = &deploy.routes {
            self.directory().check_routes(&worker.owner, &worker.id, routes)?;
            worker.routes.clone_from(routes);
        }
        if let Some(cron) = &deploy.cron_schedule {
            let cron = Some(cron.trim()).filter(|cron| !cron.is_empty());
            if let Some(cron) = cron {
                Schedule::parse(cron).map_err(|error| {
                    ApiError::invalid(error.code(), error.to_string(), Some("cronSchedule"))
                })?;
            }
            if worker.cron.as_deref() != cron {
                worker.cron = cron.map(str::to_owned);
                worker.cron_since = now;
            }
        }
        Ok(())
    }

    /// The version that a request asks for: what it doesn't say stays as it was.
    fn draft(
        &self,
        worker: &Worker,
        deploy: &Deploy,
        before: Option<Content>,
        bundle: Option<Bundle>,
        now: u64,
    ) -> Result<Draft, ApiError> {
        let was = worker.version();
        let registry_id = match &deploy.registry_id {
            Some(id) => from_hex(id),
            // Other code isn't the registered one's.
            None if bundle.is_some() => None,
            None => before.as_ref().and_then(|before| before.registry_id),
        };
        let code_url = match bundle {
            Some(_) => deploy.code_url.clone(),
            None => before.as_ref().and_then(|before| before.code_url.clone()),
        };
        let env = match (&deploy.env, &before) {
            (Some(env), _) => env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            (None, Some(before)) => before.env.clone(),
            (None, None) => Vec::new(),
        };
        let bundle = bundle
            .or(before.map(|before| before.bundle))
            .ok_or_else(not_found)?;
        let most = &self.config;
        let timeout_ms = bounded(
            "timeoutMs",
            deploy.timeout_ms,
            was.map(|was| was.timeout_ms),
            most.timeout_ms,
            1..=most.timeout_ms,
        )?;
        let cpu = Limits::default().cpu_ms.min(timeout_ms);
        let cpu_ms = bounded(
            "cpuMs",
            deploy.cpu_ms,
            was.map(|was| was.cpu_ms.min(timeout_ms)),
            cpu,
            1..=most.timeout_ms,
        )?;
        let memory = was.map(|was| was.memory_mb);
        let memory_mb = bounded(
            "memoryLimitMb",
            deploy.memory_limit_mb,
            memory,
            most.memory_mb,
            MIN_MEMORY..=most.memory_mb,
        )?;
        let concurrent = was.map(|was| was.max_concurrent);
        let max_concurrent = bounded(
            "maxConcurrent",
            deploy.max_concurrent,
            concurrent,
            CONCURRENT,
            1..=MAX_CONCURRENT,
        )?;
        let form = deploy
            .compatibility
            .or(was.map(|was| was.form))
            .unwrap_or(Form::Detect);
        let number = worker.last.checked_add(1).ok_or_else(not_found)?;
        Ok(Draft {
            version: Version {
                number,
                code_hash: bundle.code_hash(),
                deployed_at: now,
                pieces: 0,
                timeout_ms,
                cpu_ms,
                memory_mb,
                max_concurrent,
                form,
            },
            content: Content {
                bundle,
                env,
                code_url,
                registry_id,
            },
        })
    }

    /// Loads a version to see whether it can be, and stores it as the one that answers.
    async fn add(self: &Arc<Self>, worker: &mut Worker, draft: Draft) -> Result<(), Refusal> {
        let Draft { mut version, content } = draft;
        worker.active = version.number;
        worker.last = version.number;
        worker.revision = self.next_revision();
        let secrets = self.secret_values(worker).await?;
        let load = load(&version, &content, &secrets);
        let loading: LoadWorker = Box::new(move || Box::pin(std::future::ready(Ok(load.clone()))));
        let checked = self.processes.check(&worker.running(), loading).await;
        checked.map_err(Refusal::Code)?;
        let pieces = pieces(&content)?;
        version.pieces = u8::try_from(pieces.len()).map_err(|_| StorageError::Full)?;
        let names = worker.version_records(&version);
        let mut changes: Vec<_> = names
            .into_iter()
            .zip(pieces)
            .map(|(name, value)| Change::Put { name, value })
            .collect();
        worker.versions.push(version);
        while worker.versions.len() > MAX_VERSIONS {
            // The oldest; the newest, which answers, never is.
            let oldest = worker.versions.remove(0);
            changes.extend(
                worker
                    .version_records(&oldest)
                    .into_iter()
                    .map(|name| Change::Erase { name }),
            );
        }
        self.store(worker, changes).await
    }

    /// The code of a request, whether it comes with it or from elsewhere, with the hash that it must have.
    async fn fetched(&self, owner: &[u8; 20], deploy: &Deploy) -> Result<Option<Bundle>, Refusal> {
        let registered = match deploy.registry_id.as_deref().and_then(from_hex::<32>) {
            Some(id) => Some(self.code.registered(&id).await.map_err(Refusal::Code)?),
            None => None,
        };
        let sent = deploy.bundle()?;
        // Code that isn't sent lies where the request says, or else where the registry says.
        let elsewhere = deploy.code_url.as_deref().or_else(|| {
            let registered = registered.as_ref().filter(|_| sent.is_none());
            registered.and_then(|registered| registered.code_url.as_deref())
        });
        let bundle = match elsewhere {
            None => sent,
            Some(url) => {
                let source = self.code.fetch(owner, url).await.map_err(Refusal::Code)?;
                if source.len() > MAX_BUNDLE {
                    return Err(
                        DeployError::from(jeju_worker_protocol::BundleError::TooLong(source.len())).into(),
                    );
                }
                let language = deploy.language()?;
                Some(Bundle::single(language, source).map_err(DeployError::from)?)
            }
        };
        let found = bundle.as_ref().map(Bundle::code_hash);
        if let (Some(expected), Some(found)) = (&deploy.code_hash, found)
            && from_hex::<32>(expected) != Some(found)
        {
            let message = format!("The code's hash is {}, not {expected}.", hex(&found));
            return Err(ApiError::invalid("code_hash_mismatch", message, Some("codeHash")).into());
        }
        if let Some(registered) = registered
            && (registered.owner != *owner || found != Some(registered.code_hash))
        {
            let message = "The registry has this worker with another owner or other code.";
            return Err(ApiError::invalid("worker_registry_mismatch", message, Some("registryId")).into());
        }
        Ok(bundle)
    }

    /// Code and variables of a version.
    pub(super) async fn content(&self, worker: &Worker, number: u32) -> Result<Content, StorageError> {
        let version = worker.find(number).ok_or(StorageError::Host)?;
        let names = worker.version_records(version);
        let pieces = self
            .storage
            .read(self.storage.shard_of(&worker.owner), &names)
            .await?;
        let whole = Zeroizing::new(
            pieces
                .iter()
                .flat_map(|piece| piece.iter().copied())
                .collect::<Vec<u8>>(),
        );
        decode(&whole).ok_or(StorageError::Host)
    }

    /// The values of a worker's secrets.
    pub(super) async fn secret_values(&self, worker: &Worker) -> Result<SecretValues, StorageError> {
        if worker.secrets.is_empty() {
            return Ok(SecretValues::new());
        }
        let shard = self.storage.shard_of(&worker.owner);
        let record = self.storage.read(shard, &[worker.secrets_record()]).await?;
        let values: Option<Vec<(String, String)>> = record.first().and_then(|record| decode(record));
        let values = values.ok_or(StorageError::Host)?.into_iter();
        Ok(values
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .collect())
    }

    /// What the version that answers is loaded with, read when it is asked for.
    pub(super) fn loading(self: &Arc<Self>, worker: &Arc<Worker>) -> LoadWorker {
        let (workers, worker) = (self.clone(), worker.clone());
        Box::new(move || {
            let (workers, worker) = (workers.clone(), worker.clone());
            Box::pin(async move {
                let failed = |_| Failure::new(failure::STORAGE, "");
                let content = workers.content(&worker, worker.active).await.map_err(failed)?;
                let secrets = workers.secret_values(&worker).await.map_err(failed)?;
                let version = worker
                    .version()
                    .ok_or_else(|| Failure::new(failure::STORAGE, ""))?;
                Ok(load(version, &content, &secrets))
            })
        })
    }
}

impl Worker {
    /// What a process knows it as.
    pub(super) fn running(&self) -> WorkerKey {
        WorkerKey {
            owner: self.owner,
            id: self.id.clone(),
            version: self.revision,
        }
    }
}

/// A secret hides the variable of its name.
fn load(version: &Version, content: &Content, secrets: &SecretValues) -> Load {
    let hidden = |name: &str| secrets.iter().any(|(secret, _)| secret == name);
    let env = content.env.iter().filter(|(name, _)| !hidden(name)).cloned();
    let secrets = secrets
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()));
    Load {
        worker: 0,
        bundle: content.bundle.clone(),
        env: env.chain(secrets).collect(),
        limits: version.limits(),
        form: version.form,
        max_concurrent: version.max_concurrent,
    }
}

fn bounded<T: PartialOrd + Copy + std::fmt::Display>(
    field: &'static str,
    asked: Option<T>,
    was: Option<T>,
    default: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, ApiError> {
    match asked {
        Some(value) if range.contains(&value) => Ok(value),
        Some(_) => {
            let message = format!("{field} is from {} to {} here.", range.start(), range.end());
            Err(ApiError::invalid("worker_limit_invalid", message, Some(field)))
        }
        None => Ok(was.unwrap_or(default)),
    }
}

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("worker_not_found", "Worker not found")
}

pub(super) fn storage_error(error: StorageError) -> ApiError {
    let (code, message) = match error {
        StorageError::Full => ("workers_storage_full", "The host has no room for more."),
        StorageError::Host => (
            failure::STORAGE,
            "The host's store gave no answer, or a wrong one. A change may or may not have been made.",
        ),
        StorageError::Random => ("internal", "The system has no random numbers."),
    };
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(5)
}
