//! Whole answers, and errors.

use super::fake::{answer, script};
use super::*;

/// Answers each request with these bytes and closes.
fn says(bytes: &'static str) -> Arc<Upstream> {
    vllm(script(move |_, mut wire| async move {
        wire.request().await;
        wire.send(bytes).await;
    }))
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_under_this_nodes_name() {
    let seen = Arc::new(std::sync::Mutex::new(None));
    let kept = seen.clone();
    let upstream = vllm(script(move |_, mut wire| {
        let kept = kept.clone();
        async move {
            *kept.lock().unwrap() = wire.request().await;
            wire.json(&answer()).await;
        }
    }));
    let document = whole(&upstream).await.unwrap();
    assert_eq!(document["model"], "ours");
    assert_eq!(document["created"], 5);
    assert!(document["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(document["choices"][0]["message"]["content"], "Paris");
    let (head, body) = seen.lock().unwrap().take().unwrap();
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n"),
        "{head}"
    );
    assert!(!head.contains("authorization"), "{head}");
    assert_eq!(body["model"], "theirs");
    assert_eq!(body["cache_salt"].as_str().unwrap().len(), 43);
}

#[tokio::test(start_paused = true)]
async fn errors_keep_their_class_and_lose_their_text() {
    for (status, headers, expected) in [
        ("400 Bad Request", "", (400, "upstream_refused")),
        ("413 Too Large", "", (400, "upstream_refused")),
        ("422 Unprocessable", "", (400, "upstream_refused")),
        ("401 Unauthorized", "", (502, "upstream_failed")),
        ("404 Not Found", "", (502, "upstream_failed")),
        ("429 Too Many", "retry-after: 7\r\n", (429, "upstream_overloaded")),
        ("500 Oops", "", (502, "upstream_failed")),
        ("502 Bad Gateway", "", (502, "upstream_failed")),
        ("503 Busy", "", (503, "upstream_unavailable")),
        ("504 Late", "", (504, "upstream_timeout")),
        (
            "301 Moved",
            "location: http://127.0.0.1:9/\r\n",
            (502, "upstream_failed"),
        ),
        ("204 Nothing", "", (502, "upstream_failed")),
        ("206 Part", "", (502, "upstream_failed")),
    ] {
        let upstream = vllm(script(move |_, mut wire| async move {
            wire.request().await;
            let body = json!({"error": {"message": SECRET, "type": SECRET, "code": 400}}).to_string();
            let headers = format!("{headers}content-type: application/json\r\n");
            wire.respond(status, &headers, &body).await;
        }));
        for stream in [false, true] {
            assert_eq!(refusal(&upstream, stream).await, expected, "{status}");
        }
        if !headers.contains("retry") {
            continue;
        }
        let error = upstream.answer(chat(false)).await.err().unwrap();
        assert_eq!(error.retry_after, Some(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_there_is_told_as_such() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        let body =
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        wire.respond("400 Bad Request", "", body).await;
    }));
    assert_eq!(refusal(&upstream, false).await, (400, "context_length_exceeded"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_fails() {
    for bytes in [
        "",
        "\0\0\0\0",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/html\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\ncontent-type: application/json\r\n\r\n{}",
    ] {
        let upstream = says(bytes);
        for stream in [false, true] {
            assert_eq!(
                refusal(&upstream, stream).await,
                (502, "upstream_failed"),
                "{bytes:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_is_not_guessed_at() {
    let upstream = vllm(script(|_, mut wire| async move {
        wire.request().await;
        let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
        wire.respond("200 OK", headers, &answer().to_string()).await;
    }));
    assert_eq!(refusal(&upstream, false).await, (502, "upstream_failed"));
}

#[tokio::test(start_paused = true)]
async fn endless_heads_and_bodies_end() {
    let heads = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\n").await;
        for number in 0..100_000 {
            wire.send(format!("x-{number}: {}\r\n", "y".repeat(100))).await;
        }
    }));
    assert_eq!(refusal(&heads, false).await, (502, "upstream_failed"));
    for status in ["200 OK", "500 Oops"] {
        let bodies = vllm(script(move |_, mut wire| async move {
            wire.request().await;
            wire.send(format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            ))
            .await;
            for _ in 0..1000 {
                wire.piece(vec![b' '; 1 << 16]).await;
            }
            wire.closed().await;
        }));
        assert_eq!(
            refusal(&bodies, false).await,
            (502, "upstream_failed"),
            "{status}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answers_is_given_up() {
    let silent = vllm(script(|_, mut wire| async move { wire.closed().await }));
    assert_eq!(refusal(&silent, true).await, (504, "upstream_timeout"));
    let stalls = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
            .await;
        wire.closed().await;
    }));
    assert_eq!(refusal(&stalls, false).await, (504, "upstream_timeout"));
}

#[tokio::test(start_paused = true)]
async fn one_that_trickles_is_given_up_too() {
    let trickles = vllm(script(|_, mut wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{")
            .await;
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            wire.send(" ").await;
        }
    }));
    let start = tokio::time::Instant::now();
    assert_eq!(refusal(&trickles, false).await, (504, "upstream_timeout"));
    assert!(start.elapsed() <= Duration::from_secs(3700));
}

#[tokio::test(start_paused = true)]
async fn places_are_counted() {
    let (upstream, fake) = upstream(
        Kind::Vllm,
        r#"{"max_concurrent":1}"#,
        Duration::ZERO,
        script(|_, mut wire| async move {
            wire.request().await;
            wire.events().await;
            wire.closed().await;
        }),
    );
    let first = upstream.answer(chat(true)).await.ok().unwrap();
    assert_eq!(refusal(&upstream, true).await, (429, "upstream_overloaded"));
    assert_eq!(fake.opened(), 1, "nobody was asked");
    drop(first);
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(upstream.answer(chat(true)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_request_there() {
    let (closed, mut seen) = mpsc::channel(4);
    let upstream = vllm(script(move |_, mut wire| {
        let closed = closed.clone();
        async move {
            wire.request().await;
            wire.closed().await;
            let _ = closed.send(()).await;
        }
    }));
    let waiting = tokio::time::timeout(Duration::from_secs(1), upstream.answer(chat(false)));
    assert!(waiting.await.is_err());
    seen.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn fields_are_refused_before_anybody_is_asked() {
    let (upstream, fake) = upstream(Kind::Vllm, "{}", Duration::ZERO, script(|_, _| async {}));
    let remote = r#"{"model":"ours","messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"https://example.com/x"}}]}]}"#;
    for (body, code) in [
        (remote, "remote_reference"),
        (
            r#"{"model":"ours","messages":[{"role":"user","content":"a"}],"chat_template":"x"}"#,
            "unsupported_parameter",
        ),
    ] {
        let error = upstream.answer(ask(body)).await.err().unwrap();
        assert_eq!((error.status.as_u16(), error.code), (400, code));
    }
    assert_eq!(fake.opened(), 0);
}
