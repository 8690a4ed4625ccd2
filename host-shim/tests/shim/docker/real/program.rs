//! The program and its doctor, given an engine.

use super::*;

/// Status and detail of the doctor's check of an engine.
fn doctor(socket: &Path) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
        .args(["doctor", "--json", "--listen", "4007=127.0.0.1:0", "--docker"])
        .arg(format!("unix:{}", socket.display()))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "docker").unwrap();
    let text = |key: &str| check[key].as_str().unwrap().to_owned();
    (text("status"), text("detail"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_serves_an_engine_and_its_doctor_looks_at_it() {
    let engine = Engine::start().await;
    let (status, detail) = doctor(&engine.socket());
    // Whether there are quotas is the machine's business.
    assert!(["ok", "warn"].contains(&&status[..]), "{detail}");
    assert!(detail.contains("overlay2"), "{detail}");
    assert_eq!(doctor(Path::new("/nonexistent.sock")).0, "fail");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("launch.toml"), LAUNCH).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
        .args([
            "run",
            "--json",
            "--transport",
            &format!("unix:{}", dir.path().display()),
        ])
        .arg("--launch")
        .arg(dir.path().join("launch.toml"))
        .args(["--docker", &format!("unix:{}", engine.socket().display())])
        .args(["--docker-agent", &hex::encode(AGENT)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let guest = GuestTransport::Unix(dir.path().into());
    let start = Instant::now();
    let mut stream = loop {
        match guest.dial(Port::Docker).await {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "the shim doesn't start: {error}"),
        }
        sleep(Duration::from_millis(5)).await;
    };
    let target = Request::Ping.emit().target;
    let request = format!("GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    // What is refused is logged by its code, and nothing of it.
    let mut stream = guest.dial(Port::Docker).await.unwrap();
    let refused = format!(
        "POST {target}/secret-path HTTP/1.1\r\nConnection: close\r\nContent-Length: 11\r\n\r\nsecret-body"
    );
    stream.write_all(refused.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    program.kill().unwrap();
    let log = String::from_utf8(program.wait_with_output().unwrap().stderr).unwrap();
    let line = log.lines().find(|line| line.contains("docker_refused")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["code"], "docker_call_not_allowed");
    assert!(!log.contains("secret"), "{log}");
}
