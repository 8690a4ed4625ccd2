//! Requests, redirections and connections, as servers see them.

use super::servers::*;
use super::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let trust = Trust::new(&["api.example"]);
    let world = World::new(&trust);
    let server = Server::start(Some(&trust), echo).await;
    world.lead("api.example:443", server.address);
    let own = [
        ("x-own", "caf\u{e9}"),
        ("host", "other"),
        ("jeju-nonce", "x"),
        ("connection", "close"),
    ];
    let asked = request("PATCH", "https://API.example./a%20b?c=d&e#f", &own);
    let (head, bytes) = world
        .fetch_with(asked, body(&[b"some ", b"bytes"]))
        .await
        .unwrap();
    assert_eq!((head.status, head.status_text.as_str()), (200, "OK"));
    assert_eq!(head.url, "https://api.example./a%20b?c=d&e");
    assert!(!head.redirected);
    assert_eq!(value(&head.headers, "x-server"), Some("echo"));
    assert!(value(&head.headers, "content-length").is_some());
    let said = said(&bytes);
    assert_eq!(
        (&said["method"], &said["target"]),
        (&"PATCH".into(), &"/a%20b?c=d&e".into())
    );
    assert_eq!(said["body"], "some bytes");
    assert_eq!(field(&said, "host"), Some("api.example"));
    assert_eq!(field(&said, "content-length"), Some("10"));
    assert_eq!(field(&said, "x-own"), Some("caf\u{fffd}"));
    for absent in ["jeju-nonce", "connection", "transfer-encoding"] {
        assert_eq!(field(&said, absent), None, "{absent}");
    }
    assert_eq!(world.asked(), ["CONNECT-PUBLIC api.example:443"]);
}

#[tokio::test]
async fn only_a_certificate_for_the_name_that_is_trusted_will_do() {
    let (trust, other) = (Trust::new(&["api.example"]), Trust::new(&["api.example"]));
    let server = Server::start(Some(&trust), echo).await;
    let failed = "fetch_failed: the certificate of";
    for (client, name) in [(&trust, "other.example"), (&other, "api.example")] {
        let world = World::new(client);
        world.lead(&format!("{name}:443"), server.address);
        let error = world.fetch(get(&format!("https://{name}/"))).await.err().unwrap();
        assert!(error.starts_with(failed), "{error}");
    }
    // Without TLS at the other end.
    let world = World::new(&trust);
    let plain = Server::start(None, echo).await;
    world.lead("api.example:443", plain.address);
    let error = world.fetch(get("https://api.example/")).await.err().unwrap();
    assert!(error.starts_with("fetch_failed: api.example:443"), "{error}");
}

#[tokio::test]
async fn what_may_not_be_fetched_is_not_asked_for() {
    let world = World::new(&Trust::new(&["x.example"]));
    for (url, code) in [
        ("http://127.0.0.1:1/", "fetch_not_allowed"),
        ("http://169.254.169.254/latest/meta-data/", "fetch_not_allowed"),
        ("https://node.example:4020/health", "fetch_not_allowed"),
        ("http://localhost:4007/", "fetch_not_allowed"),
        ("ftp://a.example/", "fetch_invalid"),
        ("no url", "fetch_invalid"),
        ("http://a\nb.example/", "fetch_failed"),
    ] {
        let error = world.fetch(get(url)).await.err().unwrap();
        assert!(error.starts_with(code), "{url}: {error}");
    }
    for method in ["CONNECT", "TRACE", "TRACK", "", "A B"] {
        let error = world
            .fetch(request(method, "http://a.example/", &[]))
            .await
            .err()
            .unwrap();
        assert!(error.starts_with("fetch_invalid"), "{method}: {error}");
    }
    let error = world
        .fetch_with(get("http://a.example/"), body(&[]))
        .await
        .err()
        .unwrap();
    assert!(error.starts_with("fetch_invalid"), "{error}");
    // The line break is none of a URL's: WHATWG's parser takes it out.
    assert_eq!(world.asked(), ["CONNECT-PUBLIC ab.example:80"]);
}

