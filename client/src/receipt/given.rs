//! Request and answer as the user has them: in files of their own, or as a saved exchange.

use std::path::Path;

use jeju_attestation::hash::sha256;
use serde_json::Value;

use super::{AnswerReceipt, ReceiptError};
use crate::audit::{Exchange, exchange};
use crate::files::read;

/// Begins the line with a stream's signature, which isn't covered by itself.
const SIGNED_END: &[u8] = b": jeju-sig v=1;";

/// What there is to compare a receipt with.
#[derive(Default)]
pub(super) struct Given {
    request: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
}

impl Given {
    /// Files of request and response bodies.
    pub(super) fn files(request: Option<&Path>, response: Option<&Path>) -> Result<Self, ReceiptError> {
        let body = |path: Option<&Path>| path.map(|path| read(path, exchange::MAX_LEN)).transpose();
        Ok(Self {
            request: body(request)?,
            response: body(response)?,
        })
    }

    /// What `jeju chat --save` has saved.
    pub(super) fn exchange(path: &Path) -> Result<Self, ReceiptError> {
        let exchange = Exchange::parse(&read(path, exchange::MAX_LEN)?)?;
        Ok(Self {
            request: Some(exchange.request.body.into_bytes()),
            response: Some(exchange.response.body.into_bytes()),
        })
    }

    /// The answer's id, as the answer itself says it: a document, or the first event of a stream.
    pub(super) fn id(&self) -> Option<String> {
        let body = std::str::from_utf8(self.response.as_ref()?).ok()?;
        let first = body.lines().find_map(|line| line.strip_prefix("data: "));
        let document: Value = serde_json::from_str(first.unwrap_or(body)).ok()?;
        let id = document["id"].as_str().or(document["response"]["id"].as_str())?;
        Some(id.to_owned())
    }

    /// Compares; says what was compared.
    pub(super) fn compare(&self, receipt: &AnswerReceipt) -> Result<Vec<&'static str>, ReceiptError> {
        let mut compared = Vec::new();
        if let Some(request) = &self.request {
            receipt.of_request(&sha256(request))?;
            compared.push("request");
        }
        if let Some(response) = &self.response {
            receipt
                .of_response(&sha256(response))
                .or_else(|_| receipt.of_response(&sha256(covered(response))))?;
            compared.push("response");
        }
        Ok(compared)
    }
}

/// What the signed end of a stream covers; all of anything else.
fn covered(body: &[u8]) -> &[u8] {
    let at = |start: usize| start == 0 || body[start - 1] == b'\n';
    let starts = body.windows(SIGNED_END.len()).enumerate().rev();
    let end = starts
        .filter(|(start, window)| *window == SIGNED_END && at(*start))
        .map(|(start, _)| start)
        .next();
    &body[..end.unwrap_or(body.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(response: &str) -> Option<String> {
        let given = Given {
            request: None,
            response: Some(response.as_bytes().to_vec()),
        };
        given.id()
    }

    #[test]
    fn answers_say_their_own_ids() {
        assert_eq!(id(r#"{"id":"a"}"#).as_deref(), Some("a"));
        assert_eq!(
            id(": ka\n\ndata: {\"id\":\"a\"}\n\ndata: [DONE]\n\n").as_deref(),
            Some("a")
        );
        let response = "event: response.created\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n";
        assert_eq!(id(response).as_deref(), Some("resp_1"));
        for none in ["", "{}", "data: x", "[]", "{\"id\":5}"] {
            assert_eq!(id(none), None, "{none}");
        }
        assert_eq!(Given::default().id(), None);
    }

    #[test]
    fn a_stream_is_covered_up_to_its_signed_end() {
        let stream = b"data: 1\n\n: jeju-sig v=1; digest=x\n\ndata: [DONE]\n\n";
        assert_eq!(covered(stream), b"data: 1\n\n");
        assert_eq!(
            covered(b"say : jeju-sig v=1; to me"),
            b"say : jeju-sig v=1; to me"
        );
        assert_eq!(covered(b""), b"");
        assert_eq!(covered(b"{}"), b"{}");
    }
}
