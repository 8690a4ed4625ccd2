use super::exec::{START, check_start};
use super::name::digits;
use super::{
    API_VERSION, ContainerName, ContainerSpec, ExecId, ExecSpec, ImageReference, MAX_BODY, MAX_TARGET,
    NetworkSpec, Refusal, archive,
};

const JSON: &str = "application/json";
const TAR: &str = "application/x-tar";

/// A call of the Docker API that a rental needs. There are no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Whether the engine answers.
    Ping,
    /// What the engine can do; [`super::answer::Info`].
    Info,
    /// Creates a network.
    CreateNetwork(NetworkSpec),
    /// Removes a network.
    RemoveNetwork(ContainerName),
    /// Lists the networks of one agent; a list of [`super::answer::ListedNetwork`].
    ListNetworks {
        /// The agent's id.
        agent: [u8; 32],
    },
    /// Pulls an image; the answer is a stream of [`super::answer::PullProgress`].
    PullImage(ImageReference),
    /// Looks at an image; [`super::answer::Image`].
    InspectImage(ImageReference),
    /// Creates a container; [`super::answer::Created`].
    CreateContainer(Box<ContainerSpec>),
    /// Starts a container.
    StartContainer(ContainerName),
    /// Stops a container: SIGTERM, and SIGKILL after so many seconds (at most 300).
    StopContainer {
        /// The container.
        name: ContainerName,
        /// Seconds to wait.
        seconds: u32,
    },
    /// Kills a container with SIGKILL.
    KillContainer {
        /// The container.
        name: ContainerName,
    },
    /// Removes a container, running or not, and its anonymous volumes.
    RemoveContainer(ContainerName),
    /// Looks at a container; [`super::answer::Container`].
    InspectContainer {
        /// The container.
        name: ContainerName,
        /// Also measures what it has written, which takes as long as reading all of it.
        size: bool,
    },
    /// Lists the containers of one agent, running or not; a list of [`super::answer::ListedContainer`].
    ListContainers {
        /// The agent's id.
        agent: [u8; 32],
    },
    /// What a container uses now; [`super::answer::Stats`].
    Stats(ContainerName),
    /// The last lines of a container's output, as [`super::frame`]s.
    Logs {
        /// The container.
        name: ContainerName,
        /// How many lines, from 1 to 10,000.
        tail: u32,
    },
    /// Unpacks an archive of [`super::archive`] at `/` of a container. The archive is the request's body and is passed
    /// on beside the request.
    PutArchive {
        /// The container.
        name: ContainerName,
    },
    /// Prepares a command; [`super::answer::Created`] names it.
    CreateExec {
        /// The container.
        name: ContainerName,
        /// The command.
        spec: ExecSpec,
    },
    /// Runs a prepared command. The connection is upgraded (`Connection: Upgrade`, `Upgrade: tcp`, status 101) and
    /// carries raw standard input one way and [`super::frame`]s the other.
    StartExec {
        /// The command.
        id: ExecId,
    },
    /// How a command ended; [`super::answer::Exec`].
    InspectExec {
        /// The command.
        id: ExecId,
    },
}

