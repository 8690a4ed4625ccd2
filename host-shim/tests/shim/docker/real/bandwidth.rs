//! Containers' own networks.

use super::*;

/// Bytes that take over a second at 40 Mbit/s, burst left out.
const MUCH: usize = 6_000_000;

/// Takes one connection at the host's end of the container's network: sends it so much, and reads what it sends.
async fn peer(listener: &tokio::net::TcpListener, sends: usize) -> usize {
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    if sends > 0 {
        soon(stream.write_all(&vec![7; sends])).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    let mut read = Vec::new();
    soon(stream.read_to_end(&mut read)).await.unwrap();
    read.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_containers_own_network_is_held_to_the_bandwidth_that_was_rented() {
    let engine = Engine::start().await;
    engine.import_busybox("busybox:test", &[]);
    let rig = Rig::new(|config| {
        config.docker = Some(engine.socket());
        config.docker_bandwidth = true;
    })
    .await;
    let network = NetworkSpec {
        name: NAME,
        agent: AGENT,
        internal: false,
    };
    expect(&rig, Request::CreateNetwork(network), None, 201).await;
    let mut wanted = spec("busybox:test", &["/bin/sleep", "1000"]);
    wanted.labels = Labels::from([("jeju.bandwidth".to_owned(), "40".to_owned())]);
    expect(&rig, Request::CreateContainer(Box::new(wanted)), None, 201).await;
    expect(
        &rig,
        Request::PutArchive { name: NAME },
        Some(agent_archive()),
        204,
    )
    .await;
    expect(&rig, Request::StartContainer(NAME), None, 204).await;
    let stand_in = Path::new("/sys/class/net").join(format!("jr{}", "ab".repeat(6)));
    let tc = |arguments: &[&str]| {
        let said = Command::new("tc").args(arguments).output();
        String::from_utf8(said.expect("tc of iproute2").stdout).unwrap()
    };
    let name = stand_in.file_name().unwrap().to_str().unwrap();
    // The last step of setting it: what comes out of the container's cable goes through the stand-in.
    let redirected = || {
        tc(&["qdisc", "show"])
            .lines()
            .filter(|line| line.starts_with("qdisc ingress"))
            .filter_map(|line| line.split(" dev ").nth(1)?.split(' ').next())
            .any(|cable| tc(&["filter", "show", "dev", cable, "parent", "ffff:"]).contains(name))
    };
    let start = Instant::now();
    while !redirected() {
        assert!(start.elapsed() < PATIENCE, "no limit was set");
        sleep(Duration::from_millis(20)).await;
    }
    let gateway = engine.must(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Gateway}}",
        &NAME.to_string(),
    ]);
    let listener = tokio::net::TcpListener::bind((&gateway[..], 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (what, command, sends, read) in [
        (
            "to it",
            format!("/bin/busybox nc {gateway} {port} < /dev/null | wc -c"),
            MUCH,
            0,
        ),
        (
            "from it",
            format!("head -c {MUCH} /dev/zero | /bin/busybox nc {gateway} {port} | wc -c"),
            0,
            MUCH,
        ),
    ] {
        let start = Instant::now();
        let (got, (exit, said)) = tokio::join!(peer(&listener, sends), shell(&rig, &command));
        assert_eq!(
            (got, exit, said.trim()),
            (read, 0, &sends.to_string()[..]),
            "{what}"
        );
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(900), "{what}: {took:?}");
    }
    expect(&rig, Request::RemoveContainer(NAME), None, 204).await;
    let start = Instant::now();
    while stand_in.exists() {
        assert!(start.elapsed() < PATIENCE, "the stand-in is left");
        sleep(Duration::from_millis(20)).await;
    }
    expect(&rig, Request::RemoveNetwork(NAME), None, 204).await;
}
