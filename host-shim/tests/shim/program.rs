//! Starting, metrics, and the command line.

use super::*;

#[tokio::test]
async fn an_oversize_or_missing_launch_document_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("launch.toml");
    let start = async || {
        let config = Config::new(HostTransport::Unix(dir.path().into()), &path);
        HostShim::start(config).await.map(|_| ())
    };
    assert!(matches!(start().await, Err(StartError::Launch { .. })));
    std::fs::write(&path, vec![b'#'; MAX_LAUNCH + 1]).unwrap();
    assert!(matches!(start().await, Err(StartError::LaunchTooLarge(_))));
    assert!(!dir.path().join("5000.sock").exists());
    std::fs::write(&path, vec![b'#'; MAX_LAUNCH]).unwrap();
    start().await.unwrap();
}

#[tokio::test]
async fn taken_addresses_stop_the_start_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let holder = std::net::TcpListener::bind(loopback()).unwrap();
    let mut config = Config::new(HostTransport::Unix(dir.path().into()), &launch);
    config.listen.insert(Port::Node, holder.local_addr().unwrap());
    assert!(matches!(
        HostShim::start(config).await,
        Err(StartError::Listen { .. })
    ));
    let running = HostShim::start(Config::new(HostTransport::Unix(dir.path().into()), &launch))
        .await
        .unwrap();
    let second = HostShim::start(Config::new(HostTransport::Unix(dir.path().into()), &launch)).await;
    assert!(matches!(second, Err(StartError::ListenForGuest { .. })));
    running.shutdown().await;
    assert!(!dir.path().join("5000.sock").exists());
}

#[tokio::test]
async fn the_metrics_endpoint_answers_scrapes_only() {
    let rig = Rig::new(|_| {}).await;
    let address = rig.shim.metrics_addr().unwrap();
    assert!(
        http_get(address, "/metrics")
            .await
            .starts_with("HTTP/1.0 200 OK\r\n")
    );
    assert!(http_get(address, "/").await.starts_with("HTTP/1.0 404 "));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /metrics HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.0 400 "));
    let (mut answer, mut endless) = split(TcpStream::connect(address).await.unwrap());
    let flood = tokio::spawn(async move { while endless.write_all(&[b'x'; 65536]).await.is_ok() {} });
    rest(&mut answer).await;
    soon(flood).await.unwrap();
}

#[test]
fn doctor_reports_and_fails_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, "").unwrap();
    let holder = std::net::TcpListener::bind(loopback()).unwrap();
    let doctor = |launch: &Path, address: SocketAddr| {
        let output = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
            .args([
                "doctor",
                "--json",
                "--transport",
                &format!("unix:{}", dir.path().display()),
            ])
            .args([
                "--launch",
                launch.to_str().unwrap(),
                "--listen",
                &format!("4007={address}"),
            ])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let failed: Vec<String> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["status"] == "fail")
            .map(|check| check["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(report["ok"], failed.is_empty());
        (output.status.code(), failed)
    };
    let taken = holder.local_addr().unwrap();
    let both = vec!["port 4007".to_owned(), "launch document".to_owned()];
    assert_eq!(doctor(&launch, taken), (Some(1), both));
    std::fs::write(&launch, vec![0; MAX_LAUNCH + 1]).unwrap();
    assert_eq!(
        doctor(&launch, loopback()),
        (Some(1), vec!["launch document".to_owned()])
    );
    std::fs::write(&launch, LAUNCH).unwrap();
    assert_eq!(doctor(&launch, loopback()), (Some(0), vec![]));
}

#[test]
fn the_program_serves_until_it_is_told_to_stop() {
    use std::io::{BufRead, BufReader, Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
        .args([
            "run",
            "--json",
            "--listen",
            "4007=127.0.0.1:0",
            "--egress-allow",
            "example.com:443",
            "localhost:1",
            "--egress-public",
        ])
        .args([
            "--transport",
            &format!("unix:{}", dir.path().display()),
            "--launch",
            launch.to_str().unwrap(),
        ])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<serde_json::Value> = BufReader::new(program.stderr.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .take(2)
        .collect();
    assert_eq!(
        (&lines[0]["event"], &lines[1]["event"]),
        (&"listening".into(), &"started".into())
    );
    assert_eq!(lines[1]["launch_sha256"], hex::encode(Sha256::digest(LAUNCH)));
    let mut guest = std::os::unix::net::UnixStream::connect(dir.path().join("5003.sock")).unwrap();
    guest.write_all(b"GET launch\n").unwrap();
    let mut reply = Vec::new();
    guest.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, [b"OK 12\n", LAUNCH].concat());
    // SAFETY: sends a signal to the child above, which has not been waited for.
    assert_eq!(
        unsafe { libc::kill(program.id() as libc::pid_t, libc::SIGTERM) },
        0
    );
    assert!(program.wait().unwrap().success());
    assert!(!dir.path().join("5003.sock").exists());
}
