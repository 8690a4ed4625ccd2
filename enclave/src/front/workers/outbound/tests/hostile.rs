//! Servers that answer what nobody may.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// Reads a request's head.
pub(super) async fn read_head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
            return head;
        }
    }
    head
}

/// A server that says this to each connection once it has a request, and closes it, or stays.
async fn saying(answer: Vec<u8>, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                if stays {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            });
        }
    });
    address
}

async fn outcome(limits: Limits, answer: &[u8], stays: bool) -> Result<(FetchResponse, Vec<u8>), String> {
    let world = World::with(&Trust::new(&["x.example"]), limits);
    world.lead("a.example:80", saying(answer.to_vec(), stays).await);
    world.fetch(get("http://a.example/")).await
}

#[tokio::test]
async fn what_is_no_answer_fails() {
    let long_head = [
        b"HTTP/1.1 200 OK\r\nx: ",
        vec![b'x'; 200_000].as_slice(),
        b"\r\n\r\n",
    ]
    .concat();
    let many = "x: y\r\n".repeat(1000);
    let many_fields = format!("HTTP/1.1 200 OK\r\n{many}\r\n").into_bytes();
    for answer in [
        &b""[..],
        b"\r\n\r\n",
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nx: y\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        // Bodies that end too early.
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhell",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        &long_head,
        &many_fields,
    ] {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]);
        match outcome(LIMITS, answer, false).await {
            Err(error) => assert!(error.starts_with("fetch_failed"), "{shown}: {error}"),
            Ok((head, _)) => panic!("{shown}: {}", head.status),
        }
    }
}

#[tokio::test]
async fn odd_answers_are_answers() {
    let (head, body) = outcome(
        LIMITS,
        b"HTTP/1.0 404 Not there\r\nX-A: \xe9 \r\nx-a:b\r\n\r\nuntil the end",
        false,
    )
    .await
    .unwrap();
    assert_eq!((head.status, head.status_text.as_str()), (404, "Not there"));
    assert!(
        head.headers
            == [
                ("x-a".to_owned(), "\u{e9}".to_owned()),
                ("x-a".to_owned(), "b".to_owned())
            ]
    );
    assert_eq!(body, b"until the end");
    let early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let (head, body) = outcome(LIMITS, early, true).await.unwrap();
    assert_eq!((head.status, body.len()), (204, 0));
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_it_may_last() {
    let limits = Limits {
        connect: Duration::from_millis(200),
        head: Duration::from_millis(200),
        stall: Duration::from_millis(200),
        ..LIMITS
    };
    let late = "fetch_failed: a.example:80 doesn't answer in time";
    for begun in [&b""[..], b"HTTP/1.1 200 OK\r\nx: "] {
        assert_eq!(outcome(limits, begun, true).await.err().unwrap(), late);
    }
    let stalled = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell";
    let stalls = Limits {
        stall: limits.stall,
        ..LIMITS
    };
    assert_eq!(
        outcome(stalls, stalled, true).await.err().unwrap(),
        "fetch_failed: the answer doesn't go on in time"
    );
    // A server that never greets.
    let world = World::with(&Trust::new(&["a.example"]), limits);
    world.lead("a.example:443", saying(vec![], true).await);
    let error = world.fetch(get("https://a.example/")).await.err().unwrap();
    assert_eq!(error, "fetch_failed: a.example:443 doesn't answer in time");
    // Nobody there at all.
    let error = world.fetch(get("https://b.example/")).await.err().unwrap();
    assert_eq!(error, "fetch_failed: b.example:443 can't be reached");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_costs_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(&Trust::new(&["x.example"]));
    world.lead("a.example:80", listener.local_addr().unwrap());
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    // Each connection answers one request, and reads a second one before it closes.
    let served = tokio::spawn(async move {
        let mut heads = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            heads.push(read_head(&mut stream).await);
            stream.write_all(answer).await.unwrap();
            heads.push(read_head(&mut stream).await);
        }
        heads
    });
    for path in ["/first", "/second"] {
        world
            .fetch(get(&format!("http://a.example{path}")))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(world);
    let heads = soon(served).await.unwrap();
    let asked: Vec<_> = heads
        .iter()
        .map(|head| head.split(' ').nth(1).unwrap_or("-"))
        .collect();
    assert_eq!(asked, ["/first", "/second", "/second", "-"]);
}
