//! Requests that don't get into a container, each for its own reason.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jeju_gateway::routes::{MAX_SESSIONS_OF_ROUTE, Route, RouteKind};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::inside::{Setting, until, until_after, wanted};
use crate::support::free_ports;
use crate::support::rental::Wanted;
use crate::{OWNER, RENTAL};

/// Status and code of what curl gets.
async fn refused(setting: &Setting, route: &Route) -> (String, String) {
    let shown = setting.curl(route, &["/"], &["-i"]).await;
    let code = shown.split_once("\"code\":\"").map_or("", |(_, rest)| rest);
    (
        shown[9..12].to_owned(),
        code.split('"').next().unwrap_or_default().to_owned(),
    )
}

fn is(status: u16, code: &str) -> (String, String) {
    (status.to_string(), code.to_owned())
}

#[tokio::test]
async fn a_rental_that_does_not_let_the_gateway_in_says_why() {
    let setting = Setting::new().await;
    let port = setting.web.port;
    let other_principal = format!("0x{}", "cd".repeat(32));
    for (grant, expected) in [
        // The node restarted, or another machine answers in its place.
        (
            setting.grant(port, &wanted(), "other_host"),
            is(502, "route_host_key_changed"),
        ),
        // Signed by somebody whose key isn't the rental's.
        (
            setting.grant(
                port,
                &Wanted {
                    by: "stranger",
                    ..wanted()
                },
                "host",
            ),
            is(502, "route_login_refused"),
        ),
        (
            setting.grant(
                port,
                &Wanted {
                    principal: other_principal,
                    ..wanted()
                },
                "host",
            ),
            is(502, "route_login_refused"),
        ),
        // Nothing listens there.
        (
            setting.grant(*free_ports(1).await.start(), &wanted(), "host"),
            is(502, "route_unreachable"),
        ),
        // Something listens that isn't HTTP.
        (
            setting.grant(setting.rental.port(), &wanted(), "host"),
            is(502, "route_answer_invalid"),
        ),
    ] {
        let route = setting.route(RouteKind::Http, grant);
        assert_eq!(
            refused(&setting, &route).await,
            expected,
            "{}",
            setting.rental.log()
        );
        setting.gateway.routes.delete(&route.id, &OWNER).unwrap();
    }
    // Nobody listens where the rental's SSH server should be.
    let nowhere = *free_ports(1).await.start();
    let grant = setting.grant(port, &wanted(), "host");
    let route = setting
        .gateway
        .route_with(RouteKind::Http, "127.0.0.1", nowhere, Some(grant.clone()));
    assert_eq!(refused(&setting, &route).await, is(502, "route_unreachable"));
    // A client of TCP learns no more than that.
    let route = setting.route(RouteKind::Tcp, setting.grant(port, &wanted(), "other_host"));
    let mut stream = TcpStream::connect(("127.0.0.1", route.port.unwrap()))
        .await
        .unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    setting.gateway.is_left().await;
}

#[tokio::test]
async fn a_route_ends_with_its_certificate_and_goes_on_with_another() {
    let setting = Setting::new().await;
    let brief = Wanted {
        time: "-1m:+25s",
        ..wanted()
    };
    let route = setting.route(RouteKind::Http, setting.grant(setting.web.port, &brief, "host"));
    let ending = setting.route(RouteKind::Http, setting.grant(setting.web.port, &brief, "host"));
    let request = format!("GET /first HTTP/1.1\r\nhost: {}\r\n\r\n", setting.host(&ending));
    let mut stream = setting.says(&request).await;
    until(&mut stream, "first").await;
    // Another one in time; the rental's own end stands as it is.
    let longer = setting.grant(setting.web.port, &wanted(), "host");
    let rental_ends = route.asked.expires_at;
    setting
        .gateway
        .routes
        .replace(&route.id, &OWNER, longer, rental_ends)
        .unwrap();
    let read = async { while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {} };
    timeout(Duration::from_secs(60), read).await.unwrap();
    assert_eq!(refused(&setting, &ending).await, is(410, "route_expired"));
    assert_eq!(setting.curl(&route, &["/x"], &[]).await, "hello /x");
    // An extension of the rental doesn't make a certificate longer, and its end ends the route.
    setting.gateway.routes.renew(&RENTAL, rental_ends + 7_200_000);
    assert!(route.expires_at() < rental_ends + 60_000);
    assert_eq!(setting.curl(&route, &["/x"], &[]).await, "hello /x");
    setting.gateway.routes.renew(&RENTAL, 0);
    assert_eq!(refused(&setting, &route).await, is(404, "route_not_found"));
    setting.gateway.is_left().await;
}

#[tokio::test]
async fn a_new_host_key_is_taken_from_the_renter_alone() {
    let setting = Setting::new().await;
    let old = setting.grant(setting.web.port, &wanted(), "other_host");
    let route = setting.route(RouteKind::Http, old);
    assert_eq!(refused(&setting, &route).await, is(502, "route_host_key_changed"));
    let new = setting.grant(setting.web.port, &wanted(), "host");
    let ends = route.asked.expires_at;
    setting
        .gateway
        .routes
        .replace(&route.id, &OWNER, new, ends)
        .unwrap();
    // At once: what failed before doesn't count any more.
    assert_eq!(setting.curl(&route, &["/x"], &[]).await, "hello /x");
}

