//! A fetch's body on its way from the process to whoever sends it.
//!
//! A body that just ends counts as whole, so one that is given up says that it isn't: the server on the other side must not
//! take a part for all of it.

use std::sync::Arc;

use jeju_worker_protocol::{BodyOf, CallId, Failure, code};
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;

use crate::outbound::Body;
use crate::pipe::{Piece, Pipe};
use crate::state::Shared;

type Sent = Result<Vec<u8>, Failure>;

/// The end of a [`Body`] that is written to.
pub(crate) struct Uploading {
    sender: mpsc::Sender<Sent>,
    /// Room for the word that the body isn't whole; none once it is.
    cut: Option<OwnedPermit<Sent>>,
}

impl Uploading {
    /// With room for so many pieces that nobody took yet.
    pub(crate) fn new(pieces: usize) -> (Self, Body) {
        let (sender, body) = mpsc::channel(pieces + 1);
        let cut = sender.clone().try_reserve_owned().ok();
        (Self { sender, cut }, body)
    }

    /// Hands over what the process sends, to its end.
    pub(crate) async fn run(mut self, shared: Arc<Shared>, call: CallId, of: BodyOf, pipe: Arc<Pipe>) {
        loop {
            match pipe.take().await {
                Piece::Data(data) => {
                    let len = data.len();
                    if self.sender.send(Ok(data)).await.is_err() {
                        return pipe.close();
                    }
                    shared.credit(call, of, len);
                }
                Piece::End(failure) => return self.end(failure),
            }
        }
    }

    fn end(&mut self, failure: Option<Failure>) {
        let cut = self.cut.take();
        if let (Some(cut), Some(failure)) = (cut, failure) {
            cut.send(Err(failure));
        }
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.end(Some(Failure::new(code::CANCELLED, "the event is over")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: &mut Body) -> Vec<Result<Vec<u8>, String>> {
        std::iter::from_fn(|| body.try_recv().ok())
            .map(|piece| piece.map_err(|failure| failure.code))
            .collect()
    }

    #[test]
    fn a_body_that_is_given_up_is_not_whole_even_where_nobody_took_a_piece() {
        let (uploading, mut body) = Uploading::new(2);
        for _ in 0..2 {
            uploading.sender.try_send(Ok(vec![1])).ok().unwrap();
        }
        assert!(uploading.sender.try_send(Ok(vec![1])).is_err());
        drop(uploading);
        let pieces = [Ok(vec![1]), Ok(vec![1]), Err(code::CANCELLED.to_owned())];
        assert_eq!(taken(&mut body), pieces);
    }

    #[test]
    fn a_body_ends_once() {
        let (mut whole, mut body) = Uploading::new(2);
        whole.end(None);
        drop(whole);
        assert_eq!(taken(&mut body), []);
        let (mut broken, mut body) = Uploading::new(2);
        broken.end(Some(Failure::new(code::EXCEPTION, "")));
        drop(broken);
        assert_eq!(taken(&mut body), [Err(code::EXCEPTION.to_owned())]);
    }
}
