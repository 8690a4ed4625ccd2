//! Ways through a gateway to the SSH server of a rental, for who has no direct one, and to a port of its container, for all.
//!
//! A gateway makes a route for the account that rents, and carries bytes. On the way to the SSH server it is trusted with
//! nothing: what answers at the end has to have the host key that the node's evidence names. On the way to a port it is a
//! client of that server, by a certificate for this port alone, and reads what goes through.
//!
//! | module | what it does |
//! |---|---|
//! | `command` | `jeju route` |
//! | `signed` | what makes a request to a gateway the account's |
//! | `at` | a route, and the gateway that has it |
//! | `inside` | what lets a gateway into a container |
//! | `certificate` | a certificate for its key |
//! | `connect` | bytes through it, as OpenSSH's `ProxyCommand` |

mod at;
mod certificate;
pub mod command;
mod connect;
mod error;
mod inside;
mod signed;

pub use at::RouteAt;
pub use error::RouteError;
