//! Blobs, as a guest sees them: over requests, restarts, limits, and a shim that is killed.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use jeju_shim_protocol::blob::{self, BlobName, ListRequest, MAX_BLOB};

use super::*;

fn name(text: &str) -> BlobName {
    BlobName::parse(text).unwrap()
}

fn blobs_of(config: &mut Config) {
    config.blobs = Some(config.launch.with_file_name("blobs"));
}

async fn list(guest: &mut Stream, space: &str) -> Vec<String> {
    let request = ListRequest::new(space, "", None).unwrap();
    soon(blob::list(guest, &request)).await.unwrap().into_names()
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ExchangeError>) -> ErrorCode {
    match outcome {
        Err(ExchangeError::Refused(code)) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn blobs_come_back_over_one_connection_and_another() {
    let rig = Rig::new(blobs_of).await;
    let long: Vec<u8> = (0..MAX_BLOB).map(|i| (i % 251) as u8).collect();
    let mut guest = rig.dial(Port::Blobs).await;
    assert_eq!(soon(blob::get(&mut guest, &name("s/a"))).await.unwrap(), None);
    soon(blob::put(&mut guest, &name("s/a"), &long)).await.unwrap();
    soon(blob::put(&mut guest, &name("s/b"), b"")).await.unwrap();
    soon(blob::put(&mut guest, &name("t/c"), b"other")).await.unwrap();
    let mut other = rig.dial(Port::Blobs).await;
    assert_eq!(
        soon(blob::get(&mut other, &name("s/a"))).await.unwrap(),
        Some(long)
    );
    assert_eq!(list(&mut other, "s").await, ["a", "b"]);
    soon(blob::delete(&mut guest, &name("s/a"))).await.unwrap();
    soon(blob::delete(&mut guest, &name("s/a"))).await.unwrap();
    assert_eq!(list(&mut other, "s").await, ["b"]);
    assert_eq!(soon(blob::get(&mut other, &name("s/a"))).await.unwrap(), None);
    for (series, value) in [
        ("jeju_shim_stored_bytes{port=\"5001\"}", 5),
        ("jeju_shim_stored_blobs{port=\"5001\"}", 2),
        (
            "jeju_shim_bytes_total{port=\"5001\",direction=\"from_guest\"}",
            MAX_BLOB as u64 + 5,
        ),
        ("jeju_shim_denied_total{port=\"5001\"}", 0),
    ] {
        assert_eq!(rig.metric(series).await, value, "{series}");
    }
}

#[tokio::test]
async fn without_a_directory_there_is_no_store() {
    let rig = Rig::new(|_| {}).await;
    let mut guest = rig.dial(Port::Blobs).await;
    // Not 'not found': a guest must not take a missing store for an empty one.
    let unavailable = ErrorCode::Unavailable;
    assert_eq!(
        refusal(soon(blob::get(&mut guest, &name("s/a"))).await),
        unavailable
    );
    assert_eq!(
        refusal(soon(blob::put(&mut guest, &name("s/a"), &[0; 1000])).await),
        unavailable
    );
    assert_eq!(
        refusal(soon(blob::delete(&mut guest, &name("s/a"))).await),
        unavailable
    );
    let request = ListRequest::new("s", "", None).unwrap();
    assert_eq!(refusal(soon(blob::list(&mut guest, &request)).await), unavailable);
    assert_eq!(rig.metric("jeju_shim_denied_total{port=\"5001\"}").await, 4);
}

#[tokio::test]
async fn a_full_store_says_so_and_goes_on() {
    let rig = Rig::new(|config| {
        blobs_of(config);
        config.blobs_limit = 100_000;
        config.blobs_max_count = 3;
    })
    .await;
    let mut guest = rig.dial(Port::Blobs).await;
    soon(blob::put(&mut guest, &name("s/a"), &[1; 60_000]))
        .await
        .unwrap();
    let full = soon(blob::put(&mut guest, &name("s/b"), &[2; 60_000])).await;
    assert_eq!(refusal(full), ErrorCode::Full);
    let full = soon(blob::put(&mut guest, &name("s/a"), &[3; 100_001])).await;
    assert_eq!(refusal(full), ErrorCode::Full);
    let kept = soon(blob::get(&mut guest, &name("s/a"))).await.unwrap();
    assert_eq!(kept, Some(vec![1; 60_000]));
    for leaf in ["b", "c"] {
        soon(blob::put(&mut guest, &name(&format!("s/{leaf}")), b"x"))
            .await
            .unwrap();
    }
    let full = soon(blob::put(&mut guest, &name("s/d"), b"")).await;
    assert_eq!(refusal(full), ErrorCode::Full);
    soon(blob::delete(&mut guest, &name("s/a"))).await.unwrap();
    soon(blob::put(&mut guest, &name("s/d"), &[4; 90_000]))
        .await
        .unwrap();
    let files = std::fs::read_dir(rig.dir.path().join("blobs/s")).unwrap();
    assert_eq!(files.count(), 3, "nothing unfinished lies about");
}

#[tokio::test]
async fn no_name_leads_out_of_the_directory() {
    let rig = Rig::new(blobs_of).await;
    for line in [
        "GET ../launch.toml",
        "GET s/../../launch.toml",
        "GET s/..",
        "GET ./launch",
        "GET .lock",
        "GET s/.lock",
        "GET /etc/passwd",
        "PUT ../x 1",
        "DELETE s/../../launch.toml",
        "LIST ../",
        "LIST s/../",
        "GET s/%2e%2e",
    ] {
        let mut guest = rig.dial(Port::Blobs).await;
        guest.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert_eq!(rest(&mut guest).await, b"ERR bad-request\n", "{line:?}");
    }
    assert!(rig.dir.path().join("launch.toml").exists());
}

#[tokio::test]
async fn too_long_a_blob_is_refused_before_it_comes() {
    let rig = Rig::new(blobs_of).await;
    let mut guest = rig.dial(Port::Blobs).await;
    guest
        .write_all(format!("PUT s/a {}\n", MAX_BLOB + 1).as_bytes())
        .await
        .unwrap();
    assert_eq!(rest(&mut guest).await, b"ERR bad-request\n");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let rig = Rig::new(|config| {
        blobs_of(config);
        config.max_connections = 1;
    })
    .await;
    let _first = rig.dial(Port::Blobs).await;
    rig.until("jeju_shim_connections_active{port=\"5001\"}", 1).await;
    assert_eq!(rest(&mut rig.dial(Port::Blobs).await).await, b"ERR busy\n");
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let rig = Rig::new(|config| {
        blobs_of(config);
        config.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let mut guest = rig.dial(Port::Blobs).await;
    assert_eq!(rest(&mut guest).await, b"");
    rig.until("jeju_shim_idle_timeouts_total{port=\"5001\"}", 1).await;
}

#[tokio::test]
async fn a_directory_serves_one_shim() {
    let rig = Rig::new(blobs_of).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let start = async || {
        let mut config = Config::new(
            HostTransport::Unix(elsewhere.path().into()),
            rig.dir.path().join("launch.toml"),
        );
        config.blobs = Some(rig.dir.path().join("blobs"));
        HostShim::start(config).await.map(|_| ())
    };
    assert!(matches!(start().await, Err(StartError::Blobs { .. })));
    // Nor is a file taken for a directory.
    let mut config = Config::new(
        HostTransport::Unix(elsewhere.path().into()),
        rig.dir.path().join("launch.toml"),
    );
    config.blobs = Some(rig.dir.path().join("launch.toml"));
    assert!(matches!(
        HostShim::start(config).await.map(|_| ()),
        Err(StartError::Blobs { .. })
    ));
}

/// The shim as a program, with its sockets and blobs in one folder.
struct Program {
    child: Child,
    guest: GuestTransport,
}

impl Program {
    async fn start(dir: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_jeju-host-shim"))
            .args(["run", "--transport", &format!("unix:{}", dir.display())])
            .arg("--launch")
            .arg(dir.join("launch.toml"))
            .arg("--blobs")
            .arg(dir.join("blobs"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let guest = GuestTransport::Unix(dir.into());
        let start = Instant::now();
        // Sockets of a killed shim lie there until the next one takes their place.
        while guest.dial(Port::Blobs).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "the shim doesn't start");
            sleep(Duration::from_millis(5)).await;
        }
        Self { child, guest }
    }

    /// SIGKILL: no handler runs, no buffer is written.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A blob that says which write it is of, whole or not.
fn content(write: u64) -> Vec<u8> {
    let len = 1000 + (write * 7919 % 60_000) as usize;
    write.to_be_bytes().into_iter().cycle().take(len).collect()
}

/// Writers that go on until the shim is killed. Whatever was answered is there afterwards, or a later write; and whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_outlives_a_killed_shim() {
    const WRITERS: u64 = 4;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("launch.toml"), LAUNCH).unwrap();
    // By writer: the last write that was answered.
    let mut answered: BTreeMap<u64, u64> = (0..WRITERS).map(|writer| (writer, 0)).collect();
    let mut writes = 0;
    for round in 0..12 {
        let program = Program::start(dir.path()).await;
        let mut guest = program.guest.dial(Port::Blobs).await.unwrap();
        for (writer, write) in &mut answered {
            let found = soon(blob::get(&mut guest, &name(&format!("s/w{writer}")))).await;
            let Some(blob) = found.unwrap() else {
                assert_eq!(*write, 0, "writer {writer} in round {round}");
                continue;
            };
            let found = u64::from_be_bytes(blob[..8].try_into().unwrap());
            assert!(found >= *write, "writer {writer}: {found} for {write}");
            assert_eq!(blob, content(found), "writer {writer} in round {round}");
            *write = found;
        }
        let names = list(&mut guest, "s").await;
        assert!(names.len() <= WRITERS as usize, "{names:?}");
        let done = Arc::new(AtomicU64::new(0));
        let mut writers: Vec<JoinHandle<(u64, u64)>> = Vec::new();
        for (&writer, &last) in &answered {
            let mut stream = program.guest.dial(Port::Blobs).await.unwrap();
            let done = done.clone();
            writers.push(tokio::spawn(async move {
                let name = name(&format!("s/w{writer}"));
                let mut last = last;
                while blob::put(&mut stream, &name, &content(last + 1)).await.is_ok() {
                    last += 1;
                    done.fetch_add(1, Relaxed);
                }
                (writer, last)
            }));
        }
        sleep(Duration::from_millis(20 + 17 * round)).await;
        // A disk may be slow.
        soon(async {
            while done.load(Relaxed) < 5 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        program.kill();
        for writer in writers {
            let (writer, last) = soon(writer).await.unwrap();
            writes += last - answered[&writer];
            answered.insert(writer, last);
        }
    }
    Program::start(dir.path()).await.kill();
    let files = std::fs::read_dir(dir.path().join("blobs/s")).unwrap();
    assert_eq!(files.count() as u64, WRITERS, "nothing unfinished lies about");
    assert!(writes > 50, "{writes} writes test little");
    println!("{writes} writes were answered, and 12 shims killed");
}
