//! Bodies that come piece by piece, and fetches that nobody waits for any more.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::hostile::read_head;
use super::*;

/// More than sockets on loopback hold, and less than anybody should.
const PLENTY: usize = 64 << 20;

struct Raw {
    listener: TcpListener,
    world: World,
}

impl Raw {
    async fn new() -> Self {
        Self::with(LIMITS).await
    }

    async fn with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World::with(&Trust::new(&["x.example"]), limits);
        world.lead("a.example:80", listener.local_addr().unwrap());
        Self { listener, world }
    }

    async fn accept(&self) -> (BufReader<TcpStream>, String) {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        let mut stream = BufReader::new(stream);
        let head = soon(read_head(&mut stream)).await;
        (stream, head)
    }
}

/// Waits until a count stops growing.
async fn settled(count: &AtomicUsize) -> usize {
    let mut last = (usize::MAX, 0);
    loop {
        sleep(Duration::from_millis(50)).await;
        let now = count.load(Ordering::SeqCst);
        last = if now == last.0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        assert!(now < PLENTY, "{now} bytes went to nobody");
        if last.1 == 6 {
            return now;
        }
    }
}

#[tokio::test]
async fn an_answer_comes_as_fast_as_it_is_read_and_stops_when_nobody_reads_it() {
    let raw = Raw::new().await;
    let written = Arc::new(AtomicUsize::new(0));
    let counted = written.clone();
    let server = async {
        let (mut stream, _) = raw.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        stream
    };
    let fetching = raw
        .world
        .fetcher
        .fetch(of(1, "w"), get("http://a.example/"), None);
    let (answer, mut stream) = soon(async { tokio::join!(fetching, server) }).await;
    let writing = tokio::spawn(async move {
        while stream.write_all(&[7; 65_536]).await.is_ok() {
            counted.fetch_add(65_536, Ordering::SeqCst);
        }
    });
    let (_, mut body) = answer.map_err(shown).unwrap();
    let unread = settled(&written).await;
    for _ in 0..64 {
        assert!(soon(body.recv()).await.unwrap().is_ok());
    }
    assert!(unread < PLENTY && !writing.is_finished());
    drop(body);
    soon(writing).await.unwrap();
}

#[tokio::test]
async fn pieces_are_handed_on_as_they_come() {
    let raw = Raw::new().await;
    let (go_on, wait) = oneshot::channel();
    let server = async {
        let (mut stream, _) = raw.accept().await;
        let first = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
        stream.write_all(first).await.unwrap();
        wait.await.unwrap();
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        stream
    };
    let reading = async {
        let fetching = raw
            .world
            .fetcher
            .fetch(of(1, "w"), get("http://a.example/"), None);
        let (_, mut body) = fetching.await.map_err(shown).unwrap();
        assert!(body.recv().await.unwrap().ok().unwrap() == b"one");
        go_on.send(()).unwrap();
        whole(body).await.unwrap()
    };
    let (rest, _stream) = soon(async { tokio::join!(reading, server) }).await;
    assert_eq!(rest, b"two");
}

