//! Failures in the shape that OpenAI clients read.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::forward::ProxyBody;
use super::payer::PayRefusal;
use crate::error::{Class, Error};

/// OpenAI clients ask again after a 5xx, with the same prompt, unless this says `false`.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why a caller gets no answer of the node.
#[derive(Debug)]
pub(super) enum Refusal {
    /// `Host` is absent or not this machine.
    Host,
    /// A page of another site asks.
    Origin,
    /// Not a path.
    RequestTarget,
    /// Longer than is forwarded.
    RequestTooLong,
    /// The caller's body broke off.
    RequestBroken,
    /// The node was refused, or not reached.
    Node(Error),
    /// There is no node that may be asked; why, where it is known.
    NoProvider(String),
    /// The proxy is for this model, and another was asked for.
    OtherModel(String),
    /// It isn't paid for.
    Payment(PayRefusal),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Node(error)
    }
}

impl Refusal {
    /// Stable code.
    pub(super) fn code(&self) -> &str {
        match self {
            Refusal::Host => "host_not_loopback",
            Refusal::Origin => "origin_not_loopback",
            Refusal::RequestTarget => "request_target_invalid",
            Refusal::RequestTooLong => "request_too_large",
            Refusal::RequestBroken => "request_incomplete",
            Refusal::Node(error) => error.code(),
            Refusal::NoProvider(_) => "provider_none",
            Refusal::OtherModel(_) => "model_not_offered",
            Refusal::Payment(refusal) => &refusal.code,
        }
    }

    /// The error response.
    pub(super) fn response(&self) -> Response<ProxyBody> {
        let body = json!({ "error": {
            "message": self.message(),
            "type": self.kind(),
            "param": null,
            "code": self.code(),
        }});
        let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
        let mut response = Response::new(body.boxed_unsync());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Refusal::Host | Refusal::Origin => StatusCode::FORBIDDEN,
            Refusal::RequestTarget | Refusal::RequestBroken => StatusCode::BAD_REQUEST,
            Refusal::RequestTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Node(_) => StatusCode::BAD_GATEWAY,
            Refusal::NoProvider(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::OtherModel(_) => StatusCode::NOT_FOUND,
            Refusal::Payment(refusal) if refusal.class == Class::Network => StatusCode::BAD_GATEWAY,
            Refusal::Payment(_) => StatusCode::PAYMENT_REQUIRED,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Refusal::Node(error) if error.class() == Class::Network => "jeju_network_error",
            Refusal::NoProvider(_) => "jeju_network_error",
            Refusal::Payment(_) => "jeju_payment_error",
            Refusal::Node(_) => "jeju_attestation_error",
            _ => "invalid_request_error",
        }
    }

    fn message(&self) -> String {
        match self {
            Refusal::Host => {
                "this proxy serves this machine only: Host must be localhost or a loopback address".into()
            }
            Refusal::Origin => "this proxy serves pages of this machine only".into(),
            Refusal::RequestTarget => "the request target is not a path".into(),
            Refusal::RequestTooLong => "the request body is too long".into(),
            Refusal::RequestBroken => "the request body is incomplete".into(),
            Refusal::Node(error) => error.to_string(),
            Refusal::NoProvider(why) if why.is_empty() => "there is no provider to ask".into(),
            Refusal::NoProvider(why) => format!("there is no provider to ask: {why}"),
            Refusal::OtherModel(model) => format!("this proxy was started for the model {model}"),
            Refusal::Payment(refusal) => refusal.message.clone(),
        }
    }
}
