//! Egress, documents and the log sink, as a guest sees them.

use super::*;

#[tokio::test]
async fn egress_reaches_listed_targets_only() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let address = target.local_addr().unwrap();
    let closed = TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap();
    let rig = Rig::new(|config| {
        config.egress_allow = [
            format!("127.0.0.1:{}", address.port()),
            format!("localhost:{}", address.port()),
            closed.to_string(),
            "does-not-exist.invalid:80".to_owned(),
        ]
        .iter()
        .map(|target| target.parse().unwrap())
        .collect();
    })
    .await;

    for host in ["127.0.0.1", "localhost"] {
        let mut guest = rig.dial(Port::Egress).await;
        let (connected, accepted) =
            soon(async { tokio::join!(egress::connect(&mut guest, host, address.port()), target.accept()) })
                .await;
        connected.unwrap();
        let (mut accepted, _) = accepted.unwrap();
        guest.write_all(b"ping").await.unwrap();
        guest.shutdown().await.unwrap();
        assert_eq!(rest(&mut accepted).await, b"ping");
        accepted.write_all(b"pong").await.unwrap();
        drop(accepted);
        assert_eq!(rest(&mut guest).await, b"pong");
    }

    for (host, port, code) in [
        ("127.0.0.1", 1, ErrorCode::Denied),
        ("127.0.0.2", address.port(), ErrorCode::Denied),
        ("[::1]", address.port(), ErrorCode::Denied),
        ("127.0.0.1", closed.port(), ErrorCode::Unreachable),
    ] {
        let mut guest = rig.dial(Port::Egress).await;
        match soon(egress::connect(&mut guest, host, port)).await {
            Err(ExchangeError::Refused(refused)) => assert_eq!(refused, code, "{host}:{port}"),
            other => panic!("{host}:{port}: {other:?}"),
        }
        assert_eq!(rest(&mut guest).await, b"");
    }
    // Machines without a resolver answer late instead of `no such name`.
    let mut guest = rig.dial(Port::Egress).await;
    match soon(egress::connect(&mut guest, "does-not-exist.invalid", 80)).await {
        Err(ExchangeError::Refused(ErrorCode::Unreachable | ErrorCode::Timeout)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.metric("jeju_shim_denied_total{port=\"5000\"}").await, 3);
    assert_eq!(rig.metric("jeju_shim_unreachable_total{port=\"5000\"}").await, 2);
}

#[tokio::test]
async fn egress_is_denied_without_a_list() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let rig = Rig::new(|_| {}).await;
    let mut guest = rig.dial(Port::Egress).await;
    let port = target.local_addr().unwrap().port();
    let refused = soon(egress::connect(&mut guest, "127.0.0.1", port)).await;
    assert!(matches!(refused, Err(ExchangeError::Refused(ErrorCode::Denied))));
}

/// The codes of requests for public addresses.
async fn asked_for_public(rig: &Rig, host: &str, port: u16) -> ErrorCode {
    let mut guest = rig.dial(Port::Egress).await;
    match soon(egress::connect_public(&mut guest, host, port)).await {
        Err(ExchangeError::Refused(code)) => {
            assert_eq!(rest(&mut guest).await, b"");
            code
        }
        other => panic!("{host}:{port}: {other:?}"),
    }
}

#[tokio::test]
async fn who_asks_for_public_addresses_gets_no_other() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let port = target.local_addr().unwrap().port();
    let rig = Rig::new(|config| {
        config.egress_public = true;
        // Also where the list has them, and where a name leads to them.
        config.egress_allow = ["127.0.0.1", "localhost"]
            .map(|host| format!("{host}:{port}").parse().unwrap())
            .into();
    })
    .await;
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "224.0.0.1",
    ] {
        assert_eq!(
            asked_for_public(&rig, host, port).await,
            ErrorCode::NotPublic,
            "{host}"
        );
    }
    assert_eq!(rig.metric("jeju_shim_denied_total{port=\"5000\"}").await, 10);
    // Nothing of it reached the target, and the list itself still does.
    let mut guest = rig.dial(Port::Egress).await;
    let (connected, accepted) =
        soon(async { tokio::join!(egress::connect(&mut guest, "localhost", port), target.accept()) }).await;
    connected.unwrap();
    accepted.unwrap();
}

