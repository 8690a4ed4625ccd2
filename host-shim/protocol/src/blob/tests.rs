use tokio::io::duplex;

use super::*;

fn name(text: &str) -> BlobName {
    BlobName::parse(text).unwrap()
}

fn list_of(space: &str, prefix: &str, after: Option<&str>) -> ListRequest {
    ListRequest::new(space, prefix, after).unwrap()
}

#[test]
fn requests_round_trip() {
    let long = "x".repeat(MAX_PART);
    for (request, line) in [
        (BlobRequest::Get(name("a/b")), "GET a/b\n".to_owned()),
        (
            BlobRequest::Put(name("signer/r-00"), 0),
            "PUT signer/r-00 0\n".to_owned(),
        ),
        (
            BlobRequest::Put(name("a/b"), MAX_BLOB as u32),
            "PUT a/b 1048576\n".to_owned(),
        ),
        (
            BlobRequest::Delete(name(&format!("{long}/{long}"))),
            format!("DELETE {long}/{long}\n"),
        ),
        (BlobRequest::List(list_of("a", "", None)), "LIST a/\n".to_owned()),
        (
            BlobRequest::List(list_of("a", "", Some("b"))),
            "LIST a/ b\n".to_owned(),
        ),
        (
            BlobRequest::List(list_of("a", "r-", Some("r-0"))),
            "LIST a/r- r-0\n".to_owned(),
        ),
    ] {
        assert_eq!(request.encode(), line.as_bytes());
        assert_eq!(BlobRequest::parse(line.as_bytes()), Ok(request));
    }
}

#[test]
fn other_requests_are_refused() {
    use ParseError::*;
    let long = "x".repeat(MAX_PART + 1);
    for (line, error) in [
        ("GET a/b", Unterminated),
        ("GET a/b\n\n", Unterminated),
        ("GET\n", UnknownVerb),
        ("get a/b\n", UnknownVerb),
        ("HEAD a/b\n", UnknownVerb),
        ("GET a\n", BadBlobName),
        ("GET a/\n", BadBlobName),
        ("GET /a\n", BadBlobName),
        ("GET a/b/c\n", BadBlobName),
        ("GET a/..\n", BadBlobName),
        ("GET ../a\n", BadBlobName),
        ("GET a/.b\n", BadBlobName),
        ("GET a//etc/passwd\n", BadBlobName),
        ("GET a/b \n", BadBlobName),
        ("GET  a/b\n", BadBlobName),
        ("GET a/B\n", BadBlobName),
        ("GET a/b_c\n", BadBlobName),
        ("GET a/b%2f\n", BadBlobName),
        ("GET a/b\0\n", NotAscii(0)),
        ("DELETE a/*\n", BadBlobName),
        ("PUT a/b\n", BadNumber),
        ("PUT a/b \n", BadNumber),
        ("PUT a/b 01\n", BadNumber),
        ("PUT a/b -1\n", BadNumber),
        ("PUT a/b 1 \n", BadNumber),
        ("PUT a 1\n", BadBlobName),
        ("LIST a\n", BadBlobName),
        ("LIST /\n", BadBlobName),
        ("LIST a/ \n", BadBlobName),
        ("LIST a/b  c\n", BadBlobName),
        ("LIST a/b c d\n", BadBlobName),
        ("LIST a/b/c\n", BadBlobName),
        ("LIST a/. b\n", BadBlobName),
    ] {
        assert_eq!(BlobRequest::parse(line.as_bytes()), Err(error), "{line:?}");
    }
    for line in [
        format!("GET {long}/a\n"),
        format!("GET a/{long}\n"),
        format!("LIST a/{long}\n"),
    ] {
        assert_eq!(BlobRequest::parse(line.as_bytes()), Err(BadBlobName), "{line:?}");
    }
    for len in [MAX_BLOB as u64 + 1, 1 << 32, u64::MAX] {
        let line = format!("PUT a/b {len}\n");
        assert_eq!(
            BlobRequest::parse(line.as_bytes()),
            Err(DocumentTooLong { len, max: MAX_BLOB })
        );
    }
}

#[test]
fn replies_round_trip_and_others_are_refused() {
    for reply in [
        BlobReply::Done,
        BlobReply::Found(0),
        BlobReply::Found(MAX_BLOB as u32),
        BlobReply::Refused(ErrorCode::Full),
        BlobReply::Refused(ErrorCode::Unavailable),
    ] {
        assert_eq!(BlobReply::parse(&reply.encode()), Ok(reply));
    }
    for (line, error) in [
        ("OK", ParseError::Unterminated),
        ("OK \n", ParseError::BadNumber),
        ("OK 07\n", ParseError::BadNumber),
        ("OK 1 \n", ParseError::BadNumber),
        ("ok\n", ParseError::UnknownVerb),
        ("ERR\n", ParseError::UnknownVerb),
        ("ERR gone\n", ParseError::UnknownErrorCode),
    ] {
        assert_eq!(BlobReply::parse(line.as_bytes()), Err(error), "{line:?}");
    }
    let over = format!("OK {}\n", MAX_BLOB + 1);
    assert!(matches!(
        BlobReply::parse(over.as_bytes()),
        Err(ParseError::DocumentTooLong { .. })
    ));
}

