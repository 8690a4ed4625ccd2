//! One request on one connection, and the head of its answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::header::HOST;
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use jeju_worker_protocol::Failure;
use tokio::time::timeout;
use url::{Position, Url};

use super::body::{Outgoing, Payload};
use super::connection::Connection;
use super::destination::Destination;
use super::places::Owner;
use super::{Inner, failed, invalid};

/// What is sent, to wherever it leads.
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
}

/// An answer whose body is still to be read.
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    pub(super) connection: Connection,
    pub(super) from: Destination,
    /// Whether all of the request's body was sent, as far as it counts for another request on the connection.
    pub(super) sent: Sent,
}

/// Tells whether a request's body came to its end.
pub(super) type Sent = Arc<AtomicBool>;

impl Inner {
    /// Sends a message, and waits for the head of its answer. A body that comes as a stream is gone then.
    pub(super) async fn send(
        &self,
        owner: &Owner,
        to: &Destination,
        url: &Url,
        message: &mut Message,
    ) -> Result<Reply, Failure> {
        let head = head(url, to, message)?;
        let mut payload = message.payload.take();
        loop {
            let mut connection = match owner.idle.take(to).await {
                Some(connection) => connection,
                None => self.connector.open(to).await?,
            };
            let (body, again, sent) = payload.send();
            let mut request = Request::new(body);
            *request.method_mut() = message.method.clone();
            *request.uri_mut() = head.0.clone();
            *request.headers_mut() = head.1.clone();
            let answered = timeout(self.limits.head, connection.sender.try_send_request(request)).await;
            let late = || failed(format!("{} doesn't answer in time", to.line.target));
            let error = match answered.map_err(|_| late())? {
                Ok(response) if response.status().as_u16() < 200 || response.status().as_u16() > 599 => {
                    return Err(failed(format!("{} answers with no status", to.line.target)));
                }
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    return Ok(Reply {
                        head,
                        body,
                        connection,
                        from: to.clone(),
                        sent,
                    });
                }
                Err(error) => error,
            };
            if error.error().is_user() {
                return Err(failed(
                    "the request's body broke off, or isn't as long as it says",
                ));
            }
            payload = match resent(connection.waited, error, message, again) {
                Some(payload) => payload,
                None => return Err(failed(format!("{} broke off before it answered", to.line.target))),
            };
        }
    }
}

/// The body to send on another connection, where this one had waited and was closed meanwhile: if nothing of the request
/// was written, or if sending it twice does no harm.
fn resent(
    waited: bool,
    mut error: TrySendError<Request<Outgoing>>,
    message: &Message,
    again: Option<Payload>,
) -> Option<Payload> {
    match error.take_message() {
        _ if !waited => None,
        Some(unsent) => Some(unsent.into_body().into_payload()),
        None if message.method.is_idempotent() => again,
        None => None,
    }
}

/// The request's target, and its fields with `Host` in front.
fn head(url: &Url, to: &Destination, message: &Message) -> Result<(Uri, HeaderMap), Failure> {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let path: PathAndQuery = path
        .parse()
        .map_err(|_| invalid("the URL's path can't be sent"))?;
    // As browsers write it: without the port where the scheme says it.
    let host = match url.port() {
        Some(_) => to.line.target.to_string(),
        None => to.line.target.host.to_string(),
    };
    let mut headers = HeaderMap::with_capacity(message.headers.len() + 2);
    headers.insert(
        HOST,
        HeaderValue::try_from(host).map_err(|_| invalid("the URL has no host"))?,
    );
    headers.extend(message.headers.clone());
    Ok((path.into(), headers))
}
