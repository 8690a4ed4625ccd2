//! A stream on its way to the client: chunks become events.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jeju_attestation::response::EndReason;
use jeju_openai::{event, responses};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::front::error::ApiError;
use crate::front::inference::Chunk;
use crate::front::inference::places::Place;
use crate::front::metrics::Metrics;
use crate::front::payments::{Bill, Tokens};
use crate::front::receipts::Slip;
use crate::front::signing::Part;

/// Counts what an answer took.
pub(super) struct Counter {
    pub(super) metrics: Arc<Metrics>,
    pub(super) started: Instant,
    /// For the answer's receipt.
    pub(super) slip: Slip,
}

/// Sends a stream to the client.
pub(super) struct Sender {
    pub(super) counter: Counter,
    pub(super) parts: mpsc::Sender<Part>,
    /// Whether the client wants to know what it took.
    pub(super) usage: bool,
    /// Whether events are padded.
    pub(super) obfuscate: bool,
    /// What is told where the answer doesn't come to its end.
    pub(super) failed: ApiError,
    /// What it costs, where its account pays.
    pub(super) bill: Option<Bill>,
    /// The request's, until the stream ends.
    pub(super) _place: Place,
}

/// The client is gone.
pub(super) struct Gone;

impl Sender {
    /// Sends a chat's or a completion's chunks as they are.
    pub(super) async fn chunks(self, mut chunks: mpsc::Receiver<Chunk>) -> Result<(), Gone> {
        let (mut sent, mut usage) = (Sent::new(&self), None);
        while let Some(chunk) = self.next(&mut chunks).await {
            match chunk {
                Chunk::Event(document) => sent.piece(self.send(None, document)).await?,
                Chunk::Usage(document) => usage = Some((self.counter.count(&document), document)),
                Chunk::End(reason) if is_good(reason) => {
                    // An answer that is paid for says what it took, asked or not.
                    if let Some((tokens, mut document)) = usage {
                        sent.charge(tokens, &mut document);
                        if self.usage || self.bill.is_some() {
                            self.send(None, document).await?;
                        } else {
                            event::wipe(&mut document);
                        }
                    }
                    return self.part(Part::End(reason)).await;
                }
                Chunk::End(_) => break,
            }
        }
        sent.failed();
        // The signed end then says `error`.
        self.send(None, self.failed.body()).await
    }

    /// Sends a chat's chunks as a response's events.
    pub(super) async fn response(
        self,
        mut stream: responses::Stream,
        mut chunks: mpsc::Receiver<Chunk>,
    ) -> Result<(), Gone> {
        let (mut sent, mut usage) = (Sent::new(&self), None);
        self.events(stream.start()).await?;
        while let Some(chunk) = self.next(&mut chunks).await {
            match chunk {
                Chunk::Event(document) => match stream.chunk(document) {
                    Some(events) => sent.piece(self.events(events)).await?,
                    None => break,
                },
                Chunk::Usage(mut document) => {
                    usage = Some(self.counter.count(&document));
                    stream.usage(&document["usage"]);
                    event::wipe(&mut document);
                }
                Chunk::End(reason) if is_good(reason) => {
                    let mut events = stream.end();
                    if let (Some(tokens), Some(last)) = (usage, events.last_mut()) {
                        sent.charge(tokens, &mut last.document["response"]);
                    }
                    self.events(events).await?;
                    return self.part(Part::End(reason)).await;
                }
                Chunk::End(_) => break,
            }
        }
        sent.failed();
        let events = stream.fail(self.failed.code, &self.failed.message);
        self.events(events).await
    }

    async fn events(&self, events: Vec<responses::Event>) -> Result<(), Gone> {
        for event in events {
            self.send(Some(event.name), event.document).await?;
        }
        Ok(())
    }

    async fn send(&self, name: Option<&str>, document: Value) -> Result<(), Gone> {
        let event = event::render(name, document, self.obfuscate);
        self.part(Part::Event(Bytes::from_owner(event))).await
    }

    async fn part(&self, part: Part) -> Result<(), Gone> {
        self.parts.send(part).await.map_err(|_| Gone)
    }

    /// The next chunk, or none once the client is gone: dropping the channel tells whoever answers.
    async fn next(&self, chunks: &mut mpsc::Receiver<Chunk>) -> Option<Chunk> {
        tokio::select! {
            chunk = chunks.recv() => chunk,
            () = self.parts.closed() => None,
        }
    }
}

fn is_good(reason: EndReason) -> bool {
    matches!(reason, EndReason::Stop | EndReason::Length)
}

/// What of a stream was sent, until it is charged: a client that has it and leaves before the end pays for that.
struct Sent<'a> {
    sender: &'a Sender,
    pieces: u64,
    is_over: bool,
}

impl<'a> Sent<'a> {
    fn new(sender: &'a Sender) -> Self {
        Self {
            sender,
            pieces: 0,
            is_over: false,
        }
    }

