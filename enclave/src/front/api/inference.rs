//! `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings` and `/v1/responses`, as JSON and as streams of events.

mod stream;

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use jeju_attestation::hash::sha256;
use jeju_attestation::launch::upstreams::Endpoint;
use jeju_openai::fields::Fields;
use jeju_openai::responses::{self, field_name};
use jeju_openai::{Envelope, RequestError};
use serde_json::Value;

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::{Answer, Call};
use crate::front::identity::random;
use crate::front::inference::{Ask, Output, Tenant};
use crate::front::payments;

use stream::{Counter, Form, Telling};

/// What a request can ask for at once, whatever its numbers say: they are judged by who answers.
const MAX_ANSWERS: u64 = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/responses`, which is a chat for whoever answers.
    Responses,
}

impl Route {
    /// The route at a path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/completions" => Some(Self::Completions),
            "/v1/embeddings" => Some(Self::Embeddings),
            "/v1/responses" => Some(Self::Responses),
            _ => None,
        }
    }

    fn endpoint(self) -> Endpoint {
        match self {
            Self::Chat | Self::Responses => Endpoint::Chat,
            Self::Completions => Endpoint::Completions,
            Self::Embeddings => Endpoint::Embeddings,
        }
    }
}

/// Answers a request for inference.
pub(super) async fn answer(node: &Arc<Node>, route: Route, call: Call) -> Result<Answer, ApiError> {
    let account = node.wallets.account(&call).await?;
    let tenant = account.map_or(call.tenant, wallet_tenant);
    let envelope = Envelope::parse(&call.body)?;
    let (path, headers) = (call.path.clone(), payments::Headers::read(&call.headers));
    let slip = call.slip.clone();
    drop(call);
    let Envelope {
        model,
        stream,
        options,
        mut fields,
    } = envelope;
    if stream && route == Route::Embeddings {
        return Err(RequestError::unsupported("stream").into());
    }
    let count_asked = answers(&fields);
    let writes = route != Route::Embeddings;
    let estimate = payments::Estimate::new(&fields, count_asked, writes);
    let created = node.attester.current().anchor.now();
    let failed = failure(node, &model);
    let mut head = None;
    if route == Route::Responses {
        let request = responses::parse(fields)?;
        fields = request.chat;
        let id = hex::encode(random::<12>().map_err(|_| ApiError::engine_failed())?);
        slip.name(format!("resp_{id}"));
        head = Some(responses::Head {
            id,
            created,
            model: model.clone(),
            echo: request.echo,
        });
    }
    let counter = Counter {
        metrics: node.metrics.clone(),
        started: Instant::now(),
        slip: slip.clone(),
    };
    let ask = Ask {
        endpoint: route.endpoint(),
        model,
        stream,
        fields,
        tenant,
        created,
    };
    let place = node.places.take(ask.tenant, count_asked)?;
    let bill = match &node.payments {
        Some(payments) => {
            node.inference.model(&ask.model)?;
            let asked = payments::Asked {
                account,
                headers: &headers,
                path: &path,
                model: &ask.model,
                estimate,
            };
            payments.admit(asked).await?
        }
        None => None,
    };
    let output = node.inference.answer(ask).await;
    match output.map_err(|error| {
        if route == Route::Responses {
            renamed(error)
        } else {
            error
        }
    })? {
        Output::Whole(mut document) => {
            slip.identify(&mut document, "embd");
            let tokens = counter.count(&document);
            let mut document = match head {
                Some(head) => responses::whole(head, document).ok_or(failed)?,
                None => document,
            };
            if let Some(bill) = bill {
                bill.charge(tokens, &mut document);
            }
            Ok(Answer::private(document))
        }
        Output::Stream(chunks) => {
            let form = match head {
                Some(head) => Form::Response(Box::new(responses::Stream::new(head))),
                None => Form::Chunks,
            };
            let telling = Telling {
                counter,
                usage: options.include_usage,
                obfuscate: options.include_obfuscation,
                failed,
                bill,
                _place: place,
            };
            Ok(Answer::Stream(telling.events(form, chunks)))
        }
    }
}

/// An account that signed the request is the tenant; else whoever has the bearer token, or the connection.
fn wallet_tenant(account: [u8; 20]) -> Tenant {
    // No bearer token begins so.
    Tenant::Key(sha256(&[b"Wallet ".as_slice(), &account].concat()))
}

/// How many answers a request asks for, as far as it says so rightly.
fn answers(fields: &Fields) -> usize {
    let number = |name: &str| fields.0.get(name).and_then(Value::as_u64).unwrap_or(1).max(1);
    let prompts = match fields.0.get("prompt").and_then(Value::as_array) {
        Some(prompts) if !prompts.first().is_some_and(Value::is_number) => prompts.len().max(1) as u64,
        _ => 1,
    };
    number("n").saturating_mul(prompts).min(MAX_ANSWERS) as usize
}

/// What is told where an answer doesn't come to its end.
fn failure(node: &Node, model: &str) -> ApiError {
    match node.inference.model(model) {
        Ok(model) if model.engine != "embedded" => {
            let message = "The upstream could not finish the answer.";
            ApiError::new(StatusCode::BAD_GATEWAY, "upstream_failed", message)
        }
        _ => ApiError::engine_failed(),
    }
}

/// An error of a chat request under the names of the response's request that it was made of.
fn renamed(mut error: ApiError) -> ApiError {
    if let Some(param) = &mut error.param {
        let name = field_name(param);
        error.message = error.message.replace(&format!("'{param}'"), &format!("'{name}'"));
        *param = name.to_owned();
    }
    error
}
