//! What an upstream must say before its models are served, and again after it was away: that it has the model, and, where
//! the launch document holds a prompt with a known answer, that answer.

use http::Method;
use jeju_attestation::launch::upstreams::{Endpoint, Kind, Probe};
use jeju_openai::Head;
use jeju_openai::fields::Fields;
use jeju_openai::upstream::answer;
use jeju_openai::upstream::request::{Target, rewrite};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::connect::ConnectError;
use super::exchange::{Call, JSON, Route};
use super::failure::Failure;

/// Longest list of models, and longest description of one, in bytes.
const MAX_LIST: usize = 4 << 20;
/// Longest answer to a probe, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why a model isn't served. The codes are stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nothing is known yet.
    Starting,
    /// Nobody answers.
    Unreachable,
    /// Whoever answers isn't the right one; holds the code of why.
    NotVerified(String),
    /// It answers, but not as such a program does.
    Failed,
    /// It doesn't have the model.
    ModelMissing,
    /// It answers the probe otherwise.
    WrongAnswer,
    /// It would pass prompts on to somebody else.
    RemoteModel,
}

impl Reason {
    /// As `/v1/models` tells it.
    pub(super) fn code(&self) -> &str {
        match self {
            Reason::Starting => "starting",
            Reason::Unreachable => "unreachable",
            Reason::NotVerified(code) => code,
            Reason::Failed => "failed",
            Reason::ModelMissing => "model_missing",
            Reason::WrongAnswer => "wrong_answer",
            Reason::RemoteModel => "remote_model",
        }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(ConnectError::Unreachable) => Reason::Unreachable,
            Failure::Connect(ConnectError::NotVerified(code)) => Reason::NotVerified(code),
            Failure::Refused(..) | Failure::TimedOut | Failure::Broken => Reason::Failed,
        }
    }
}

/// Asks an upstream whether it can serve a model.
///
/// # Errors
/// Why it can't.
pub(super) async fn probe(
    route: &Route,
    kind: Kind,
    model: &str,
    known: Option<&Probe>,
    salt: &str,
) -> Result<(), Reason> {
    match kind {
        Kind::Ollama => is_local(route, model).await?,
        // It serves the one model that it was started with, by whatever name it is asked.
        Kind::LlamaCpp => is_listed(route, None).await?,
        Kind::Vllm | Kind::Openai => is_listed(route, Some(model)).await?,
    }
    match known {
        Some(known) => answers(route, kind, model, known, salt).await,
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

async fn is_listed(route: &Route, model: Option<&str>) -> Result<(), Reason> {
    let call = Call {
        method: Method::GET,
        path: "/v1/models",
        body: Zeroizing::default(),
        accept: JSON,
        bearer: None,
    };
    let said = route.send(call).await?.whole(MAX_LIST).await?;
    let list: List = serde_json::from_slice(&said).map_err(|_| Reason::Failed)?;
    let mut ids = list.data.iter().map(|listed| listed.id.as_str());
    let found = match model {
        Some(model) => ids.any(|id| id == model),
        None => ids.next().is_some(),
    };
    match found {
        true => Ok(()),
        false => Err(Reason::ModelMissing),
    }
}

/// Ollama lists models that it has only the names of, and passes their prompts on to its maker.
async fn is_local(route: &Route, model: &str) -> Result<(), Reason> {
    let tag = model.rsplit_once(':').map_or("", |(_, tag)| tag);
    if tag == "cloud" || model.ends_with("-cloud") {
        return Err(Reason::RemoteModel);
    }
    let call = Call {
        method: Method::POST,
        path: "/api/show",
        body: Zeroizing::new(json!({"model": model}).to_string().into_bytes()),
        accept: JSON,
        bearer: None,
    };
    let said = match route.send(call).await {
        Ok(reply) => reply.whole(MAX_LIST).await?,
        // 404, where it doesn't have it.
        Err(Failure::Refused(..)) => return Err(Reason::ModelMissing),
        Err(failure) => return Err(failure.into()),
    };
    let shown: Map<String, Value> = serde_json::from_slice(&said).map_err(|_| Reason::Failed)?;
    let is_told = |name: &str| {
        shown
            .get(name)
            .is_some_and(|value| !value.is_null() && value != "")
    };
    match is_told("remote_host") || is_told("remote_model") {
        true => Err(Reason::RemoteModel),
        false => Ok(()),
    }
}

async fn answers(
    route: &Route,
    kind: Kind,
    model: &str,
    known: &Probe,
    cache_salt: &str,
) -> Result<(), Reason> {
    let asked = json!({
        "messages": [{"role": "user", "content": known.prompt}],
        "temperature": 0,
        "max_tokens": known.max_tokens,
    });
    let fields = Fields::parse(asked.to_string().as_bytes()).map_err(|_| Reason::Failed)?;
    let target = Target {
        kind,
        endpoint: Endpoint::Chat,
        model,
        stream: false,
        cache_salt,
    };
    let rewritten = rewrite(target, fields).map_err(|_| Reason::Failed)?;
    let call = Call {
        method: Method::POST,
        path: super::path(Endpoint::Chat),
        body: rewritten.body,
        accept: JSON,
        bearer: None,
    };
    let said = route.send(call).await?.whole(MAX_ANSWER).await?;
    let head = Head {
        id: String::new(),
        model: String::new(),
        created: 0,
        fingerprint: None,
    };
    let document =
        answer::whole(Endpoint::Chat, &head, rewritten.expected, &said).map_err(|_| Reason::Failed)?;
    let text = document["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    match text.trim_start().starts_with(&known.answer) {
        true => Ok(()),
        false => Err(Reason::WrongAnswer),
    }
}
