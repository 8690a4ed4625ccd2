use bytes::Bytes;
use http::StatusCode;
use jeju_shim_protocol::docker::{Refusal, answer};

/// An answer that isn't what was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    answer: answer::Failure,
}

impl Failure {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            answer: answer::Failure {
                code: code.to_owned(),
                message: message.into(),
            },
        }
    }

    /// The shim was started without an engine.
    pub(super) fn not_configured() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "docker_not_configured",
            "this host offers no Docker engine",
        )
    }

    /// A limit is reached.
    pub(super) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "docker_busy",
            "too many calls at once",
        )
    }

    /// The request's body didn't come, or not in time.
    pub(super) fn body_incomplete() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "docker_body_incomplete",
            "the body did not come in time",
        )
    }

    /// The start of a command needs a connection of its own.
    pub(super) fn no_upgrade() -> Self {
        Self::new(
            StatusCode::UPGRADE_REQUIRED,
            "docker_upgrade_required",
            "a command's start takes `Connection: Upgrade` and `Upgrade: tcp`",
        )
    }

    /// A command that wasn't prepared through this shim.
    pub(super) fn unknown_exec() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "docker_exec_unknown",
            "no such command was prepared here",
        )
    }

    /// The container or network is another agent's.
    pub(super) fn other_agent() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "docker_agent_not_allowed",
            "this container or network is not of the agent that is served here",
        )
    }

    /// The image declares volumes that the container doesn't keep in memory.
    pub(super) fn image_volumes() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "docker_image_volumes",
            "the image declares a volume that is not among the container's memory paths",
        )
    }

    /// The image's name got another meaning while a container was made of it.
    pub(super) fn image_changed() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "docker_image_changed",
            "the image was replaced while the container was created",
        )
    }

    /// The engine can't be reached.
    pub(super) fn unreachable() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "docker_unreachable",
            "the Docker engine does not answer",
        )
    }

    /// The engine takes too long. What was asked for may still be done.
    pub(super) fn timed_out() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "docker_timeout",
            "the Docker engine did not answer in time",
        )
    }

    /// The engine's answer isn't one.
    pub(super) fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "docker_answer_malformed",
            "the Docker engine's answer is malformed",
        )
    }

    /// What the engine itself said.
    pub(super) fn of_engine(status: StatusCode, body: &[u8]) -> Self {
        Self {
            status,
            answer: answer::Failure::of_engine(body),
        }
    }

    pub(super) fn code(&self) -> &str {
        &self.answer.code
    }

    pub(super) fn body(&self) -> Bytes {
        answer::write(&self.answer).into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            "docker_body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "docker_body_malformed" | "docker_image_malformed" => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        Self::new(status, refusal.code, refusal.message)
    }
}
