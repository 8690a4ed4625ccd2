//! Rentals: what the rentals role answers, to everybody or to the renter whose wallet signed the request.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use jeju_attestation::hex_bytes::HexBytes;
use serde::Deserialize;

use super::super::Node;
use super::super::error::ApiError;
use super::super::exchange::{Answer, Call};
use super::super::wallet::{Wallets, fixed};
use super::{get, post};
use crate::ipc::rentals::{self, Action, MAX_SCRIPT, RentalsClient};

/// Lines of a log where none are asked for, and at most.
const LINES: u32 = 100;
const MAX_LINES: u32 = 10_000;

/// What requests about rentals can reach.
pub(in crate::front) struct Rentals {
    pub(in crate::front) role: RentalsClient,
    pub(in crate::front) wallets: Arc<Wallets>,
}

/// Answers what stands under `/v1/rentals` and `/v1/resources`; `None` for any other path.
pub(super) async fn route(node: &Arc<Node>, call: &Call) -> Option<Result<Answer, ApiError>> {
    let path = call.path.as_str();
    let under = path.strip_prefix("/v1/rentals");
    if path != "/v1/resources" && !under.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let rentals = node.rentals.as_ref()?;
    Some(answer(rentals, call).await)
}

async fn answer(rentals: &Rentals, call: &Call) -> Result<Answer, ApiError> {
    let action = action(call)?;
    let account = rentals.wallets.account(call).await?.map(HexBytes);
    let answered = rentals.role.ask(&rentals::Call { account, action }).await;
    match answered.map_err(|_| gone())? {
        rentals::Answer::Document(document) => Ok(Answer::json(&document)),
        rentals::Answer::Text(text) => Ok(Answer::bytes("text/plain; charset=utf-8", Bytes::from(text))),
        rentals::Answer::Refused { refusal, message } => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let error = ApiError::new(status, refusal.code(), message);
            Err(match status.as_u16() {
                429 | 503 => error.with_retry_after(5),
                _ => error,
            })
        }
    }
}

fn action(call: &Call) -> Result<Action, ApiError> {
    let unknown = || ApiError::unknown_url(&call.method);
    if call.path == "/v1/resources" {
        return get(call).map(|()| Action::Resources);
    }
    let rest = call.path.strip_prefix("/v1/rentals").ok_or_else(unknown)?;
    if rest.is_empty() {
        return get(call).map(|()| Action::List);
    }
    let rest = rest.strip_prefix('/').ok_or_else(unknown)?;
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let rental = fixed(id).map(HexBytes).ok_or_else(|| {
        let message = "A rental's id is 0x and 64 hexadecimal digits.";
        ApiError::invalid("rental_id_malformed", message, None)
    })?;
    match what {
        "" => get(call).map(|()| Action::Show(rental)),
        "metrics" => get(call).map(|()| Action::Metrics(rental)),
        "logs" => {
            get(call)?;
            Ok(Action::Logs {
                rental,
                tail: tail(&call.query)?,
            })
        }
        "exec" => {
            post(call)?;
            let Command { command } = serde_json::from_slice(&call.body).map_err(|error| {
                let message =
                    format!("The body is {{\"command\": [\"program\", \"argument\", …]}}: {error}.");
                ApiError::invalid("rental_command_invalid", message, Some("command"))
            })?;
            Ok(Action::Exec { rental, command })
        }
        "script" => {
            if call.method != Method::PUT {
                return Err(ApiError::method_not_allowed("PUT"));
            }
            if call.body.len() > MAX_SCRIPT {
                return Err(ApiError::body_too_large(MAX_SCRIPT));
            }
            Ok(Action::Script {
                rental,
                script: STANDARD.encode(&call.body),
            })
        }
        _ => Err(unknown()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    command: Vec<String>,
}

fn tail(query: &str) -> Result<u32, ApiError> {
    let lines = match query.strip_prefix("tail=") {
        None if query.is_empty() => Some(LINES),
        given => given.and_then(|lines| lines.parse().ok()),
    };
    lines
        .filter(|lines| (1..=MAX_LINES).contains(lines))
        .ok_or_else(|| {
            let message = format!("tail is a number of lines from 1 to {MAX_LINES}.");
            ApiError::invalid("rental_tail_invalid", message, Some("tail"))
        })
}

fn gone() -> ApiError {
    let message = "The rentals role gave no answer.";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "rentals_gone", message).with_retry_after(5)
}
