//! What is refused, and that the engine hears nothing of it.

use serde_json::Value;

use super::*;

/// Sends bytes and gives status and code of the first answer.
async fn raw(rig: &Rig, bytes: &[u8]) -> (u16, String) {
    let mut guest = rig.dial(Port::Docker).await;
    // A refusal may come, and the connection end, before all is sent.
    let _ = soon(guest.write_all(bytes)).await;
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = soon(guest.read(&mut chunk)).await {
        seen.extend_from_slice(&chunk[..count]);
        if seen.ends_with(b"}") {
            break;
        }
    }
    let text = String::from_utf8(seen).unwrap();
    let status = text
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let code = text.split("\r\n\r\n").nth(1).filter(|body| !body.is_empty());
    (
        status,
        code.map(|body| self::code(body.as_bytes())).unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_refusal_is_read_by_who_still_sends() {
    let (rig, engine) = with_engine(Vec::new()).await;
    for (target, status) in [("/v1.41/images/create?fromSrc=-", "413"), ("/v1.41/build", "403")] {
        let mut guest = rig.dial(Port::Docker).await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n");
        guest.write_all(head.as_bytes()).await.unwrap();
        // The answer is there before all was sent, and what comes after it is still taken.
        let mut answer = Vec::new();
        for _ in 0..20 {
            guest.write_all(b"400\r\n").await.unwrap();
            guest.write_all(&[b'x'; 1024]).await.unwrap();
            guest.write_all(b"\r\n").await.unwrap();
            if answer.is_empty() {
                let mut chunk = [0; 4096];
                let count = soon(guest.read(&mut chunk)).await.unwrap();
                answer.extend_from_slice(&chunk[..count]);
            }
        }
        guest.write_all(b"0\r\n\r\n").await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {answer}"
        );
    }
    assert!(engine.seen().is_empty());
}

/// Of each field of a body, the body with another value of the same kind in it, and with one field more beside it.
fn changed(body: &str) -> Vec<(String, String)> {
    fn walk(at: &str, value: &Value, found: &mut Vec<String>) {
        for (key, inner) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            walk(&at, inner, found);
            found.push(at);
        }
    }
    let whole: Value = serde_json::from_str(body).unwrap();
    let mut pointers = Vec::new();
    walk("", &whole, &mut pointers);
    assert!(pointers.len() > 80, "{}", pointers.len());
    let mut bodies = Vec::new();
    for pointer in pointers {
        let mut other = whole.clone();
        let value = other.pointer_mut(&pointer).unwrap();
        *value = match &*value {
            Value::Bool(is) => json!(!*is),
            Value::Number(_) => json!(5),
            Value::String(_) => json!("--x y"),
            Value::Array(_) if pointer == "/HostConfig/Mounts" => {
                json!([{ "Type": "bind", "Source": "/", "Target": "/x" }])
            }
            Value::Array(_) => json!(["x\u{0}"]),
            _ => json!({ "x": "y" }),
        };
        bodies.push((pointer.clone(), other.to_string()));
        let mut more = whole.clone();
        let (folder, _) = pointer.rsplit_once('/').unwrap();
        let folder = more.pointer_mut(folder).unwrap();
        folder
            .as_object_mut()
            .unwrap()
            .insert("Other".to_owned(), json!(true));
        bodies.push((format!("{pointer} and another"), more.to_string()));
    }
    bodies
}

