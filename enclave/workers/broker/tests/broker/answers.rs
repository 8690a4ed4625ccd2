//! Code, answers, logs, bodies.

use jeju_worker_protocol::{BODY_WINDOW, BodyOf, Level, LogLine, MAX_CHUNK};
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn code_is_numbered_and_taken_or_not() {
    let mut channel = channel();
    let process = channel.process.clone();
    let loading = tokio::spawn(async move {
        let first = process.load(load("1")).await;
        let second = process.load(load("2")).await;
        (first, second)
    });
    let ToProcess::Load(first) = channel.other.take().await else {
        panic!("no load");
    };
    assert!(first.bundle.modules[0].source == "1");
    let worker = first.worker;
    let loaded = ToBroker::Loaded {
        worker,
        handlers: handlers(),
    };
    channel.other.give(loaded).await;
    let ToProcess::Load(second) = channel.other.take().await else {
        panic!("no load");
    };
    assert_ne!(second.worker, worker);
    let failure = Failure::new(code::SYNTAX, "no");
    let failed = ToBroker::LoadFailed {
        worker: second.worker,
        failure,
    };
    channel.other.give(failed).await;
    let (first, second) = loading.await.unwrap();
    let first = first.ok().unwrap();
    assert_eq!((first.worker, first.handlers), (worker, handlers()));
    assert_eq!(second.err().unwrap().code, code::SYNTAX);
}

#[tokio::test]
async fn code_that_nobody_waits_for_is_taken_back() {
    let mut channel = channel();
    let process = channel.process.clone();
    let loading = tokio::spawn(async move { process.load(load("1")).await.is_ok() });
    let ToProcess::Load(sent) = channel.other.take().await else {
        panic!("no load");
    };
    loading.abort();
    let _ = loading.await;
    let worker = sent.worker;
    let handlers = handlers();
    channel.other.give(ToBroker::Loaded { worker, handlers }).await;
    assert!(channel.other.take().await == ToProcess::Unload(worker));
}

#[tokio::test]
async fn a_request_without_a_body_has_an_empty_one() {
    let mut channel = channel();
    let _call = start(&channel.process, request(None), None);
    match channel.other.take().await {
        ToProcess::Call {
            event: Event::Fetch(event),
            ..
        } => assert_eq!(event.body, Some(Vec::new())),
        _ => panic!("no call"),
    }
}

#[tokio::test]
async fn an_answer_comes_with_its_log_lines_and_its_end() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    let line = |text: &str| LogLine {
        level: Level::Info,
        text: text.into(),
    };
    let log = ToBroker::Log {
        call: id,
        line: line("12345678\u{e9}"),
    };
    channel.other.give(log).await;
    channel.other.give(head(id, Some(b"hello"))).await;
    channel.other.done(id).await;
    // Cut to the worker's limit.
    assert!(matches!(call.next().await, Some(CallEvent::Log(found)) if found == line("12345678")));
    match call.next().await {
        Some(CallEvent::Head { status, body, .. }) => {
            assert_eq!((status, body), (200, Some(b"hello".to_vec())))
        }
        _ => panic!("no head"),
    }
    assert!(matches!(
        call.next().await,
        Some(CallEvent::Done { failure: None, .. })
    ));
    assert!(call.next().await.is_none());
    assert!(call.next().await.is_none());
}

#[tokio::test]
async fn a_body_comes_as_fast_as_it_is_read() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    let body = |data| ToBroker::Body {
        call: id,
        of: BodyOf::Event,
        data,
    };
    channel.other.give(head(id, None)).await;
    for at in 0..BODY_WINDOW as usize / MAX_CHUNK {
        channel.other.give(body(vec![at as u8; MAX_CHUNK])).await;
    }
    assert!(matches!(
        call.next().await,
        Some(CallEvent::Head { body: None, .. })
    ));
    for at in 0..BODY_WINDOW as usize / MAX_CHUNK {
        match call.next().await {
            Some(CallEvent::Body(data)) => assert!(data == vec![at as u8; MAX_CHUNK]),
            _ => panic!("no body"),
        }
        let credit = ToProcess::Credit {
            call: id,
            of: BodyOf::Event,
            bytes: MAX_CHUNK as u32,
        };
        assert!(channel.other.take().await == credit);
        // As much may come again.
        channel.other.give(body(vec![9; MAX_CHUNK])).await;
    }
    let end = ToBroker::BodyEnd {
        call: id,
        of: BodyOf::Event,
        failure: None,
    };
    channel.other.give(end).await;
    channel.other.done(id).await;
    let mut len = 0;
    loop {
        match call.next().await {
            Some(CallEvent::Body(data)) => len += data.len(),
            Some(CallEvent::BodyEnd(failure)) => break assert!(failure.is_none()),
            _ => panic!("no end"),
        }
    }
    assert_eq!(len, BODY_WINDOW as usize);
    assert_eq!(end_of(&mut call).await, "");
}

