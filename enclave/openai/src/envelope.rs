//! What every request for inference says, whoever answers.

use crate::RequestError;
use crate::fields::{Fields, StreamOptions};

/// A body, read as far as it is the same for all endpoints.
pub struct Envelope {
    /// Which model is asked.
    pub model: String,
    /// Whether the answer is wanted in pieces.
    pub stream: bool,
    /// How those are told.
    pub options: StreamOptions,
    /// What isn't read yet.
    pub fields: Fields,
}

impl Envelope {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no JSON object, names no model, or the fields on streaming are wrong.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let mut fields = Fields::parse(body)?;
        let model = fields.model()?;
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let options = fields.stream_options(stream)?;
        Ok(Self {
            model,
            stream,
            options,
            fields,
        })
    }
}
