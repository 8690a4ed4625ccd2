//! What workers fetch from a node, and code that lies elsewhere.

use std::path::Path;

use serde_json::{Value, json};
use sha3::{Digest, Keccak256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::host::{DOCUMENT, Host};
use super::owner::{Owner, anybody, send, value};
use super::{deploy, deploy_with, machine};

/// Fetches what it is told to, and tells what came.
const WORKER: &str = "export default { async fetch(request) {
    const {url, ...init} = await request.json();
    try {
        const response = await fetch(url, init);
        return Response.json({status: response.status, url: response.url, redirected: response.redirected,
            server: response.headers.get('x-server'), text: await response.text()});
    } catch (error) {
        return Response.json({name: error.name, code: error.code, message: error.message});
    }
} };";
const CODE: &str = "export default { fetch() { return new Response('from afar'); } };";

/// A server on a Unix socket: echoes requests, except for `/code.js` and `/to?URL`.
fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    seen.push(byte);
                }
                let head = String::from_utf8(seen.clone()).unwrap();
                let len = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; len.map_or(0, |len| len.parse().unwrap())];
                stream.read_exact(&mut body).await.unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                let (status, field, body) = match target.strip_prefix("/to?") {
                    Some(to) => ("302 Found", format!("location: {to}"), vec![]),
                    None if target == "/code.js" => ("200 OK", "x-server: unix".to_owned(), CODE.into()),
                    None => ("200 OK", "x-server: unix".to_owned(), [seen, body].concat()),
                };
                let len = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\n{field}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.write_all(&body).await.unwrap();
            });
        }
    });
}

/// A node whose workers may go to one server on the host.
async fn node() -> Host {
    let mut machine = machine();
    let socket = machine.socket(9999);
    serve(&socket);
    machine.routes.insert("files.internal:8080".to_owned(), socket);
    let document = format!(
        "{DOCUMENT}\n[services]\nworkers = true\n[workers]\nreach = \"listed\"\n\
         fetch = [\"files.internal:8080\", \"127.0.0.1:8545\", \"*.example.org:443\"]\n"
    );
    machine.start(document).await
}

async fn told(host: &Host, id: &str, what: Value) -> Value {
    let body = what.to_string();
    let answered = send(host, "POST", &format!("/workers/{id}"), &[], body.as_bytes()).await;
    value(&answered)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_fetches_what_the_launch_document_lists_and_nothing_else() {
    let host = node().await;
    let id = deploy(&host, &Owner::new(1), "fetcher", WORKER).await;
    let told = async |what| told(&host, &id, what).await;
    let answer = told(json!({
        "url": "http://files.internal:8080/a%20b?c#d",
        "method": "POST",
        "headers": {"x-own": "1", "jeju-nonce": "forged", "content-type": "text/x"},
        "body": "what was sent",
    }))
    .await;
    assert_eq!(
        (&answer["status"], &answer["server"]),
        (&json!(200), &json!("unix")),
        "{answer}"
    );
    assert_eq!(answer["url"], "http://files.internal:8080/a%20b?c");
    let text = answer["text"].as_str().unwrap();
    assert!(
        text.starts_with("POST /a%20b?c HTTP/1.1\r\nhost: files.internal:8080\r\n"),
        "{text}"
    );
    assert!(
        text.contains("x-own: 1\r\n") && text.contains("content-type: text/x\r\n"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\n\r\nwhat was sent") && !text.contains("jeju-"),
        "{text}"
    );

    for url in [
        "http://files.internal/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:4007/health",
        "https://localhost:4020/api/v1/workers",
        "https://metadata.google.internal/",
        "https://8.8.8.8/",
        // Listed by wildcard, and the host leads nobody there.
        "https://files.internal:8080/to?x",
        "http://files.internal:8080/to?http://169.254.169.254/",
        "http://files.internal:8080/to?//localhost:4020/",
    ] {
        let answer = told(json!({"url": url})).await;
        assert_eq!(answer["name"], "TypeError", "{url}: {answer}");
        let refused = !url.starts_with("https://files");
        let expected = if refused {
            "fetch_not_allowed"
        } else {
            "fetch_failed"
        };
        assert_eq!(answer["code"], expected, "{url}: {answer}");
    }
    let answer = told(json!({"url": "http://files.internal:8080/to?/there"})).await;
    assert_eq!(
        (&answer["redirected"], &answer["status"]),
        (&json!(true), &json!(200)),
        "{answer}"
    );
    assert_eq!(answer["url"], "http://files.internal:8080/there");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_from_where_its_owner_keeps_it_if_its_hash_is_right() {
    let host = node().await;
    let owner = Owner::new(1);
    let hash = format!("0x{}", hex::encode(Keccak256::digest(CODE.as_bytes())));
    let body = json!({"name": "afar", "codeUrl": "http://files.internal:8080/code.js", "codeHash": hash});
    let id = deploy_with(&host, &owner, body).await;
    let answered = anybody(&host, "GET", &format!("/workers/{id}"), "").await;
    assert_eq!(super::owner::text(&answered), "from afar");
    for (url, hash, code) in [
        (
            "http://files.internal:8080/code.js",
            "0x".to_owned() + &"00".repeat(32),
            "code_hash_mismatch",
        ),
        (
            "http://files.internal:8080/other.js",
            hash.clone(),
            "code_hash_mismatch",
        ),
        (
            "http://169.254.169.254/code.js",
            hash.clone(),
            "fetch_not_allowed",
        ),
        (
            "http://files.internal:8080/to?http://127.0.0.1/",
            hash.clone(),
            "fetch_not_allowed",
        ),
    ] {
        let body = json!({"name": "other", "codeUrl": url, "codeHash": hash});
        let (status, answer) = owner.ask(&host, "POST", "/api/v1/workers", &body).await;
        assert!((400..500).contains(&status), "{status} {answer}");
        assert_eq!(answer["code"], code, "{url}");
    }
    let registered = json!({"name": "other", "code": CODE, "registryId": hash});
    let (_, answer) = owner.ask(&host, "POST", "/api/v1/workers", &registered).await;
    assert_eq!(answer["code"], "fetch_not_allowed", "{answer}");
}
