//! Writes the seeds of the fuzz target `docker` into the folder that is named: one input for each call and kind of answer.

use std::fs;
use std::io;
use std::path::PathBuf;

use jeju_shim_protocol::docker::{
    ContainerName, ContainerSpec, ExecId, ExecSpec, Labels, Network, NetworkSpec, Request, archive,
};

fn main() -> io::Result<()> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: docker_seeds FOLDER"))?
        .into();
    fs::create_dir_all(&folder)?;
    let entries = [
        archive::Entry {
            path: ".jeju",
            mode: 0o755,
            content: None,
        },
        archive::Entry {
            path: ".jeju/agent",
            mode: 0o755,
            content: Some(b"\x7fELF"),
        },
    ];
    let archive = archive::encode(&entries).map_err(io::Error::other)?;
    for (name, request) in requests() {
        let emitted = request.emit();
        let body = match (emitted.body, emitted.content_type) {
            (Some(body), _) => body,
            (None, Some(_)) => archive.clone(),
            (None, None) => Vec::new(),
        };
        let content_type = emitted
            .content_type
            .map(|kind| format!(" {kind}"))
            .unwrap_or_default();
        let line = format!("{} {}{content_type}\n", emitted.method, emitted.target);
        write(&folder, name, 0, &[line.as_bytes(), &body].concat())?;
        if name == "create-container" {
            write(&folder, "container", 4, &body)?;
        }
    }
    write(&folder, "archive", 1, &archive)?;
    let digest = "a1".repeat(32);
    write(
        &folder,
        "image",
        2,
        format!("localhost:5000/a/b_c:1.2@sha256:{digest}").as_bytes(),
    )?;
    write(&folder, "frame", 3, &[1, 0, 0, 0, 0, 0, 1, 0])?;
    for (name, answer) in [
        (
            "answer-info",
            r#"{"ServerVersion":"20.10.24","Driver":"overlay2","DriverStatus":[["a","b"]],"NCPU":2,"SecurityOptions":null}"#,
        ),
        (
            "answer-image",
            r#"{"Id":"sha256:1","RepoDigests":["busybox@sha256:2"],"Config":{"Cmd":["sh"],"Volumes":{"/data":{}}}}"#,
        ),
        (
            "answer-container",
            r#"{"Id":"1","State":{"Status":"running","ExitCode":0},"Config":{"Labels":{"jeju.agent":"x"}},"SizeRw":1}"#,
        ),
        (
            "answer-list",
            r#"[{"Id":"1","Names":["/a"],"Labels":{"jeju.rental":"x"},"State":"exited"}]"#,
        ),
        (
            "answer-stats",
            r#"{"cpu_stats":{"cpu_usage":{"total_usage":1}},"memory_stats":{"usage":1},"networks":{"eth0":{"rx_bytes":1}}}"#,
        ),
        (
            "answer-pull",
            r#"{"status":"Downloading","id":"a","progressDetail":{"current":1,"total":2}}"#,
        ),
        ("answer-failure", r#"{"message":"no such container"}"#),
    ] {
        write(&folder, name, 5, answer.as_bytes())?;
    }
    Ok(())
}

fn write(folder: &std::path::Path, name: &str, choice: u8, bytes: &[u8]) -> io::Result<()> {
    fs::write(folder.join(name), [&[choice], bytes].concat())
}

fn requests() -> Vec<(&'static str, Request)> {
    let name = ContainerName::from_id([7; 32]);
    let agent = [7; 32];
    let image = || "localhost:5000/a:1".parse();
    let mut requests = vec![
        ("ping", Request::Ping),
        (
            "create-network",
            Request::CreateNetwork(NetworkSpec {
                name,
                agent,
                internal: true,
            }),
        ),
        ("stop", Request::StopContainer { name, seconds: 10 }),
        ("remove", Request::RemoveContainer(name)),
        ("list", Request::ListContainers { agent }),
        ("list-networks", Request::ListNetworks { agent }),
        ("logs", Request::Logs { name, tail: 100 }),
        ("stats", Request::Stats(name)),
        ("put-archive", Request::PutArchive { name }),
        (
            "create-exec",
            Request::CreateExec {
                name,
                spec: ExecSpec::agent(),
            },
        ),
    ];
    if let Ok(id) = "07".repeat(32).parse::<ExecId>() {
        requests.push(("start-exec", Request::StartExec { id }));
    }
    if let (Ok(pulled), Ok(used)) = (image(), image()) {
        requests.push(("pull", Request::PullImage(pulled)));
        let spec = ContainerSpec {
            name,
            agent,
            image: used,
            command: vec!["/bin/sh".to_owned()],
            labels: Labels::from([("jeju.note".to_owned(), "x".to_owned())]),
            memory: 1 << 30,
            nano_cpus: 1_000_000_000,
            pids: 4096,
            network: Network::Own,
            storage: Some(1 << 30),
            memory_paths: vec!["/data".to_owned()],
        };
        requests.push(("create-container", Request::CreateContainer(Box::new(spec))));
    }
    requests
}