#[tokio::test]
async fn a_request_is_taken_from_the_worker_as_fast_as_the_server_reads() {
    let raw = Raw::new().await;
    let (sender, body) = mpsc::channel(1);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let writing = tokio::spawn(async move {
        while counted.load(Ordering::SeqCst) < PLENTY * 2 {
            if sender.send(Ok(vec![7; 65_536])).await.is_err() {
                return;
            }
            counted.fetch_add(65_536, Ordering::SeqCst);
        }
    });
    let asked = request("POST", "http://a.example/", &[]);
    let fetching = tokio::spawn(raw.world.fetcher.fetch(of(1, "w"), asked, Some(body)));
    let (stream, head) = raw.accept().await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(settled(&taken).await > 0);
    // Nobody waits for the answer any more: the rest of the body is not asked of the worker.
    fetching.abort();
    soon(writing).await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    let raw = Raw::new().await;
    let (sender, body) = mpsc::channel(1);
    let server = async {
        let (mut stream, _) = raw.accept().await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        // Each piece comes as a chunk, and goes back as one.
        let mut chunk = [0; 9];
        for _ in 0..3 {
            stream.read_exact(&mut chunk).await.unwrap();
            stream.write_all(&chunk).await.unwrap();
        }
        stream.read_exact(&mut chunk[..5]).await.unwrap();
        stream.write_all(&chunk[..5]).await.unwrap();
    };
    let talking = async {
        let asked = request("POST", "http://a.example/", &[]);
        let fetching = raw.world.fetcher.fetch(of(1, "w"), asked, Some(body));
        let (_, mut answer) = fetching.await.map_err(shown).unwrap();
        for piece in [b"1234", b"5678", b"9abc"] {
            sender.send(Ok(piece.to_vec())).await.ok().unwrap();
            assert!(answer.recv().await.unwrap().ok().unwrap() == piece);
        }
        drop(sender);
        assert!(answer.recv().await.is_none());
    };
    soon(async { tokio::join!(talking, server) }).await;
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() {
    for (pieces, kept) in [
        (&["12345", "67890"][..], true),
        (&["12345"], false),
        (&["12345", "678901"], false),
    ] {
        let raw = Raw::new().await;
        let (sender, body) = mpsc::channel(1);
        let (begun, begins) = oneshot::channel();
        let server = async {
            let (mut stream, head) = raw.accept().await;
            begun.send(()).unwrap();
            assert!(
                head.contains("content-length: 10") && !head.contains("chunked"),
                "{head}"
            );
            let mut body = Vec::new();
            if kept {
                body.resize(10, 0);
                stream.read_exact(&mut body).await.unwrap();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
            } else {
                let _ = stream.read_to_end(&mut body).await;
            }
            assert!(b"1234567890".starts_with(&body[..]));
        };
        let sending = async {
            // Late enough to be a stream.
            begins.await.unwrap();
            for piece in pieces {
                let _ = sender.send(Ok(piece.as_bytes().to_vec())).await;
            }
            drop(sender);
        };
        let asked = request("POST", "http://a.example/", &[("content-length", "10")]);
        let fetching = raw.world.fetch_with(asked, Some(body));
        let (answer, (), ()) = soon(async { tokio::join!(fetching, server, sending) }).await;
        match answer {
            Ok(_) => assert!(kept),
            Err(error) => {
                assert!(
                    !kept && error.starts_with("fetch_failed: the request's body broke off"),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_its_request() {
    let raw = Raw::new().await;
    let (sender, body) = mpsc::channel(1);
    let server = async {
        let (mut stream, _) = raw.accept().await;
        let mut body = Vec::new();
        let _ = stream.read_to_end(&mut body).await;
        body
    };
    let sending = async {
        sleep(Duration::from_millis(300)).await;
        sender.send(Ok(b"half".to_vec())).await.ok().unwrap();
        sender
            .send(Err(Failure::new("worker_cancelled", "gone")))
            .await
            .ok()
            .unwrap();
    };
    let asked = request("POST", "http://a.example/", &[]);
    let fetching = raw.world.fetch_with(asked, Some(body));
    let (answer, sent, ()) = soon(async { tokio::join!(fetching, server, sending) }).await;
    assert!(
        answer
            .err()
            .unwrap()
            .starts_with("fetch_failed: the request's body broke off")
    );
    assert!(
        !sent.ends_with(b"0\r\n\r\n"),
        "the server must not take it for whole"
    );
}

#[tokio::test]
async fn a_stream_is_not_sent_twice() {
    let raw = Raw::new().await;
    let (sender, body) = mpsc::channel(1);
    let server = async {
        let (mut stream, _) = raw.accept().await;
        let there = b"HTTP/1.1 307 Elsewhere\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(there).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let asked = request("POST", "http://a.example/", &[]);
    let fetching = raw.world.fetch_with(asked, Some(body));
    let (answer, ()) = soon(async { tokio::join!(fetching, server) }).await;
    drop(sender);
    assert_eq!(
        answer.err().unwrap(),
        "fetch_failed: a redirection asks for a body again, which was sent as a stream"
    );
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_is_gone() {
    let raw = Raw::new().await;
    let fetching = tokio::spawn(
        raw.world
            .fetcher
            .fetch(of(1, "w"), get("http://a.example/"), None),
    );
    let (mut stream, _) = raw.accept().await;
    fetching.abort();
    assert_eq!(soon(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
}

#[tokio::test]
async fn bodies_of_either_direction_are_bounded() {
    let limits = Limits {
        body: 100_000,
        ..LIMITS
    };
    let raw = Raw::with(limits).await;
    let server = async {
        let (mut stream, _) = raw.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[7; 65_536]).await.is_ok() {}
    };
    let (answer, ()) = soon(async { tokio::join!(raw.world.fetch(get("http://a.example/")), server) }).await;
    assert_eq!(
        answer.err().unwrap(),
        "fetch_failed: the answer has more than 100000 bytes"
    );

    let raw = Raw::with(Limits {
        body: 400_000,
        ..LIMITS
    })
    .await;
    let server = async {
        let (mut stream, _) = raw.accept().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let pieces = vec![&[7; 65_536][..]; 7];
    let asked = request("POST", "http://a.example/", &[]);
    let fetching = raw.world.fetch_with(asked, body(&pieces));
    let (answer, ()) = soon(async { tokio::join!(fetching, server) }).await;
    assert!(
        answer
            .err()
            .unwrap()
            .starts_with("fetch_failed: the request's body broke off")
    );
}
