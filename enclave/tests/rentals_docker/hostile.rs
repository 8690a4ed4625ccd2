//! A host that lies: every answer is an error or harmless, none a panic, a hang or a heap.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jeju_enclave::rentals::backend::{BackendError, ContainerBackend};
use jeju_enclave::rentals::docker::DockerBackend;
use serde_json::json;

use crate::fake::{AGENT, Answer, Host, RENTAL, document, failure, name, progress, spec};

type Operation = fn(&DockerBackend) -> BoxFuture<'_, Result<(), BackendError>>;

/// Every operation, and the call whose answer it stands on.
const OPERATIONS: [(&str, Operation); 11] = [
    ("GET containers/json", |backend| {
        Box::pin(async { backend.list().await.map(|_| ()) })
    }),
    ("GET images", |backend| {
        Box::pin(async { backend.create(spec(), progress().0).await.map(|_| ()) })
    }),
    ("POST containers/create", |backend| {
        Box::pin(async { backend.create(spec(), progress().0).await.map(|_| ()) })
    }),
    ("GET info", |backend| {
        Box::pin(async { backend.disk_limit().await.map(|_| ()) })
    }),
    ("GET containers/NAME/stats", |backend| {
        Box::pin(async { backend.usage(RENTAL).await.map(|_| ()) })
    }),
    ("GET containers/NAME/logs", |backend| {
        Box::pin(async { backend.logs(RENTAL, 10).await.map(|_| ()) })
    }),
    ("POST exec", |backend| {
        Box::pin(async { backend.exec(RENTAL, vec!["x".to_owned()]).await.map(|_| ()) })
    }),
    ("POST exec", |backend| {
        Box::pin(async { backend.attach(RENTAL).await.map(|_| ()) })
    }),
    ("POST containers/NAME/start", |backend| backend.start(RENTAL)),
    ("POST containers/NAME/stop", |backend| backend.stop(RENTAL)),
    ("DELETE containers/NAME", |backend| backend.remove(RENTAL)),
];

/// The operations, at a host that answers their calls with this.
async fn outcomes(answer: Answer) -> Vec<Result<(), BackendError>> {
    let mut outcomes = Vec::new();
    for (call, operation) in OPERATIONS {
        let call = call.replace("NAME", &name());
        let answer = answer.clone();
        let host = Host::new(move |asked| asked.starts_with(&call).then(|| answer.clone()));
        outcomes.push(operation(&host.backend()).await);
    }
    outcomes
}

