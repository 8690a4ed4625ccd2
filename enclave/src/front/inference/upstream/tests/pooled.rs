//! Connections that are used again, and what may be sent again.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::fake::{answer, script};
use super::*;

const KEEP: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_request_after_the_other() {
    let (upstream, fake) = upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(|_, mut wire| async move {
            while wire.request().await.is_some() {
                wire.json(&answer()).await;
            }
        }),
    );
    for _ in 0..3 {
        whole(&upstream).await.unwrap();
    }
    assert_eq!(fake.opened(), 1);
    tokio::time::sleep(KEEP * 2).await;
    whole(&upstream).await.unwrap();
    assert_eq!(fake.opened(), 2, "none waits for longer than it should");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_for_nothing_is_closed() {
    let (closed, mut seen) = mpsc::channel(1);
    let (upstream, _) = upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(move |_, mut wire| {
            let closed = closed.clone();
            async move {
                wire.request().await;
                wire.json(&answer()).await;
                wire.closed().await;
                let _ = closed.send(tokio::time::Instant::now()).await;
            }
        }),
    );
    tokio::spawn(upstream.route.pool.clone().sweeping());
    let start = tokio::time::Instant::now();
    whole(&upstream).await.unwrap();
    let waited = seen.recv().await.unwrap() - start;
    assert!((20..=26).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn on_loopback_none_waits() {
    let (upstream, fake) = upstream(
        Kind::Vllm,
        "{}",
        Duration::ZERO,
        script(|_, mut wire| async move {
            while wire.request().await.is_some() {
                wire.json(&answer()).await;
            }
        }),
    );
    for _ in 0..3 {
        whole(&upstream).await.unwrap();
    }
    assert_eq!(fake.opened(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_could_not_be_written_is_sent_on_another_connection() {
    let (upstream, fake) = upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(|number, mut wire| async move {
            wire.request().await;
            wire.json(&answer()).await;
            if number == 0 {
                // Closed while it waits.
                return;
            }
            wire.closed().await;
        }),
    );
    whole(&upstream).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    whole(&upstream).await.unwrap();
    assert_eq!(fake.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_been_read_is_never_sent_again() {
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let (upstream, fake) = upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(move |_, mut wire| {
            let count = count.clone();
            async move {
                wire.request().await;
                wire.json(&answer()).await;
                wire.request().await;
                count.fetch_add(1, Ordering::SeqCst);
                // Closed without a word.
            }
        }),
    );
    whole(&upstream).await.unwrap();
    assert_eq!(refusal(&upstream, false).await, (502, "upstream_failed"));
    assert_eq!((read.load(Ordering::SeqCst), fake.opened()), (1, 1));
    // Nor on a connection that was just made.
    let (upstream, fake) = super::upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(|_, mut wire| async move {
            wire.request().await;
        }),
    );
    assert_eq!(refusal(&upstream, false).await, (502, "upstream_failed"));
    assert_eq!(fake.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_the_middle_of_an_answer_is_not_used_again() {
    let (upstream, fake) = upstream(
        Kind::Openai,
        "{}",
        KEEP,
        script(|number, mut wire| async move {
            wire.request().await;
            match number {
                0 => {
                    let error = "content-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
                    wire.send(format!("HTTP/1.1 500 Oops\r\n{error}")).await;
                    wire.send(vec![b' '; 100_000]).await;
                    wire.closed().await;
                }
                _ => wire.json(&answer()).await,
            }
        }),
    );
    assert_eq!(refusal(&upstream, false).await, (502, "upstream_failed"));
    whole(&upstream).await.unwrap();
    assert_eq!(fake.opened(), 2);
}
