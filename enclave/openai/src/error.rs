//! Why a request can't be served as it is.

/// A request that is refused with status 400. Names fields and limits, never what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The field that is wrong.
    pub param: Option<String>,
}

impl RequestError {
    /// An error of a field, or of the whole body.
    pub fn new(code: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self {
            code,
            message: message.into(),
            param: param.map(str::to_owned),
        }
    }

    /// A field with a value outside what is allowed.
    pub fn invalid_value(message: impl Into<String>, param: &str) -> Self {
        Self::new("invalid_value", message, Some(param))
    }

    /// A field of another type than `wanted`.
    pub fn wrong_type(name: &str, wanted: &str) -> Self {
        Self::new("invalid_type", format!("'{name}' must be {wanted}."), Some(name))
    }

    /// A field that must be there.
    pub fn missing(name: &str) -> Self {
        let message = format!("Missing required parameter: '{name}'.");
        Self::new("missing_required_parameter", message, Some(name))
    }

    /// A field, or a value of it, that would change the answer in a way that isn't built.
    pub fn unsupported(name: &str) -> Self {
        let name = shown(name);
        let message = format!("'{name}' is not supported by this model.");
        Self::new("unsupported_parameter", message, Some(&name))
    }
}

/// A field's name as an error may show it: short and without surprises.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "_-.[]".contains(*c))
        .take(64)
        .collect()
}
