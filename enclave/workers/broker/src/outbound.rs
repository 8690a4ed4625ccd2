//! Where fetches of workers go.

use std::pin::Pin;
use std::sync::Arc;

use jeju_worker_protocol::{Failure, FetchRequest, FetchResponse};
use tokio::sync::mpsc;

use crate::call::CallContext;

/// Pieces of a body, in order. It is whole where the channel ends; a [`Failure`] is the last item and says that it isn't.
/// Whoever drops the receiver wants no more of it. Channels of a few pieces keep the sender at the reader's speed.
pub type Body = mpsc::Receiver<Result<Vec<u8>, Failure>>;

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries out what workers fetch.
pub trait Outbound: Send + Sync {
    /// Sends a request. Its method, URL and fields have been checked for their form only: where it may go is for the
    /// implementation to say. `body` is there where `request.has_body` is.
    ///
    /// The future, and then the body of the answer, is dropped when the worker doesn't want them any more, or its event
    /// is over.
    fn fetch(
        &self,
        context: Arc<CallContext>,
        request: FetchRequest,
        body: Option<Body>,
    ) -> BoxFuture<'static, Result<(FetchResponse, Body), Failure>>;
}
