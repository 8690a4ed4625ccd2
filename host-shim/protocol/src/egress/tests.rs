use tokio::io::{AsyncReadExt, duplex};

use super::*;

#[test]
fn valid_requests_round_trip() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(longest.len(), MAX_HOST);
    for target in [
        "localhost:1",
        "api.example.com:443",
        "xn--bcher-kva.example:65535",
        "3com.com:80",
        "1.2.3.4:8545",
        "[::1]:443",
        "[2001:db8::1:0:0:1]:9",
        "[::ffff:1.2.3.4]:9",
        &format!("{longest}:443"),
    ] {
        let line = format!("CONNECT {target}\n").into_bytes();
        let request = EgressRequest::parse(&line).unwrap_or_else(|e| panic!("{target}: {e}"));
        assert_eq!(request.encode(), line);
        assert_eq!(request.to_string(), target);
    }
}

#[test]
fn a_line_says_which_addresses_will_do() {
    for (line, addresses) in [
        ("CONNECT a:1\n", Addresses::Any),
        ("CONNECT-PUBLIC a:1\n", Addresses::Public),
        ("CONNECT-PUBLIC [2606:4700::1]:443\n", Addresses::Public),
    ] {
        let parsed = EgressLine::parse(line.as_bytes()).unwrap();
        assert_eq!(parsed.addresses, addresses);
        assert_eq!(parsed.encode(), line.as_bytes());
    }
    for (line, error) in [
        ("CONNECT-PUBLIC a:1", ParseError::Unterminated),
        ("CONNECT-PUBLIC  a:1\n", ParseError::BadHost),
        ("CONNECT-PUBLIC CONNECT a:1\n", ParseError::BadHost),
        ("CONNECT-PUBLIC\n", ParseError::UnknownVerb),
        ("CONNECT-PRIVATE a:1\n", ParseError::UnknownVerb),
        ("connect-public a:1\n", ParseError::UnknownVerb),
        ("CONNECT-PUBLIC a:0\n", ParseError::BadPort),
    ] {
        assert_eq!(EgressLine::parse(line.as_bytes()), Err(error), "{line:?}");
    }
}

#[test]
fn other_requests_are_refused() {
    use ParseError::*;
    let too_long = format!("CONNECT {}:1\n", "a.".repeat(127) + "a");
    for (line, error) in [
        ("CONNECT a:1", Unterminated),
        ("CONNECT a:1\n\n", Unterminated),
        ("CONNECT a:1\r\n", NotAscii(b'\r')),
        ("connect a:1\n", UnknownVerb),
        ("CONNECT\n", UnknownVerb),
        ("GET a:1\n", UnknownVerb),
        ("CONNECT \n", MissingPort),
        ("CONNECT a\n", MissingPort),
        ("CONNECT a:\n", BadPort),
        ("CONNECT a:0\n", BadPort),
        ("CONNECT a:01\n", BadPort),
        ("CONNECT a:+1\n", BadPort),
        ("CONNECT a:1 \n", BadPort),
        ("CONNECT a:65536\n", BadPort),
        ("CONNECT a:99999999999999999999\n", BadPort),
        ("CONNECT :1\n", BadHost),
        ("CONNECT  a:1\n", BadHost),
        ("CONNECT A:1\n", BadHost),
        ("CONNECT a.:1\n", BadHost),
        ("CONNECT .a:1\n", BadHost),
        ("CONNECT a..b:1\n", BadHost),
        ("CONNECT -a:1\n", BadHost),
        ("CONNECT a-:1\n", BadHost),
        ("CONNECT a_b:1\n", BadHost),
        ("CONNECT a/b:1\n", BadHost),
        ("CONNECT a@b:1\n", BadHost),
        ("CONNECT a%00:1\n", BadHost),
        ("CONNECT 127.1:1\n", BadHost),
        ("CONNECT 2130706433:1\n", BadHost),
        ("CONNECT 0x7f.0x1:1\n", BadHost),
        ("CONNECT 01.2.3.4:1\n", BadHost),
        ("CONNECT 256.2.3.4:1\n", BadHost),
        ("CONNECT ::1:1\n", BadHost),
        ("CONNECT [::1:1\n", BadHost),
        ("CONNECT [::0]:1\n", BadHost),
        ("CONNECT [0:0:0:0:0:0:0:1]:1\n", BadHost),
        ("CONNECT [2001:DB8::1]:1\n", BadHost),
        ("CONNECT [fe80::1%eth0]:1\n", BadHost),
        ("CONNECT [1.2.3.4]:1\n", BadHost),
        (&too_long, HostTooLong),
    ] {
        assert_eq!(EgressRequest::parse(line.as_bytes()), Err(error), "{line:?}");
    }
    let label = format!("CONNECT {}.com:1\n", "a".repeat(64));
    assert_eq!(EgressRequest::parse(label.as_bytes()), Err(BadHost));
}

