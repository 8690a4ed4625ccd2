//! What users of a node run: verify it, and send it prompts only once it is verified.
//!
//! [`relying_party::RelyingParty`] is what a user trusts: a policy, and the chain that it names. [`session::Session`]
//! is a connection that was attested under it; there is no other way to send a request. [`proxy`] puts such sessions
//! behind plain HTTP on loopback, so that any OpenAI client works unchanged.

pub mod certificate;
pub mod chat;
pub mod dev;
pub mod error;
pub mod node_url;
pub mod proxy;
pub mod relying_party;
pub mod session;
pub mod trust;
pub mod verify;
