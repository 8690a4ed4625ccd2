//! A container from its image to its end.

use super::*;

/// A registry on loopback, which ends with this.
pub(super) struct Registry {
    child: Child,
    pub(super) address: SocketAddr,
    _dir: TempDir,
}

impl Registry {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Free a moment ago.
        let address = std::net::TcpListener::bind(loopback())
            .unwrap()
            .local_addr()
            .unwrap();
        let config = dir.path().join("config.yml");
        let root = dir.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed (Debian package docker-registry)");
        let start = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "the registry doesn't start");
            sleep(Duration::from_millis(50)).await;
        }
        Self {
            child,
            address,
            _dir: dir,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pulls, and gives the lines of progress.
pub(super) async fn pull(rig: &Rig, image: &str) -> Vec<PullProgress> {
    let body = expect(rig, Request::PullImage(image.parse().unwrap()), None, 200).await;
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| read(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_lives_its_whole_life_through_the_filter() {
    let (engine, registry) = (Engine::start().await, Registry::start().await);
    let rig = engine.rig().await;
    let repository = format!("{}/busybox", registry.address);
    engine.import_busybox(&format!("{repository}:1"), &[]);
    engine.must(&["push", &format!("{repository}:1")]);
    let by_digest = engine.must(&[
        "image",
        "inspect",
        "--format",
        "{{index .RepoDigests 0}}",
        &format!("{repository}:1"),
    ]);
    engine.must(&["rmi", &format!("{repository}:1")]);

    expect(&rig, Request::Ping, None, 204).await;
    let info: Info = read(&expect(&rig, Request::Info, None, 200).await).unwrap();
    assert_eq!(
        (&info.driver[..], info.memory_limit, info.pids_limit),
        ("overlay2", true, true)
    );
    assert!(
        info.ncpu > 0
            && info
                .security_options
                .iter()
                .any(|option| option.contains("seccomp"))
    );

    // Pull by digest.
    let image = || by_digest.parse().unwrap();
    expect(&rig, Request::InspectImage(image()), None, 404).await;
    let progress = pull(&rig, &by_digest).await;
    assert!(progress.iter().all(|line| line.error.is_none()), "{progress:?}");
    let bytes = |line: &PullProgress| line.progress_detail.is_some_and(|detail| detail.total.is_some());
    assert!(progress.iter().any(bytes), "{progress:?}");
    let found: Image = read(&expect(&rig, Request::InspectImage(image()), None, 200).await).unwrap();
    assert_eq!(found.repo_digests, [&by_digest[..]]);
    // With a tag too, which the engine leaves aside.
    let both = by_digest.replacen('@', ":1@", 1);
    assert!(pull(&rig, &both).await.iter().all(|line| line.error.is_none()));
    expect(&rig, Request::InspectImage(both.parse().unwrap()), None, 200).await;
    let missing = format!("{repository}:missing").parse().unwrap();
    let body = expect(&rig, Request::PullImage(missing), None, 404).await;
    assert_eq!(code(&body), "docker_engine");

    // Create. The container floods its log at once.
    let network = NetworkSpec {
        name: NAME,
        agent: AGENT,
        internal: true,
    };
    expect(&rig, Request::CreateNetwork(network), None, 201).await;
    expect(&rig, Request::CreateNetwork(network), None, 409).await;
    let flood = format!(
        "yes {} | head -c 10000000; echo; echo last; exec sleep 1000",
        "a".repeat(1000)
    );
    let mut wanted = spec(&both, &["/bin/sh", "-c", &flood]);
    wanted.labels = Labels::from([("jeju.note".to_owned(), "x".to_owned())]);
    let create = Request::CreateContainer(Box::new(wanted));
    let created: Created = read(&expect(&rig, create.clone(), None, 201).await).unwrap();
    assert_eq!(code(&expect(&rig, create, None, 409).await), "docker_engine");
    expect(
        &rig,
        Request::PutArchive { name: NAME },
        Some(agent_archive()),
        204,
    )
    .await;
    let inspect = |size| Request::InspectContainer { name: NAME, size };
    let container: Container = read(&expect(&rig, inspect(false), None, 200).await).unwrap();
    assert_eq!(
        (&container.state.status[..], &container.id),
        ("created", &created.id)
    );
    let idle: Stats = read(&expect(&rig, Request::Stats(NAME), None, 200).await).unwrap();
    assert_eq!(idle.pids_stats.current, 0);
    expect(&rig, Request::StartContainer(NAME), None, 204).await;
    expect(&rig, Request::StartContainer(NAME), None, 304).await;

    // Look. A container of somebody else is there too.
    engine.must(&[
        "create",
        "--name",
        "postgres",
        "--label",
        &format!("jeju.agent={}", hex::encode(AGENT)),
        &by_digest,
        "sh",
    ]);
    let list = Request::ListContainers { agent: AGENT };
    let listed: Vec<ListedContainer> = read(&expect(&rig, list.clone(), None, 200).await).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name(), &listed[0].state[..]), (Some(NAME), "running"));
    assert_eq!(listed[0].labels["jeju.note"], "x");
    let networks = Request::ListNetworks { agent: AGENT };
    let networks: Vec<ListedNetwork> = read(&expect(&rig, networks, None, 200).await).unwrap();
    assert_eq!(
        networks
            .iter()
            .map(|network| network.of(AGENT))
            .collect::<Vec<_>>(),
        [Some(NAME)]
    );
    for others in [
        Request::ListContainers { agent: [1; 32] },
        Request::ListNetworks { agent: [1; 32] },
    ] {
        assert_eq!(&expect(&rig, others, None, 200).await[..], b"[]");
    }
    let container: Container = read(&expect(&rig, inspect(true), None, 200).await).unwrap();
    assert!(container.state.running && container.agent() == Some(AGENT));
    assert_eq!(container.host_config.memory, 64 << 20);
    assert_eq!(container.host_config.network_mode, NAME.to_string());
    assert!(container.size_rw.is_some_and(|size| size > 0));

    what_runs_inside_is_confined(&rig).await;

    // Commands: 10 MB both ways, exit codes, errors.
    let sent: Vec<u8> = (0..10_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let (exit, received, _) = exec(&rig, ExecSpec::agent(), sent.clone()).await;
    assert!(exit == 0 && received == sent);
    let command = ["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]
        .map(str::to_owned)
        .into();
    let (exit, out, err) = exec(
        &rig,
        ExecSpec {
            command,
            stdin: false,
        },
        Vec::new(),
    )
    .await;
    assert_eq!((exit, &out[..], &err[..]), (7, &b"out\n"[..], &b"err\n"[..]));
    // Prepared past the filter, so unknown to it.
    let foreign = exec_past_the_filter(&engine).await.parse().unwrap();
    let body = expect(&rig, Request::InspectExec { id: foreign }, None, 404).await;
    assert_eq!(code(&body), "docker_exec_unknown");
    let body = expect(&rig, Request::StartExec { id: foreign }, None, 404).await;
    assert_eq!(code(&body), "docker_exec_unknown");

    // The longest archive.
    let long = vec![7; archive::MAX_ARCHIVE - 2048];
    let entry = archive::Entry {
        path: ".jeju/long",
        mode: 0o600,
        content: Some(&long),
    };
    let longest = archive::encode(&[entry]).unwrap();
    assert_eq!(longest.len(), archive::MAX_ARCHIVE - 512);
    expect(&rig, Request::PutArchive { name: NAME }, Some(longest), 204).await;
    let (_, size) = shell(&rig, "wc -c < /.jeju/long").await;
    assert_eq!(size.trim(), long.len().to_string());

    // Statistics and the log, of which the newest is kept.
    let stats: Stats = read(&expect(&rig, Request::Stats(NAME), None, 200).await).unwrap();
    assert_eq!(stats.memory_stats.limit, 64 << 20);
    assert!(
        stats.memory_stats.usage > 0
            && stats.cpu_stats.cpu_usage.total_usage > 0
            && stats.pids_stats.current > 0
    );
    let log = async |tail| expect(&rig, Request::Logs { name: NAME, tail }, None, 200).await;
    let start = Instant::now();
    while !log(1).await.ends_with(b"last\n") {
        assert!(start.elapsed() < PATIENCE, "the log has no end");
        sleep(Duration::from_millis(100)).await;
    }
    let all = log(10_000).await;
    assert!((1_000_000..5_000_000).contains(&all.len()), "{}", all.len());

    // End.
    let stop = Request::StopContainer {
        name: NAME,
        seconds: 1,
    };
    expect(&rig, stop.clone(), None, 204).await;
    expect(&rig, stop, None, 304).await;
    expect(&rig, Request::KillContainer { name: NAME }, None, 409).await;
    expect(&rig, Request::RemoveContainer(NAME), None, 204).await;
    expect(&rig, Request::RemoveContainer(NAME), None, 404).await;
    expect(&rig, Request::RemoveNetwork(NAME), None, 204).await;
    assert_eq!(&expect(&rig, list, None, 200).await[..], b"[]");
    assert_eq!(
        engine.must(&["ps", "--all", "--format", "{{.Names}}"]),
        "postgres"
    );
    assert_eq!(engine.must(&["volume", "ls", "--quiet"]), "");
    assert_eq!(rig.metric("jeju_shim_denied_total{port=\"5002\"}").await, 2);
}

/// What the kernel says of a process in the container.
async fn what_runs_inside_is_confined(rig: &Rig) {
    let (exit, status) = shell(rig, "cat /proc/1/status /proc/self/status").await;
    assert_eq!(exit, 0);
    let values = |key: &str| -> Vec<String> {
        let found = status.lines().filter_map(|line| line.strip_prefix(key));
        found.map(|value| value.trim().to_owned()).collect()
    };
    // Numbers of linux/capability.h.
    let numbers = [0, 1, 3, 4, 5, 10, 31, 6, 8, 7, 18];
    assert_eq!(numbers.len(), CAPABILITIES.len());
    let mask = format!("{:016x}", numbers.iter().map(|bit| 1u64 << bit).sum::<u64>());
    assert_eq!(values("CapBnd:"), [mask.clone(), mask.clone()]);
    assert_eq!(values("CapEff:"), [mask.clone(), mask]);
    assert_eq!(values("NoNewPrivs:"), ["1", "1"]);
    assert_eq!(values("Seccomp:"), ["2", "2"]);
    // Nothing of the host's is there, not even read-only.
    let looking = "head -c 1 /proc/kcore; for file in /dev/sda /dev/vda /dev/kmsg /dev/mem /dev/kvm /dev/vsock \
         /dev/sev-guest /dev/tdx_guest /sys/kernel/config/tsm /run/docker.sock /var/run/docker.sock; do \
         if [ -e $file ]; then echo $file; fi; done; echo x > /sys/kernel/x || echo looked";
    assert_eq!(shell(rig, looking).await, (0, "looked\n".to_owned()));
    // Processes are limited: the limit is 64. Where it is reached no command can start, until some end.
    let forking = "i=0; while [ $i -lt 200 ]; do sleep 2 & i=$((i+1)); done 2>/dev/null; echo $i";
    assert_ne!(shell(rig, forking).await.1, "200\n");
    let start = Instant::now();
    while running(rig).await > 5 {
        assert!(start.elapsed() < PATIENCE, "processes don't end");
        sleep(Duration::from_millis(100)).await;
    }
    // So is memory: 64 MiB.
    let (exit, _) = shell(rig, "dd if=/dev/zero of=/dev/null bs=200000000 count=1").await;
    assert_ne!(exit, 0);
}

/// Processes and threads in the container.
async fn running(rig: &Rig) -> u64 {
    let stats: Stats = read(&expect(rig, Request::Stats(NAME), None, 200).await).unwrap();
    stats.pids_stats.current
}

async fn exec_past_the_filter(engine: &Engine) -> String {
    let mut stream = UnixStream::connect(engine.socket()).await.unwrap();
    let body = r#"{"Cmd":["/bin/sh"]}"#;
    let request = format!(
        "POST /v1.41/containers/{NAME}/exec HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(&mut stream).await).unwrap();
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    read::<Created>(body.as_bytes()).unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_of_an_image_are_memory_or_nothing() {
    let engine = Engine::start().await;
    engine.import_busybox("with:volume", &["VOLUME /data", "VOLUME /more/"]);
    let rig = engine.rig().await;
    let mut wanted = spec("with:volume", &["/bin/sleep", "1000"]);
    wanted.network = Network::None;
    let refused = expect(
        &rig,
        Request::CreateContainer(Box::new(wanted.clone())),
        None,
        403,
    )
    .await;
    assert_eq!(code(&refused), "docker_image_volumes");
    wanted.memory_paths = vec!["/data".to_owned(), "/more".to_owned()];
    expect(&rig, Request::CreateContainer(Box::new(wanted)), None, 201).await;
    expect(
        &rig,
        Request::PutArchive { name: NAME },
        Some(agent_archive()),
        204,
    )
    .await;
    expect(&rig, Request::StartContainer(NAME), None, 204).await;
    let (exit, mounts) = shell(&rig, "echo x > /data/y && cat /proc/self/mounts").await;
    assert_eq!(exit, 0);
    for path in [" /data ", " /more "] {
        let mount = mounts.lines().find(|line| line.contains(path)).unwrap();
        assert!(mount.starts_with("tmpfs "), "{mount}");
    }
    assert_eq!(engine.must(&["volume", "ls", "--quiet"]), "");
    // The engine is gone, and comes to nothing for the guest but a failed call.
    expect(&rig, Request::RemoveContainer(NAME), None, 204).await;
    drop(engine);
    let (status, body) = call(&rig, &Request::Ping, None).await;
    assert_eq!((status.as_u16(), &code(&body)[..]), (502, "docker_unreachable"));
}