#[tokio::test]
async fn public_addresses_are_for_those_to_allow_who_run_the_host() {
    let rig = Rig::new(|config| config.egress_allow = ["127.0.0.1:9".parse().unwrap()].into()).await;
    assert_eq!(
        asked_for_public(&rig, "example.com", 443).await,
        ErrorCode::Denied
    );
    assert_eq!(asked_for_public(&rig, "8.8.8.8", 443).await, ErrorCode::Denied);
    assert_eq!(asked_for_public(&rig, "127.0.0.1", 9).await, ErrorCode::NotPublic);
    // Leave to reach all public addresses is none to reach others by the plain form.
    let rig = Rig::new(|config| config.egress_public = true).await;
    let mut guest = rig.dial(Port::Egress).await;
    let refused = soon(egress::connect(&mut guest, "8.8.8.8", 443)).await;
    assert!(matches!(refused, Err(ExchangeError::Refused(ErrorCode::Denied))));
}

#[tokio::test]
async fn bytes_right_behind_the_request_reach_the_target() {
    let target = TcpListener::bind(loopback()).await.unwrap();
    let address = target.local_addr().unwrap();
    let rig = Rig::new(|config| {
        config.egress_allow.insert(address.to_string().parse().unwrap());
    })
    .await;
    let mut guest = rig.dial(Port::Egress).await;
    guest
        .write_all(format!("CONNECT {address}\nearly").as_bytes())
        .await
        .unwrap();
    let (mut accepted, _) = soon(target.accept()).await.unwrap();
    let mut early = [0; 5];
    soon(accepted.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"early");
}

