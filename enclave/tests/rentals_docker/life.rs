//! Rentals on a real engine behind the real shim.

use std::time::Duration;

use bytes::Bytes;
use jeju_agent_protocol::{Agent, Event, Exit, Open, OpenCode};
use jeju_attestation::launch::rentals::Network;
use jeju_enclave::rentals::backend::{
    BackendError, Container, ContainerBackend, ContainerSpec, ContainerState, DiskLimit, Resources,
};
use jeju_enclave::rentals::docker::DockerBackend;
use tokio::time::timeout;

use crate::engine::{Engine, Registry};
use crate::fake::{RENTAL, name, progress};

const PATIENCE: Duration = Duration::from_secs(60);
const OTHER: [u8; 32] = [0x23; 32];

fn spec(image: &str) -> ContainerSpec {
    ContainerSpec {
        rental: RENTAL,
        image: image.to_owned(),
        script: None,
        resources: Resources {
            cpu_cores: 1,
            memory_gib: 1,
            storage_gb: 1,
            bandwidth_mbps: 100,
        },
        network: Network::None,
        address: "ssh.example:2222".to_owned(),
    }
}

async fn create(backend: &DockerBackend, spec: ContainerSpec) -> Result<Container, BackendError> {
    backend.create(spec, progress().0).await
}

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Asks until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("in time");
}

/// What a command of the agent's writes, and how it ends.
async fn through_the_agent(backend: &DockerBackend, open: Open) -> Result<(Vec<u8>, Option<Exit>), OpenCode> {
    let stream = backend.attach(RENTAL).await.unwrap();
    let (agent, driver) = Agent::connect(stream);
    let driver = tokio::spawn(driver);
    let channel = agent.open(open).await.map_err(|error| error.code)?;
    let (_input, mut output) = channel.split();
    let (mut written, mut exit) = (Vec::new(), None);
    while let Some(event) = timeout(PATIENCE, output.next()).await.unwrap() {
        match event {
            Event::Stdout(bytes) | Event::Stderr(bytes) => written.extend(bytes),
            Event::Exit(how) => exit = Some(how),
            Event::Eof => {}
        }
    }
    drop(agent);
    driver.abort();
    Ok((written, exit))
}