#[tokio::test]
async fn redirections_are_followed_and_what_says_who_asks_stays() {
    let trust = Trust::new(&["a.example"]);
    let world = World::new(&trust);
    let (first, second) = (
        Server::start(Some(&trust), redirecting).await,
        Server::start(None, redirecting).await,
    );
    world.lead("a.example:443", first.address);
    world.lead("b.example:8080", second.address);
    let secrets = [
        ("authorization", "x"),
        ("cookie", "x"),
        ("content-type", "text/plain"),
    ];
    let there = "https://a.example/to/307?http://b.example:8080/to/308?/end";
    let post = request("POST", there, &secrets);
    let (head, bytes) = world.fetch_with(post, body(&[b"again and again"])).await.unwrap();
    assert_eq!(head.url, "http://b.example:8080/end");
    assert!(head.redirected);
    let said = said(&bytes);
    assert_eq!(
        (&said["method"], &said["body"]),
        (&"POST".into(), &"again and again".into())
    );
    assert_eq!(field(&said, "host"), Some("b.example:8080"));
    assert_eq!(field(&said, "content-type"), Some("text/plain"));
    assert_eq!(
        (field(&said, "authorization"), field(&said, "cookie")),
        (None, None)
    );

    let post = request("POST", "https://a.example/to/303?/end", &secrets);
    let (head, bytes) = world.fetch_with(post, body(&[b"once"])).await.unwrap();
    let said = servers::said(&bytes);
    assert_eq!((&said["method"], &said["body"]), (&"GET".into(), &"".into()));
    assert_eq!(field(&said, "authorization"), Some("x"));
    assert_eq!(field(&said, "content-type"), None);
    assert_eq!(head.url, "https://a.example/end");
}

#[tokio::test]
async fn redirections_lead_nowhere_that_a_url_does_not() {
    let world = World::new(&Trust::new(&["x.example"]));
    let server = Server::start(None, redirecting).await;
    world.lead("a.example:80", server.address);
    for to in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost:4007/",
        "https://node.example/",
        "//127.0.0.1/",
    ] {
        let error = world
            .fetch(get(&format!("http://a.example/to/302?{to}")))
            .await
            .err()
            .unwrap();
        assert!(error.starts_with("fetch_not_allowed"), "{to}: {error}");
    }
    for to in ["ftp://a.example/", "data:text/plain,x", "http://u:p@a.example/"] {
        let error = world
            .fetch(get(&format!("http://a.example/to/302?{to}")))
            .await
            .err()
            .unwrap();
        assert!(error.starts_with("fetch_invalid"), "{to}: {error}");
    }
    assert!(
        world
            .asked()
            .iter()
            .all(|line| line == "CONNECT-PUBLIC a.example:80")
    );
}

#[tokio::test]
async fn a_circle_of_redirections_ends() {
    let world = World::new(&Trust::new(&["x.example"]));
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let server = Server::start(None, move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let circle = http::Response::builder().status(302).header("location", "/");
        circle.body(http_body_util::Full::default()).unwrap()
    })
    .await;
    world.lead("a.example:80", server.address);
    let error = world.fetch(get("http://a.example/")).await.err().unwrap();
    assert_eq!(error, "fetch_failed: there are more than 20 redirections");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 21);
    let mut manual = get("http://a.example/");
    manual.redirect = Redirect::Manual;
    let (head, _) = world.fetch(manual).await.unwrap();
    assert_eq!((head.status, head.redirected), (302, false));
    assert_eq!(value(&head.headers, "location"), Some("/"));
    let mut none = get("http://a.example/");
    none.redirect = Redirect::Error;
    assert!(world.fetch(none).await.is_err());
}

#[tokio::test]
async fn connections_are_kept_for_their_owner_and_no_other() {
    let trust = Trust::new(&["api.example"]);
    let world = World::new(&trust);
    let server = Server::start(Some(&trust), echo).await;
    world.lead("api.example:443", server.address);
    world.lead("api.example:8443", server.address);
    let fetch = async |owner, worker, url: &str| {
        let (_, body) = soon(world.fetcher.fetch(of(owner, worker), get(url), None))
            .await
            .ok()
            .unwrap();
        whole(body).await.unwrap();
        // The answer's end comes before the connection is put back.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for _ in 0..3 {
        fetch(1, "w", "https://api.example/").await;
    }
    fetch(1, "another", "https://api.example/x").await;
    assert_eq!(server.connections(), 1);
    fetch(2, "w", "https://api.example/").await;
    assert_eq!(server.connections(), 2);
    fetch(1, "w", "https://api.example:8443/").await;
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_whole_answer_is_bounded_by_who_asks() {
    let world = World::new(&Trust::new(&["x.example"]));
    let server = Server::start(None, |request| match request.uri().path() {
        "/missing" => http::Response::builder().status(404).body("no".into()).unwrap(),
        _ => http::Response::new("0123456789".into()),
    })
    .await;
    world.lead("a.example:80", server.address);
    let get = async |url: &str, longest| {
        soon(world.fetcher.get(of(1, ""), url, longest))
            .await
            .map_err(shown)
    };
    assert_eq!(get("http://a.example/", 10).await.unwrap(), b"0123456789");
    assert_eq!(
        get("http://a.example/", 9).await.unwrap_err(),
        "fetch_failed: the answer has more than 9 bytes"
    );
    assert_eq!(
        get("http://a.example/missing", 9).await.unwrap_err(),
        "fetch_failed: the answer has status 404"
    );
}
