//! The fields of a request, each taken once: what is left over at the end wasn't understood.

use jeju_inference::PrivateText;
use serde_json::{Map, Value};

use crate::RequestError;

const MAX_STOPS: usize = 4;
const MAX_STOP_LEN: usize = 256;
const MAX_BIASES: usize = 1024;
/// Answers to one prompt.
pub(crate) const MAX_ANSWERS: u64 = 4;
/// Without effect on the answer of a node, which stores and caches nothing.
const IGNORED: [&str; 8] = [
    "user",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// How a stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether a last chunk says what the answer took.
    pub include_usage: bool,
    /// Whether events are padded, so that their lengths don't tell those of the tokens.
    pub include_obfuscation: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            include_usage: false,
            include_obfuscation: true,
        }
    }
}

/// Fields that weren't read yet. A field that is null is absent, as clients write it.
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// The fields of a body.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => {
                let message = "The request body must be a JSON object.";
                Err(RequestError::new("invalid_type", message, None))
            }
            Err(_) => {
                let message = "The request body is not valid JSON.";
                Err(RequestError::new("invalid_json", message, None))
            }
        }
    }

    /// Takes a field.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes `model`.
    ///
    /// # Errors
    /// When it is absent or no string.
    pub fn model(&mut self) -> Result<String, RequestError> {
        match self.take("model") {
            Some(Value::String(model)) => Ok(model),
            Some(_) => Err(RequestError::wrong_type("model", "a string")),
            None => Err(RequestError::missing("model")),
        }
    }

    /// A field that is true or false.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, RequestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(RequestError::wrong_type(name, "a boolean")),
        }
    }

    /// A whole number in a range.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn integer(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, RequestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        if !value.is_number() {
            return Err(RequestError::wrong_type(name, "an integer"));
        }
        match value.as_u64().filter(|value| range.contains(value)) {
            Some(value) => Ok(Some(value)),
            None => {
                let message = format!(
                    "'{name}' must be an integer from {} to {}.",
                    range.start(),
                    range.end()
                );
                Err(RequestError::invalid_value(message, name))
            }
        }
    }

    /// A number in a range.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f32>, RequestError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let Some(number) = value.as_f64() else {
            return Err(RequestError::wrong_type(name, "a number"));
        };
        if (least..=most).contains(&number) {
            return Ok(Some(number as f32));
        }
        let message = format!("'{name}' must be a number from {least} to {most}.");
        Err(RequestError::invalid_value(message, name))
    }

    /// Any 64-bit integer.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn seed(&mut self) -> Result<Option<u64>, RequestError> {
        match self.take("seed") {
            None => Ok(None),
            Some(value) => match (value.as_u64(), value.as_i64()) {
                (Some(seed), _) => Ok(Some(seed)),
                (None, Some(seed)) => Ok(Some(seed as u64)),
                _ => Err(RequestError::wrong_type("seed", "an integer")),
            },
        }
    }

    /// The `stop` field: up to four sequences of 1 to 256 bytes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn stop(&mut self) -> Result<Vec<PrivateText>, RequestError> {
        let stops = match self.take("stop") {
            None => return Ok(Vec::new()),
            Some(Value::Array(stops)) => stops,
            Some(stop) => vec![stop],
        };
        if stops.len() > MAX_STOPS {
            let message = format!("'stop' may have up to {MAX_STOPS} sequences.");
            return Err(RequestError::invalid_value(message, "stop"));
        }
        stops.into_iter().map(stop_sequence).collect()
    }

    /// How a stream is to be told.
    ///
    /// # Errors
    /// When it is anything else, or no stream is wanted.
    pub fn stream_options(&mut self, stream: bool) -> Result<StreamOptions, RequestError> {
        const NAME: &str = "stream_options";
        let mut options = match self.take(NAME) {
            None => return Ok(StreamOptions::default()),
            Some(Value::Object(options)) => Fields(options),
            Some(_) => return Err(RequestError::wrong_type(NAME, "an object")),
        };
        if !stream {
            let message = "'stream_options' is only allowed when 'stream' is true.";
            return Err(RequestError::invalid_value(message, NAME));
        }
        let read = StreamOptions {
            include_usage: options.boolean("include_usage")?.unwrap_or(false),
            include_obfuscation: options.boolean("include_obfuscation")?.unwrap_or(true),
        };
        options.nothing_else()?;
        Ok(read)
    }

    /// `n`: how many answers to a prompt.
    ///
    /// # Errors
    /// When it is anything but 1 to 4.
    pub fn answers(&mut self) -> Result<usize, RequestError> {
        Ok(self.integer("n", 1..=MAX_ANSWERS)?.unwrap_or(1) as usize)
    }

    /// `logit_bias`: token ids, as JSON's names must be strings, with what is added to their logits.
    ///
    /// # Errors
    /// When it is anything else, has more than 1024 entries, or a bias outside -100 to 100.
    pub fn logit_bias(&mut self) -> Result<Vec<(u32, f32)>, RequestError> {
        const NAME: &str = "logit_bias";
        let map = match self.take(NAME) {
            None => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(RequestError::wrong_type(NAME, "an object")),
        };
        if map.len() > MAX_BIASES {
            let message = format!("'{NAME}' may have up to {MAX_BIASES} entries.");
            return Err(RequestError::invalid_value(message, NAME));
        }
        let entry = |(token, bias): (String, Value)| {
            let token = token.parse::<u32>().ok().filter(|id| id.to_string() == token)?;
            let bias = bias.as_f64().filter(|bias| (-100.0..=100.0).contains(bias))?;
            Some((token, bias as f32))
        };
        let biases: Option<Vec<_>> = map.into_iter().map(entry).collect();
        let mut biases = biases.ok_or_else(|| {
            let message = format!("'{NAME}' must map token ids to numbers from -100 to 100.");
            RequestError::invalid_value(message, NAME)
        })?;
        biases.sort_unstable_by_key(|(token, _)| *token);
        Ok(biases)
    }

    /// A switch that may be there, but only off.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn off(&mut self, name: &str) -> Result<(), RequestError> {
        match self.boolean(name)? {
            None | Some(false) => Ok(()),
            Some(true) => Err(RequestError::unsupported(name)),
        }
    }

    /// Ends the reading: what is left must be without effect.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn nothing_else(mut self) -> Result<(), RequestError> {
        for name in IGNORED {
            self.take(name);
        }
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(RequestError::unsupported(&name)),
        }
    }
}

fn stop_sequence(stop: Value) -> Result<PrivateText, RequestError> {
    match stop {
        Value::String(stop) if (1..=MAX_STOP_LEN).contains(&stop.len()) => Ok(stop.into()),
        Value::String(_) => {
            let message = format!("Each stop sequence must have 1 to {MAX_STOP_LEN} bytes.");
            Err(RequestError::invalid_value(message, "stop"))
        }
        _ => Err(RequestError::wrong_type(
            "stop",
            "a string or an array of strings",
        )),
    }
}
