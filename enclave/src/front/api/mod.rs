//! Routes of 4007, and in [`mpc`] those of 4010. Handlers are thin: read the request, ask one thing, shape the answer.

mod attestation;
mod card;
mod inference;
mod models;
pub(super) mod mpc;
mod node;
mod payments;
mod receipts;
mod rentals;

use std::sync::Arc;

use http::Method;

use super::Node;
use super::error::ApiError;
use super::exchange::{Answer, Call};
use super::listener::Connection;

pub(super) use rentals::Rentals;

/// Finds the handler and lets it answer.
pub(super) async fn route(node: &Arc<Node>, connection: &Connection, call: Call) -> Result<Answer, ApiError> {
    if let Some(answer) = rentals::route(node, &call).await {
        return answer;
    }
    if let Some(route) = inference::Route::at(&call.path) {
        post(&call)?;
        return inference::answer(node, route, call).await;
    }
    if let Some(answer) = payments::route(node, &call).await {
        return answer;
    }
    if let Some(answer) = receipts::route(node, &call) {
        return answer;
    }
    let path = call.path.as_str();
    match path {
        "/health" => get(&call).and_then(|()| node::health(node)),
        "/.well-known/agent-card.json" => get(&call).and_then(|()| card::card(node)),
        "/v1/hardware" => get(&call).and_then(|()| node::hardware(node)),
        "/v1/metrics" => get(&call).and_then(|()| node::metrics(node)),
        "/v1/models" => get(&call).and_then(|()| models::list(node)),
        "/v1/attestation/report" => get(&call).and_then(|()| attestation::report(node, &call.query)),
        _ => match path.strip_prefix("/v1/models/") {
            Some(id) => get(&call).and_then(|()| models::one(node, id)),
            None => well_known(node, connection, &call).await,
        },
    }
}

/// What every port serves: evidence.
pub(super) async fn well_known(
    node: &Arc<Node>,
    connection: &Connection,
    call: &Call,
) -> Result<Answer, ApiError> {
    match call.path.as_str() {
        "/.well-known/jeju/evidence" => get(call).and_then(|()| attestation::current(node)),
        "/.well-known/jeju/launch" => get(call).and_then(|()| attestation::launch(node)),
        "/.well-known/jeju/attest" => {
            post(call)?;
            attestation::attest(node, connection, &call.body).await
        }
        path => match path.strip_prefix("/.well-known/jeju/evidence/") {
            Some(digest) => get(call).and_then(|()| attestation::bundle(node, digest)),
            None => Err(ApiError::unknown_url(&call.method)),
        },
    }
}

pub(super) fn get(call: &Call) -> Result<(), ApiError> {
    match call.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(ApiError::method_not_allowed("GET")),
    }
}

pub(super) fn post(call: &Call) -> Result<(), ApiError> {
    if call.method == Method::POST {
        Ok(())
    } else {
        Err(ApiError::method_not_allowed("POST"))
    }
}
