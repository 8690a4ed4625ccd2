//! Routes of 4020. Requests to workers are anybody's; all else is the owner's, whose wallet signs it.

mod follow;

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use jeju_worker_protocol::api::{
    Config, Cron, CronRun, DIRECT, Deploy, Deployed, Execution, Health, MetricsDocument, ROUTES, Rollback,
    SealedSecret, SecretName, Secrets, Success, Version, Versions, WORKERS, WorkerDocument, WorkerEntry,
    WorkerList, hex,
};
use jeju_worker_protocol::{Failure, FetchEvent, ScheduledEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::Node;
use super::super::api::{get, post, well_known};
use super::super::error::ApiError;
use super::super::exchange::{Answer, Call};
use super::super::listener::Connection;
use super::change::{Refusal, not_found};
use super::worker::Worker;
use super::{Workers, failure, fields};

/// Lines of a log where none are asked for, and at most.
const LINES: usize = 100;
const MAX_LINES: usize = 1000;

/// Finds the handler and lets it answer.
pub(in crate::front) async fn route(
    node: &Arc<Node>,
    connection: &Connection,
    call: Call,
) -> Result<Answer, ApiError> {
    let workers = node
        .workers
        .as_ref()
        .ok_or_else(|| ApiError::unknown_url(&call.method))?;
    let below = |prefix: &str| {
        let rest = call.path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    if call.path == "/health" {
        get(&call)?;
        return document(&Health {
            status: "ok".to_owned(),
            workers: workers.directory().len() as u64,
            storage: workers.storage.persistence().as_str().to_owned(),
        });
    }
    if let Some(path) = below(ROUTES) {
        return workers.by_route(&path, &call).await;
    }
    if let Some(rest) = below(DIRECT) {
        let id = rest.trim_start_matches('/').split('/').next().unwrap_or_default();
        let worker = workers.active(id)?;
        return workers.answer(&worker, event(&call)).await;
    }
    match below(WORKERS) {
        Some(rest) => workers.manage(node, &rest, call).await,
        None => well_known(node, connection, &call).await,
    }
}

impl Workers {
    async fn by_route(self: &Arc<Self>, path: &str, call: &Call) -> Result<Answer, ApiError> {
        let path = if path.is_empty() { "/" } else { path };
        if path.split('/').any(is_dots) {
            let message = "The path has a part . or .., which a worker would read differently.";
            return Err(ApiError::invalid("worker_path_invalid", message, None));
        }
        let found = self.directory().find(path).cloned();
        let worker = found.ok_or_else(|| {
            let message = format!("No worker found for route: {path}");
            ApiError::not_found("worker_route_not_found", message)
        })?;
        let worker = is_active(worker)?;
        self.answer(&worker, event(call)).await
    }

    fn active(&self, id: &str) -> Result<Arc<Worker>, ApiError> {
        let worker = self.directory().get(id).cloned();
        is_active(worker.ok_or_else(not_found)?)
    }

    /// What stands under `/api/v1/workers`.
    async fn manage(self: &Arc<Self>, node: &Arc<Node>, rest: &str, call: Call) -> Result<Answer, ApiError> {
        let account = node.wallets.account(&call).await?;
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        if let [id, "invoke"] = parts[..] {
            post(&call)?;
            let worker = self.active(id)?;
            let owner = account == Some(worker.owner);
            return self.invoke(&worker, event(&call), owner).await;
        }
        let owner = account.ok_or_else(|| {
            let message = "This is for the worker's owner, whose wallet signs the request.";
            ApiError::new(StatusCode::UNAUTHORIZED, "wallet_signature_missing", message)
        })?;
        let method = call.method.as_str();
        let workers = self.clone();
        match (method, &parts[..]) {
            ("GET" | "HEAD", [] | [""]) => self.list(&owner),
            ("POST", [] | [""]) => {
                let deploy: Deploy = body(&call)?;
                let done = finish(async move { workers.deploy(owner, deploy).await }).await?;
                changed(done, |(worker, new)| {
                    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
                    deployed(&worker, status)
                })
            }
            ("GET" | "HEAD", [id]) => self.show(&owner, id).await,
            ("PUT", [id]) => {
                let (id, deploy): (_, Deploy) = ((*id).to_owned(), body(&call)?);
                let done = finish(async move { workers.update(owner, &id, deploy).await }).await?;
                changed(done, |worker| deployed(&worker, StatusCode::OK))
            }
            ("DELETE", [id]) => {
                let id = (*id).to_owned();
                let done = finish(async move { workers.delete(owner, &id).await }).await?;
                changed(done, |_| success())
            }
            ("POST", [id, what @ ("pause" | "resume")]) => {
                let (id, paused) = ((*id).to_owned(), *what == "pause");
                let done = finish(async move { workers.set_paused(owner, &id, paused).await }).await?;
                changed(done, |_| success())
            }
            ("POST", [id, "rollback"]) => {
                self.own(&owner, id)?;
                let (id, Rollback { version }) = ((*id).to_owned(), body(&call)?);
                let done = finish(async move { workers.roll_back(owner, &id, version).await }).await?;
                changed(done, |worker| deployed(&worker, StatusCode::OK))
            }
            ("GET" | "HEAD", [id, "versions"]) => document(&versions(&*self.own(&owner, id)?)),
            ("GET" | "HEAD", [id, "secrets"]) => document(&secrets(&*self.own(&owner, id)?)),
            ("PUT", [id, "secrets", name]) => {
                // Others' workers are none, whatever is sent for them.
                self.own(&owner, id)?;
                let (id, name) = ((*id).to_owned(), (*name).to_owned());
                let sealed: SealedSecret = body(&call)?;
                let done =
                    finish(async move { workers.set_secret(owner, &id, &name, &sealed).await }).await?;
                changed(done, |()| success())
            }
            ("DELETE", [id, "secrets", name]) => {
                let (id, name) = ((*id).to_owned(), (*name).to_owned());
                let done = finish(async move { workers.delete_secret(owner, &id, &name).await }).await?;
                changed(done, |_| success())
            }
            ("GET" | "HEAD", [id, "metrics"]) => {
                let metrics = self.metrics.read(&self.own(&owner, id)?.id);
                document(&MetricsDocument { metrics })
            }
            ("GET" | "HEAD", [id, "logs"]) => self.logs(&owner, id, &call.query),
            ("GET" | "HEAD", [id, "cron"]) => self.cron(&owner, id).await,
            ("POST", [id, "cron"]) => self.run_cron(&owner, id).await,
            (_, known) => Err(wrong_method(known).unwrap_or_else(|| ApiError::unknown_url(&call.method))),
        }
    }

    fn list(&self, owner: &[u8; 20]) -> Result<Answer, ApiError> {
        let workers = self
            .directory()
            .of_owner(owner)
            .map(|worker| worker.listed())
            .collect();
        document(&WorkerList { workers })
    }

    async fn show(&self, owner: &[u8; 20], id: &str) -> Result<Answer, ApiError> {
        let worker = self.own(owner, id)?;
        let version = worker.version().ok_or_else(not_found)?;
        let content = self
            .content(&worker, worker.active)
            .await
            .map_err(super::change::storage_error)?;
        let bundle = content.bundle;
        let main = bundle.modules.iter().find(|module| module.name == bundle.main);
        let main = main.ok_or_else(not_found)?;
        let modules = bundle
            .modules
            .iter()
            .map(|module| (module.name.clone(), module.source.clone()));
        let config = Config {
            name: worker.name.clone(),
            code: main.source.clone(),
            runtime: main.language.name().to_owned(),
            entrypoint: bundle.main.clone(),
            modules: (bundle.modules.len() > 1).then(|| modules.collect()),
            env: content.env.into_iter().collect(),
            secrets: worker.secrets.iter().map(|(name, _)| name.clone()).collect(),
            routes: worker.routes.clone(),
            cron_schedule: worker.cron.clone(),
            timeout_ms: version.timeout_ms,
            cpu_ms: version.cpu_ms,
            memory_limit_mb: version.memory_mb,
            max_concurrent: version.max_concurrent,
            compatibility: version.form,
            code_url: content.code_url,
            registry_id: content.registry_id.map(|id| hex(&id)),
        };
        document(&WorkerDocument {
            worker: WorkerEntry {
                config,
                deployment: worker.deployment(),
            },
            metrics: self.metrics.read(&worker.id),
        })
    }

    fn logs(self: &Arc<Self>, owner: &[u8; 20], id: &str, query: &str) -> Result<Answer, ApiError> {
        let worker = self.own(owner, id)?;
        let query = LogQuery::parse(query).ok_or_else(|| {
            let message = format!(
                "The query is since=NUMBER, limit=NUMBER (1 to {MAX_LINES}), follow=true, each at most once."
            );
            ApiError::invalid("worker_log_query_invalid", message, None)
        })?;
        match query.follow {
            true => self.follow(worker, query.since),
            false => document(&self.logs.read(&worker.id, query.since, query.limit)),
        }
    }

    async fn cron(&self, owner: &[u8; 20], id: &str) -> Result<Answer, ApiError> {
        let worker = self.own(owner, id)?;
        let schedule = worker
            .cron
            .as_deref()
            .and_then(|cron| jeju_worker_protocol::Schedule::parse(cron).ok());
        let schedule = schedule.filter(|_| !worker.paused);
        let now = self.now().await;
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        document(&Cron {
            cron_schedule: worker.cron.clone(),
            next: schedule
                .zip(now)
                .and_then(|(schedule, now)| schedule.next_after(now)),
            last: runs.get(&worker.id).cloned(),
        })
    }

    async fn run_cron(self: &Arc<Self>, owner: &[u8; 20], id: &str) -> Result<Answer, ApiError> {
        let worker = self.own(owner, id)?;
        let event = ScheduledEvent {
            cron: worker.cron.clone().unwrap_or_default(),
            scheduled_time_ms: self.change_time().await?,
        };
        let execution = self.invoke_scheduled(&worker, event, true).await;
        document(&Ran { execution })
    }

    /// Remembers a scheduled run.
    pub(super) fn ran(&self, worker: &Worker, scheduled_time: u64, started_at: u64, execution: &Execution) {
        if self.directory().get(&worker.id).is_none() {
            return;
        }
        let run = CronRun {
            scheduled_time,
            started_at,
            execution_id: execution.execution_id.clone(),
            code: execution.code.clone(),
        };
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.insert(worker.id.clone(), run);
    }
}

#[derive(Serialize)]
struct Ran {
    #[serde(rename = "_execution")]
    execution: Execution,
}

struct LogQuery {
    since: Option<u64>,
    limit: usize,
    follow: bool,
}

impl LogQuery {
    fn parse(query: &str) -> Option<Self> {
        let mut parsed = Self {
            since: None,
            limit: LINES,
            follow: false,
        };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match name {
                "since" => parsed.since = Some(value.parse().ok()?),
                "limit" => {
                    parsed.limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MAX_LINES).contains(limit))?
                }
                "follow" => parsed.follow = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(parsed)
    }
}

/// Lets a change come to its end, whether or not somebody waits for it.
async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<Result<T, Failure>, ApiError> {
    let done = tokio::spawn(change).await.map_err(|_| {
        let message = "The change couldn't be made.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Refusal::Code(failure)) => Ok(Err(failure)),
        Err(Refusal::Api(error)) => Err(error),
    }
}

/// The answer to a change; code that can't be loaded answers its owner with what is wrong with it.
fn changed<T>(
    done: Result<T, Failure>,
    answer: impl FnOnce(T) -> Result<Answer, ApiError>,
) -> Result<Answer, ApiError> {
    match done {
        Ok(done) => answer(done),
        Err(failure) => {
            let known = failure::of(&failure);
            // Whatever goes wrong with code that isn't deployed yet is wrong with the request.
            let status = match known.status {
                StatusCode::INTERNAL_SERVER_ERROR => StatusCode::BAD_REQUEST,
                status => status,
            };
            Ok(with_status(failure::body(&failure, true), status))
        }
    }
}

fn versions(worker: &Worker) -> Versions {
    let versions = worker.versions.iter().rev().map(|version| Version {
        version: version.number,
        code_hash: hex(&version.code_hash),
        deployed_at: version.deployed_at,
        active: version.number == worker.active,
    });
    Versions {
        versions: versions.collect(),
    }
}

fn secrets(worker: &Worker) -> Secrets {
    let secrets = worker.secrets.iter().map(|(name, updated_at)| SecretName {
        name: name.clone(),
        updated_at: *updated_at,
    });
    Secrets {
        secrets: secrets.collect(),
    }
}

fn deployed(worker: &Worker, status: StatusCode) -> Result<Answer, ApiError> {
    let deployment = worker.deployment();
    Ok(with_status(json(&Deployed { deployment })?, status))
}

fn success() -> Result<Answer, ApiError> {
    document(&Success { success: true })
}

fn document(document: &impl Serialize) -> Result<Answer, ApiError> {
    Ok(with_status(json(document)?, StatusCode::OK))
}

fn json(document: &impl Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(document).map(Bytes::from).map_err(|_| {
        let message = "The answer couldn't be written.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })
}

fn with_status(body: Bytes, status: StatusCode) -> Answer {
    match Answer::bytes("application/json", body) {
        Answer::Whole {
            content_type,
            cache_control,
            body,
            allow,
            ..
        } => Answer::Whole {
            status,
            content_type,
            cache_control,
            body,
            retry_after: matches!(status.as_u16(), 429 | 503).then_some(1),
            allow,
        },
        other => other,
    }
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    serde_json::from_slice(&call.body).map_err(|error| {
        // The place alone: serde quotes what it found.
        let (line, column) = (error.line(), error.column());
        let message =
            format!("The body isn't the JSON document that belongs here (line {line}, column {column}).");
        ApiError::invalid("body_invalid", message, None)
    })
}

/// The request as the worker gets it.
fn event(call: &Call) -> FetchEvent {
    FetchEvent {
        method: call.method.as_str().to_owned(),
        url: fields::url(&call.headers, &call.path, &call.query),
        headers: fields::of_request(&call.headers),
        body: (!call.body.is_empty()).then(|| call.body.to_vec()),
    }
}

fn is_active(worker: Arc<Worker>) -> Result<Arc<Worker>, ApiError> {
    match worker.paused {
        false => Ok(worker),
        true => {
            let message = format!("Worker {} is not active", worker.id);
            Err(ApiError::not_found("worker_not_active", message))
        }
    }
}

/// `.` or `..`, also percent-encoded.
fn is_dots(part: &str) -> bool {
    let plain = part.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "." | "..")
}

/// For a path that is there, but not for the method.
fn wrong_method(parts: &[&str]) -> Option<ApiError> {
    let allowed = match parts {
        [] | [""] => "GET, POST",
        [_] => "GET, PUT, DELETE",
        [_, "pause" | "resume" | "rollback"] => "POST",
        [_, "versions" | "secrets" | "metrics" | "logs"] => "GET",
        [_, "secrets", _] => "PUT, DELETE",
        [_, "cron"] => "GET, POST",
        _ => return None,
    };
    Some(ApiError::method_not_allowed(allowed))
}
