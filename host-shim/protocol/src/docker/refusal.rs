/// Why a request isn't passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable code, `docker_…`; the table is in `docs/wire-formats.md`.
    pub code: &'static str,
    /// What is wrong, for people. It names fields and limits, and quotes nothing that was sent but short names of
    /// fields.
    pub message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn call() -> Self {
        Self::new(
            "docker_call_not_allowed",
            "this call of the Docker API is not offered",
        )
    }

    pub(crate) fn version() -> Self {
        Self::new(
            "docker_version_not_allowed",
            format!("only paths under /{} are served", super::API_VERSION),
        )
    }

    pub(crate) fn query() -> Self {
        Self::new(
            "docker_query_not_allowed",
            "the query is not the one that this call takes",
        )
    }

    pub(crate) fn name(what: &str) -> Self {
        Self::new("docker_name_not_allowed", what)
    }

    pub(crate) fn image(what: impl Into<String>) -> Self {
        Self::new("docker_image_malformed", what)
    }

    pub(crate) fn body(what: impl Into<String>) -> Self {
        Self::new("docker_body_malformed", what)
    }

    pub(crate) fn content_type() -> Self {
        Self::new(
            "docker_content_type_not_allowed",
            "the content type is not the one that this call takes",
        )
    }

    /// A body over `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new("docker_body_too_large", format!("the body is over {limit} bytes"))
    }

    /// A key that isn't ours. It is quoted if it is a plain word.
    pub(crate) fn field(path: &str) -> Self {
        let plain = path.len() <= 64
            && path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-[]".contains(&byte));
        let shown = if plain { path } else { "(unprintable)" };
        Self::new(
            "docker_field_not_allowed",
            format!("field {shown} is not allowed"),
        )
    }

    pub(crate) fn value(what: impl Into<String>) -> Self {
        Self::new("docker_value_not_allowed", what)
    }

    pub(crate) fn archive(what: impl Into<String>) -> Self {
        Self::new("docker_archive_not_allowed", what)
    }
}
