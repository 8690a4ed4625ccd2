//! An upstream's answer on its way to the client.

use std::sync::Arc;
use std::time::Duration;

use jeju_attestation::launch::upstreams::Endpoint;
use jeju_attestation::response::EndReason;
use jeju_openai::Head;
use jeju_openai::upstream::answer::{self, Ending, Malformed, Step, Stream};
use jeju_openai::upstream::request::Expected;
use jeju_openai::upstream::sse::Events;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::exchange::Reply;
use super::failure::Failure;
use super::health::Signals;
use crate::front::inference::Chunk;

/// Longest whole answer, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// Longest answer with embeddings, in bytes: 512 of 1536 numbers.
const MAX_EMBEDDINGS: usize = 16 << 20;
/// What may come after the end of a stream, in bytes, and within which time.
const MAX_REST: usize = 4096;
const REST: Duration = Duration::from_secs(2);

/// Reads a whole answer.
pub(super) async fn whole(
    reply: Reply,
    endpoint: Endpoint,
    head: &Head,
    expected: Expected,
) -> Result<Value, Failure> {
    let limit = match endpoint {
        Endpoint::Embeddings => MAX_EMBEDDINGS,
        Endpoint::Chat | Endpoint::Completions => MAX_ANSWER,
    };
    let body = reply.whole(limit).await?;
    Ok(answer::whole(endpoint, head, expected, &body)?)
}

/// Passes a stream on until its end, or until the client is gone: dropping the reply then closes the connection, which
/// tells the upstream to stop. A stream that fails ends without a [`Chunk::End`].
pub(super) async fn stream(
    reply: Reply,
    stream: Stream,
    chunks: mpsc::Sender<Chunk>,
    signals: Arc<Signals>,
    _place: OwnedSemaphorePermit,
) {
    tokio::select! {
        passed = pass(reply, stream, &chunks) => {
            if let Err(failure) = passed {
                signals.failed(&failure);
            }
        }
        () = chunks.closed() => {}
    }
}

async fn pass(mut reply: Reply, mut stream: Stream, chunks: &mpsc::Sender<Chunk>) -> Result<(), Failure> {
    let mut events = Events::default();
    let mut steps = Vec::new();
    while let Some(bytes) = reply.next().await? {
        let read = events.push(&bytes, |data| {
            steps.push(stream.event(data)?);
            Ok::<(), Malformed>(())
        });
        let mut end = None;
        for step in steps.drain(..) {
            match step {
                Step::Chunk(document) => send(chunks, Chunk::Event(document)).await?,
                Step::Done(usage, ending) => end = Some((usage, ending)),
                Step::Nothing => {}
            }
        }
        // What came before a fault was right.
        read?;
        if let Some((usage, ending)) = end {
            reply.end(MAX_REST, REST).await?;
            send(chunks, Chunk::Usage(usage)).await?;
            let reason = match ending {
                Ending::Stop => EndReason::Stop,
                Ending::Length => EndReason::Length,
            };
            return send(chunks, Chunk::End(reason)).await;
        }
    }
    Err(Failure::Broken)
}

async fn send(chunks: &mpsc::Sender<Chunk>, chunk: Chunk) -> Result<(), Failure> {
    chunks.send(chunk).await.map_err(|_| Failure::Broken)
}