#[tokio::test]
async fn slow_requests_are_cut_off() {
    let rig = Rig::new(|config| config.request_timeout = Duration::from_millis(300)).await;
    for port in [Port::Egress, Port::Documents, Port::Blobs] {
        let guest = rig.dial(port).await;
        let (mut guest_in, mut guest_out) = split(guest);
        let drip = tokio::spawn(async move {
            while guest_out.write_all(b"C").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert_eq!(rest(&mut guest_in).await, b"ERR timeout\n", "{port}");
        drip.abort();
    }
    assert_eq!(rig.metric("jeju_shim_bad_requests_total{port=\"5000\"}").await, 1);
    assert_eq!(rig.metric("jeju_shim_bad_requests_total{port=\"5001\"}").await, 1);
    assert_eq!(rig.metric("jeju_shim_bad_requests_total{port=\"5003\"}").await, 1);
}

#[tokio::test]
async fn egress_over_the_limit_is_told_so() {
    let rig = Rig::new(|config| {
        config.max_connections = 1;
        config.request_timeout = 2 * PATIENCE;
    })
    .await;
    let _first = rig.dial(Port::Egress).await;
    rig.until("jeju_shim_connections_active{port=\"5000\"}", 1).await;
    assert_eq!(rest(&mut rig.dial(Port::Egress).await).await, b"ERR busy\n");
    assert_eq!(
        rig.metric("jeju_shim_connections_over_limit_total{port=\"5000\"}")
            .await,
        1
    );
}

#[tokio::test]
async fn documents_are_served_as_they_are() {
    let rig = Rig::new(|config| {
        let dir = config.launch.parent().unwrap().join("collateral");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("crl.der"), [0xff; 100_000]).unwrap();
        std::fs::write(dir.join("huge"), vec![0; MAX_COLLATERAL + 1]).unwrap();
        std::fs::create_dir(dir.join("directory")).unwrap();
        config.collateral_dir = Some(dir);
    })
    .await;
    let fetch = async |request: DocumentRequest| {
        let mut guest = rig.dial(Port::Documents).await;
        soon(document::fetch(&mut guest, &request, usize::MAX)).await
    };
    let collateral = |name| DocumentRequest::Collateral(CollateralName::new(name).unwrap());
    assert_eq!(fetch(DocumentRequest::Launch).await.unwrap(), LAUNCH);
    assert_eq!(fetch(collateral("crl.der")).await.unwrap(), [0xff; 100_000]);
    for (name, code) in [
        ("missing", ErrorCode::NotFound),
        ("directory", ErrorCode::NotFound),
        ("huge", ErrorCode::TooLarge),
    ] {
        match fetch(collateral(name)).await {
            Err(ExchangeError::Refused(refused)) => assert_eq!(refused, code, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // The launch document is what was read at the start.
    std::fs::write(rig.dir.path().join("launch.toml"), "version = 2\n").unwrap();
    assert_eq!(fetch(DocumentRequest::Launch).await.unwrap(), LAUNCH);
}

#[tokio::test]
async fn no_name_leads_out_of_the_collateral_directory() {
    let rig = Rig::new(|config| {
        let dir = config.launch.parent().unwrap().join("collateral");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(".hidden"), "secret").unwrap();
        config.collateral_dir = Some(dir);
    })
    .await;
    for name in [
        "../launch.toml",
        "..",
        ".",
        "",
        ".hidden",
        "/etc/passwd",
        "a/../../launch.toml",
        "..%2flaunch.toml",
        "A",
    ] {
        let mut guest = rig.dial(Port::Documents).await;
        guest
            .write_all(format!("GET collateral/{name}\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(rest(&mut guest).await, b"ERR bad-request\n", "{name:?}");
    }
}

#[tokio::test]
async fn fatal_codes_are_passed_on_and_log_bytes_go_to_the_file_only() {
    let rig = Rig::new(|config| {
        config.log_file = Some(config.launch.with_file_name("guest.log"));
        config.log_file_limit = 5;
    })
    .await;
    let mut fatal = rig.shim.fatal();
    let mut guest = rig.dial(Port::Log).await;
    write_frame(&mut guest, &LogFrame::Opaque(b"abc".to_vec()))
        .await
        .unwrap();
    write_frame(&mut guest, &LogFrame::Opaque(b"over the limit".to_vec()))
        .await
        .unwrap();
    write_frame(
        &mut guest,
        &LogFrame::Fatal(FatalCode::LaunchDigestMismatch.as_u16()),
    )
    .await
    .unwrap();
    soon(fatal.changed()).await.unwrap();
    assert_eq!(*fatal.borrow(), Some(7));
    assert_eq!(rest(&mut guest).await, b"");
    assert_eq!(std::fs::read(rig.dir.path().join("guest.log")).unwrap(), b"abc");
    assert_eq!(
        rig.metric("jeju_shim_log_dropped_bytes_total{port=\"5004\"}")
            .await,
        14
    );
}

#[tokio::test]
async fn garbage_on_any_port_ends_that_connection_only() {
    let rig = Rig::new(|_| {}).await;
    for (port, answer) in [
        (Port::Egress, &b"ERR bad-request\n"[..]),
        (Port::Blobs, b"ERR bad-request\n"),
        (Port::Documents, b"ERR bad-request\n"),
        (Port::Log, b""),
    ] {
        for _ in 0..20 {
            let (mut guest_in, mut guest_out) = split(rig.dial(port).await);
            let flood =
                tokio::spawn(async move { while guest_out.write_all(&[0xfe; 65536]).await.is_ok() {} });
            let seen = rest(&mut guest_in).await;
            // A flood may reset the connection before its answer is read.
            assert!(seen == answer || seen.is_empty(), "{port}: {seen:?}");
            soon(flood).await.unwrap();
        }
        let series = format!("jeju_shim_bad_requests_total{{port=\"{port}\"}}");
        assert_eq!(rig.metric(&series).await, 20);
    }
    let mut guest = rig.dial(Port::Documents).await;
    assert_eq!(
        soon(document::fetch(&mut guest, &DocumentRequest::Launch, 4096))
            .await
            .unwrap(),
        LAUNCH
    );
}
