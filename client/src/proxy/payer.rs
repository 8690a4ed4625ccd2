//! Where payments hook into the proxy.
//!
//! ```text
//! begin ──▶ request on an attested session ──▶ whole                          the answer verified
//!   │                                     └──▶ stream ──▶ events… ──▶ ended   its end verified
//!   └──▶ unsent, where nothing of it was sent
//! ```
//!
//! A [`Bill`] that is dropped is of a request whose end isn't known: it was sent, and no answer to it verified.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use jeju_attestation::response::EndReason;

use crate::error::Class;
use crate::session::Session;

/// Pays for what goes through a proxy.
pub trait Payer: Send + Sync {
    /// Makes a request one that is paid for: adds the headers that it needs. `None`: it costs nothing here. Called again
    /// with another node's session where the request goes to another node.
    ///
    /// # Errors
    /// Where it may not be sent.
    fn begin<'a>(
        &'a self,
        session: &'a mut Session,
        method: &'a Method,
        path_and_query: &'a str,
        headers: &'a mut HeaderMap,
        body: &'a Bytes,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Bill>>, PayRefusal>>;

    /// Hands in what is owed to the session's node. Called for idle sessions now and then, and at the end.
    fn flush<'a>(&'a self, session: &'a mut Session) -> BoxFuture<'a, ()>;

    /// Whether [`Payer::flush`] has something to do.
    fn is_due(&self, session: &Session) -> bool;
}

/// A request that is paid for.
pub trait Bill: Send {
    /// Nothing of it was sent.
    fn unsent(self: Box<Self>);

    /// Its answer came whole, and is verified.
    fn whole(self: Box<Self>, status: StatusCode, headers: &HeaderMap, body: &[u8]);

    /// Its answer is a stream whose head is verified.
    fn stream(self: Box<Self>, status: StatusCode, headers: &HeaderMap) -> Box<dyn StreamBill>;
}

/// The same while the answer streams.
pub trait StreamBill: Send {
    /// Whole events, as the verified stream gives them: the signed end and `[DONE]` too.
    fn events(&mut self, events: &[u8]);

    /// The stream's end is verified.
    fn ended(self: Box<Self>, reason: EndReason);
}

/// Why a request isn't paid for, and so not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayRefusal {
    /// Stable code.
    pub code: String,
    /// Class; what is `Network` may go better with another node.
    pub class: Class,
    /// For people.
    pub message: String,
}