#[test]
fn replies_round_trip_and_others_are_refused() {
    let refused = ErrorCode::ALL.into_iter().map(EgressReply::Refused);
    for reply in refused.chain([EgressReply::Connected]) {
        assert_eq!(EgressReply::parse(&reply.encode()), Ok(reply));
    }
    for (line, error) in [
        (&b"OK"[..], ParseError::Unterminated),
        (b"OK \n", ParseError::UnknownVerb),
        (b"OK 5\n", ParseError::UnknownVerb),
        (b"ok\n", ParseError::UnknownVerb),
        (b"ERR\n", ParseError::UnknownVerb),
        (b"ERR \n", ParseError::UnknownErrorCode),
        (b"ERR denied \n", ParseError::UnknownErrorCode),
        (b"ERR nope\n", ParseError::UnknownErrorCode),
    ] {
        assert_eq!(EgressReply::parse(line), Err(error), "{line:?}");
    }
}

#[tokio::test]
async fn connect_sends_one_line_and_leaves_the_targets_bytes() {
    let (mut guest, mut host) = duplex(1024);
    let answer = tokio::spawn(async move {
        let line = read_line(&mut host).await.unwrap();
        host.write_all(b"OK\nhello").await.unwrap();
        line
    });
    connect(&mut guest, "example.com", 443).await.unwrap();
    let mut rest = Vec::new();
    guest.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"hello");
    assert_eq!(answer.await.unwrap(), b"CONNECT example.com:443\n");
    let (mut guest, mut host) = duplex(1024);
    host.write_all(b"ERR not-public\n").await.unwrap();
    let refused = connect_public(&mut guest, "example.com", 443).await.unwrap_err();
    assert_eq!(refused.to_string(), "refused: not-public");
    assert_eq!(
        read_line(&mut host).await.unwrap(),
        b"CONNECT-PUBLIC example.com:443\n"
    );
}

#[tokio::test]
async fn connect_reports_refusals_and_garbage() {
    for (answer, check) in [
        (&b"ERR denied\n"[..], "refused: denied"),
        (b"ERR whatever\n", "protocol: unknown error code"),
        (b"HTTP/1.1 200 OK\n", "protocol: unknown verb"),
        (b"OK", "closed in the middle of a message"),
        (&[b'x'; 4096], "protocol: line is longer than 512 bytes"),
    ] {
        let (mut guest, mut host) = duplex(8192);
        host.write_all(answer).await.unwrap();
        host.shutdown().await.unwrap();
        let error = connect(&mut guest, "example.com", 443).await.unwrap_err();
        assert_eq!(error.to_string(), check);
    }
}

#[tokio::test]
async fn connect_sends_nothing_for_a_host_that_would_break_out_of_the_line() {
    let (mut guest, mut host) = duplex(1024);
    for (name, port) in [("a\nCONNECT b", 1), ("a", 0), ("a:1", 1), ("", 1)] {
        assert!(
            matches!(
                connect(&mut guest, name, port).await,
                Err(ExchangeError::Parse(_))
            ),
            "{name:?}"
        );
    }
    drop(guest);
    assert_eq!(host.read(&mut [0; 8]).await.unwrap(), 0);
}
