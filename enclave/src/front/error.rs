//! Errors at the HTTP edge, in OpenAI's shape or (on 4010) the flat one of MPC clients: a status, a stable code, and no internal detail.

use http::StatusCode;
use serde_json::{Value, json};

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The request's field that is wrong.
    pub(super) param: Option<String>,
    /// More members of the flat body.
    pub(super) more: Vec<(&'static str, Value)>,
    /// Seconds.
    pub(super) retry_after: Option<u32>,
    /// Methods that the resource answers.
    pub(super) allow: Option<&'static str>,
}

impl ApiError {
    /// A request that can't be served as it is. `message` may name fields and limits, never what the user wrote.
    pub(super) fn invalid(code: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message).with_param(param)
    }

    pub(super) fn invalid_nonce() -> Self {
        Self::invalid(
            "invalid_nonce",
            "The nonce must be 32 bytes, not all zeros.",
            None,
        )
    }

    pub(super) fn unknown_url(method: &http::Method) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_url",
            format!("There is no such resource for {method} requests."),
        )
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("This resource answers {allowed} only.");
        Self {
            allow: Some(allowed),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        }
    }

    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn model_not_served() -> Self {
        Self::not_found(
            "model_not_found",
            "The model does not exist or is not served here.",
        )
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let message = format!("The request body is longer than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    }

    pub(super) fn bodies_overloaded() -> Self {
        let message = "Too many long request bodies are being handled.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "workers_overloaded", message).with_retry_after(1)
    }

    pub(super) fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request body did not arrive in time.",
        )
    }

    pub(super) fn body_broken() -> Self {
        Self::invalid("request_incomplete", "The request body could not be read.", None)
    }

    pub(super) fn quotes_over_budget(retry_after: u32) -> Self {
        let message = "Too many fresh quotes are being asked for.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "quote_rate_limited", message).with_retry_after(retry_after)
    }

    pub(super) fn quote_unavailable() -> Self {
        let message = "The platform made no quote.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "quote_unavailable", message).with_retry_after(5)
    }

    pub(super) fn signer_gone() -> Self {
        let message = "The signer gave no answer.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "mpc_signer_gone", message).with_retry_after(5)
    }

    pub(super) fn engine_busy() -> Self {
        let message = "All places for requests are taken.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "engine_overloaded", message).with_retry_after(1)
    }

    pub(super) fn engine_failed() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "engine_failed",
            "The engine could not finish the answer.",
        )
    }

    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            more: Vec::new(),
            retry_after: None,
            allow: None,
        }
    }

    fn with_param(mut self, param: Option<&str>) -> Self {
        self.param = param.map(str::to_owned);
        self
    }

    /// With more members of the flat body.
    pub(super) fn with_more(mut self, more: Vec<(&'static str, Value)>) -> Self {
        self.more = more;
        self
    }

    pub(super) fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The body on 4010.
    pub(super) fn flat_body(&self) -> Value {
        let mut body = json!({"error": self.message, "code": self.code});
        for (name, value) in &self.more {
            body[*name] = value.clone();
        }
        body
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        // As clients of x402 know it.
        if self.status == StatusCode::PAYMENT_REQUIRED {
            return self.flat_body();
        }
        let kind = match self.status.as_u16() {
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}
