//! What workers ask for.

use jeju_worker_protocol::{BodyOf, MAX_CHUNK, Redirect};
use tokio::sync::mpsc;

use super::*;

pub(crate) fn fetch(call: u64, fetch: u32, url: &str, has_body: bool) -> ToBroker {
    ToBroker::Fetch {
        call,
        fetch,
        request: FetchRequest {
            method: "POST".into(),
            url: url.into(),
            headers: Vec::new(),
            has_body,
            redirect: Redirect::Follow,
        },
    }
}

#[tokio::test]
async fn a_fetch_goes_out_and_its_answer_comes_back() {
    let mut channel = channel();
    let (answer, body) = mpsc::channel(1);
    *channel.remote.answer.lock().unwrap() = Some(body);
    let (_call, id) = started(&mut channel, scheduled()).await;
    channel.other.give(fetch(id, 1, "https://a.example/", true)).await;
    assert!(matches!(
        channel.other.take().await,
        ToProcess::FetchHead { fetch: 1, .. }
    ));
    let of = BodyOf::Fetch(1);
    let piece = |data| ToBroker::Body { call: id, of, data };
    channel.other.give(piece(vec![1; 10])).await;
    let credit = ToProcess::Credit {
        call: id,
        of,
        bytes: 10,
    };
    assert!(channel.other.take().await == credit);
    let end = ToBroker::BodyEnd {
        call: id,
        of,
        failure: None,
    };
    channel.other.give(end).await;
    let (url, sent) = channel.remote.asked.lock().unwrap().pop().unwrap();
    assert_eq!(url, "https://a.example/");
    let mut sent = sent.unwrap();
    assert!(matches!(sent.recv().await, Some(Ok(data)) if data == [1; 10]));
    assert!(sent.recv().await.is_none());

    // Longer pieces are cut to what a message may have.
    answer.send(Ok(vec![2; MAX_CHUNK + 1])).await.unwrap();
    for len in [MAX_CHUNK, 1] {
        match channel.other.take().await {
            ToProcess::Body { data, .. } => assert_eq!(data.len(), len),
            _ => panic!("no body"),
        }
    }
    drop(answer);
    assert!(matches!(
        channel.other.take().await,
        ToProcess::BodyEnd { failure: None, .. }
    ));
    channel.other.done(id).await;
}

#[tokio::test]
async fn a_fetch_that_is_refused_or_none_fails_for_the_worker() {
    let mut channel = channel();
    let (_call, id) = started(&mut channel, scheduled()).await;
    for (number, url, expected) in [
        (1, "https://a.example/", code::FETCH_REFUSED),
        (2, "file:///etc/passwd", code::FETCH_INVALID),
        (3, "https://a.example/\r\nx: y", code::FETCH_INVALID),
    ] {
        channel.other.give(fetch(id, number, url, false)).await;
        match channel.other.take().await {
            ToProcess::FetchFailed { failure, fetch, .. } => {
                assert_eq!((failure.code.as_str(), fetch), (expected, number));
            }
            _ => panic!("{url}"),
        }
    }
    assert_eq!(channel.remote.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cancelled_fetch_is_dropped() {
    let mut channel = channel();
    let (answer, body) = mpsc::channel(1);
    *channel.remote.answer.lock().unwrap() = Some(body);
    let (_call, id) = started(&mut channel, scheduled()).await;
    channel
        .other
        .give(fetch(id, 1, "https://a.example/", false))
        .await;
    assert!(matches!(channel.other.take().await, ToProcess::FetchHead { .. }));
    channel
        .other
        .give(ToBroker::FetchCancel { call: id, fetch: 1 })
        .await;
    answer.closed().await;
}

#[tokio::test]
async fn the_end_of_an_event_drops_its_fetches() {
    for cancel in [false, true] {
        let mut channel = channel();
        let (answer, body) = mpsc::channel(1);
        *channel.remote.answer.lock().unwrap() = Some(body);
        let (call, id) = started(&mut channel, scheduled()).await;
        channel
            .other
            .give(fetch(id, 1, "https://a.example/", false))
            .await;
        assert!(matches!(channel.other.take().await, ToProcess::FetchHead { .. }));
        match cancel {
            true => drop(call),
            false => channel.other.done(id).await,
        }
        answer.closed().await;
    }
}
