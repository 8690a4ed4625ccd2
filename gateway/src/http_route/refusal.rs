//! Answers of the gateway's own.

use std::sync::atomic::Ordering::Relaxed;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;
use thiserror::Error;

use super::body::{self, Body};
use crate::inside::InsideError;
use crate::passthrough::Counters;
use crate::routes::RouteError;

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Route(RouteError),
    #[error("{0}")]
    Inside(#[from] InsideError),
    #[error("Rental not reachable")]
    Unreachable,
    #[error("This connection has its rental already.")]
    HasRental,
    #[error("The route leads to a port of the container: send it requests, without CONNECT.")]
    HasPort,
    #[error(
        "The route leads to the rental's SSH server, by CONNECT. Make one with a port for its web server, or reach that \
         through SSH: ssh -L 8080:localhost:80."
    )]
    ConnectOnly,
    #[error("{0}")]
    Request(&'static str),
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Refusal::Route(error) => error.code(),
            Refusal::Inside(error) => error.code(),
            Refusal::Unreachable => "route_unreachable",
            Refusal::HasRental => "route_busy",
            Refusal::HasPort => "route_has_port",
            Refusal::ConnectOnly => "route_connect_only",
            Refusal::Request(_) => "request_invalid",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Refusal::Route(RouteError::Expired) => StatusCode::GONE,
            Refusal::Route(RouteError::TooManySessions) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Route(_) => StatusCode::NOT_FOUND,
            Refusal::Inside(error) => error.status(),
            Refusal::Unreachable => StatusCode::BAD_GATEWAY,
            Refusal::HasRental | Refusal::HasPort | Refusal::Request(_) => StatusCode::BAD_REQUEST,
            Refusal::ConnectOnly => StatusCode::NOT_IMPLEMENTED,
        }
    }

    pub(super) fn count(self, counters: &Counters) {
        let counter = match self {
            Refusal::Route(_) => &counters.unknown,
            Refusal::Inside(_) | Refusal::Unreachable => &counters.unreachable,
            Refusal::HasRental => return,
            Refusal::HasPort | Refusal::ConnectOnly | Refusal::Request(_) => &counters.no_hello,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn answer(self) -> Response<Body> {
        let document = json!({ "error": self.to_string(), "code": self.code() }).to_string();
        let mut response = Response::new(body::text(document));
        *response.status_mut() = self.status();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