#[tokio::test]
async fn bytes_that_are_no_answer_are_errors() {
    let ok = b"HTTP/1.1 200 OK\r\n";
    let head = |fields: &[u8]| [&ok[..], fields].concat();
    for answer in [
        Answer::Bytes(Vec::new()),
        Answer::Bytes(b"\0".to_vec()),
        Answer::Bytes(b"HTTP/1.1 200".to_vec()),
        Answer::Bytes(b"HTTP/9.9 200 OK\r\n\r\n".to_vec()),
        Answer::Bytes(b"HTTP/1.1 99999 OK\r\n\r\n".to_vec()),
        Answer::Bytes(b"HTTP/1.1 100 x\r\n\r\n".repeat(10_000)),
        Answer::Bytes(b"SSH-2.0-x\r\n".to_vec()),
        Answer::Endless(Vec::new(), vec![0xA5; 4096]),
        Answer::Endless(ok.to_vec(), b"a: b\r\n".to_vec()),
        Answer::Endless(head(b"a: "), vec![b'x'; 4096]),
        Answer::Endless(head(b"Transfer-Encoding: chunked\r\n\r\n"), vec![b'f'; 4096]),
        Answer::Bytes(head(b"Content-Length: 18446744073709551615\r\n\r\n{}")),
        Answer::Bytes(head(b"Content-Length: -1\r\n\r\n{}")),
        Answer::Bytes(head(b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
        Answer::Bytes(head(b"Content-Length: 100\r\n\r\n{}")),
        Answer::Bytes(head(b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")),
    ] {
        for (index, outcome) in outcomes(answer.clone()).await.into_iter().enumerate() {
            let call = OPERATIONS[index].0;
            assert!(
                matches!(outcome, Err(BackendError::Unavailable(_))),
                "{call}: {outcome:?} for {}",
                format!("{answer:?}").chars().take(200).collect::<String>()
            );
        }
    }
}

/// Calls that are done, whatever else their answer says, stand at the end.
const ANSWERED_BY_DOCUMENT: usize = 8;

#[tokio::test]
async fn answers_without_sense_and_without_end_are_errors() {
    let mut answers: Vec<Answer> = [
        "",
        "x",
        "null",
        "7",
        "\"\"",
        "{\"Id\":7}",
        "{\"Names\":7}",
        "\u{0}",
    ]
    .map(|body| Answer::Bytes(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes()))
    .into();
    answers.push(Answer::Bytes(
        format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(100_000)).into_bytes(),
    ));
    answers.push(Answer::Endless(
        b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        vec![b' '; 65536],
    ));
    let chunk = [&b"10000\r\n"[..], &[b'['; 65536], b"\r\n"].concat();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    answers.push(Answer::Endless(chunked.to_vec(), chunk));
    answers.push(document(
        200,
        &json!({"Driver": ["x"], "cpu_stats": 1, "Id": null}),
    ));
    for answer in answers {
        let shown: String = format!("{answer:?}").chars().take(200).collect();
        for (index, outcome) in outcomes(answer)
            .await
            .into_iter()
            .enumerate()
            .take(ANSWERED_BY_DOCUMENT)
        {
            let call = OPERATIONS[index].0;
            // An empty log is one.
            if !(call.ends_with("logs") && shown.contains("13, 10, 13, 10])")) {
                assert!(outcome.is_err(), "{call}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn failures_without_end_or_sense_are_errors_of_bounded_length() {
    let long = "\u{1b}]0;x\u{7}".repeat(5000);
    for answer in [
        Answer::Bytes(b"HTTP/1.1 500 x\r\n\r\n<html>".to_vec()),
        Answer::Endless(b"HTTP/1.1 500 x\r\n\r\n".to_vec(), vec![b'x'; 65536]),
        document(500, &json!({"code": long, "message": long})),
        document(302, &json!({"message": 7})),
        failure(418, &long),
    ] {
        for outcome in outcomes(answer).await {
            let text = outcome.unwrap_err().to_string();
            assert!(
                text.len() < 600 && !text.chars().any(char::is_control),
                "{text:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_falls_silent_is_given_up() {
    for said in [
        &b""[..],
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\na: b\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 500 x\r\nContent-Length: 10\r\n\r\n{",
    ] {
        for (index, outcome) in outcomes(Answer::Silence(said.to_vec()))
            .await
            .into_iter()
            .enumerate()
        {
            let call = OPERATIONS[index].0;
            // Behind the head of a connection that is handed over, the length says nothing.
            if index < 6 || said.len() < 30 || !said.starts_with(b"HTTP/1.1 200") {
                assert_eq!(outcome, Err(BackendError::TimedOut), "{call} {said:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn progress_without_end_or_sense_ends_a_creation() {
    let missing = || failure(404, "no such image");
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for (answer, error) in [
        (Answer::Endless(head.clone(), vec![b'x'; 4096]), None),
        (Answer::Endless(head.clone(), vec![b'\n'; 65536]), None),
        (Answer::Bytes([&head[..], b"<html>\n"].concat()), None),
        (Answer::Silence(head.clone()), Some(BackendError::TimedOut)),
        (Answer::Silence(Vec::new()), Some(BackendError::TimedOut)),
    ] {
        let host = Host::new(
            move |call| match call.split_once('?').map_or(call, |(path, _)| path) {
                "GET images/busybox:1/json" => Some(missing()),
                "POST images/create" => Some(answer.clone()),
                _ => None,
            },
        );
        let outcome = host.backend().create(spec(), progress().0).await.unwrap_err();
        match error {
            Some(error) => assert_eq!(outcome, error),
            None => assert!(matches!(outcome, BackendError::Unavailable(_)), "{outcome}"),
        }
    }
}

/// One byte a second is not silence, but it is too slow.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(directory.path().join("5002.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".iter().cycle() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if tokio::io::AsyncWriteExt::write_all(&mut stream, &[*byte])
                    .await
                    .is_err()
                {
                    break;
                }
            }
        }
    });
    let transport = jeju_shim_protocol::transport::GuestTransport::Unix(directory.path().into());
    let backend = DockerBackend::new(transport, AGENT, bytes::Bytes::new());
    assert_eq!(backend.list().await, Err(BackendError::TimedOut));
}
