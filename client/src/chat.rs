//! One prompt, one verified answer.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jeju_attestation::response::EndReason;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;

use crate::error::{self, Class};
use crate::payment::{PaymentError, Payments};
use crate::session::{Session, SessionError, VerifiedBody, VerifiedResponse};

const CHAT: &str = "/v1/chat/completions";
const MODELS: &str = "/v1/models";

/// What to ask.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The user's message.
    pub text: String,
    /// Model id; the node's first one where none is named.
    pub model: Option<String>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u32>,
    /// Show the answer while it comes.
    pub stream: bool,
}

/// A verified answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Tokens of the prompt, where the node said so.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer, where the node said so.
    pub completion_tokens: Option<u32>,
    /// From the request to the first piece of text; the whole answer's time where it didn't stream.
    pub first: Duration,
    /// From the request to the verified end.
    pub total: Duration,
}

impl Answer {
    /// For programs, with what was established about the node.
    pub fn json(&self, verdict: Value) -> Value {
        json!({
            "text": self.text,
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "milliseconds": self.total.as_millis() as u64,
            "verdict": verdict,
        })
    }
}

/// What passed over the wire for an answer, byte for byte. Holds what the user wrote: neither Debug nor Display.
pub struct Recorded {
    /// Path of the request, which was a POST without a query.
    pub path: &'static str,
    /// Body of the request.
    pub request: Bytes,
    /// Status of the response.
    pub status: StatusCode,
    /// Headers of the response.
    pub headers: HeaderMap,
    /// Body of the response: of a stream all of it, with its signed end.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ChatError {
    /// No verified response.
    #[error(transparent)]
    Session(#[from] error::Error),
    /// A verified response that is an error.
    #[error("node answered {status}: {message}")]
    Refused {
        /// Status.
        status: StatusCode,
        /// The node's message.
        message: String,
    },
    /// A verified response of another shape.
    #[error("node's answer is not an OpenAI {0}")]
    Shape(&'static str),
    /// A stream that the node itself broke off, and signed as such.
    #[error("node broke its answer off ({0})")]
    BrokenOff(EndReason),
    /// It isn't paid for.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// The answer couldn't be shown.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl From<SessionError> for ChatError {
    fn from(error: SessionError) -> Self {
        error::Error::from(error).into()
    }
}

impl ChatError {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            ChatError::Session(error) => error.code(),
            ChatError::Payment(error) => error.code(),
            ChatError::Refused { .. } => "node_refused",
            ChatError::Shape(_) => "answer_malformed",
            ChatError::BrokenOff(_) => "answer_incomplete",
            ChatError::Output(_) => "output_failed",
        }
    }