#[tokio::test]
async fn no_field_of_a_container_takes_a_value_that_is_not_ours() {
    let (rig, engine) = with_engine(Vec::new()).await;
    let create = Request::CreateContainer(Box::new(spec("busybox:test", &["sh"]))).emit();
    let (target, body) = (create.target, String::from_utf8(create.body.unwrap()).unwrap());
    for (what, body) in changed(&body) {
        let length = body.len();
        let head = "Host: docker\r\nContent-Type: application/json\r\n";
        let request = format!("POST {target} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        let (status, code) = raw(&rig, request.as_bytes()).await;
        // Not for the order of its keys.
        assert!(
            (400..404).contains(&status) && code != "docker_body_malformed",
            "{what}: {status} {code}"
        );
    }
    assert!(engine.seen().is_empty());
}

#[tokio::test]
async fn without_an_engine_each_call_says_so() {
    let rig = Rig::new(|_| {}).await;
    for request in [Request::Ping, Request::Info, Request::StartContainer(NAME)] {
        let (status, body) = call(&rig, &request, None).await;
        assert_eq!(
            (status.as_u16(), &code(&body)[..]),
            (503, "docker_not_configured")
        );
    }
    assert_eq!(rig.metric("jeju_shim_denied_total{port=\"5002\"}").await, 3);
}

#[tokio::test]
async fn refused_requests_never_reach_the_engine() {
    let (rig, engine) = with_engine(Vec::new()).await;
    let create = Request::CreateContainer(Box::new(spec("busybox:test", &["sh"]))).emit();
    let (target, body) = (create.target, String::from_utf8(create.body.unwrap()).unwrap());
    let json = "Content-Type: application/json\r\n";
    let tar = "Content-Type: application/x-tar\r\n";
    let lengthy = |line: &str, head: &str, body: &str| {
        let length = body.len();
        format!("{line} HTTP/1.1\r\nHost: docker\r\n{head}Content-Length: {length}\r\n\r\n{body}")
    };
    let bare = |line: &str| format!("{line} HTTP/1.1\r\nHost: docker\r\n\r\n");
    let post = |body: &str| lengthy(&format!("POST {target}"), json, body);
    let own = format!("/v1.41/containers/{NAME}");
    let exec = ExecSpec::agent();
    let exec = Request::CreateExec {
        name: NAME,
        spec: exec,
    }
    .emit();
    let exec_body = String::from_utf8(exec.body.unwrap()).unwrap();
    let start = format!("/v1.41/exec/{}/start", "ab".repeat(32));
    let start_body = r#"{"Detach":false,"Tty":false}"#;
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let forbidden = "docker_call_not_allowed";
    for (request, status, refused) in [
        // What runtimes.md found dockerd to accept.
        (post(&body.replacen("\"HostConfig\":{", "\"hostconfig\":{", 1)), 403, "docker_field_not_allowed"),
        (post(&body.replacen("\"Privileged\":false", "\"Privileged\":true", 1)), 403, "docker_value_not_allowed"),
        (post(&body.replacen("\"Privileged\":false", "\"privileged\":true", 1)), 403, "docker_field_not_allowed"),
        (
            post(&body.replacen("\"Privileged\":false", "\"Privileged\":false,\"Privileged\":true", 1)),
            400,
            "docker_body_malformed",
        ),
        (
            post(&body.replacen("\"HostConfig\":{", "\"HostConfig\":{\"Privileged\":true},\"HostConfig\":{", 1)),
            400,
            "docker_body_malformed",
        ),
        (
            post(&body.replacen("\"HostConfig\":{", "\"hostCONFIG\":{\"PidMode\":\"host\"},\"HostConfig\":{", 1)),
            403,
            "docker_field_not_allowed",
        ),
        (post(&body.replacen("\"Binds\":[]", "\"Bind\u{17f}\":[\"/:/h\"]", 1)), 403, "docker_field_not_allowed"),
        (
            post(&body.replacen("\"NetworkMode\":", "\"Networ\u{212a}Mode\":\"host\",\"NetworkMode\":", 1)),
            403,
            "docker_field_not_allowed",
        ),
        (post(&format!("{body}{{\"HostConfig\":{{\"Privileged\":true}}}}")), 400, "docker_body_malformed"),
        (
            post(&body.replacen(
                "\"Mounts\":[]",
                "\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/h\",\"VolumeOptions\":{\"DriverConfig\":{\"Name\":\"local\",\"Options\":{\"o\":\"bind\"}}}}]",
                1,
            )),
            400,
            "docker_body_malformed",
        ),
        (
            post(&body.replacen(
                &format!("\"NetworkMode\":\"{NAME}\""),
                &format!("\"NetworkMode\":\"container:jeju-{}\"", "ee".repeat(32)),
                1,
            )),
            403,
            "docker_value_not_allowed",
        ),
        (lengthy("POST /v1.41/%63ontainers/create?name=x", json, &body), 403, forbidden),
        (lengthy("POST /containers/create?name=x", json, &body), 403, "docker_version_not_allowed"),
        (lengthy("POST /v1.12/containers/create?name=x", json, &body), 403, "docker_version_not_allowed"),
        (lengthy(&format!("POST //v1.41/containers/create?name={NAME}"), json, &body), 403, "docker_version_not_allowed"),
        (lengthy("POST /v1.41/x/../containers/create", json, &body), 403, forbidden),
        (lengthy("POST http://docker/v1.41/containers/create", json, &body), 403, "docker_version_not_allowed"),
        (
            lengthy(&format!("POST /v1.23/containers/{NAME}/start"), json, r#"{"Privileged":true,"Binds":["/:/x"]}"#),
            403,
            "docker_version_not_allowed",
        ),
        (
            lengthy(&format!("POST {own}/start"), json, r#"{"Privileged":true,"Binds":["/:/x"]}"#),
            413,
            "docker_body_too_large",
        ),
        (
            lengthy(&format!("POST {}", exec.target), json, &exec_body.replacen("\"Privileged\":false", "\"Privileged\":true", 1)),
            403,
            "docker_value_not_allowed",
        ),
        // Data of others.
        (bare("GET /v1.41/events"), 403, forbidden),
        (bare("GET /v1.41/containers/json?all=1"), 403, "docker_query_not_allowed"),
        (bare("GET /v1.41/images/json"), 403, forbidden),
        (bare("GET /v1.41/volumes"), 403, forbidden),
        (bare("GET /v1.41/networks"), 403, "docker_query_not_allowed"),
        (bare("GET /v1.41/networks/bridge"), 403, forbidden),
        (bare("GET /v1.41/system/df"), 403, forbidden),
        (bare("GET /v1.41/containers/other/json"), 403, "docker_name_not_allowed"),
        (bare(&format!("GET /v1.41/containers/{}/json", "ab".repeat(32))), 403, "docker_name_not_allowed"),
        (bare(&format!("DELETE {own}")), 403, "docker_query_not_allowed"),
        // Commands that weren't prepared here.
        (lengthy(&format!("POST {start}"), &format!("{json}{upgrade}"), start_body), 404, "docker_exec_unknown"),
        (bare(&format!("GET /v1.41/exec/{}/json", "ab".repeat(32))), 404, "docker_exec_unknown"),
        (lengthy(&format!("POST {start}"), json, start_body), 426, "docker_upgrade_required"),
        // Headers.
        (lengthy(&format!("POST {target}"), "", &body), 403, "docker_content_type_not_allowed"),
        (lengthy(&format!("POST {target}"), "Content-Type: application/json; charset=utf-8\r\n", &body), 403, "docker_content_type_not_allowed"),
        (lengthy(&format!("POST {target}"), &format!("{json}{json}"), &body), 403, "docker_content_type_not_allowed"),
        // Bodies.
        (lengthy("GET /v1.41/info", "", "x"), 413, "docker_body_too_large"),
        (format!("POST {target} HTTP/1.1\r\nHost: x\r\n{json}Content-Length: 131073\r\n\r\n"), 413, "docker_body_too_large"),
        (
            format!("PUT {own}/archive?path=/ HTTP/1.1\r\nHost: x\r\n{tar}Content-Length: 8388609\r\n\r\n"),
            413,
            "docker_body_too_large",
        ),
        (
            "GET /v1.41/info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".to_owned(),
            413,
            "docker_body_too_large",
        ),
        (lengthy(&format!("PUT {own}/archive?path=/"), tar, "no archive"), 403, "docker_archive_not_allowed"),
        (lengthy(&format!("PUT {own}/archive?path=/etc"), tar, ""), 403, "docker_query_not_allowed"),
        // An allowed request in the body of one that isn't.
        (lengthy("POST /v1.41/events", "", &bare("GET /v1.41/info")), 403, forbidden),
        // No HTTP, or two requests in one.
        ("\0\0\0\0".to_owned(), 400, ""),
        ("GET /v1.41/info\r\n\r\n".to_owned(), 400, ""),
        (format!("GET /v1.41/info HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)), 431, ""),
        (format!("GET /v1.41/info HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(32_000)), 431, ""),
        ("GET /v1.41/info HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400, ""),
        ("GET /v1.41/info HTTP/1.1\r\nContent-Length: +1\r\n\r\nx".to_owned(), 400, ""),
        ("GET /v1.41/info HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\nx".to_owned(), 400, ""),
    ] {
        let head = request.lines().next().unwrap_or_default().to_owned();
        let seen = raw(&rig, request.as_bytes()).await;
        assert_eq!((seen.0, &seen.1[..]), (status, refused), "{head}: {}", &request[..request.len().min(300)]);
    }
    assert_eq!(engine.seen(), [""; 0], "the engine was asked");
    assert!(rig.metric("jeju_shim_denied_total{port=\"5002\"}").await > 30);
    assert!(rig.metric("jeju_shim_bad_requests_total{port=\"5002\"}").await > 3);
}

/// What is allowed goes out with our headers and nothing else, even from a request that brings others.
#[tokio::test]
async fn the_engine_gets_requests_that_are_written_anew() {
    let (rig, engine) = with_engine(vec![
        ok("204 No Content", ""),
        ok("201 Created", r#"{"Id":"n","Warning":""}"#),
    ])
    .await;
    let start = Request::StartContainer(NAME).emit().target;
    let smuggling = format!(
        "POST {start} HTTP/1.1\r\nHost: evil\r\nX-Registry-Auth: e30=\r\nCookie: a=b\r\nConnection: keep-alive, X\r\n\
         X-Forwarded-For: 1.2.3.4\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let mut guest = rig.dial(Port::Docker).await;
    guest.write_all(smuggling.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon(guest.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    let network = Request::CreateNetwork(NetworkSpec {
        name: NAME,
        agent: AGENT,
        internal: true,
    });
    let (status, body) = call(&rig, &network, None).await;
    assert_eq!(
        (status.as_u16(), &body[..]),
        (201, &br#"{"Id":"n","Warnings":[]}"#[..])
    );
    let body = String::from_utf8(network.emit().body.unwrap()).unwrap();
    let seen = engine.seen();
    assert_eq!(
        seen[0].to_ascii_lowercase(),
        format!("post {start} http/1.1\r\nhost: docker\r\n\r\n")
    );
    assert_eq!(
        seen[1],
        format!(
            "POST /v1.41/networks/create HTTP/1.1\r\nhost: docker\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    );
}

#[tokio::test]
async fn docker_connections_over_the_limit_are_told_so() {
    let rig = Rig::new(|config| config.max_connections = 1).await;
    let _first = rig.dial(Port::Docker).await;
    rig.until("jeju_shim_connections_active{port=\"5002\"}", 1).await;
    let answer = rest(&mut rig.dial(Port::Docker).await).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(
        code(answer.split("\r\n\r\n").nth(1).unwrap().as_bytes()),
        "docker_busy"
    );
}

#[tokio::test]
async fn archives_with_anything_but_ours_never_reach_the_engine() {
    let (rig, engine) = with_engine(vec![ok("200 OK", "")]).await;
    let put = Request::PutArchive { name: NAME };
    let entry = archive::Entry {
        path: ".jeju/agent",
        mode: 0o755,
        content: Some(b"x"),
    };
    let fine = archive::encode(&[entry]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".jeju")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join(".jeju/agent")).unwrap();
    for options in [
        &["--format=ustar"][..],
        &["--format=pax"],
        &["--format=gnu"],
        &["--format=ustar", "--transform=s,^,/,"],
    ] {
        let tar = Command::new("tar")
            .args(options)
            .args(["-P", "-c", ".jeju"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(tar.status.success());
        let (status, body) = call(&rig, &put, Some(tar.stdout)).await;
        assert_eq!(
            (status.as_u16(), &code(&body)[..]),
            (403, "docker_archive_not_allowed")
        );
    }
    assert_eq!(engine.seen(), [""; 0]);
    let (status, _) = call(&rig, &put, Some(fine)).await;
    assert_eq!((status.as_u16(), engine.seen().len()), (204, 1));
}
