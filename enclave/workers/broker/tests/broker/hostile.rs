//! A process that was taken over.

use jeju_worker_protocol::{BODY_WINDOW, BodyOf, Level, LogLine, MAX_CHUNK};

use super::fetches::fetch;
use super::*;

/// Sends these messages after a head, and says why the process was given up.
async fn given_up(messages: Vec<ToBroker>) -> &'static str {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    assert_eq!(id, 1);
    for message in messages {
        channel.other.give_anyway(&frame(&message).unwrap()).await;
    }
    // Nothing is read before: that would give credit.
    let ended = channel.ended.await.unwrap();
    assert_eq!(end_of(&mut call).await, code::CRASHED);
    match ended {
        Ended::Broke(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn body(call: u64, of: BodyOf, len: usize) -> ToBroker {
    let data = vec![0; len];
    ToBroker::Body { call, of, data }
}

fn end(call: u64, of: BodyOf) -> ToBroker {
    let failure = None;
    ToBroker::BodyEnd { call, of, failure }
}

fn credit(call: u64, of: BodyOf, bytes: u32) -> ToBroker {
    ToBroker::Credit { call, of, bytes }
}

#[tokio::test]
async fn what_no_process_sends_ends_it() {
    let event = BodyOf::Event;
    let one = BodyOf::Fetch(1);
    let handlers = handlers();
    let line = |call| ToBroker::Log {
        call,
        line: LogLine {
            level: Level::Log,
            text: "a".repeat(1000),
        },
    };
    let full = BODY_WINDOW as usize / MAX_CHUNK;
    let url = "https://a.example/";
    let cases: Vec<(&str, Vec<ToBroker>)> = vec![
        (
            "code that wasn't sent was taken",
            vec![ToBroker::Loaded { worker: 9, handlers }],
        ),
        ("an event that isn't there", vec![head(2, None)]),
        ("an event that isn't there", vec![line(0)]),
        ("an event that isn't there", vec![body(7, event, 1)]),
        (
            "an event that isn't there",
            vec![ToBroker::Done {
                call: 2,
                usage: Usage::default(),
                failure: None,
            }],
        ),
        (
            "an answer that nobody asked for",
            vec![head(1, None), head(1, None)],
        ),
        ("a body without a head", vec![body(1, event, 1)]),
        ("a body without a head", vec![end(1, event)]),
        (
            "a body without a head",
            vec![head(1, Some(b"")), body(1, event, 1)],
        ),
        (
            "a body has more bytes than there is credit for",
            std::iter::once(head(1, None))
                .chain((0..=full).map(|_| body(1, event, MAX_CHUNK)))
                .collect(),
        ),
        (
            "a piece of a body is empty or too long",
            vec![head(1, None), body(1, event, 0)],
        ),
        (
            "a piece of a body is empty or too long",
            vec![head(1, None), body(1, event, MAX_CHUNK + 1)],
        ),
        (
            "a body goes on after its end",
            vec![head(1, None), end(1, event), body(1, event, 1)],
        ),
        (
            "a body ends twice",
            vec![head(1, None), end(1, event), end(1, event)],
        ),
        ("credit for no body", vec![credit(1, event, 1)]),
        ("credit for no body", vec![credit(1, one, 1)]),
        (
            "credit for more than was sent",
            vec![fetch(1, 1, url, false), credit(1, one, 1)],
        ),
        (
            "credit for more than was sent",
            vec![fetch(1, 1, url, false), credit(1, one, 0)],
        ),
        (
            "a fetch's number was used before",
            vec![fetch(1, 1, url, false), fetch(1, 1, url, false)],
        ),
        ("a fetch's number was used before", vec![fetch(1, 0, url, false)]),
        (
            "more fetches than there may be",
            (1..=4).map(|number| fetch(1, number, url, false)).collect(),
        ),
        (
            "a fetch that isn't there is cancelled",
            vec![ToBroker::FetchCancel { call: 1, fetch: 1 }],
        ),
        (
            "a body of a fetch that has none",
            vec![fetch(1, 1, url, false), body(1, one, 1)],
        ),
        ("a body of a fetch that has none", vec![end(1, BodyOf::Fetch(3))]),
        ("a flood of log lines", (0..5000).map(|_| line(1)).collect()),
    ];
    for (expected, messages) in cases {
        assert_eq!(given_up(messages).await, expected);
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_end_it() {
    for bytes in [
        &[0xff; 8][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 1, 0xff],
        // Longer than any message from a process.
        &[0, 8, 0, 1],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut channel = channel();
        let (mut call, _) = started(&mut channel, request(None)).await;
        channel.other.give_anyway(bytes).await;
        assert_eq!(
            channel.ended.await.unwrap(),
            Ended::Broke("a message that is none")
        );
        assert_eq!(end_of(&mut call).await, code::CRASHED);
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_before_it_is_kept() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, scheduled()).await;
    for _ in 0..1000 {
        let text = "a".repeat(1000);
        let level = Level::Error;
        let line = LogLine { level, text };
        channel.other.give(ToBroker::Log { call: id, line }).await;
    }
    channel.other.done(id).await;
    let mut lines = 0;
    while let Some(CallEvent::Log(line)) = call.next().await {
        assert_eq!(line.text.len(), 8);
        lines += 1;
    }
    assert_eq!(lines, 4 + 16);
}

#[tokio::test]
async fn bodies_that_nobody_reads_are_bounded_together() {
    let mut channel = channel();
    let mut calls = Vec::new();
    'flood: for _ in 0..1000 {
        let (call, id) = started(&mut channel, request(None)).await;
        calls.push(call);
        let mut messages = vec![head(id, None)];
        messages.extend((0..4).map(|_| body(id, BodyOf::Event, MAX_CHUNK)));
        for message in messages {
            channel.other.give_anyway(&frame(&message).unwrap()).await;
            if channel.ended.is_finished() {
                break 'flood;
            }
        }
    }
    assert!(calls.len() < 140, "{}", calls.len());
    assert_eq!(
        channel.ended.await.unwrap(),
        Ended::Broke("more bytes wait than may")
    );
}

#[tokio::test]
async fn what_comes_of_a_cancelled_event_goes_nowhere() {
    let mut channel = channel();
    let (call, id) = started(&mut channel, request(None)).await;
    drop(call);
    assert!(channel.other.take().await == ToProcess::Cancel(id));
    channel.other.give(head(id, None)).await;
    for _ in 0..4 {
        channel.other.give(body(id, BodyOf::Event, MAX_CHUNK)).await;
    }
    channel.other.give(fetch(id, 1, "https://a.example/", true)).await;
    channel.other.give(body(id, BodyOf::Fetch(1), MAX_CHUNK)).await;
    channel.other.done(id).await;
    // Another one goes on as ever.
    let (mut call, id) = started(&mut channel, scheduled()).await;
    channel.other.done(id).await;
    assert_eq!(end_of(&mut call).await, "");
    assert!(channel.remote.asked.lock().unwrap().is_empty());
}