    /// Class; what a verified node says itself is no attestation failure.
    pub fn class(&self) -> Class {
        match self {
            ChatError::Session(error) => error.class(),
            ChatError::Payment(error) => error.class(),
            ChatError::BrokenOff(_) => Class::Network,
            _ => Class::Usage,
        }
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    delta: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// Asks, and writes the text to `output`: as it comes if it streams, else when it is verified.
pub async fn ask(
    session: &mut Session,
    prompt: &Prompt,
    output: &mut impl Write,
) -> Result<Answer, ChatError> {
    let (answer, _) = ask_recorded(session, prompt, output).await?;
    Ok(answer)
}

/// The same, with what passed over the wire.
pub async fn ask_recorded(
    session: &mut Session,
    prompt: &Prompt,
    output: &mut impl Write,
) -> Result<(Answer, Recorded), ChatError> {
    ask_paid(session, prompt, None, output).await
}

/// The same, paid for where something pays.
pub async fn ask_paid(
    session: &mut Session,
    prompt: &Prompt,
    payments: Option<&Payments>,
    output: &mut impl Write,
) -> Result<(Answer, Recorded), ChatError> {
    let model = match &prompt.model {
        Some(model) => model.clone(),
        None => first_model(session).await?,
    };
    let mut request = json!({
        "model": model,
        "messages": [{ "role": "user", "content": prompt.text }],
        "stream": prompt.stream,
    });
    if let Some(max_tokens) = prompt.max_tokens {
        request["max_tokens"] = max_tokens.into();
    }
    if prompt.stream {
        request["stream_options"] = json!({ "include_usage": true });
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    let started = Instant::now();
    let request = Bytes::from(request.to_string());
    let paid = match payments {
        Some(payments) => {
            payments
                .begin(session, &Method::POST, CHAT, &mut headers, &request)
                .await?
        }
        None => None,
    };
    let response = session
        .request(Method::POST, CHAT, headers, request.clone())
        .await?;
    let mut recorded = Recorded {
        path: CHAT,
        request,
        status: response.status,
        headers: response.headers,
        body: Vec::new(),
    };
    let mut answer = Answer {
        text: String::new(),
        prompt_tokens: None,
        completion_tokens: None,
        first: Duration::ZERO,
        total: Duration::ZERO,
    };
    match response.body {
        VerifiedBody::Whole(body) => {
            if let Some(paid) = paid {
                paid.whole(response.status, &recorded.headers, &body)?;
            }
            if response.status != StatusCode::OK {
                return Err(refused(response.status, &body));
            }
            take(&mut answer, &body, started, output)?;
            recorded.body = body.into();
        }
        VerifiedBody::Stream(mut stream) => {
            let mut paid = paid.map(|paid| paid.stream(response.status, &recorded.headers));
            while let Some(events) = stream.next().await? {
                // That it failed is the signed end's to say.
                for data in events_data(&events).filter(|data| !is_error(data)) {
                    take(&mut answer, data, started, output)?;
                }
                output.flush()?;
                if let Some(paid) = &mut paid {
                    paid.events(&events);
                }
                recorded.body.extend_from_slice(&events);
            }
            if let (Some(paid), Some(reason)) = (paid, stream.end()) {
                paid.ended(reason)?;
            }
            if let Some(reason @ (EndReason::Error | EndReason::Abort)) = stream.end() {
                return Err(ChatError::BrokenOff(reason));
            }
        }
    }
    answer.total = started.elapsed();
    Ok((answer, recorded))
}

async fn first_model(session: &mut Session) -> Result<String, ChatError> {
    let response = session
        .request(Method::GET, MODELS, HeaderMap::new(), Bytes::new())
        .await?;
    let VerifiedResponse {
        status: StatusCode::OK,
        body: VerifiedBody::Whole(body),
        ..
    } = response
    else {
        return Err(ChatError::Shape("list of models"));
    };
    let models: Models = serde_json::from_slice(&body).map_err(|_| ChatError::Shape("list of models"))?;
    match models.data.into_iter().next() {
        Some(model) => Ok(model.id),
        None => Err(ChatError::Shape("list of models")),
    }
}

fn take(
    answer: &mut Answer,
    json: &[u8],
    started: Instant,
    output: &mut impl Write,
) -> Result<(), ChatError> {
    let completion: Completion =
        serde_json::from_slice(json).map_err(|_| ChatError::Shape("chat completion"))?;
    if let Some(usage) = completion.usage {
        answer.prompt_tokens = Some(usage.prompt_tokens);
        answer.completion_tokens = Some(usage.completion_tokens);
    }
    let message = completion
        .choices
        .into_iter()
        .next()
        .and_then(|choice| choice.message.or(choice.delta));
    if let Some(text) = message
        .and_then(|message| message.content)
        .filter(|text| !text.is_empty())
    {
        if answer.text.is_empty() {
            answer.first = started.elapsed();
        }
        output.write_all(printable(&text).as_bytes())?;
        answer.text += &text;
    }
    Ok(())
}

/// Payloads of whole events; comments and `[DONE]` have none.
pub(crate) fn events_data(events: &[u8]) -> impl Iterator<Item = &[u8]> {
    events
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data: "))
        .filter(|data| *data != b"[DONE]")
}

/// Whether an event says that the answer failed.
fn is_error(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Failed {
        #[serde(rename = "error")]
        _error: IgnoredAny,
    }
    serde_json::from_slice::<Failed>(data).is_ok()
}

fn refused(status: StatusCode, body: &[u8]) -> ChatError {
    let message = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| {
            let error = &value["error"];
            let told = [&error["message"], &value["message"], error];
            let text = told.into_iter().find_map(serde_json::Value::as_str)?;
            Some(text.chars().take(500).collect())
        })
        .unwrap_or_else(|| "no message".to_owned());
    ChatError::Refused {
        status,
        message: printable(&message),
    }
}

/// A model can write escape sequences; a terminal would obey them.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events_and_leaves_comments() {
        let events = b"data: {\"a\":1}\n\n: jeju-sig v=1\n\ndata: [DONE]\n\n";
        assert_eq!(events_data(events).collect::<Vec<_>>(), [b"{\"a\":1}"]);
    }

    #[test]
    fn terminals_get_no_escape_sequences() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\r"), "a[2Jb\nc");
    }

    #[test]
    fn node_errors_are_told() {
        let error = refused(StatusCode::NOT_FOUND, br#"{"error":{"message":"no such model"}}"#);
        assert_eq!(error.to_string(), "node answered 404 Not Found: no such model");
        assert!(
            refused(StatusCode::BAD_GATEWAY, b"<html>")
                .to_string()
                .ends_with("no message")
        );
    }
}
