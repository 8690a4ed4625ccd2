//! `POST /v1/embeddings`: the body, and the document of its answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jeju_inference::Prompt;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::RequestError;
use crate::completions::prompts;
use crate::fields::Fields;

/// Texts of one request; as OpenAI has it.
const MAX_INPUTS: usize = 2048;

/// What to embed. Holds what the user wrote: neither Debug nor Display.
pub struct Request {
    /// Each by itself.
    pub inputs: Vec<Prompt>,
    /// How vectors are written.
    pub encoding: Encoding,
    /// How long they must be, where the client says so.
    pub dimensions: Option<usize>,
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As numbers.
    Float,
    /// As base64 of 32-bit floats, little-endian.
    Base64,
}

/// Reads what an [`crate::Envelope`] left.
///
/// # Errors
/// [`RequestError`] for the first field that the embedded engine can't serve.
pub fn parse(mut fields: Fields) -> Result<Request, RequestError> {
    let inputs = match fields.take("input") {
        Some(input) => prompts(input, "input", MAX_INPUTS)?,
        None => return Err(RequestError::missing("input")),
    };
    let encoding = match fields.take("encoding_format").as_ref().map(Value::as_str) {
        None | Some(Some("float")) => Encoding::Float,
        Some(Some("base64")) => Encoding::Base64,
        Some(_) => {
            let message = "'encoding_format' must be 'float' or 'base64'.";
            return Err(RequestError::invalid_value(message, "encoding_format"));
        }
    };
    let dimensions = fields.integer("dimensions", 1..=u64::from(u32::MAX))?;
    fields.nothing_else()?;
    Ok(Request {
        inputs,
        encoding,
        dimensions: dimensions.map(|dimensions| dimensions as usize),
    })
}

/// The answer. `vectors` in the order of the inputs, which had so many tokens together.
pub fn document(model: &str, vectors: &[Zeroizing<Vec<f32>>], encoding: Encoding, tokens: usize) -> Value {
    let entry = |(index, vector): (usize, &Zeroizing<Vec<f32>>)| {
        let embedding = match encoding {
            Encoding::Float => json!(**vector),
            Encoding::Base64 => {
                let bytes: Zeroizing<Vec<u8>> = vector
                    .iter()
                    .flat_map(|number| number.to_le_bytes())
                    .collect::<Vec<u8>>()
                    .into();
                STANDARD.encode(&bytes).into()
            }
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = vectors.iter().enumerate().map(entry).collect();
    json!({
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;

    fn parse(fields: &str) -> Result<Request, RequestError> {
        super::parse(Envelope::parse(format!(r#"{{"model":"m"{fields}}}"#).as_bytes())?.fields)
    }

    #[test]
    fn reads_what_clients_send() {
        let request = parse(r#","input":["a","b"],"encoding_format":"base64","dimensions":3,"user":"u""#);
        let request = request.ok().unwrap();
        assert_eq!((request.inputs.len(), request.encoding), (2, Encoding::Base64));
        assert_eq!(request.dimensions, Some(3));
        assert_eq!(parse(r#","input":[1,2]"#).ok().unwrap().inputs.len(), 1);
        assert_eq!(parse(r#","input":"a""#).ok().unwrap().encoding, Encoding::Float);
    }

    #[test]
    fn refusals_name_the_field() {
        let refused = |fields: &str| {
            let error = parse(fields).err().expect("a refusal");
            (error.code, error.param.unwrap_or_default())
        };
        assert_eq!(refused(""), ("missing_required_parameter", "input".to_owned()));
        assert_eq!(refused(r#","input":5"#).0, "invalid_type");
        assert_eq!(refused(r#","input":[]"#).0, "invalid_value");
        for (field, code) in [
            (r#""encoding_format":"int8""#, "invalid_value"),
            (r#""encoding_format":1"#, "invalid_value"),
            (r#""dimensions":0"#, "invalid_value"),
            (r#""dimensions":"many""#, "invalid_type"),
            (r#""truncate":"END""#, "unsupported_parameter"),
        ] {
            assert_eq!(refused(&format!(r#","input":"a",{field}"#)).0, code, "{field}");
        }
    }

    #[test]
    fn vectors_are_numbers_or_their_bytes() {
        let vectors = [Zeroizing::new(vec![1.0, -0.5]), Zeroizing::new(vec![0.25, 0.0])];
        let plain = document("m", &vectors, Encoding::Float, 7);
        assert_eq!(plain["data"][1]["embedding"], json!([0.25, 0.0]));
        assert_eq!(plain["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
        let packed = document("m", &vectors, Encoding::Base64, 7);
        // As `base64.b64encode(struct.pack("<2f", 1.0, -0.5))` in Python.
        assert_eq!(packed["data"][0]["embedding"], "AACAPwAAAL8=");
        assert_eq!(
            (&packed["data"][1]["index"], &packed["object"]),
            (&json!(1), &json!("list"))
        );
    }
}
