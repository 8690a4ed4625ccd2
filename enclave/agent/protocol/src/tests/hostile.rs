//! A peer that speaks whatever it likes.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::frame::{Body, Frame, VERSION, take};
use crate::{Agent, MuxError, Open, OpenCode, Request, serve};

/// A frame by its parts.
fn frame(kind: u8, channel: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &len[1..], payload].concat()
}

fn hello() -> Vec<u8> {
    frame(0, 0, b"jejuagnt\0\x01")
}

/// What the SSH server's end says to a container that answers its first request by `said`.
async fn to_opener(said: &[u8]) -> MuxError {
    let (ours, mut theirs) = duplex(1 << 20);
    let (agent, driver) = Agent::connect(ours);
    let opening = tokio::spawn(async move {
        // Held and never read.
        let _channel = agent.open(Open::Sftp).await;
        std::future::pending::<()>().await;
    });
    let container = async {
        // The request is there before it is answered.
        let mut request = vec![0; 18 + 9];
        theirs.read_exact(&mut request).await.unwrap();
        // Cut off once the breach is seen.
        let _ = theirs.write_all(&[&hello(), said].concat()).await;
        // Until the other end is gone.
        let _ = theirs.read_to_end(&mut request).await;
    };
    let (outcome, ()) = tokio::join!(driver, container);
    opening.abort();
    outcome.expect_err("it is a breach")
}

/// What the container's end, which accepts all requests and reads nothing, says to `said`.
async fn to_server(said: &[u8]) -> MuxError {
    let (mut ours, theirs) = duplex(1 << 20);
    let (mut requests, driver) = serve(theirs);
    let accepting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(request) = requests.next().await {
            kept.push(Request::accept(request));
        }
    });
    let peer = async {
        ours.write_all(&hello()).await.unwrap();
        let mut answer = vec![0; 18];
        ours.read_exact(&mut answer).await.unwrap();
        ours.write_all(said).await.unwrap();
        let _ = ours.read_to_end(&mut answer).await;
    };
    let (outcome, ()) = tokio::join!(driver, peer);
    accepting.await.unwrap();
    outcome.expect_err("it is a breach")
}

