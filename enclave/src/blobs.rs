//! The front's way to the host's blob store (port 5001), which it uses for roles that have no socket. It sees sealed
//! bytes only, as the host does.

use std::time::Duration;

use jeju_shim_protocol::blob::{self, BlobName, ListRequest, MAX_PAGE};
use jeju_shim_protocol::line::ErrorCode;
use jeju_shim_protocol::transport::{GuestTransport, Stream};
use jeju_shim_protocol::{ExchangeError, ParseError, Port};
use jeju_store::{BlobOp, BlobReply};
use tokio::sync::Mutex;
use tokio::time::timeout;

// What a store makes fits what the protocol carries.
const _: () = assert!(jeju_store::MAX_BLOB == blob::MAX_BLOB);

/// Time for one operation, a second attempt included.
const WAIT: Duration = Duration::from_secs(20);

/// Why an operation wasn't done. Whether a write took effect is unknown, except after [`BlobError::Full`],
/// [`BlobError::Unavailable`] and [`BlobError::Name`].
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The host keeps no blobs.
    #[error("the host keeps no blobs")]
    Unavailable,
    /// The host has no room.
    #[error("the host's blob store is full")]
    Full,
    /// The name isn't one.
    #[error("name: {0}")]
    Name(ParseError),
    /// The host refused, hung up, or broke the protocol.
    #[error("host: {0}")]
    Host(ExchangeError),
    /// The host didn't answer in time.
    #[error("the host didn't answer within {} s", WAIT.as_secs())]
    TimedOut,
}

/// Access to the host's blobs: one connection, kept as long as it works, and one operation at a time.
#[derive(Debug)]
pub struct Blobs {
    transport: GuestTransport,
    connection: Mutex<Option<Stream>>,
}

impl Blobs {
    /// Dials when first used.
    pub fn new(transport: GuestTransport) -> Self {
        Self {
            transport,
            connection: Mutex::new(None),
        }
    }

    /// Does one operation. One that fails on a connection that was used before is done again on a new one, since the
    /// host may have closed it in the meantime; doing an operation twice is the same as doing it once.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn perform(&self, op: BlobOp) -> Result<BlobReply, BlobError> {
        let request = Request::of(&op).map_err(BlobError::Name)?;
        match timeout(WAIT, self.exchange(&request)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(ExchangeError::Refused(ErrorCode::Unavailable))) => Err(BlobError::Unavailable),
            Ok(Err(ExchangeError::Refused(ErrorCode::Full))) => Err(BlobError::Full),
            Ok(Err(error)) => Err(BlobError::Host(error)),
            Err(_) => Err(BlobError::TimedOut),
        }
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<BlobReply, ExchangeError> {
        let mut connection = self.connection.lock().await;
        // Taken out while it is used: a caller that gives up in the middle must not leave half an answer to the next.
        if let Some(mut stream) = connection.take() {
            match request.exchange(&mut stream).await {
                Err(ExchangeError::Io(_) | ExchangeError::Closed) => {}
                outcome => return keep(&mut connection, stream, outcome),
            }
        }
        let mut stream = self.transport.dial(Port::Blobs).await?;
        let outcome = request.exchange(&mut stream).await;
        keep(&mut connection, stream, outcome)
    }
}

/// Keeps a connection whose answer was whole, and behind which the host reads on.
fn keep(
    connection: &mut Option<Stream>,
    stream: Stream,
    outcome: Result<BlobReply, ExchangeError>,
) -> Result<BlobReply, ExchangeError> {
    let usable = match &outcome {
        Ok(_) => true,
        Err(ExchangeError::Refused(code)) => {
            !matches!(code, ErrorCode::Busy | ErrorCode::BadRequest | ErrorCode::Timeout)
        }
        Err(_) => false,
    };
    *connection = usable.then_some(stream);
    outcome
}

/// An operation with names that were checked.
enum Request<'a> {
    Get(BlobName),
    Put(BlobName, &'a [u8]),
    Delete(BlobName),
    List(ListRequest),
}

impl<'a> Request<'a> {
    fn of(op: &'a BlobOp) -> Result<Self, ParseError> {
        Ok(match op {
            BlobOp::Get { name } => Self::Get(BlobName::parse(name)?),
            BlobOp::Put { name, blob } => Self::Put(BlobName::parse(name)?, blob),
            BlobOp::Delete { name } => Self::Delete(BlobName::parse(name)?),
            BlobOp::List { space, after } => Self::List(ListRequest::new(space, "", after.as_deref())?),
        })
    }

