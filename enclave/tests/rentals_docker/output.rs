//! Logs, commands and the agent's stream, from a host that frames them as it likes.

use jeju_enclave::rentals::backend::{BackendError, ContainerBackend};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::fake::{Answer, Host, ID, RENTAL, document, failure, frame, upgraded};

async fn logs(answer: Answer) -> Result<String, BackendError> {
    let host = Host::new(move |call| call.contains("/logs?").then(|| answer.clone()));
    host.backend().logs(RENTAL, u32::MAX).await
}

#[tokio::test]
async fn logs_are_text_of_bounded_length() {
    let with = |frames: &[u8]| Answer::Bytes([b"HTTP/1.1 200 OK\r\n\r\n", frames].concat());
    let both = [frame(1, b"out\r\n\x1b[2J"), frame(2, b"err\xff\n")].concat();
    assert_eq!(logs(with(&both)).await, Ok("out\n[2Jerr\u{fffd}\n".to_owned()));
    assert_eq!(logs(with(b"")).await, Ok(String::new()));
    let much = frame(1, &b"line\n".repeat(10_000)).repeat(100);
    let text = logs(with(&much)).await.unwrap();
    assert!(text.len() <= 1 << 20 && text.len() > (1 << 20) - 10 && text.starts_with("line\n"));
    for bad in [
        b"plain text".to_vec(),
        frame(3, b"x"),
        frame(1, b"whole")[..9].to_vec(),
        vec![1, 0, 0, 0, 255, 255, 255, 255],
    ] {
        assert!(
            matches!(logs(with(&bad)).await, Err(BackendError::Unavailable(_))),
            "{bad:?}"
        );
    }
    let endless = Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), frame(1, &[b'x'; 60_000]));
    assert!(matches!(logs(endless).await, Err(BackendError::Unavailable(_))));
    assert_eq!(
        Host::honest().backend().logs(RENTAL, 5).await,
        Err(BackendError::NotFound)
    );
    assert_eq!(Host::honest().backend().logs(RENTAL, 0).await, Ok(String::new()));
}

#[tokio::test]
async fn commands_give_what_is_kept_of_their_output() {
    let exec = |bytes: Vec<u8>| async move {
        let host = Host::new(move |call| call.starts_with("POST exec/").then(|| upgraded(&bytes)));
        host.backend().exec(RENTAL, vec!["x".to_owned()]).await
    };
    let both = [frame(1, b"out"), frame(2, b"err"), frame(1, b"put")].concat();
    let output = exec(both).await.unwrap();
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"output"[..], &b"err"[..])
    );
    assert_eq!((output.exit_code, output.truncated), (0, false));
    let much = exec(frame(2, &[b'e'; 100_000]).repeat(40)).await.unwrap();
    assert_eq!((much.stderr.len(), much.truncated), (256 * 1024, true));
    for bad in [b"OK\n".to_vec(), frame(1, b"x")[..8].to_vec()] {
        assert!(matches!(exec(bad).await, Err(BackendError::Unavailable(_))));
    }
    for (answer, error) in [
        (failure(409, "is not running"), BackendError::NotRunning),
        (failure(404, "no such container"), BackendError::NotFound),
    ] {
        let host = Host::new(move |call| call.ends_with("/exec").then(|| answer.clone()));
        assert_eq!(
            host.backend().exec(RENTAL, vec!["x".to_owned()]).await,
            Err(error.clone())
        );
        assert_eq!(host.backend().attach(RENTAL).await.err(), Some(error));
    }
    let host = Host::new(|call| {
        call.starts_with("GET exec/")
            .then(|| document(200, &json!({"ID": "44".repeat(32), "ExitCode": 0})))
            .or(call.starts_with("POST exec/").then(|| upgraded(b"")))
    });
    let other = host.backend().exec(RENTAL, vec!["x".to_owned()]).await;
    assert!(matches!(other, Err(BackendError::Unavailable(_))), "{other:?}");
    let none = Host::honest().backend().exec(RENTAL, Vec::new()).await;
    assert!(matches!(none, Err(BackendError::Refused(_))), "{none:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_does_not_end_is_given_up() {
    let answer = upgraded(&frame(1, b"..."));
    let Answer::Bytes(bytes) = answer else {
        unreachable!()
    };
    let host = Host::new(move |call| {
        call.starts_with("POST exec/")
            .then(|| Answer::Silence(bytes.clone()))
    });
    let outcome = host.backend().exec(RENTAL, vec!["x".to_owned()]).await;
    assert_eq!(outcome, Err(BackendError::TimedOut));
    // Nor does one whose end the host never confirms.
    let host = Host::new(|call| {
        let running = json!({"ID": ID, "Running": true, "ExitCode": null});
        call.starts_with("GET exec/")
            .then(|| document(200, &running))
            .or(call.starts_with("POST exec/").then(|| upgraded(b"")))
    });
    let outcome = host.backend().exec(RENTAL, vec!["x".to_owned()]).await;
    assert_eq!(outcome, Err(BackendError::TimedOut));
}

#[tokio::test]
async fn an_agent_speaks_first_or_is_none() {
    let attach = |bytes: Vec<u8>| async move {
        let host = Host::new(move |call| call.starts_with("POST exec/").then(|| upgraded(&bytes)));
        host.backend().attach(RENTAL).await
    };
    let hello = [frame(2, b"noise"), frame(1, b"\0hello"), frame(1, b" all")].concat();
    let mut stream = attach(hello).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"\0hello all");
    let failed = frame(1, b"OCI runtime exec failed: no such file\r\n");
    assert_eq!(
        attach(failed).await.err(),
        Some(BackendError::Agent(
            "OCI runtime exec failed: no such file".to_owned()
        ))
    );
    assert_eq!(
        attach(Vec::new()).await.err(),
        Some(BackendError::Agent("it ended at once with status 0".to_owned()))
    );
    for bad in [
        b"\0\0\0".to_vec(),
        b"garbage garbage".to_vec(),
        frame(2, b"noise").repeat(100_000),
    ] {
        assert!(attach(bad).await.is_err());
    }
}