#[tokio::test]
async fn a_container_cannot_break_the_rules() {
    let opened = frame(2, 1, b"");
    let after = |rest: Vec<u8>| [opened.clone(), rest].concat();
    let full = frame(4, 1, &[7; 32 * 1024]);
    for (said, reason) in [
        (frame(2, 1, b"x"), "a frame without a payload has one"),
        (frame(2, 2, b""), "channel 2: isn't open"),
        (frame(4, 1, b"x"), "channel 1: wasn't answered yet"),
        (frame(11, 1, b""), "channel 1: wasn't answered yet"),
        (after(opened.clone()), "channel 1: was answered before"),
        (
            after(frame(1, 2, &[3])),
            "a frame of kind 1 can't come from this end",
        ),
        (
            after(frame(8, 1, &[0; 8])),
            "a frame of kind 8 can't come from this end",
        ),
        (
            after(frame(9, 1, b"TERM")),
            "a frame of kind 9 can't come from this end",
        ),
        (
            after(frame(12, 1, b"")),
            "channel 0 is for what belongs to no channel",
        ),
        (after(frame(12, 0, b"x")), "a frame without a payload has one"),
        (
            after(frame(13, 1, b"")),
            "a frame of kind 13 can't come from this end",
        ),
        (
            after(frame(255, 1, b"")),
            "a frame of kind 255 can't come from this end",
        ),
        (after(hello()), "a second greeting"),
        (
            after(frame(0, 1, b"jejuagnt\0\x01")),
            "channel 0 is for what belongs to no channel",
        ),
        (
            after(frame(4, 0, b"x")),
            "channel 0 is for what belongs to no channel",
        ),
        (after(frame(4, 1, b"")), "a frame of data is empty"),
        (
            after(frame(4, 1, &[0; 32 * 1024 + 1])),
            "a frame of 32769 bytes is too long",
        ),
        (
            after([frame(6, 1, b""), frame(4, 1, b"x")].concat()),
            "channel 1: was ended before",
        ),
        (
            after([frame(6, 1, b""), frame(6, 1, b"")].concat()),
            "channel 1: was ended before",
        ),
        (
            after([frame(11, 1, b""), frame(4, 1, b"x")].concat()),
            "channel 1: ",
        ),
        (
            after([full.clone(), full.clone(), full.clone()].concat()),
            "got data without credit",
        ),
        (after(frame(7, 1, &[0; 4])), "a credit of nothing"),
        (after(frame(7, 1, &[0; 3])), "a field is cut off"),
        (
            after(frame(7, 1, &[0, 0, 0, 1, 0])),
            "bytes follow the last field",
        ),
        (
            after(frame(7, 1, &[255; 4])),
            "channel 1: got more credit than there may be",
        ),
        (
            after(frame(7, 1, &[0, 15, 0, 1])),
            "channel 1: got more credit than there may be",
        ),
        (after(frame(10, 1, &[0, 0, 0, 1])), "a field is cut off"),
        (after(frame(10, 1, &[2, 0, 0, 0, 1])), "a flag is neither 0 nor 1"),
        (
            after(frame(10, 1, b"\x01\x00\x1b[2J")),
            "not the name of a signal",
        ),
        (
            after(frame(10, 1, &[0, 0, 0, 0, 1]).repeat(2)),
            "channel 1: has exited before",
        ),
        (frame(3, 1, b"\0\x05never\0\0"), "an unknown code of refusal"),
        (
            frame(3, 1, b"\0\x06failed\0\x04\x1b[2J"),
            "a message isn't one short line",
        ),
        (
            frame(3, 1, b"\0\x06failed\0\x02\xff\xff"),
            "a text is not UTF-8 without NUL",
        ),
    ] {
        let error = to_opener(&said).await.to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[tokio::test]
async fn a_client_cannot_break_the_rules() {
    let opened = frame(1, 1, &[3]);
    for (said, reason) in [
        (frame(2, 1, b""), "a frame of kind 2 can't come from this end"),
        (
            frame(3, 1, b"\0\x06failed\0\0"),
            "a frame of kind 3 can't come from this end",
        ),
        (frame(5, 1, b"x"), "a frame of kind 5 can't come from this end"),
        (
            frame(10, 1, &[0; 5]),
            "a frame of kind 10 can't come from this end",
        ),
        (frame(4, 1, b"x"), "channel 1: isn't open"),
        (frame(1, 1, &[]), "a field is cut off"),
        (frame(1, 1, &[9]), "an unknown request"),
        (frame(1, 1, &[3, 0]), "bytes follow the last field"),
        (frame(1, 1, &[1, 2, 0, 0]), "a flag is neither 0 nor 1"),
        (frame(1, 1, &[1, 0, 1, 1]), "too many variables"),
        (
            frame(1, 1, &[1, 0, 0, 1, 0, 0, 0, 0]),
            "an invalid name of a variable",
        ),
        (
            frame(1, 1, &[1, 0, 0, 1, 0, 1, b'=', 0, 0]),
            "an invalid name of a variable",
        ),
        (
            frame(1, 1, &[2, 0, 1, 0, 0, 0, 0]),
            "a text is not UTF-8 without NUL",
        ),
        (
            frame(1, 1, &[2, 0, 1, 255, 0, 0, 0]),
            "a text is not UTF-8 without NUL",
        ),
        (frame(1, 1, &[4, 0, 0, 0, 80]), "no host or no port to dial"),
        (frame(1, 1, &[4, 0, 1, b'x', 0, 0]), "no host or no port to dial"),
        (opened.repeat(2), "channel 1: was opened before"),
        (frame(1, u32::MAX, &[3]), "was opened before"),
        (
            [opened.clone(), frame(9, 1, b"KILL9")].concat(),
            "an unknown signal",
        ),
        (
            [opened.clone(), frame(8, 1, &[0; 7])].concat(),
            "a field is cut off",
        ),
        (
            (1..=257).flat_map(|n| frame(1, n, &[3])).collect(),
            "the peer opened too many channels",
        ),
    ] {
        let error = to_server(&said).await.to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[tokio::test]
async fn the_first_frame_is_a_greeting_of_this_version() {
    for (said, reason) in [
        (frame(2, 1, b""), "doesn't speak this protocol"),
        (frame(0, 0, b"jejuagnt"), "doesn't speak this protocol"),
        (frame(0, 0, b"jejuagnt\0\x02"), "speaks version 2, not 1"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_vec(), "bytes is too long"),
        (
            b"/bin/sh: 1: /.jeju/agent: not found\n".to_vec(),
            "bytes is too long",
        ),
        (hello()[..12].to_vec(), "ended inside a frame"),
    ] {
        let (ours, mut theirs) = duplex(1024);
        let (_agent, driver) = Agent::connect(ours);
        theirs.write_all(&said).await.unwrap();
        theirs.shutdown().await.unwrap();
        let error = driver.await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_container_is_given_up() {
    let (ours, _theirs) = duplex(1024);
    let (agent, driver) = Agent::connect(ours);
    let opening = tokio::spawn(async move { agent.open(Open::Sftp).await.err().unwrap().code });
    assert!(matches!(driver.await, Err(MuxError::Silent)));
    assert_eq!(opening.await.unwrap(), OpenCode::ConnectionLost);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_greets_and_never_answers_is_given_up() {
    let (ours, mut theirs) = duplex(1024);
    let (agent, driver) = Agent::connect(ours);
    tokio::spawn(driver);
    theirs.write_all(&hello()).await.unwrap();
    assert_eq!(
        agent.open(Open::Sftp).await.err().unwrap().code,
        OpenCode::TimedOut
    );
}

#[test]
fn a_frame_is_read_as_it_was_written_and_byte_by_byte() {
    for body in [
        Body::Hello(VERSION),
        Body::Open(Open::Sftp),
        Body::Data(bytes::Bytes::from(vec![1; 32 * 1024])),
        Body::Credit(1),
        Body::Close,
    ] {
        let frame = Frame {
            channel: u32::from(!matches!(body, Body::Hello(_))),
            body,
        };
        let mut written = Vec::new();
        frame.encode(&mut written).unwrap();
        let mut buffer = BytesMut::new();
        for (at, byte) in written.iter().enumerate() {
            assert_eq!(take(&mut buffer).unwrap(), None, "{at}");
            buffer.extend([*byte]);
        }
        assert_eq!(take(&mut buffer).unwrap(), Some(frame));
        assert!(buffer.is_empty());
    }
}