fn exec(line: &str) -> Open {
    Open::Exec {
        command: line.to_owned(),
        pty: None,
        env: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rental_lives_its_whole_life() {
    let engine = Engine::start().await;
    engine.import(
        "busybox:test",
        true,
        &["CMD [\"/bin/sh\",\"-c\",\"echo main; sleep 1000\"]"],
    );
    let backend = engine.backend();
    assert_eq!(backend.list().await.unwrap(), []);
    assert_eq!(backend.disk_limit().await.unwrap(), DiskLimit::Measured);
    let mut wanted = spec("busybox:test");
    wanted.script = Some(Bytes::from_static(b"#!/bin/sh\necho script; echo x > /made\n"));
    wanted.network = Network::Open;
    let made = create(&backend, wanted.clone()).await.unwrap();
    assert_eq!(
        (made.state, made.resources),
        (ContainerState::Running, wanted.resources)
    );
    let inspect = |format: &str| engine.must(&["inspect", "--format", format, &name()]);
    assert_eq!(
        inspect("{{.Id}} {{.Image}}"),
        format!("{} {}", made.id, made.image_digest)
    );
    assert_eq!(
        inspect("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.NetworkMode}}"),
        format!("{} 1000000000 {}", 1 << 30, name())
    );
    assert_eq!(create(&backend, wanted.clone()).await.unwrap(), made);

    until(async || backend.logs(RENTAL, 100).await.unwrap() == "script\nmain\n").await;
    assert_eq!(backend.logs(RENTAL, 1).await.unwrap(), "main\n");
    let ran = backend
        .exec(
            RENTAL,
            command(&["/bin/sh", "-c", "cat /made; echo err >&2; exit 7"]),
        )
        .await
        .unwrap();
    assert_eq!(
        (ran.exit_code, &ran.stdout[..], &ran.stderr[..]),
        (7, &b"x\n"[..], &b"err\n"[..])
    );
    let much = backend
        .exec(RENTAL, command(&["/bin/head", "-c", "3000000", "/dev/zero"]))
        .await
        .unwrap();
    assert_eq!(
        (much.exit_code, much.stdout.len(), much.truncated),
        (0, 256 * 1024, true)
    );
    let missing = backend.exec(RENTAL, command(&["/no/such"])).await.unwrap();
    assert!([126, 127].contains(&missing.exit_code), "{missing:?}");
    let (written, exit) = through_the_agent(&backend, exec("echo $0 hello; exit 3"))
        .await
        .unwrap();
    assert!(String::from_utf8(written).unwrap().ends_with("hello\n"));
    assert_eq!(exit, Some(Exit::Code(3)));

    let written = backend.exec(
        RENTAL,
        command(&["/bin/dd", "if=/dev/zero", "of=/big", "bs=1M", "count=5"]),
    );
    assert_eq!(written.await.unwrap().exit_code, 0);
    let usage = backend.usage(RENTAL).await.unwrap();
    assert!(
        usage.disk_bytes > 5 << 20 && usage.disk_bytes < 40 << 20,
        "{usage:?}"
    );
    assert!(
        usage.cpu_nanoseconds > 0 && usage.memory_bytes > 0 && usage.pids >= 2,
        "{usage:?}"
    );

    // A node that starts anew knows it from the engine; another node's is none of its business.
    let anew = engine.backend();
    assert_eq!(anew.list().await.unwrap(), std::slice::from_ref(&made));
    engine.must(&[
        "create",
        "--name",
        "stranger",
        "--label",
        &format!("jeju.agent={}", "a1".repeat(32)),
        "busybox:test",
    ]);
    engine.must(&[
        "create",
        "--name",
        &format!("jeju-{}", "44".repeat(32)),
        "--label",
        "jeju.agent=1",
        "busybox:test",
    ]);
    assert_eq!(anew.list().await.unwrap(), std::slice::from_ref(&made));

    anew.stop(RENTAL).await.unwrap();
    anew.stop(RENTAL).await.unwrap();
    let ended = &anew.list().await.unwrap()[0];
    assert!(matches!(ended.state, ContainerState::Exited { .. }), "{ended:?}");
    assert_eq!(
        anew.exec(RENTAL, command(&["/bin/sh"])).await,
        Err(BackendError::NotRunning)
    );
    assert_eq!(anew.attach(RENTAL).await.err(), Some(BackendError::NotRunning));
    assert_eq!(create(&anew, wanted).await.unwrap().state, ended.state);
    for _ in 0..2 {
        anew.start(RENTAL).await.unwrap();
    }
    // The script ran once, and what it made is still there.
    until(async || {
        let log = anew.logs(RENTAL, 100).await.unwrap();
        // The agent says in between how the command ended.
        let of_tenant = log.lines().filter(|line| !line.starts_with("jeju: "));
        of_tenant.collect::<Vec<_>>() == ["script", "main", "main"]
    })
    .await;
    assert_eq!(
        anew.exec(RENTAL, command(&["/bin/cat", "/made"]))
            .await
            .unwrap()
            .exit_code,
        0
    );

    // A tenant can take the agent away, and then has no way in.
    let took = anew
        .exec(RENTAL, command(&["/bin/busybox", "rm", "/.jeju/agent"]))
        .await
        .unwrap();
    assert_eq!(took.exit_code, 0);
    let error = anew.attach(RENTAL).await.err().unwrap();
    assert!(matches!(error, BackendError::Agent(_)), "{error}");

    for _ in 0..2 {
        anew.remove(RENTAL).await.unwrap();
    }
    assert_eq!(anew.list().await.unwrap(), []);
    assert!(!engine.left().contains(&name()), "{}", engine.left());
    assert_eq!(anew.stop(RENTAL).await, Err(BackendError::NotFound));
    assert_eq!(anew.logs(OTHER, 5).await, Err(BackendError::NotFound));
    assert_eq!(anew.attach(OTHER).await.err(), Some(BackendError::NotFound));
}

/// An engine that isn't there says nothing of containers, least of all that there are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_dies_is_unavailable_and_its_containers_are_found_again() {
    let mut engine = Engine::start().await;
    engine.import("busybox:test", true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    let backend = engine.backend();
    let made = create(&backend, spec("busybox:test")).await.unwrap();
    engine.kill();
    let unavailable = |error: &BackendError| matches!(error, BackendError::Unavailable(_));
    assert!(backend.list().await.is_err_and(|error| unavailable(&error)));
    assert!(
        backend
            .start(RENTAL)
            .await
            .is_err_and(|error| unavailable(&error))
    );
    assert!(
        backend
            .remove(RENTAL)
            .await
            .is_err_and(|error| unavailable(&error))
    );
    assert!(
        backend
            .attach(RENTAL)
            .await
            .is_err_and(|error| unavailable(&error))
    );
    let again = create(&backend, spec("busybox:test")).await;
    assert!(again.is_err_and(|error| unavailable(&error)));
    engine.restart().await;
    let found = &backend.list().await.unwrap()[..];
    assert!(matches!(found, [one] if one.id == made.id), "{found:?}");
    backend.start(RENTAL).await.unwrap();
    let (written, _) = through_the_agent(&backend, exec("echo here")).await.unwrap();
    assert_eq!(written, b"here\n");
    backend.remove(RENTAL).await.unwrap();
    assert_eq!(engine.left(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_ended_at_its_limit_whoever_waits_for_it() {
    let engine = Engine::start().await;
    engine.import("busybox:test", true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    let backend = engine.backend().with_command_limit(Duration::from_secs(1));
    create(&backend, spec("busybox:test")).await.unwrap();
    let runs = |word: &str| engine.must(&["top", &name(), "-eo", "pid,args"]).contains(word);
    let slow = command(&["/bin/sh", "-c", "/bin/sleep 4244 & /bin/sleep 4244"]);
    assert_eq!(
        backend.exec(RENTAL, slow.clone()).await,
        Err(BackendError::Stopped(1))
    );
    assert!(!runs("sleep 4244"));
    // A node that is killed doesn't wait.
    let gone = timeout(Duration::from_millis(700), backend.exec(RENTAL, slow)).await;
    assert!(gone.is_err());
    until(async || !runs("sleep 4244")).await;
    // A status of the command's own.
    let own = engine
        .backend()
        .exec(RENTAL, command(&["/bin/sh", "-c", "exit 124"]))
        .await
        .unwrap();
    assert_eq!(own.exit_code, 124);
    backend.remove(RENTAL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_without_anything_is_a_machine_too() {
    let engine = Engine::start().await;
    engine.import(
        "scratch:test",
        false,
        &["CMD [\"/no/such/program\"]", "VOLUME /data"],
    );
    let backend = engine.backend();
    let made = create(&backend, spec("scratch:test")).await.unwrap();
    assert_eq!(made.state, ContainerState::Running);
    let shell = Open::Shell {
        pty: None,
        env: Vec::new(),
    };
    for (open, code) in [(shell, OpenCode::NoShell), (exec("true"), OpenCode::NotFound)] {
        assert_eq!(through_the_agent(&backend, open).await.unwrap_err(), code);
    }
    let missing = backend.exec(RENTAL, command(&["sh"])).await.unwrap();
    assert!(missing.exit_code != 0, "{missing:?}");
    backend.remove(RENTAL).await.unwrap();
    assert_eq!(engine.left(), "");
    // Volumes that images declare are memory, and leave nothing on the host's disk.
    assert_eq!(engine.must(&["volume", "ls", "--quiet"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_come_from_registries_by_digest_and_nothing_is_left_of_those_that_do_not() {
    let (engine, registry) = (Engine::start().await, Registry::start().await);
    let tag = format!("{}/busybox:1", registry.address);
    engine.import(&tag, true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    engine.must(&["push", &tag]);
    let by_digest = engine.must(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &tag]);
    engine.must(&["rmi", &tag]);
    let backend = engine.backend();
    let (progress, told) = progress();
    let made = backend.create(spec(&by_digest), progress).await.unwrap();
    assert_eq!(made.image, by_digest);
    let told = told.lock().unwrap().clone();
    assert!(told.iter().any(|line| line.contains("1 of 1 layers")), "{told:?}");
    backend.remove(RENTAL).await.unwrap();

    let digest = by_digest.rsplit_once(':').unwrap().1;
    for image in [
        by_digest.replace(digest, &"44".repeat(32)),
        format!("{}/busybox:2", registry.address),
        "127.0.0.1:1/busybox".to_owned(),
    ] {
        let error = create(&backend, spec(&image)).await.unwrap_err();
        assert!(matches!(error, BackendError::Image(_)), "{image}: {error}");
    }
    assert_eq!(engine.left(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_fails_or_is_cut_off_leaves_one_container_or_none() {
    let engine = Engine::start().await;
    engine.import("busybox:test", true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    let mut wanted = spec("busybox:test");
    wanted.network = Network::Open;
    // An agent that is no program.
    let broken = engine.backend_with(Bytes::from_static(b"\x7fELF"));
    let error = create(&broken, wanted.clone()).await.unwrap_err();
    assert!(matches!(error, BackendError::Agent(_)), "{error}");
    assert_eq!(engine.left(), "");
    // More cores than there are.
    let mut much = wanted.clone();
    much.resources.cpu_cores = 4000;
    let error = create(&engine.backend(), much).await.unwrap_err();
    assert!(matches!(error, BackendError::Refused(_)), "{error}");
    assert_eq!(engine.left(), "");
    // A node that dies in the middle, wherever that is.
    let mut cut = 0;
    for milliseconds in [1, 20, 50, 100, 150, 200, 300] {
        let backend = engine.backend();
        let short = timeout(
            Duration::from_millis(milliseconds),
            create(&backend, wanted.clone()),
        )
        .await;
        cut += usize::from(short.is_err());
        let backend = engine.backend();
        let made = create(&backend, wanted.clone()).await.unwrap();
        assert_eq!(backend.list().await.unwrap(), [made]);
        let (written, _) = through_the_agent(&backend, exec("echo here")).await.unwrap();
        assert_eq!(written, b"here\n");
        backend.remove(RENTAL).await.unwrap();
        assert_eq!(engine.left(), "");
    }
    assert!(cut > 2);
}

/// Who removed the container died before the network's turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_lost_its_container_is_seen_and_removed() {
    let engine = Engine::start().await;
    engine.import("busybox:test", true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    let backend = engine.backend();
    assert_eq!(backend.remains().await.unwrap(), [[0; 32]; 0]);
    let mut wanted = spec("busybox:test");
    wanted.network = Network::Open;
    create(&backend, wanted).await.unwrap();
    engine.must(&["network", "create", "somebodys"]);
    engine.must(&["rm", "--force", &name()]);
    assert_eq!(backend.list().await.unwrap(), []);
    assert_eq!(backend.remains().await.unwrap(), [RENTAL]);
    backend.remove(RENTAL).await.unwrap();
    assert_eq!(backend.remains().await.unwrap(), [[0; 32]; 0]);
    assert_eq!(engine.left(), "somebodys");
}

/// The engine on a file system of its own, as long as `check` runs.
async fn on(driver: &str, make: &str, check: impl AsyncFn(&Engine)) {
    let directory = tempfile::Builder::new().prefix("jb").tempdir_in("/tmp").unwrap();
    let (disk, data) = (directory.path().join("disk"), directory.path().join("data"));
    std::fs::File::create(&disk).unwrap().set_len(4 << 30).unwrap();
    std::fs::create_dir(&data).unwrap();
    let run = |program: &str, arguments: &[&std::path::Path]| {
        let status = std::process::Command::new(program).args(arguments).status();
        assert!(status.unwrap().success(), "{program}");
    };
    run(make, &["-q".as_ref(), &disk]);
    run("mount", &["-o".as_ref(), "loop".as_ref(), &disk, &data]);
    let engine = Engine::start_with(tempfile::tempdir().unwrap(), driver, &data).await;
    engine.import("busybox:test", true, &["CMD [\"/bin/sleep\",\"1000\"]"]);
    check(&engine).await;
    drop(engine);
    run("umount", &["--recursive".as_ref(), &data]);
}

/// In `make test-full`, as the one below: not every kernel has what it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs btrfs-progs, btrfs in the kernel and a loop device"]
async fn a_quota_holds_where_the_engines_storage_has_one() {
    on("btrfs", "mkfs.btrfs", async |engine: &Engine| {
        let backend = engine.backend();
        create(&backend, spec("busybox:test")).await.unwrap();
        assert_eq!(backend.disk_limit().await.unwrap(), DiskLimit::Quota);
        let fill = command(&["/bin/dd", "if=/dev/zero", "of=/big", "bs=1M", "count=1500"]);
        let filled = backend.exec(RENTAL, fill).await.unwrap();
        assert_ne!(filled.exit_code, 0, "{filled:?}");
        let used = backend.usage(RENTAL).await.unwrap().disk_bytes;
        assert!((500_000_000..=1_000_000_000).contains(&used), "{used}");
        backend.remove(RENTAL).await.unwrap();
        assert_eq!(engine.left(), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs xfsprogs, XFS in the kernel and a loop device"]
async fn without_project_quotas_the_disk_is_measured() {
    on("overlay2", "mkfs.xfs", async |engine: &Engine| {
        let backend = engine.backend();
        create(&backend, spec("busybox:test")).await.unwrap();
        assert_eq!(backend.disk_limit().await.unwrap(), DiskLimit::Measured);
        backend.remove(RENTAL).await.unwrap();
        assert_eq!(engine.left(), "");
    })
    .await;
}