#[test]
fn pages_are_what_was_asked_for() {
    let names: Vec<String> = (0..600).map(|i| format!("r-{i:04}")).collect();
    let all = || ["manifest"].into_iter().chain(names.iter().map(String::as_str));
    let mut seen: Vec<String> = Vec::new();
    loop {
        let request = list_of("a", "r-", seen.last().map(String::as_str));
        let page = Page::select(&request, all());
        let page = Page::parse(&page.encode(), &request).unwrap().into_names();
        let last = page.len() < MAX_PAGE;
        seen.extend(page);
        if last {
            break;
        }
    }
    assert_eq!(seen, names);

    let request = list_of("a", "r-", Some("r-5"));
    let too_many: String = (0..=MAX_PAGE).map(|i| format!("r-6{i:04}\n")).collect();
    for (page, error) in [
        ("r-6", ParseError::BadPage),
        ("r-6\nr-7", ParseError::BadPage),
        ("r-5\n", ParseError::BadPage),
        ("r-4\n", ParseError::BadPage),
        ("r-7\nr-6\n", ParseError::BadPage),
        ("r-7\nr-7\n", ParseError::BadPage),
        ("s-7\n", ParseError::BadPage),
        ("\n", ParseError::BadPage),
        ("r-6/..\n", ParseError::BadBlobName),
        ("r-6A\n", ParseError::BadBlobName),
        (&too_many, ParseError::BadPage),
    ] {
        assert_eq!(Page::parse(page.as_bytes(), &request), Err(error), "{page:?}");
    }
    assert_eq!(Page::parse(b"r-6\xff\n", &request), Err(ParseError::BadBlobName));
}

/// A host with one blob, over the crate's own host side.
async fn host(mut stream: tokio::io::DuplexStream) {
    let mut blob: Option<(BlobName, Vec<u8>)> = None;
    while let Ok(request) = read_request(&mut stream).await {
        match request {
            BlobRequest::Put(name, len) => {
                let body = read_body(&mut stream, len).await.unwrap();
                blob = Some((name, body));
                write_done(&mut stream, Ok(())).await.unwrap();
            }
            BlobRequest::Delete(_) => {
                blob = None;
                write_done(&mut stream, Ok(())).await.unwrap();
            }
            BlobRequest::Get(name) => {
                let held = blob.as_ref().filter(|(held, _)| *held == name);
                let found = held.map(|(_, body)| &body[..]).ok_or(ErrorCode::NotFound);
                write_found(&mut stream, found).await.unwrap();
            }
            BlobRequest::List(request) => {
                let page = Page::select(&request, blob.iter().map(|(name, _)| name.leaf()));
                write_found(&mut stream, Ok(&page.encode())).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn several_requests_go_over_one_connection() {
    let (mut guest, other) = duplex(4096);
    let served = tokio::spawn(host(other));
    let bytes: Vec<u8> = (0..MAX_BLOB).map(|i| (i % 251) as u8).collect();
    assert_eq!(get(&mut guest, &name("a/b")).await.unwrap(), None);
    put(&mut guest, &name("a/b"), &bytes).await.unwrap();
    assert_eq!(get(&mut guest, &name("a/b")).await.unwrap(), Some(bytes));
    put(&mut guest, &name("a/b"), b"").await.unwrap();
    assert_eq!(get(&mut guest, &name("a/b")).await.unwrap(), Some(vec![]));
    let page = list(&mut guest, &list_of("a", "", None)).await.unwrap();
    assert_eq!(page.into_names(), ["b"]);
    delete(&mut guest, &name("a/b")).await.unwrap();
    assert_eq!(get(&mut guest, &name("a/b")).await.unwrap(), None);
    drop(guest);
    served.await.unwrap();
}

#[tokio::test]
async fn too_long_blobs_are_not_sent() {
    let (mut guest, other) = duplex(64);
    let long = vec![0; MAX_BLOB + 1];
    let error = put(&mut guest, &name("a/b"), &long).await.unwrap_err();
    assert!(
        matches!(error, ExchangeError::OverLimit { limit: MAX_BLOB, .. }),
        "{error}"
    );
    drop(guest);
    let mut sent = Vec::new();
    let mut other = other;
    other.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"");

    let mut wire = Vec::new();
    write_found(&mut wire, Ok(&long)).await.unwrap();
    assert_eq!(wire, b"ERR too-large\n");
}

#[tokio::test]
async fn a_hosts_wrong_answers_are_refused() {
    for (answer, put_says, get_says) in [
        (&b"ERR full\n"[..], "refused: full", "refused: full"),
        (
            b"ERR unavailable\n",
            "refused: unavailable",
            "refused: unavailable",
        ),
        (b"OK\n", "", "protocol: unknown verb"),
        (
            b"OK 5\nabc",
            "protocol: unknown verb",
            "closed in the middle of a message",
        ),
        (
            b"OK 99999999\n",
            "protocol: document of 99999999 bytes is over the limit of 1048576",
            "protocol: document of 99999999 bytes is over the limit of 1048576",
        ),
        (
            b"",
            "closed in the middle of a message",
            "closed in the middle of a message",
        ),
    ] {
        let answered = async || {
            let (guest, mut host) = duplex(1024);
            host.write_all(answer).await.unwrap();
            host.shutdown().await.unwrap();
            (guest, host)
        };
        let (mut guest, _host) = answered().await;
        let said = put(&mut guest, &name("a/b"), b"x").await;
        assert_eq!(
            said.map_or_else(|error| error.to_string(), |()| String::new()),
            put_says
        );
        let (mut guest, _host) = answered().await;
        let said = get(&mut guest, &name("a/b")).await.unwrap_err();
        assert_eq!(said.to_string(), get_says);
    }
    let (mut guest, mut host) = duplex(1024);
    let endless = format!("OK {}\n", MAX_PAGE_BYTES + 1);
    host.write_all(endless.as_bytes()).await.unwrap();
    let error = list(&mut guest, &list_of("a", "", None)).await.unwrap_err();
    assert!(
        matches!(error, ExchangeError::Parse(ParseError::BadPage)),
        "{error}"
    );
}
