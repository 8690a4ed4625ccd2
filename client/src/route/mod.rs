//! Ways through a gateway to the SSH server of a rental, for who has no direct one.
//!
//! A gateway makes a route for the account that rents, and carries bytes. It is trusted with nothing: what answers at the end
//! has to have the host key that the node's evidence names.
//!
//! | module | what it does |
//! |---|---|
//! | `command` | `jeju route` |
//! | `signed` | what makes a request to a gateway the account's |
//! | `at` | a route, and the gateway that has it |
//! | `connect` | bytes through it, as OpenSSH's `ProxyCommand` |

mod at;
pub mod command;
mod connect;
mod error;
mod signed;

pub use at::RouteAt;
pub use error::RouteError;
