//! Streams.

use super::fake::{Wire, last, script, token};
use super::*;

/// What a stream sends after its head, before it closes.
#[derive(Clone, Copy)]
enum Act {
    Token(&'static str),
    Last(&'static str),
    Raw(&'static str),
    /// The end of the body.
    Close,
    /// Nothing, for so many seconds.
    Wait(u64),
}

async fn play(wire: &mut Wire, acts: &[Act]) {
    wire.request().await;
    wire.events().await;
    for act in acts {
        match act {
            Act::Token(text) => wire.event(&token(text)).await,
            Act::Last(finish) => wire.event(&last(finish)).await,
            Act::Raw(bytes) => wire.piece(bytes).await,
            Act::Close => wire.send("0\r\n\r\n").await,
            Act::Wait(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
        }
    }
}

fn plays(acts: &'static [Act]) -> Arc<Upstream> {
    vllm(script(
        move |_, mut wire| async move { play(&mut wire, acts).await },
    ))
}

const DONE: Act = Act::Raw("data: [DONE]\n\n");

#[tokio::test(start_paused = true)]
async fn tokens_pass_one_by_one() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.events().await;
        let mut bytes = String::new();
        for number in 0..200 {
            bytes += &format!(
                ": comment\r\nevent: x\r\ndata: {}\r\n\r\n",
                token(&number.to_string())
            );
        }
        // However they are cut.
        for piece in bytes.as_bytes().chunks(97) {
            wire.piece(piece).await;
        }
        wire.done().await;
    }));
    let streamed = streamed(&upstream).await.unwrap();
    let texts: Vec<_> = streamed
        .events
        .iter()
        .map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    let wanted: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let wanted: Vec<_> = wanted
        .iter()
        .map(|text| Some(text.as_str()))
        .chain([None])
        .collect();
    assert_eq!(texts, wanted);
    assert_eq!(streamed.end, Some(EndReason::Stop));
    assert_eq!(streamed.usage.unwrap()["usage"]["completion_tokens"], 2);
    assert!(
        streamed
            .events
            .iter()
            .all(|event| event["model"] == "ours" && event["usage"].is_null())
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_fault_passes_and_no_end_does() {
    const BEFORE: Act = Act::Token("a");
    let cases: [(&str, &'static [Act]); 12] = [
        ("cut", &[BEFORE]),
        ("ended without an end", &[BEFORE, Act::Close]),
        ("no end of the choice", &[BEFORE, DONE, Act::Close]),
        (
            "ended before the end mark",
            &[BEFORE, Act::Last("stop"), Act::Close],
        ),
        ("cut before the end mark", &[BEFORE, Act::Last("stop")]),
        (
            "an error",
            &[
                BEFORE,
                Act::Raw("data: {\"error\":{\"message\":\"zanzibar-secret\"}}\n\n"),
                DONE,
                Act::Close,
            ],
        ),
        ("an old error", &[BEFORE, Act::Raw("error: {}\n\n"), Act::Close]),
        ("no JSON", &[BEFORE, Act::Raw("data: hello\n\n"), Act::Wait(9)]),
        (
            "a stall",
            &[BEFORE, Act::Wait(10_000), Act::Last("stop"), DONE, Act::Close],
        ),
        ("aborted", &[BEFORE, Act::Last("abort"), DONE, Act::Close]),
        (
            "two ends at once",
            &[
                BEFORE,
                Act::Last("stop"),
                Act::Raw("data: [DONE]\n\ndata: [DONE]\n\n"),
                Act::Close,
            ],
        ),
        ("a broken chunk", &[BEFORE, Act::Raw(""), Act::Wait(1)]),
    ];
    for (name, acts) in cases {
        let streamed = streamed(&plays(acts)).await.unwrap();
        assert_eq!(
            streamed.events[0]["choices"][0]["delta"]["content"], "a",
            "{name}"
        );
        assert_eq!(streamed.end, None, "{name}");
        assert!(!format!("{:?}", streamed.events).contains(SECRET));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_event_ends_the_stream() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.events().await;
        wire.piece("data: ").await;
        for _ in 0..64 {
            wire.piece(vec![b'x'; 1 << 16]).await;
        }
        wire.closed().await;
    }));
    let streamed = streamed(&upstream).await.unwrap();
    assert_eq!((streamed.events.len(), streamed.end), (0, None));
}

#[tokio::test(start_paused = true)]
async fn comments_alone_keep_no_stream_for_ever() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.events().await;
        loop {
            tokio::time::sleep(Duration::from_secs(30)).await;
            wire.piece(": still here\n\n").await;
        }
    }));
    let start = tokio::time::Instant::now();
    let streamed = streamed(&upstream).await.unwrap();
    assert_eq!(streamed.end, None);
    assert!(start.elapsed() <= Duration::from_secs(3700));
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_after_its_end_holds_nobody_up() {
    let acts: &'static [Act] = &[Act::Token("a"), Act::Last("length"), DONE, Act::Wait(10_000)];
    let start = tokio::time::Instant::now();
    let streamed = streamed(&plays(acts)).await.unwrap();
    assert_eq!(streamed.end, Some(EndReason::Length));
    assert!(start.elapsed() <= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_stream_there() {
    let (closed, mut seen) = mpsc::channel(1);
    let upstream = vllm(script(move |_, mut wire| {
        let closed = closed.clone();
        async move {
            play(&mut wire, &[Act::Token("a")]).await;
            wire.closed().await;
            let _ = closed.send(()).await;
        }
    }));
    let Ok(Output::Stream(mut chunks)) = upstream.answer(chat(true)).await else {
        panic!("no stream")
    };
    assert!(matches!(chunks.next().await, Some(Chunk::Written(_))));
    drop(chunks);
    seen.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_instead_of_a_stream_fails() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.json(&fake::answer()).await;
    }));
    assert_eq!(refusal(&upstream, true).await, (502, "upstream_failed"));
}