/// A request as it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// What to send as `Content-Type`; `None` for calls without body.
    pub content_type: Option<&'static str>,
    /// JSON body. `None` for calls without one, and for [`Request::PutArchive`], whose archive the caller has.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// Parses a request, and for [`Request::PutArchive`] checks the archive in `body`.
    ///
    /// # Errors
    /// [`Refusal`] for everything that [`Request::emit`] doesn't write.
    pub fn parse(
        method: &str,
        target: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let request = Self::read(method, target, body)?;
        request.check()?;
        let emitted = request.emit();
        if emitted.target != target {
            return Err(Refusal::query());
        }
        if emitted.content_type != content_type {
            return Err(Refusal::content_type());
        }
        match &emitted.body {
            Some(emitted) if emitted != body => {
                Err(Refusal::body("the body is not the one that we would send"))
            }
            None if matches!(request, Self::PutArchive { .. }) => {
                archive::parse(body)?;
                Ok(request)
            }
            None if !body.is_empty() => Err(Refusal::body("this call takes no body")),
            _ => Ok(request),
        }
    }

    /// Longest body in bytes that the call at this target may have.
    ///
    /// # Errors
    /// [`Refusal`] when there is no such call; its body need not be read.
    pub fn body_limit(method: &str, target: &str) -> Result<usize, Refusal> {
        let path = path_of(target)?.0;
        match Call::find(method, path)? {
            Call::CreateNetwork | Call::CreateContainer | Call::CreateExec(_) | Call::StartExec(_) => {
                Ok(MAX_BODY)
            }
            Call::PutArchive(_) => Ok(archive::MAX_ARCHIVE),
            _ => Ok(0),
        }
    }

    /// Refuses values out of range, as [`Request::parse`] does. For who makes a request.
    ///
    /// # Errors
    /// [`Refusal`] naming the value.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::CreateContainer(spec) => spec.check(),
            Self::CreateExec { spec, .. } => spec.check(),
            Self::StopContainer { seconds, .. } if *seconds > MAX_STOP => {
                Err(Refusal::value(format!("t is over {MAX_STOP} seconds")))
            }
            Self::Logs { tail, .. } if !(1..=MAX_TAIL).contains(tail) => {
                Err(Refusal::value(format!("tail is not from 1 to {MAX_TAIL}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes the request anew, with every field that matters set.
    pub fn emit(&self) -> Emitted {
        let plain = |method, path: String| Emitted {
            method,
            target: format!("/{API_VERSION}/{path}"),
            content_type: None,
            body: None,
        };
        let json = |path: String, body: Vec<u8>| Emitted {
            content_type: Some(JSON),
            body: Some(body),
            ..plain("POST", path)
        };
        match self {
            Self::Ping => plain("GET", "_ping".to_owned()),
            Self::Info => plain("GET", "info".to_owned()),
            Self::CreateNetwork(spec) => json("networks/create".to_owned(), spec.emit()),
            Self::RemoveNetwork(name) => plain("DELETE", format!("networks/{name}")),
            Self::ListNetworks { agent } => plain(
                "GET",
                format!("networks?{OF_AGENT}{}{OF_AGENT_END}", hex::encode(agent)),
            ),
            Self::PullImage(image) => plain("POST", format!("images/create?{}", image.pull_query())),
            Self::InspectImage(image) => plain("GET", format!("images/{image}/json")),
            Self::CreateContainer(spec) => json(format!("containers/create?name={}", spec.name), spec.emit()),
            Self::StartContainer(name) => plain("POST", format!("containers/{name}/start")),
            Self::StopContainer { name, seconds } => {
                plain("POST", format!("containers/{name}/stop?t={seconds}"))
            }
            Self::KillContainer { name } => plain("POST", format!("containers/{name}/kill?signal=SIGKILL")),
            Self::RemoveContainer(name) => plain("DELETE", format!("containers/{name}?force=1&v=1")),
            Self::InspectContainer { name, size: false } => plain("GET", format!("containers/{name}/json")),
            Self::InspectContainer { name, size: true } => {
                plain("GET", format!("containers/{name}/json?size=1"))
            }
            Self::ListContainers { agent } => plain(
                "GET",
                format!(
                    "containers/json?{ALL}{OF_AGENT}{}{OF_AGENT_END}",
                    hex::encode(agent)
                ),
            ),
            Self::Stats(name) => plain("GET", format!("containers/{name}/stats?stream=0&one-shot=1")),
            Self::Logs { name, tail } => plain("GET", format!("containers/{name}/logs?{LOGS}{tail}")),
            Self::PutArchive { name } => Emitted {
                content_type: Some(TAR),
                ..plain("PUT", format!("containers/{name}/archive?path=/"))
            },
            Self::CreateExec { name, spec } => json(format!("containers/{name}/exec"), spec.emit()),
            Self::StartExec { id } => json(format!("exec/{id}/start"), START.to_vec()),
            Self::InspectExec { id } => plain("GET", format!("exec/{id}/json")),
        }
    }

    fn read(method: &str, target: &str, body: &[u8]) -> Result<Self, Refusal> {
        let (path, query) = path_of(target)?;
        let name = |text: &str| text.parse::<ContainerName>();
        let id = |text: &str| text.parse::<ExecId>();
        Ok(match Call::find(method, path)? {
            Call::Ping => Self::Ping,
            Call::Info => Self::Info,
            Call::CreateNetwork => Self::CreateNetwork(NetworkSpec::parse(body)?),
            Call::RemoveNetwork(network) => Self::RemoveNetwork(name(network)?),
            Call::ListNetworks => Self::ListNetworks { agent: agent(query)? },
            Call::PullImage => Self::PullImage(ImageReference::from_pull_query(query)?),
            Call::InspectImage(image) => Self::InspectImage(image.parse()?),
            Call::CreateContainer => {
                let container = after(query, "name=")?;
                Self::CreateContainer(Box::new(ContainerSpec::parse(name(container)?, body)?))
            }
            Call::StartContainer(container) => Self::StartContainer(name(container)?),
            Call::StopContainer(container) => Self::StopContainer {
                name: name(container)?,
                seconds: number(after(query, "t=")?)?,
            },
            Call::KillContainer(container) => Self::KillContainer {
                name: name(container)?,
            },
            Call::RemoveContainer(container) => Self::RemoveContainer(name(container)?),
            Call::InspectContainer(container) => Self::InspectContainer {
                name: name(container)?,
                size: !query.is_empty(),
            },
            Call::ListContainers => Self::ListContainers {
                agent: agent(after(query, ALL)?)?,
            },
            Call::Stats(container) => Self::Stats(name(container)?),
            Call::Logs(container) => Self::Logs {
                name: name(container)?,
                tail: number(after(query, LOGS)?)?,
            },
            Call::PutArchive(container) => Self::PutArchive {
                name: name(container)?,
            },
            Call::CreateExec(container) => Self::CreateExec {
                name: name(container)?,
                spec: ExecSpec::parse(body)?,
            },
            Call::StartExec(exec) => {
                let id = id(exec)?;
                check_start(body)?;
                Self::StartExec { id }
            }
            Call::InspectExec(exec) => Self::InspectExec { id: id(exec)? },
        })
    }
}

/// Longest time between SIGTERM and SIGKILL in seconds.
const MAX_STOP: u32 = 300;
/// Most lines of a log.
const MAX_TAIL: u32 = 10_000;
/// `filters={"label":["jeju.agent=…"]}`, the only percent-encoded bytes there are.
const OF_AGENT: &str = "filters=%7B%22label%22%3A%5B%22jeju.agent%3D";
const OF_AGENT_END: &str = "%22%5D%7D";
/// Those that don't run as well.
const ALL: &str = "all=1&";
const LOGS: &str = "stdout=1&stderr=1&tail=";

/// A call by method and path, with the part of the path that varies, not looked at yet.
enum Call<'a> {
    Ping,
    Info,
    CreateNetwork,
    RemoveNetwork(&'a str),
    ListNetworks,
    PullImage,
    InspectImage(&'a str),
    CreateContainer,
    StartContainer(&'a str),
    StopContainer(&'a str),
    KillContainer(&'a str),
    RemoveContainer(&'a str),
    InspectContainer(&'a str),
    ListContainers,
    Stats(&'a str),
    Logs(&'a str),
    PutArchive(&'a str),
    CreateExec(&'a str),
    StartExec(&'a str),
    InspectExec(&'a str),
}

impl<'a> Call<'a> {
    /// `path` starts with a slash and is compared as it came: nothing is decoded.
    fn find(method: &str, path: &'a str) -> Result<Self, Refusal> {
        if let Some(image) = path
            .strip_prefix("/images/")
            .and_then(|rest| rest.strip_suffix("/json"))
        {
            return match method {
                "GET" => Ok(Self::InspectImage(image)),
                _ => Err(Refusal::call()),
            };
        }
        let mut segments = path.split('/').skip(1);
        let parts = [segments.next(), segments.next(), segments.next(), segments.next()];
        Ok(match (method, parts) {
            ("GET", [Some("_ping"), None, ..]) => Self::Ping,
            ("GET", [Some("info"), None, ..]) => Self::Info,
            ("POST", [Some("networks"), Some("create"), None, _]) => Self::CreateNetwork,
            ("DELETE", [Some("networks"), Some(name), None, _]) => Self::RemoveNetwork(name),
            ("GET", [Some("networks"), None, ..]) => Self::ListNetworks,
            ("POST", [Some("images"), Some("create"), None, _]) => Self::PullImage,
            ("POST", [Some("containers"), Some("create"), None, _]) => Self::CreateContainer,
            ("GET", [Some("containers"), Some("json"), None, _]) => Self::ListContainers,
            ("DELETE", [Some("containers"), Some(name), None, _]) => Self::RemoveContainer(name),
            ("GET", [Some("containers"), Some(name), Some("json"), None]) => Self::InspectContainer(name),
            ("GET", [Some("containers"), Some(name), Some("stats"), None]) => Self::Stats(name),
            ("GET", [Some("containers"), Some(name), Some("logs"), None]) => Self::Logs(name),
            ("PUT", [Some("containers"), Some(name), Some("archive"), None]) => Self::PutArchive(name),
            ("POST", [Some("containers"), Some(name), Some("start"), None]) => Self::StartContainer(name),
            ("POST", [Some("containers"), Some(name), Some("stop"), None]) => Self::StopContainer(name),
            ("POST", [Some("containers"), Some(name), Some("kill"), None]) => Self::KillContainer(name),
            ("POST", [Some("containers"), Some(name), Some("exec"), None]) => Self::CreateExec(name),
            ("POST", [Some("exec"), Some(id), Some("start"), None]) => Self::StartExec(id),
            ("GET", [Some("exec"), Some(id), Some("json"), None]) => Self::InspectExec(id),
            _ => return Err(Refusal::call()),
        })
    }
}

/// Path, from the slash behind the version, and query.
fn path_of(target: &str) -> Result<(&str, &str), Refusal> {
    if target.len() > MAX_TARGET {
        return Err(Refusal::call());
    }
    let rest = target
        .strip_prefix('/')
        .and_then(|rest| rest.strip_prefix(API_VERSION))
        .filter(|rest| rest.starts_with('/'))
        .ok_or_else(Refusal::version)?;
    Ok(rest.split_once('?').unwrap_or((rest, "")))
}

fn after<'a>(query: &'a str, prefix: &str) -> Result<&'a str, Refusal> {
    query.strip_prefix(prefix).ok_or_else(Refusal::query)
}

/// The agent of a list.
fn agent(query: &str) -> Result<[u8; 32], Refusal> {
    after(query, OF_AGENT)?
        .strip_suffix(OF_AGENT_END)
        .and_then(digits)
        .ok_or_else(Refusal::query)
}

/// A number without sign or leading zeros.
fn number(text: &str) -> Result<u32, Refusal> {
    crate::line::decimal(text)
        .ok()
        .and_then(|number| number.try_into().ok())
        .ok_or_else(Refusal::query)
}
