//! Why there is no way into a container.

use http::StatusCode;
use thiserror::Error;

/// Why there is no connection to a route's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InsideError {
    /// No SSH server answers there.
    #[error("Rental not reachable")]
    Unreachable,
    /// Nothing listens on the port.
    #[error("Nothing answers on that port of the container")]
    PortClosed,
    /// The SSH server has another host key than the renter named: the node restarted, or it isn't the node.
    #[error("The rental's SSH server has another host key: the renter has to renew the route")]
    HostKeyChanged,
    /// The SSH server doesn't take the certificate.
    #[error("The rental does not take the route's certificate")]
    LoginRefused,
    /// It doesn't permit the port, or no connection at all.
    #[error("The rental does not permit the connection")]
    NotPermitted,
    /// Nothing came in time.
    #[error("The rental did not answer in time")]
    TimedOut,
    /// All connections of the route are full.
    #[error("The route has too many connections")]
    Busy,
    /// The route has ended.
    #[error("Route expired")]
    Over,
    /// What answers on the port doesn't speak HTTP, or broke off before it answered.
    #[error("What listens on that port of the container gave no answer of HTTP")]
    NoAnswer,
}

impl InsideError {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            InsideError::Unreachable | InsideError::PortClosed => "route_unreachable",
            InsideError::HostKeyChanged => "route_host_key_changed",
            InsideError::LoginRefused | InsideError::NotPermitted => "route_login_refused",
            InsideError::TimedOut => "route_timeout",
            InsideError::Busy => "route_busy",
            InsideError::Over => "route_expired",
            InsideError::NoAnswer => "route_answer_invalid",
        }
    }

    /// What a client of HTTP is told.
    pub const fn status(self) -> StatusCode {
        match self {
            InsideError::Unreachable
            | InsideError::PortClosed
            | InsideError::HostKeyChanged
            | InsideError::LoginRefused
            | InsideError::NotPermitted
            | InsideError::NoAnswer => StatusCode::BAD_GATEWAY,
            InsideError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            InsideError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            InsideError::Over => StatusCode::GONE,
        }
    }
}
