//! `POST /v1/responses` by way of `/v1/chat/completions`: a request becomes a chat request, and the chat's documents become
//! a response, whole or as its events. So it serves whatever answers chats.
//!
//! Nothing is stored: what would need it (`store`, `previous_response_id`, `conversation`, `background`) is refused.

mod request;
mod response;
mod stream;

pub use request::{Request, field_name, parse};
pub use response::{Head, whole};
pub use stream::{Event, Stream};

#[cfg(test)]
mod tests;
