//! A stream on its way to the client: chunks become events.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use jeju_attestation::response::EndReason;
use jeju_openai::{event, responses};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::front::error::ApiError;
use crate::front::inference::Chunk;
use crate::front::inference::places::Place;
use crate::front::metrics::Metrics;
use crate::front::payments::{Bill, Tokens};
use crate::front::receipts::Slip;
use crate::front::signing::{Part, Parts};

/// Counts what an answer took.
pub(super) struct Counter {
    pub(super) metrics: Arc<Metrics>,
    pub(super) started: Instant,
    /// For the answer's receipt.
    pub(super) slip: Slip,
}

/// What a stream needs beside its chunks.
pub(super) struct Telling {
    pub(super) counter: Counter,
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

/// As what chunks are told.
#[derive(Default)]
pub(super) enum Form {
    /// As they are, to who asked for a chat or a completion.
    #[default]
    Chunks,
    /// As a response's events.
    Response(Box<responses::Stream>),
}

impl Telling {
    /// The events of an answer, made of its chunks.
    pub(super) fn events(self, form: Form, chunks: BoxStream<'static, Chunk>) -> Parts {
        let mut events = Box::new(Events {
            telling: self,
            form,
            chunks: Some(chunks),
            ready: VecDeque::new(),
            usage: None,
            pieces: 0,
            is_settled: false,
        });
        events.start();
        let parts = unfold(events, |mut events| async move {
            let part = events.next().await?;
            Some((part, events))
        });
        parts.boxed()
    }
}

/// The events of an answer. Dropped before its end, what was sent of it is charged: the client left and has it.
struct Events {
    telling: Telling,
    form: Form,
    /// Until the last one.
    chunks: Option<BoxStream<'static, Chunk>>,
    /// What is to be sent before another chunk is asked for.
    ready: VecDeque<Part>,
    /// What the answer took, and the chunk that says so to who asked for chunks.
    usage: Option<(Tokens, Value)>,
    /// Chunks with something of the answer that were sent.
    pieces: u64,
    /// Whether the answer was charged, or failed by no fault of the client's.
    is_settled: bool,
}

impl Events {
    fn start(&mut self) {
        if let Form::Response(stream) = &mut self.form {
            let events = stream.start();
            self.queue(events);
        }
    }

    async fn next(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            let done = match self.chunks.as_mut()?.next().await {
                Some(Chunk::Event(document)) => self.piece(document),
                Some(Chunk::Written(event)) => self.written(event),
                Some(Chunk::Usage(document)) => {
                    self.usage(document);
                    Some(())
                }
                Some(Chunk::End(reason)) if matches!(reason, EndReason::Stop | EndReason::Length) => {
                    self.end(reason);
                    Some(())
                }
                Some(Chunk::End(_)) | None => None,
            };
            if done.is_none() {
                self.fail();
            }
        }
    }

    /// `None`: it can't be told.
    fn piece(&mut self, document: Value) -> Option<()> {
        match &mut self.form {
            Form::Chunks => self.queue_one(None, document),
            Form::Response(stream) => {
                let events = stream.chunk(document)?;
                self.queue(events);
            }
        }
        self.pieces += 1;
        Some(())
    }

    fn written(&mut self, event: event::Open) -> Option<()> {
        if let Form::Response(_) = &self.form {
            return self.piece(event.document());
        }
        self.push(event.close(self.telling.obfuscate));
        self.pieces += 1;
        Some(())
    }

    fn usage(&mut self, mut document: Value) {
        let tokens = self.telling.counter.count(&document);
        if let Form::Response(stream) = &mut self.form {
            stream.usage(&document["usage"]);
            event::wipe(&mut document);
        }
        self.usage = Some((tokens, document));
    }

    fn end(&mut self, reason: EndReason) {
        self.chunks = None;
        self.is_settled = true;
        let bill = self.telling.bill.as_ref();
        let charge = |tokens, document: &mut Value| {
            if let Some(bill) = bill {
                bill.charge(tokens, document);
            }
        };
        match (take(&mut self.form), self.usage.take()) {
            (Form::Chunks, None) => {}
            // An answer that is paid for says what it took, asked or not.
            (Form::Chunks, Some((tokens, mut document))) => {
                charge(tokens, &mut document);
                match self.telling.usage || bill.is_some() {
                    true => self.queue_one(None, document),
                    false => event::wipe(&mut document),
                }
            }
            (Form::Response(stream), usage) => {
                let mut events = stream.end();
                if let (Some((tokens, _)), Some(last)) = (usage, events.last_mut()) {
                    charge(tokens, &mut last.document["response"]);
                }
                self.queue(events);
            }
        }
        self.ready.push_back(Part::End(reason));
    }

    /// The signed end then says `error`.
    fn fail(&mut self) {
        self.chunks = None;
        self.is_settled = true;
        let failed = &self.telling.failed;
        match take(&mut self.form) {
            Form::Chunks => {
                let body = failed.body();
                self.queue_one(None, body);
            }
            Form::Response(stream) => {
                let events = stream.fail(failed.code, &failed.message);
                self.queue(events);
            }
        }
    }

    fn queue(&mut self, events: Vec<responses::Event>) {
        for event in events {
            self.queue_one(Some(event.name), event.document);
        }
    }

    fn queue_one(&mut self, name: Option<&str>, document: Value) {
        self.push(event::render(name, document, self.telling.obfuscate));
    }

    fn push(&mut self, event: Zeroizing<Vec<u8>>) {
        self.ready.push_back(Part::Event(Bytes::from_owner(event)));
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(bill) = &self.telling.bill
            && !self.is_settled
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
    use futures_util::stream::iter;
    use serde_json::{Map, json};

    use super::*;
    use crate::front::inference::Tenant;
    use crate::front::inference::places::Places;

    /// What the client gets of these chunks, after which none follow: documents with their types, and the end.
    async fn sent(chunks: Vec<Chunk>, response: bool) -> (Vec<(Option<String>, Value)>, Option<EndReason>) {
        let telling = Telling {
            counter: Counter {
                metrics: Arc::new(Metrics::new()),
                started: Instant::now(),
                slip: Slip::default(),
            },
            usage: false,
            obfuscate: true,
            failed: ApiError::engine_failed(),
            bill: None,
            _place: Places::default().take(Tenant::Connection(1), 1).unwrap(),
        };
        let head = responses::Head {
            id: "1".to_owned(),
            created: 1,
            model: "m".to_owned(),
            echo: Map::new(),
        };
        let form = match response {
            true => Form::Response(Box::new(responses::Stream::new(head))),
            false => Form::Chunks,
        };
        let mut parts = telling.events(form, iter(chunks).boxed());
        let (mut documents, mut end) = (Vec::new(), None);
        while let Some(part) = parts.next().await {
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
