//! Bodies on their way between a client and a container: frame by frame, and counted.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::task::JoinHandle;

use crate::inside::Tally;

type BoxError = Box<dyn Error + Send + Sync>;

/// An answer's body.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// No body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A text.
pub(super) fn text(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Which way a body goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// A body.
pub(super) struct Passing {
    body: Incoming,
    tally: Arc<Tally>,
    way: Way,
    /// What goes on beside it.
    _beside: Vec<Aborted>,
}

/// A task that ends with this.
pub(super) struct Aborted(pub(super) JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Passing {
    pub(super) fn new(body: Incoming, tally: Arc<Tally>, way: Way, beside: Vec<Aborted>) -> Self {
        Self {
            body,
            tally,
            way,
            _beside: beside,
        }
    }
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match self.way {
                Way::In => self.tally.sent(data.len()),
                Way::Out => self.tally.received(data.len()),
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