    /// Counts a piece that holds something of the answer.
    async fn piece(&mut self, sending: impl Future<Output = Result<(), Gone>>) -> Result<(), Gone> {
        sending.await?;
        self.pieces += 1;
        Ok(())
    }

    /// The answer came to its end.
    fn charge(&mut self, tokens: Tokens, document: &mut Value) {
        self.is_over = true;
        if let Some(bill) = &self.sender.bill {
            bill.charge(tokens, document);
        }
    }

    /// It won't, by no fault of the client's unless it is gone.
    fn failed(&mut self) {
        self.is_over = !self.sender.parts.is_closed();
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(bill) = &self.sender.bill
            && !self.is_over
        {
            bill.charge_left(self.pieces);
        }
    }
}

impl Counter {
    /// Counts by the usage that the answer's last document tells.
    pub(super) fn count(&self, document: &Value) -> Tokens {
        self.slip.note(document);
        let tokens = |name: &str| document["usage"][name].as_u64().unwrap_or(0);
        let (input, output) = (tokens("prompt_tokens"), tokens("completion_tokens"));
        self.metrics.inference(self.started.elapsed(), input, output);
        Tokens { input, output }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::front::inference::Tenant;
    use crate::front::inference::places::Places;

    /// What the client gets of these chunks, after which the channel closes: documents with their types, and the end.
    async fn sent(chunks: Vec<Chunk>, response: bool) -> (Vec<(Option<String>, Value)>, Option<EndReason>) {
        let (parts, mut answer) = mpsc::channel(64);
        let sender = Sender {
            counter: Counter {
                metrics: Arc::new(Metrics::new()),
                started: Instant::now(),
                slip: Slip::default(),
            },
            parts,
            usage: false,
            obfuscate: true,
            failed: ApiError::engine_failed(),
            bill: None,
            _place: Places::default().take(Tenant::Connection(1), 1).unwrap(),
        };
        let (source, receiver) = mpsc::channel(64);
        for chunk in chunks {
            source.send(chunk).await.ok().unwrap();
        }
        drop(source);
        let head = responses::Head {
            id: "1".to_owned(),
            created: 1,
            model: "m".to_owned(),
            echo: Map::new(),
        };
        let done = if response {
            sender.response(responses::Stream::new(head), receiver).await
        } else {
            sender.chunks(receiver).await
        };
        assert!(done.is_ok());
        let (mut documents, mut end) = (Vec::new(), None);
        while let Some(part) = answer.recv().await {
            match part {
                Part::Event(bytes) => {
                    assert!(end.is_none(), "nothing follows the end");
                    assert_eq!(bytes.len() % event::BUCKET, 0);
                    documents.push(read(&bytes));
                }
                Part::End(reason) => end = Some(reason),
            }
        }
        (documents, end)
    }

    fn read(event: &[u8]) -> (Option<String>, Value) {
        let mut lines = std::str::from_utf8(event).unwrap().trim_end().lines().rev();
        let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
        let name = lines
            .next()
            .map(|line| line.strip_prefix("event: ").unwrap().to_owned());
        (name, serde_json::from_str(data).unwrap())
    }

    fn piece() -> Chunk {
        Chunk::Event(json!({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}))
    }

    fn usage() -> Chunk {
        Chunk::Usage(json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}))
    }

    #[tokio::test]
    async fn a_complete_stream_ends_as_it_was_told() {
        let (documents, end) = sent(vec![piece(), usage(), Chunk::End(EndReason::Length)], false).await;
        // Usage wasn't asked for.
        assert_eq!((documents.len(), end), (1, Some(EndReason::Length)));
        let (documents, end) = sent(vec![piece(), usage(), Chunk::End(EndReason::Stop)], true).await;
        let (name, last) = documents.last().unwrap();
        assert_eq!(
            (name.as_deref(), end),
            (Some("response.completed"), Some(EndReason::Stop))
        );
        assert_eq!(last["response"]["usage"]["input_tokens"], 1);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_says_so_and_has_no_good_end() {
        for broken in [
            vec![],
            vec![piece()],
            vec![piece(), usage()],
            vec![piece(), Chunk::End(EndReason::Error)],
        ] {
            let (documents, end) = sent(broken, false).await;
            assert_eq!(documents.last().unwrap().1["error"]["code"], "engine_failed");
            assert_eq!(end, None, "the signed end says `error`");
        }
        for broken in [
            vec![],
            vec![piece()],
            vec![piece(), usage(), Chunk::End(EndReason::Abort)],
        ] {
            let (documents, end) = sent(broken, true).await;
            let names: Vec<_> = documents.iter().filter_map(|(name, _)| name.as_deref()).collect();
            assert!(names.ends_with(&["error", "response.failed"]), "{names:?}");
            assert_eq!(end, None);
        }
        // What is no chat's chunk ends a response, too.
        let (documents, end) = sent(vec![Chunk::Event(json!([]))], true).await;
        assert_eq!(
            (documents.last().unwrap().0.as_deref(), end),
            (Some("response.failed"), None)
        );
    }
}
