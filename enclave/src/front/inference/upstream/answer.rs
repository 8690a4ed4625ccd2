//! An upstream's answer on its way to the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, unfold};
use jeju_attestation::launch::upstreams::Endpoint;
use jeju_attestation::response::EndReason;
use jeju_openai::Head;
use jeju_openai::upstream::answer::{self, Ending, Malformed, Step, Stream};
use jeju_openai::upstream::request::Expected;
use jeju_openai::upstream::sse::Events;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

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

/// Passes a stream on. Dropping it closes the connection, which tells the upstream to stop. A stream that fails ends without
/// a [`Chunk::End`].
pub(super) fn stream(
    reply: Reply,
    stream: Stream,
    signals: Arc<Signals>,
    place: OwnedSemaphorePermit,
) -> BoxStream<'static, Chunk> {
    let passing = Box::new(Passing {
        reply: Some(reply),
        stream,
        events: Events::default(),
        ready: VecDeque::new(),
        end: None,
        signals,
        _place: place,
    });
    unfold(passing, |mut passing| async move {
        let chunk = passing.next().await?;
        Some((chunk, passing))
    })
    .boxed()
}

/// A stream under way.
struct Passing {
    /// Until its end, or a failure.
    reply: Option<Reply>,
    stream: Stream,
    events: Events,
    /// Chunks that are to be passed on before more is read.
    ready: VecDeque<Chunk>,
    /// What the end mark said, while the body's end is waited for.
    end: Option<(Value, Ending)>,
    signals: Arc<Signals>,
    _place: OwnedSemaphorePermit,
}

impl Passing {
    async fn next(&mut self) -> Option<Chunk> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            let reply = self.reply.take()?;
            let read = match self.end.take() {
                Some(end) => self.end(reply, end).await,
                None => self.read(reply).await,
            };
            if let Err(failure) = read {
                self.signals.failed(&failure);
            }
        }
    }

    /// Reads what comes next. What came before a fault was right.
    async fn read(&mut self, mut reply: Reply) -> Result<(), Failure> {
        let bytes = reply.next().await?.ok_or(Failure::Broken)?;
        let Self {
            stream,
            events,
            ready,
            end,
            ..
        } = self;
        events.push(&bytes, |data| {
            match stream.event(data)? {
                Step::Chunk(document) => ready.push_back(Chunk::Written(document)),
                Step::Done(usage, ending) => *end = Some((usage, ending)),
                Step::Nothing => {}
            }
            Ok::<(), Malformed>(())
        })?;
        self.reply = Some(reply);
        Ok(())
    }

    async fn end(&mut self, reply: Reply, (usage, ending): (Value, Ending)) -> Result<(), Failure> {
        reply.end(MAX_REST, REST).await?;
        let reason = match ending {
            Ending::Stop => EndReason::Stop,
            Ending::Length => EndReason::Length,
        };
        self.ready.extend([Chunk::Usage(usage), Chunk::End(reason)]);
        Ok(())
    }
}