#[tokio::test]
async fn a_body_that_the_end_cuts_off_says_so() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, request(None)).await;
    channel.other.give(head(id, None)).await;
    let done = ToBroker::Done {
        call: id,
        usage: Usage::default(),
        failure: Some(Failure::new(code::CPU, "")),
    };
    channel.other.give(done).await;
    assert!(matches!(call.next().await, Some(CallEvent::Head { .. })));
    assert!(
        matches!(call.next().await, Some(CallEvent::BodyEnd(Some(failure))) if failure.code == code::CPU)
    );
    assert_eq!(end_of(&mut call).await, code::CPU);
}

#[tokio::test]
async fn a_requests_body_goes_as_fast_as_the_process_reads() {
    let mut channel = channel();
    let (sender, body) = mpsc::channel(1);
    let _call = start(&channel.process, request(None), Some(body));
    let ToProcess::Call { call, event, .. } = channel.other.take().await else {
        panic!("no call");
    };
    assert!(matches!(event, Event::Fetch(event) if event.body.is_none()));
    let sending = tokio::spawn(async move {
        for _ in 0..8 {
            sender.send(Ok(vec![1; MAX_CHUNK])).await.unwrap();
        }
        sender.send(Err(Failure::new(code::CANCELLED, ""))).await.unwrap();
    });
    let of = BodyOf::Event;
    for at in 0..8 {
        match channel.other.take().await {
            ToProcess::Body { data, .. } => assert_eq!(data.len(), MAX_CHUNK),
            _ => panic!("no body"),
        }
        if at >= 3 {
            // The window is full: nothing comes without credit.
            let bytes = MAX_CHUNK as u32;
            channel.other.give(ToBroker::Credit { call, of, bytes }).await;
        }
    }
    sending.await.unwrap();
    match channel.other.take().await {
        ToProcess::BodyEnd { failure, .. } => assert_eq!(failure.unwrap().code, code::CANCELLED),
        _ => panic!("no end"),
    }
}

#[tokio::test]
async fn an_end_without_an_answer_is_a_failure_of_a_request_alone() {
    let mut channel = channel();
    for (event, expected) in [(request(None), code::BAD_RESPONSE), (scheduled(), "")] {
        let (mut call, id) = started(&mut channel, event).await;
        channel.other.done(id).await;
        assert_eq!(end_of(&mut call).await, expected);
    }
}

#[tokio::test]
async fn a_head_that_is_none_fails_the_event_alone() {
    let mut channel = channel();
    for (status, name, value) in [
        (99, "a", "b"),
        (200, "a b", "c"),
        (200, "a", "b\r\nset-cookie: c"),
    ] {
        let (mut call, id) = started(&mut channel, request(None)).await;
        let head = ToBroker::Head {
            call: id,
            status,
            status_text: String::new(),
            headers: vec![(name.into(), value.into())],
            body: None,
        };
        channel.other.give(head).await;
        assert_eq!(end_of(&mut call).await, code::BAD_RESPONSE);
        assert!(channel.other.take().await == ToProcess::Cancel(id));
        channel.other.done(id).await;
    }
    assert!(!channel.ended.is_finished());
}

#[tokio::test]
async fn numbers_that_cannot_be_true_are_cut() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, scheduled()).await;
    let usage = Usage {
        wall_us: u64::MAX,
        cpu_us: u64::MAX,
        memory: u64::MAX,
        cold: true,
    };
    let done = ToBroker::Done {
        call: id,
        usage,
        failure: None,
    };
    channel.other.give(done).await;
    match call.next().await {
        Some(CallEvent::Done { usage, .. }) => {
            assert!(usage.wall_us < 600_000_000 && usage.cpu_us < 600_000_000);
            assert_eq!(usage.memory, limits().memory);
        }
        _ => panic!("no end"),
    }
}

#[tokio::test]
async fn guards_are_kept_until_the_process_is_done() {
    let mut channel = channel();
    let (mut call, id) = started(&mut channel, scheduled()).await;
    let guard = Arc::new(());
    call.hold(Box::new(guard.clone()));
    drop(call);
    assert!(channel.other.take().await == ToProcess::Cancel(id));
    assert_eq!(Arc::strong_count(&guard), 2);
    channel.other.done(id).await;
    // What comes later shows that this was read.
    let (mut later, id) = started(&mut channel, scheduled()).await;
    channel.other.done(id).await;
    assert_eq!(end_of(&mut later).await, "");
    assert_eq!(Arc::strong_count(&guard), 1);

    (call, _) = started(&mut channel, scheduled()).await;
    channel.process.stop();
    assert_eq!(end_of(&mut call).await, code::CRASHED);
    call.hold(Box::new(guard.clone()));
    assert_eq!(Arc::strong_count(&guard), 1);
    assert_eq!(channel.ended.await.unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn the_work_ends_with_the_last_handle_or_the_other_end() {
    let left = channel();
    drop(left.process);
    assert_eq!(left.ended.await.unwrap(), Ended::Stopped);

    let mut left = channel();
    let (mut call, _) = started(&mut left, request(None)).await;
    drop(left.other);
    assert_eq!(left.ended.await.unwrap(), Ended::Closed);
    assert_eq!(end_of(&mut call).await, code::CRASHED);
    assert_eq!(
        left.process.load(load("")).await.err().unwrap().code,
        code::CRASHED
    );
    assert_eq!(
        end_of(&mut start(&left.process, request(None), None)).await,
        code::CRASHED
    );
}
