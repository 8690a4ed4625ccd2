//! The gateway: finds providers on chain for users, and carries bytes to them. It is trusted with nothing: TLS goes
//! through it to the enclave unopened, and it has no money.
//!
//! | module | what it does |
//! |---|---|
//! | [`index`] | providers as the chain has them |
//! | [`names`] | from a server name to addresses of a provider |
//! | [`passthrough`] | TLS connections, to the provider that their server name means |
//! | [`api`] | what the chain says, over HTTP |
//! | [`config`] | the configuration file |

pub mod api;
pub mod config;
pub mod index;
pub mod names;
pub mod passthrough;
