//! How an upstream is reached: what differs between loopback, another node and the Internet.

use std::future::poll_fn;
use std::pin::{Pin, pin};

use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use jeju_chain::Io;

/// Sends requests on one HTTP/1.1 connection.
pub(in crate::front::inference) type Sender = SendRequest<Full<bytes::Bytes>>;

/// Opens connections to one upstream.
pub(in crate::front::inference) trait Connect: Send + Sync {
    /// Opens one, verified as far as the upstream's kind has it. The caller bounds the time and drops the future then.
    fn connect(&self) -> BoxFuture<'_, Result<Connection, ConnectError>>;
}

/// An open connection.
pub(in crate::front::inference) struct Connection {
    pub(in crate::front::inference) sender: Sender,
    /// Without it nothing is sent or read.
    pub(in crate::front::inference) work: Work,
    /// What is checked of each exchange on it; none where the transport is all there is.
    pub(in crate::front::inference) session: Option<Box<dyn Session>>,
}

/// Reading and writing of a connection. Done by whoever waits for something on it: what comes then wakes one task, which is
/// the client's, and not two. Dropping it closes the connection.
pub(in crate::front::inference) struct Work(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Work {
    /// Of a connection whose work is done by a task of its own.
    pub(in crate::front::inference) fn elsewhere() -> Self {
        Self(None)
    }

    /// Goes on until there is what is waited for. A connection that ends gives the end to whoever waits.
    pub(in crate::front::inference) async fn until<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| {
            if let Some(work) = &mut self.0
                && work.as_mut().poll(cx).is_ready()
            {
                self.0 = None;
            }
            awaited.as_mut().poll(cx)
        })
        .await
    }
}

/// Checks of exchanges on a connection whose other end signs its answers.
pub(in crate::front::inference) trait Session: Send + Sync {
    /// Whether the connection may carry another request. Asked before each; no connection is used after a no.
    fn is_usable(&self) -> bool;

    /// Adds to a request that is about to be sent what its answer will be checked by. The method, the path, `Host`,
    /// `Content-Type` and `Content-Length` are there.
    ///
    /// # Errors
    /// Why it can't be sent.
    fn begin(&self, head: &mut http::request::Parts, body: &[u8]) -> Result<Box<dyn Check>, ConnectError>;
}

/// The check of one answer, in the order of its methods. After an error the answer and the connection are dropped.
pub(in crate::front::inference) trait Check: Send {
    /// Status and headers, before anything is made of them.
    ///
    /// # Errors
    /// What isn't as it must be.
    fn head(&mut self, head: &http::response::Parts) -> Result<(), ConnectError>;

    /// Bytes of the body as they come, before anything is made of them.
    ///
    /// # Errors
    /// What isn't as it must be.
    fn data(&mut self, bytes: &[u8]) -> Result<(), ConnectError>;

    /// The end of the body: before a whole answer is passed on, and before a stream is said to be complete.
    ///
    /// # Errors
    /// What isn't as it must be.
    fn end(&mut self) -> Result<(), ConnectError>;
}

/// Why there is no connection, or no answer on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::inference) enum ConnectError {
    /// Nobody answers there.
    #[error("unreachable")]
    Unreachable,
    /// Whoever answers isn't who it should be. Holds a stable code.
    #[error("not verified: {0}")]
    NotVerified(String),
}

/// Speaks HTTP/1.1 on a stream.
///
/// # Errors
/// [`ConnectError::Unreachable`] where the connection is closed at once.
pub(in crate::front::inference) async fn speak_http(
    stream: impl Io + 'static,
) -> Result<(Sender, Work), ConnectError> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ConnectError::Unreachable)?;
    // Its end reaches whoever waits for the answer.
    let work = async { drop(connection.await) };
    Ok((sender, Work(Some(Box::pin(work)))))
}
