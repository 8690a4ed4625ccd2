//! The real command line at the filter.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_docker_command_line_gets_nowhere() {
    let engine = Engine::start().await;
    engine.import_busybox("busybox:test", &["CMD [\"/bin/sh\"]"]);
    engine.must(&["create", "--name", "postgres", "busybox:test", "sh"]);
    let rig = engine.rig().await;
    let create = Request::CreateContainer(Box::new({
        let mut spec = spec("busybox:test", &["/bin/sleep", "1000"]);
        spec.network = Network::None;
        spec
    }));
    expect(&rig, create, None, 201).await;
    expect(
        &rig,
        Request::PutArchive { name: NAME },
        Some(agent_archive()),
        204,
    )
    .await;
    expect(&rig, Request::StartContainer(NAME), None, 204).await;

    let filter = rig.dir.path().join("5002.sock");
    let own = NAME.to_string();
    let own = &own[..];
    let inside = format!("{own}:/etc/");
    let file = rig.dir.path().join("launch.toml");
    let file = file.to_str().unwrap();
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("Dockerfile"), "FROM busybox:test\nRUN true\n").unwrap();
    let directory = context.path().to_str().unwrap();
    let before = engine.must(&[
        "ps",
        "--all",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.Names}} {{.State}}",
    ]);
    let commands: Vec<Vec<&str>> = vec![
        vec!["ps"],
        vec!["ps", "--all"],
        vec!["version"],
        vec!["images"],
        vec!["run", "busybox:test", "true"],
        vec![
            "run",
            "--privileged",
            "--volume",
            "/:/host",
            "busybox:test",
            "true",
        ],
        vec![
            "run",
            "--pid",
            "host",
            "--network",
            "host",
            "--ipc",
            "host",
            "busybox:test",
            "true",
        ],
        vec!["run", "--name", own, "busybox:test", "true"],
        vec!["create", "--name", own, "--device", "/dev/kvm", "busybox:test"],
        vec![
            "create",
            "--cap-add",
            "ALL",
            "--security-opt",
            "seccomp=unconfined",
            "busybox:test",
        ],
        vec![
            "create",
            "--mount",
            "type=bind,source=/,target=/host",
            "busybox:test",
        ],
        vec!["exec", own, "true"],
        vec!["exec", "--privileged", own, "true"],
        vec!["exec", "postgres", "true"],
        vec!["cp", file, &inside],
        vec!["cp", &inside, "/tmp/never"],
        vec!["start", "postgres"],
        vec!["stop", "postgres"],
        vec!["rm", "--force", "postgres"],
        vec!["rm", "--force", own],
        vec!["kill", "--signal", "STOP", own],
        vec!["pause", own],
        vec!["restart", own],
        vec!["rename", own, "other"],
        vec!["update", "--memory", "1g", own],
        vec!["attach", own],
        vec!["top", own],
        vec!["diff", own],
        vec!["export", own],
        vec!["wait", "postgres"],
        vec!["logs", "postgres"],
        vec!["logs", own],
        vec!["stats", "--no-stream"],
        vec!["inspect", "postgres"],
        vec!["commit", own, "stolen"],
        vec!["build", directory],
        vec!["import", file, "x"],
        vec!["load", "--input", file],
        vec!["save", "busybox:test"],
        vec!["tag", "busybox:test", "x"],
        vec!["rmi", "busybox:test"],
        vec!["history", "busybox:test"],
        vec!["pull", "busybox:test"],
        vec!["push", "127.0.0.1:1/busybox"],
        vec!["login", "--username", "a", "--password", "b", "127.0.0.1:1"],
        vec!["volume", "ls"],
        vec!["volume", "create", "x"],
        vec![
            "volume",
            "create",
            "--opt",
            "o=bind",
            "--opt",
            "type=none",
            "--opt",
            "device=/",
            "x",
        ],
        vec!["network", "ls"],
        vec!["network", "create", "x"],
        vec!["network", "inspect", "host"],
        vec!["network", "connect", "host", own],
        vec!["network", "rm", "none"],
        vec!["plugin", "ls"],
        vec!["swarm", "init"],
        vec!["node", "ls"],
        vec!["service", "ls"],
        vec!["secret", "ls"],
        vec!["events", "--until", "1s"],
        vec!["system", "df"],
        vec!["system", "prune", "--force"],
        vec!["container", "prune", "--force"],
    ];
    let answers = [
        "not offered",
        "is not the one that",
        "are served",
        "is named",
        "not allowed",
        "body is over",
        "an image reference is",
        // It asks about the server, or the place, first, and takes the refusal for an answer.
        "unknown server OS",
        "no such directory",
        "received 403",
    ];
    let mut odd = Vec::new();
    for command in commands {
        let output = docker(&filter, &command);
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() || !answers.iter().any(|text| said.contains(text)) {
            odd.push((command, said));
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
    let after = engine.must(&[
        "ps",
        "--all",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.Names}} {{.State}}",
    ]);
    assert_eq!(after, before);
    assert_eq!(
        engine.must(&["images", "--format", "{{.Repository}}:{{.Tag}}"]),
        "busybox:test"
    );
    assert_eq!(engine.must(&["volume", "ls", "--quiet"]), "");
    assert_eq!(
        engine
            .must(&["network", "ls", "--format", "{{.Name}}"])
            .lines()
            .count(),
        2
    );
    assert!(!Path::new("/tmp/never").exists());
    expect(&rig, Request::RemoveContainer(NAME), None, 204).await;
}
