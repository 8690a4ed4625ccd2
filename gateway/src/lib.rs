//! The gateway: finds providers on chain for users, and carries bytes to them. It is trusted with nothing: TLS and SSH
//! go through it to the enclave unopened, and it has no money. Routes to a port of a container, which their renters ask for,
//! are the exception: it reads what goes through those.
//!
//! | module | what it does |
//! |---|---|
//! | [`index`] | providers as the chain has them |
//! | [`store`] | what is known of the chain, over restarts |
//! | [`names`] | from a server name to addresses of a provider |
//! | [`health`] | which providers answer, and how fast |
//! | [`ssh`], [`tcp_route`], [`http_route`] | connections to rentals, by routes |
//! | [`inside`] | and through their SSH servers to ports of their containers |
//! | [`listeners`] | all ports but the API's |
//! | [`passthrough`] | TLS connections, to the provider that their server name means |
//! | [`api`] | what the chain says, over HTTP |
//! | [`routes`] | ways to rentals that their renters asked for |
//! | [`auth`], [`limits`] | whose request it is, and how often |
//! | [`config`] | the configuration file |

pub mod api;
pub mod auth;
pub mod config;
pub mod health;
pub mod http_route;
pub mod index;
pub mod inside;
mod key_file;
pub mod limits;
pub mod listeners;
pub mod names;
pub mod passthrough;
pub mod routes;
pub mod ssh;
pub mod store;
pub mod tcp_route;
