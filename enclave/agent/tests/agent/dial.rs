//! TCP connections.

use jeju_agent_protocol::{Event, MAX_CHANNELS, Open, OpenCode, Output};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Said, start};

fn dial(host: &str, port: u16) -> Open {
    Open::Dial {
        host: host.to_owned(),
        port,
    }
}

/// A server that sends back what it gets, up to its end.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

async fn read(output: &mut Output, len: usize) -> Vec<u8> {
    let mut found = Vec::new();
    while found.len() < len {
        match output.next().await {
            Some(Event::Stdout(data)) => found.extend(data),
            other => panic!("{other:?}"),
        }
    }
    found
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_half_ends_alone() {
    let running = start();
    let port = echo().await;
    for host in ["127.0.0.1", "localhost"] {
        let (mut input, mut output) = running.agent.open(dial(host, port)).await.unwrap().split();
        input.write("ping".into()).await.unwrap();
        assert_eq!(read(&mut output, 4).await, b"ping");
        let writing = tokio::spawn(async move {
            input.write(vec![7; 3_000_000].into()).await.unwrap();
            input.eof().await.unwrap();
            input
        });
        let said = Said::all(output).await;
        assert_eq!((said.stdout.len(), said.eof), (3_000_000, true));
        assert_eq!(said.exit, None);
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_written_arrives_although_the_channel_is_closed_at_once() {
    let running = start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (mut input, output) = running.agent.open(dial("127.0.0.1", port)).await.unwrap().split();
    let (mut stream, _) = listener.accept().await.unwrap();
    input.write(vec![1; 200_000].into()).await.unwrap();
    drop((input, output));
    let mut found = Vec::new();
    stream.read_to_end(&mut found).await.unwrap();
    assert_eq!(found.len(), 200_000);
}

#[tokio::test]
async fn a_connection_that_breaks_closes_the_channel() {
    let running = start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (mut input, output) = running.agent.open(dial("127.0.0.1", port)).await.unwrap().split();
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"bye").await.unwrap();
    drop(stream);
    input.eof().await.unwrap();
    let said = Said::all(output).await;
    assert_eq!((said.text(), said.eof), ("bye", true));
}

#[tokio::test]
async fn what_cannot_be_reached_is_refused_by_its_reason() {
    let running = start();
    // Bound, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    assert_eq!(running.refused(dial("127.0.0.1", port)).await, OpenCode::Refused);
    assert_eq!(running.refused(dial("localhost", port)).await, OpenCode::Refused);
    for unknown in [
        "nowhere.invalid",
        "..",
        "127.0.0.1:80",
        "[::1]",
        "a b",
        "2130706433",
    ] {
        assert_eq!(
            running.refused(dial(unknown, 80)).await,
            OpenCode::UnknownHost,
            "{unknown}"
        );
    }
    assert_eq!(running.refused(dial("", 80)).await, OpenCode::InvalidRequest);
    assert_eq!(
        running.refused(dial("localhost", 0)).await,
        OpenCode::InvalidRequest
    );
}

#[tokio::test]
async fn there_is_one_channel_too_many() {
    let running = start();
    let port = echo().await;
    let mut open = Vec::new();
    for _ in 0..MAX_CHANNELS {
        open.push(running.agent.open(dial("127.0.0.1", port)).await.unwrap());
    }
    assert_eq!(
        running.refused(dial("127.0.0.1", port)).await,
        OpenCode::TooManyChannels
    );
    drop(open);
    while running.agent.open(dial("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
