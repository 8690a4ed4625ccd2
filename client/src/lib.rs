//! What users of a node run: verify it, and send it prompts only once it is verified.
//!
//! [`relying_party::RelyingParty`] is what a user trusts: a policy, and the chain that it names. [`session::Session`]
//! is a connection that was attested under it; there is no other way to send a request. [`proxy`] puts such sessions
//! behind plain HTTP on loopback, so that any OpenAI client works unchanged. [`audit`] computes saved answers again.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use http::{HeaderMap, Method};
//! use jeju_attestation::policy::Policy;
//! use jeju_client::relying_party::RelyingParty;
//! use jeju_client::session::{Limits, Session, VerifiedBody};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::parse(&std::fs::read_to_string("policy.toml")?, false)?;
//! let party = Arc::new(RelyingParty::new(policy)?);
//! let mut session = Session::connect(&"https://node.example".parse()?, party, Limits::default()).await?;
//! println!("{:?}", session.verdict().checks);
//! let response = session.request(Method::GET, "/v1/models", HeaderMap::new(), "".into()).await?;
//! if let VerifiedBody::Whole(body) = response.body {
//!     println!("{}", String::from_utf8_lossy(&body));
//! }
//! # Ok(())
//! # }
//! ```

pub mod audit;
pub mod certificate;
pub mod chain;
pub mod chat;
pub mod committee;
pub mod completion;
pub mod config;
pub mod deployment;
pub mod dev;
pub mod discover;
pub mod error;
pub mod evidence;
pub mod files;
pub mod ledger;
pub mod mpc;
pub mod node_url;
pub mod payment;
pub mod policy;
pub mod provider;
pub mod proxy;
pub mod receipt;
pub mod relying_party;
pub mod rental;
pub mod route;
pub mod session;
pub mod ssh;
pub mod trust;
pub mod verify;
pub mod via;
pub mod wallet;
pub mod worker;
