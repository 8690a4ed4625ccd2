//! Why there is no route.

use thiserror::Error;

/// Why there is no route, or no session on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RouteError {
    /// No route has the id.
    #[error("Route not found")]
    NotFound,
    /// Its rental's time is over.
    #[error("Route expired")]
    Expired,
    /// It leads from elsewhere: an id of a TCP route, given to the SSH proxy.
    #[error("Route is of another type")]
    OtherKind,
    /// Somebody else's.
    #[error("Not route owner")]
    NotOwner,
    /// The account has [`MAX_ROUTES_OF_OWNER`](super::MAX_ROUTES_OF_OWNER).
    #[error("The account has too many routes: delete one first")]
    TooManyOfOwner,
    /// The route has [`MAX_SESSIONS_OF_ROUTE`](super::MAX_SESSIONS_OF_ROUTE).
    #[error("The route has too many sessions")]
    TooManySessions,
    /// The table is full.
    #[error("The gateway has no room for another route")]
    Full,
    /// A TCP route has a port of its own, and all are used, or the gateway has none.
    #[error("The gateway has no port for another TCP route")]
    NoPort,
    /// It leads to the rental's SSH server, for which the gateway needs nothing.
    #[error("The route leads to no port of the container: there is nothing to renew")]
    NoContainerPort,
    /// The system gives no random numbers.
    #[error("The gateway can't make an id")]
    NoRandomness,
}

impl RouteError {
    /// Stable code for API answers.
    pub const fn code(self) -> &'static str {
        match self {
            RouteError::NotFound => "route_not_found",
            RouteError::Expired => "route_expired",
            RouteError::OtherKind => "route_other_type",
            RouteError::NotOwner => "route_not_owned",
            RouteError::TooManyOfOwner => "routes_of_account_exhausted",
            RouteError::TooManySessions => "route_busy",
            RouteError::Full => "routes_exhausted",
            RouteError::NoPort => "route_port_unavailable",
            RouteError::NoContainerPort => "route_without_port",
            RouteError::NoRandomness => "randomness_unavailable",
        }
    }
}
