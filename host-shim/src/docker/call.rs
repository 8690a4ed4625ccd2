//! What becomes of a parsed request: the engine's answer, in the few fields that an enclave needs.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jeju_shim_protocol::docker::answer::{
    self, Container, Created, Exec, Image, Info, ListedContainer, ListedNetwork, Stats,
};
use jeju_shim_protocol::docker::{ContainerSpec, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Docker;
use super::engine::{self, Answer};
use super::failure::Failure;

/// Time for calls that only look.
pub(super) const LOOK_TIME: Duration = Duration::from_secs(30);
/// Time for calls that make or unmake something, or measure a file system.
pub(super) const WORK_TIME: Duration = Duration::from_secs(180);

/// What to answer.
pub(super) enum Reply {
    /// A status and, for most, JSON.
    Whole(StatusCode, Option<Bytes>),
    /// Progress of a pull.
    Progress(Answer),
    /// A container's output.
    Output(Answer),
    /// The engine has given up the connection.
    Upgraded(Answer),
}

/// How long the engine may take until the head of its answer.
fn patience(request: &Request) -> Duration {
    match request {
        Request::StopContainer { seconds, .. } => WORK_TIME + Duration::from_secs((*seconds).into()),
        Request::CreateNetwork(_)
        | Request::RemoveNetwork(_)
        | Request::PullImage(_)
        | Request::CreateContainer(_)
        | Request::StartContainer(_)
        | Request::RemoveContainer(_)
        | Request::InspectContainer { size: true, .. }
        | Request::PutArchive { .. } => WORK_TIME,
        _ => LOOK_TIME,
    }
}

/// Asks the engine.
pub(super) async fn perform(
    socket: &Path,
    request: &Request,
    archive: Option<Bytes>,
    docker: &Docker,
) -> Result<Reply, Failure> {
    let Docker { execs, images, .. } = docker;
    if let Request::StartExec { id } | Request::InspectExec { id } = request
        && !execs.knows(*id)
    {
        return Err(Failure::unknown_exec());
    }
    if let Request::CreateContainer(spec) = request {
        let created = create(socket, request, spec).await?;
        images.used(socket, &spec.image).await;
        return Ok(created);
    }
    if let Request::PullImage(image) = request {
        images.fetches(socket, image).await;
    }
    let upgrade = matches!(request, Request::StartExec { .. });
    let wait = patience(request);
    let answer = engine::send(socket, request.emit(), archive, upgrade, wait).await?;
    let status = answer.response.status();
    match request {
        Request::Info => anew::<Info>(answer, |info| info).await,
        Request::InspectImage(image) => {
            images.is_there(socket, image).await;
            anew::<Image>(answer, |found| found.only(image)).await
        }
        Request::InspectContainer { .. } => anew::<Container>(answer, Container::only).await,
        Request::ListContainers { agent } => {
            let listed: Vec<ListedContainer> = read(answer).await?;
            let own: Vec<_> = listed.into_iter().filter_map(|one| one.only(*agent)).collect();
            json(StatusCode::OK, &own)
        }
        Request::ListNetworks { agent } => {
            let listed: Vec<ListedNetwork> = read(answer).await?;
            let own: Vec<_> = listed.into_iter().filter_map(|one| one.only(*agent)).collect();
            json(StatusCode::OK, &own)
        }
        Request::Stats(_) => anew::<Stats>(answer, |stats| stats).await,
        Request::InspectExec { .. } => anew::<Exec>(answer, |exec| exec).await,
        Request::CreateNetwork(_) => anew::<Created>(answer, |created| created).await,
        Request::CreateExec { .. } => {
            let created: Created = read(answer).await?;
            execs.remember(created.id.parse().map_err(|_| Failure::malformed())?);
            json(StatusCode::CREATED, &created)
        }
        Request::PullImage(_) => Ok(Reply::Progress(answer)),
        Request::Logs { .. } => Ok(Reply::Output(answer)),
        Request::StartExec { .. } if status == StatusCode::SWITCHING_PROTOCOLS => Ok(Reply::Upgraded(answer)),
        Request::StartExec { .. } => Err(Failure::malformed()),
        Request::Ping
        | Request::RemoveNetwork(_)
        | Request::CreateContainer(_)
        | Request::StartContainer(_)
        | Request::StopContainer { .. }
        | Request::KillContainer { .. }
        | Request::RemoveContainer(_)
        | Request::PutArchive { .. } => done(status),
    }
}

/// Creates a container, whose image must not bring volumes: they would be host storage outside every quota.
async fn create(socket: &Path, request: &Request, spec: &ContainerSpec) -> Result<Reply, Failure> {
    let ask =
        async |request: &Request| engine::send(socket, request.emit(), None, false, patience(request)).await;
    let image: Image = read(ask(&Request::InspectImage(spec.image.clone())).await?).await?;
    // Images write a path with a slash behind it or without.
    let kept = |volume: &str| {
        spec.memory_paths
            .iter()
            .any(|path| path == volume.trim_end_matches('/'))
    };
    if !image.config.volumes.keys().all(|volume| kept(volume)) {
        return Err(Failure::image_volumes());
    }
    let created: Created = read(ask(request).await?).await?;
    // A pull may have given the name to another image in the meantime.
    let inspect = Request::InspectContainer {
        name: spec.name,
        size: false,
    };
    let container: Container = read(ask(&inspect).await?).await?;
    if container.image != image.id {
        ask(&Request::RemoveContainer(spec.name)).await?;
        return Err(Failure::image_changed());
    }
    json(StatusCode::CREATED, &created)
}

/// Reads an answer into its type and writes what `only` leaves of it.
async fn anew<T: DeserializeOwned + Serialize>(
    answer: Answer,
    only: impl FnOnce(T) -> T,
) -> Result<Reply, Failure> {
    let status = match answer.response.status() {
        StatusCode::CREATED => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    json(status, &only(read(answer).await?))
}

pub(super) async fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    let body = answer.whole(WORK_TIME).await?;
    answer::read(&body).map_err(|_| Failure::malformed())
}

fn json(status: StatusCode, answer: &impl Serialize) -> Result<Reply, Failure> {
    Ok(Reply::Whole(status, Some(answer::write(answer).into())))
}

/// An answer without body: done, or (304) done before.
fn done(status: StatusCode) -> Result<Reply, Failure> {
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(Reply::Whole(StatusCode::NO_CONTENT, None)),
        StatusCode::NOT_MODIFIED => Ok(Reply::Whole(StatusCode::NOT_MODIFIED, None)),
        _ => Err(Failure::malformed()),
    }
}