#[tokio::test]
async fn a_rental_that_is_gone_is_asked_for_now_and_then_and_found_when_it_is_back() {
    let mut setting = Setting::new().await;
    let route = setting.http();
    assert_eq!(setting.curl(&route, &["/x"], &[]).await, "hello /x");
    setting.rental.kill();
    let tried = || {
        setting
            .gateway
            .listeners
            .inside
            .as_ref()
            .unwrap()
            .logins
            .load(Relaxed)
    };
    let before = tried();
    let all = futures_util::future::join_all((0..40).map(|_| refused(&setting, &route))).await;
    assert!(
        all.iter().all(|found| *found == is(502, "route_unreachable")),
        "{all:?}"
    );
    let logins = tried() - before;
    assert!(logins <= 5, "{logins} logins for 40 requests");
    setting.rental.serve().await;
    let back = async {
        while setting.curl(&route, &["/x"], &[]).await != "hello /x" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(Duration::from_secs(45), back).await.unwrap();
}

#[tokio::test]
async fn requests_that_are_none_go_no_further() {
    let setting = Setting::new().await;
    let route = setting.http();
    let host = setting.host(&route);
    let of_ssh = setting
        .gateway
        .route(RouteKind::Http, "127.0.0.1", setting.rental.port());
    for (request, status, code) in [
        // Two lengths.
        (
            format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            400,
            "",
        ),
        (
            format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1, 2\r\n\r\nab"),
            400,
            "",
        ),
        (
            format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: +1\r\n\r\na"),
            400,
            "",
        ),
        (
            format!("POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked, gzip\r\n\r\n"),
            400,
            "",
        ),
        (
            format!("POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            400,
            "request_invalid",
        ),
        (
            format!("POST / HTTP/1.0\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {host}\r\nx : y\r\n\r\n"),
            400,
            "",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: y\r\n z\r\n\r\n"),
            400,
            "",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n",
                "y".repeat(20_000)
            ),
            431,
            "",
        ),
        // No host, two of them, another one's.
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "request_invalid"),
        (
            format!("GET / HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n\r\n"),
            400,
            "request_invalid",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: a@{host}\r\n\r\n"),
            400,
            "request_invalid",
        ),
        (
            "GET / HTTP/1.1\r\nhost: routes.example\r\n\r\n".to_owned(),
            404,
            "route_not_found",
        ),
        (
            "GET / HTTP/1.1\r\nhost: www.routes.example\r\n\r\n".to_owned(),
            404,
            "route_not_found",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", route.id),
            404,
            "route_not_found",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: www.{host}\r\n\r\n"),
            404,
            "route_not_found",
        ),
        (
            format!("GET http://other.example/ HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            404,
            "route_not_found",
        ),
        // The one kind of route is not the other.
        (
            format!("CONNECT {host}:80 HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            400,
            "route_has_port",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {}.routes.example\r\n\r\n", of_ssh.id),
            501,
            "route_connect_only",
        ),
        // What listens there says nothing in time, or nonsense.
        (
            format!("GET /slow?60 HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            504,
            "route_timeout",
        ),
        (
            format!("GET /garbage HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            502,
            "route_answer_invalid",
        ),
    ] {
        let mut stream = setting.says(&request).await;
        let answer = until(&mut stream, "\r\n\r\n").await;
        let start: String = request.chars().take(150).collect();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{start:?}: {answer}"
        );
        until_after(&mut stream, answer, code).await;
    }
    // What was meant for two readers is one request.
    let both = format!(
        "POST /echo HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /second HTTP/1.1\r\nhost: {host}\r\n\r\n"
    );
    let mut stream = setting.says(&both).await;
    // The digest of nothing; the rest is a request of its own, or none.
    until(
        &mut stream,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
    .await;
    drop(stream);
    setting.gateway.is_left().await;
}

#[tokio::test]
async fn a_route_has_so_many_sessions_and_a_deleted_one_none() {
    let setting = Setting::new().await;
    let route = setting.http();
    let request = format!("GET /first HTTP/1.1\r\nhost: {}\r\n\r\n", setting.host(&route));
    let mut streams = Vec::new();
    for _ in 0..MAX_SESSIONS_OF_ROUTE {
        let mut stream = setting.says(&request).await;
        until(&mut stream, "first").await;
        streams.push(stream);
    }
    assert_eq!(setting.logins(), 2, "48 channels on each");
    assert_eq!(refused(&setting, &route).await, is(429, "route_busy"));
    setting.gateway.routes.delete(&route.id, &OWNER).unwrap();
    for mut stream in streams {
        let read = async { while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {} };
        timeout(Duration::from_secs(30), read).await.unwrap();
    }
    assert_eq!(refused(&setting, &route).await, is(404, "route_not_found"));
    setting.gateway.is_left().await;
    // And the gateway has left the rental.
    drop(route);
    let left = async {
        while setting.rental.serving() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), left).await.unwrap();
}
