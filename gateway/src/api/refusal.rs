//! Requests that aren't answered.

use std::time::Duration;

use http::StatusCode;
use jeju_chain::ReadError;
use serde_json::json;
use thiserror::Error;

use super::Answer;
use super::resource::Methods;
use crate::auth::AuthError;
use crate::inside::GrantError;
use crate::limits::Wait;
use crate::routes::RouteError;

/// Why a request isn't answered. Its text is what the client reads; where the first Jeju Compute had one, it is that.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("There is nothing at this path.")]
    NotFound,
    #[error("Only {0} is answered here.")]
    Method(Methods),
    #[error("{0}")]
    Filter(&'static str),
    #[error("The body is no JSON that is understood here: {0}")]
    Request(String),
    #[error("{0} must be an account: 0x and 40 hexadecimal digits, in mixed case only as EIP-55 mixes them.")]
    Address(&'static str),
    #[error("The body has more than {0} bytes.")]
    BodyTooLarge(usize),
    #[error("The body didn't come in time.")]
    BodyTimeout,
    #[error("{0}")]
    Auth(#[from] AuthError),
    #[error("Too many requests: try again in {} s.", seconds(*.0))]
    RateLimited(Duration),
    #[error("Provider not found")]
    ProviderNotFound,
    #[error("Provider is not active")]
    ProviderInactive,
    #[error("Provider has no resources to rent")]
    ProviderWithoutOffer,
    #[error("Provider runs as many rentals as it can")]
    ProviderAtCapacity,
    #[error("Provider rents for {least} to {most} hours")]
    Duration { least: u16, most: u16 },
    #[error("SSH public key is required")]
    SshKey,
    #[error("Provider doesn't run this image")]
    Image,
    #[error("Rental not found")]
    RentalNotFound,
    #[error("Rental not found or not owned")]
    RentalOfAnother,
    #[error("Not rental owner")]
    RentalNotOwned,
    #[error("Rental not active")]
    RentalNotActive,
    #[error("Rental was started already: it can be ended, not cancelled")]
    RentalNotPending,
    #[error("Rental not completed")]
    RentalNotCompleted,
    #[error("This gateway knows no rental contract.")]
    RentalsUnavailable,
    #[error("This gateway has no routes of type {0}.")]
    RouteType(&'static str),
    #[error("{0}")]
    Route(#[from] RouteError),
    #[error("{0}")]
    Grant(#[from] GrantError),
    #[error("{0}")]
    Proxy(String),
    #[error("Cloud integration not enabled")]
    Cloud,
    #[error("Skills not supported")]
    Skills,
    #[error("The chain can't be read now.")]
    Chain,
    #[error("Too many requests that read the chain: try again.")]
    ChainBusy,
}

impl Refusal {
    /// Stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound => "not_found",
            Refusal::Method(_) => "method_not_allowed",
            Refusal::Filter(_) => "filter_invalid",
            Refusal::Request(_) => "request_invalid",
            Refusal::Address(_) => "address_invalid",
            Refusal::BodyTooLarge(_) => "body_too_large",
            Refusal::BodyTimeout => "body_timeout",
            Refusal::Auth(error) => error.code(),
            Refusal::RateLimited(_) => "rate_limited",
            Refusal::ProviderNotFound => "provider_not_found",
            Refusal::ProviderInactive => "provider_inactive",
            Refusal::ProviderWithoutOffer => "provider_without_offer",
            Refusal::ProviderAtCapacity => "provider_at_capacity",
            Refusal::Duration { .. } => "duration_invalid",
            Refusal::SshKey => "ssh_key_required",
            Refusal::Image => "image_not_supported",
            Refusal::RentalNotFound | Refusal::RentalOfAnother => "rental_not_found",
            Refusal::RentalNotOwned => "rental_not_owned",
            Refusal::RentalNotActive => "rental_not_active",
            Refusal::RentalNotPending => "rental_not_pending",
            Refusal::RentalNotCompleted => "rental_not_completed",
            Refusal::RentalsUnavailable => "rentals_unavailable",
            Refusal::RouteType(_) => "route_type_unavailable",
            Refusal::Route(error) => error.code(),
            Refusal::Grant(error) => error.code(),
            Refusal::Proxy(_) => "proxy_refused",
            Refusal::Cloud => "cloud_disabled",
            Refusal::Skills => "skills_unsupported",
            Refusal::Chain => "chain_unreadable",
            Refusal::ChainBusy => "chain_busy",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound
            | Refusal::ProviderNotFound
            | Refusal::RentalNotFound
            | Refusal::RentalOfAnother
            | Refusal::Route(RouteError::NotFound) => StatusCode::NOT_FOUND,
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Filter(_)
            | Refusal::Request(_)
            | Refusal::Address(_)
            | Refusal::ProviderInactive
            | Refusal::ProviderWithoutOffer
            | Refusal::ProviderAtCapacity
            | Refusal::Duration { .. }
            | Refusal::SshKey
            | Refusal::Image
            | Refusal::RentalNotActive
            | Refusal::RentalNotPending
            | Refusal::RentalNotCompleted
            | Refusal::RouteType(_)
            | Refusal::Grant(_)
            | Refusal::Route(RouteError::Expired | RouteError::OtherKind | RouteError::NoContainerPort) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Refusal::Auth(error) if error.is_overload() => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Auth(_) => StatusCode::UNAUTHORIZED,
            Refusal::RentalNotOwned | Refusal::Route(RouteError::NotOwner) | Refusal::Proxy(_) => {
                StatusCode::FORBIDDEN
            }
            Refusal::RateLimited(_)
            | Refusal::Route(RouteError::TooManyOfOwner | RouteError::TooManySessions) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::Skills => StatusCode::NOT_IMPLEMENTED,
            Refusal::Route(RouteError::Full | RouteError::NoPort | RouteError::NoRandomness)
            | Refusal::RentalsUnavailable
            | Refusal::Cloud
            | Refusal::Chain
            | Refusal::ChainBusy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As it is sent.
    pub(super) fn answer(&self) -> Answer {
        Answer {
            status: self.status(),
            retry_after: match self {
                Refusal::RateLimited(wait) => Some(seconds(*wait)),
                _ => None,
            },
            allow: match self {
                Refusal::Method(methods) => Some(*methods),
                _ => None,
            },
            ..Answer::json(&json!({ "error": self.to_string(), "code": self.code() }))
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(_: ReadError) -> Self {
        Refusal::Chain
    }
}

impl From<Wait> for Refusal {
    fn from(Wait(wait): Wait) -> Self {
        Refusal::RateLimited(wait)
    }
}

/// Rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() != 0)
}