    async fn exchange(&self, stream: &mut Stream) -> Result<BlobReply, ExchangeError> {
        Ok(match self {
            Self::Get(name) => match blob::get(stream, name).await? {
                Some(blob) => BlobReply::Blob(blob),
                None => BlobReply::Missing,
            },
            Self::Put(name, bytes) => {
                blob::put(stream, name, bytes).await?;
                BlobReply::Done
            }
            Self::Delete(name) => {
                blob::delete(stream, name).await?;
                BlobReply::Done
            }
            Self::List(request) => {
                let leaves = blob::list(stream, request).await?.into_names();
                let more = leaves.len() == MAX_PAGE;
                BlobReply::Names { leaves, more }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jeju_shim_protocol::blob::{BlobRequest, read_body, read_request, write_done};
    use jeju_shim_protocol::transport::HostTransport;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn put(len: usize) -> BlobOp {
        BlobOp::Put {
            name: "signer/a".to_owned(),
            blob: vec![7; len],
        }
    }

    /// A host that answers the requests of each connection with these, and closes behind the last; the count is of
    /// connections.
    fn host(
        answers: &'static [&'static [Result<(), ErrorCode>]],
    ) -> (Blobs, Arc<AtomicUsize>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let listener = HostTransport::Unix(dir.path().into())
            .listen(Port::Blobs)
            .unwrap();
        let dialled = Arc::new(AtomicUsize::new(0));
        let count = dialled.clone();
        tokio::spawn(async move {
            for answers in answers {
                let mut stream = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                for answer in *answers {
                    let Ok(BlobRequest::Put(_, len)) = read_request(&mut stream).await else {
                        panic!("a put was expected");
                    };
                    read_body(&mut stream, len).await.unwrap();
                    write_done(&mut stream, *answer).await.unwrap();
                }
            }
        });
        let blobs = Blobs::new(GuestTransport::Unix(dir.path().into()));
        (blobs, dialled, dir)
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_replaced() {
        let (blobs, dialled, _dir) = host(&[&[Ok(()), Ok(()), Err(ErrorCode::Full), Ok(())], &[Ok(())]]);
        for _ in 0..2 {
            assert_eq!(blobs.perform(put(10)).await.unwrap(), BlobReply::Done);
        }
        assert!(matches!(blobs.perform(put(10)).await, Err(BlobError::Full)));
        blobs.perform(put(10)).await.unwrap();
        assert_eq!(dialled.load(Ordering::Relaxed), 1);
        // The host has closed: a new connection, and no error.
        blobs.perform(put(10)).await.unwrap();
        assert_eq!(dialled.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_host_that_refuses_or_hangs_up_is_an_error() {
        let (blobs, dialled, _dir) = host(&[&[Err(ErrorCode::Busy)], &[Err(ErrorCode::Unavailable)], &[]]);
        let busy = blobs.perform(put(1)).await;
        assert!(matches!(
            busy,
            Err(BlobError::Host(ExchangeError::Refused(ErrorCode::Busy)))
        ));
        let none = blobs.perform(put(1)).await;
        assert!(matches!(none, Err(BlobError::Unavailable)));
        let gone = blobs.perform(put(1)).await;
        assert!(matches!(gone, Err(BlobError::Host(_))), "{gone:?}");
        assert_eq!(dialled.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn bad_names_and_long_blobs_never_reach_the_host() {
        let nowhere = Blobs::new(GuestTransport::Unix("/nonexistent".into()));
        for name in ["a", "a/b/c", "../a", "a/.b", ""] {
            let name = name.to_owned();
            assert!(matches!(
                nowhere.perform(BlobOp::Get { name }).await,
                Err(BlobError::Name(_))
            ));
        }
        assert!(matches!(
            nowhere.perform(put(1)).await,
            Err(BlobError::Host(ExchangeError::Io(_)))
        ));
        let (blobs, _, _dir) = host(&[&[Ok(())]]);
        let long = blobs.perform(put(blob::MAX_BLOB + 1)).await;
        assert!(matches!(
            long,
            Err(BlobError::Host(ExchangeError::OverLimit { .. }))
        ));
    }

    /// Half of an answer that nobody waits for any more is not the next one's.
    #[tokio::test(start_paused = true)]
    async fn a_silent_host_is_given_up_and_its_connection_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let listener = HostTransport::Unix(dir.path().into())
            .listen(Port::Blobs)
            .unwrap();
        let blobs = Blobs::new(GuestTransport::Unix(dir.path().into()));
        let host = tokio::spawn(async move {
            let mut first = listener.accept().await.unwrap();
            first.write_all(b"O").await.unwrap();
            let mut second = listener.accept().await.unwrap();
            let _ = first.write_all(b"K\n").await;
            read_request(&mut second).await.unwrap();
            read_body(&mut second, 1).await.unwrap();
            write_done(&mut second, Err(ErrorCode::Full)).await.unwrap();
        });
        assert!(matches!(blobs.perform(put(1)).await, Err(BlobError::TimedOut)));
        assert!(matches!(blobs.perform(put(1)).await, Err(BlobError::Full)));
        host.await.unwrap();
    }
}
