//! SFTP, spoken by OpenSSH's own clients.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jeju_agent_protocol::{Event, Open};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Command;

use crate::harness::{Running, start};

/// An SFTP channel behind a program that OpenSSH's clients start in place of `sftp-server`.
struct Bridge {
    folder: TempDir,
    _running: Running,
}

impl Bridge {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["in", "out"] {
            let made = Command::new("mkfifo").arg(path(name)).status().await.unwrap();
            assert!(made.success());
        }
        let script = format!(
            "#!/bin/sh\ncat {} &\nexec cat > {}\n",
            path("out").display(),
            path("in").display()
        );
        fs::write(path("server"), script).unwrap();
        fs::set_permissions(path("server"), fs::Permissions::from_mode(0o755)).unwrap();
        let running = start();
        let channel = running.agent.open(Open::Sftp).await.unwrap();
        let (mut input, mut output) = channel.split();
        let (from, to) = (path("in"), path("out"));
        tokio::spawn(async move {
            let mut from = opened(move || pipe::OpenOptions::new().open_receiver(&from)).await;
            let mut part = vec![0; 32 * 1024];
            // Until the client has opened its end, there is nothing to read and no end either.
            let mut started = false;
            loop {
                match from.read(&mut part).await.unwrap() {
                    0 if !started => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                    0 => break,
                    len => {
                        started = true;
                        input.write(part[..len].to_vec().into()).await.unwrap();
                    }
                }
            }
            input.eof().await.unwrap();
        });
        tokio::spawn(async move {
            let mut to = opened(move || pipe::OpenOptions::new().open_sender(&to)).await;
            while let Some(event) = output.next().await {
                if let Event::Stdout(data) = event
                    && to.write_all(&data).await.is_err()
                {
                    break;
                }
            }
        });
        Bridge {
            folder,
            _running: running,
        }
    }

    fn server(&self) -> PathBuf {
        self.folder.path().join("server")
    }
}

/// A pipe, once somebody has its other end.
async fn opened<T>(open: impl Fn() -> std::io::Result<T>) -> T {
    loop {
        match open() {
            Ok(pipe) => return pipe,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// What `sftp` says to a batch, and whether all of it succeeded.
async fn sftp(batch: &str) -> (String, bool) {
    let bridge = Bridge::new().await;
    let file = bridge.folder.path().join("batch");
    fs::write(&file, batch).unwrap();
    let output = Command::new("sftp")
        .arg("-q")
        .arg("-b")
        .arg(&file)
        .arg("-D")
        .arg(bridge.server())
        .output()
        .await
        .expect("OpenSSH's sftp is installed");
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&text).into_owned(),
        output.status.success(),
    )
}

async fn scp(arguments: &[&str]) {
    let bridge = Bridge::new().await;
    let output = Command::new("scp")
        .arg("-q")
        .arg("-D")
        .arg(bridge.server())
        .args(arguments)
        .output()
        .await
        .expect("OpenSSH's scp is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

fn noise(path: &Path, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(path, &bytes).unwrap();
    bytes
}

#[tokio::test]
async fn files_come_and_go_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, back) = ("here", "there", "back").map_paths(&folder);
    let bytes = noise(&here, 20_000_000);
    scp(&["-p", here.to_str().unwrap(), &format!("x:{}", there.display())]).await;
    assert!(fs::read(&there).unwrap() == bytes);
    assert_eq!(
        fs::metadata(&there).unwrap().mtime(),
        fs::metadata(&here).unwrap().mtime()
    );
    scp(&[&format!("x:{}", there.display()), back.to_str().unwrap()]).await;
    assert!(fs::read(&back).unwrap() == bytes);
}

trait MapPaths {
    fn map_paths(self, folder: &TempDir) -> (PathBuf, PathBuf, PathBuf);
}

impl MapPaths for (&str, &str, &str) {
    fn map_paths(self, folder: &TempDir) -> (PathBuf, PathBuf, PathBuf) {
        let path = |name| folder.path().join(name);
        (path(self.0), path(self.1), path(self.2))
    }
}

#[tokio::test]
async fn everything_that_sftp_can_do_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let bytes = noise(&root.join("local"), 300_000);
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("d/partial"), &bytes[..100_000]).unwrap();
    let batch = format!(
        "cd {0}\nlcd {0}\npwd\nput local d/a\nchmod 600 d/a\nrename d/a d/b\nln d/b d/hard\nln -s b d/soft\n\
         ls -la d\ndf d\nget d/b got\nreget d/b got\nput local d/b2\nrm d/hard\nrename d/b2 d/b\nmkdir d/e\nrmdir d/e\nchown 0 d/b\nchgrp 0 d/b\n\
         put -p local d/times\nget -r d tree\nput -f local d/synced\nput -a local d/partial\n",
        root.display()
    );
    let (said, done) = sftp(&batch).await;
    assert!(done, "{said}");
    assert!(fs::read(root.join("got")).unwrap() == bytes);
    assert!(fs::read(root.join("tree/b")).unwrap() == bytes);
    assert!(fs::read(root.join("d/times")).unwrap() == bytes);
    assert!(fs::read(root.join("d/partial")).unwrap() == bytes);
    assert_eq!(fs::read_link(root.join("d/soft")).unwrap(), Path::new("b"));
    assert!(!root.join("d/hard").exists() && !root.join("d/e").exists());
    let shown: Vec<_> = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .collect();
    let line = |name: &str| {
        let mut listed = shown.iter().filter(|words| words.len() == 9);
        listed.find(|words| words[8] == name)
    };
    let file = line("b").unwrap();
    assert_eq!((file[0], file[4]), ("-rw-------", "300000"), "{said}");
    assert!(line("soft").unwrap()[0].starts_with("lrwx"), "{said}");
    assert!(line("..").unwrap()[0].starts_with('d'), "{said}");
    assert!(said.contains("%Capacity"), "{said}");
}

#[tokio::test]
async fn the_home_is_where_a_session_starts() {
    let (said, done) = sftp("pwd\n").await;
    assert!(done);
    let home = fs::read_to_string("/etc/passwd").unwrap();
    let home = home.lines().next().unwrap().split(':').nth(5).unwrap().to_owned();
    assert!(
        said.contains(&format!("Remote working directory: {home}")),
        "{said}"
    );
}

#[tokio::test]
async fn a_name_need_not_be_text() {
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("d").join(name), "x").unwrap();
    let (said, done) = sftp(&format!("get -r {0}/d {0}/tree\n", folder.path().display())).await;
    assert!(done, "{said}");
    assert_eq!(fs::read(folder.path().join("tree").join(name)).unwrap(), b"x");
}

#[tokio::test]
async fn what_fails_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), "x").unwrap();
    fs::create_dir_all(folder.path().join("d/e")).unwrap();
    let f = folder.path().display();
    for (batch, reason) in [
        (format!("get {f}/none"), "not found"),
        (format!("rmdir {f}/d"), "Failure"),
        (format!("mkdir {f}/d"), "Failure"),
        (format!("rm {f}/none"), "No such file"),
        (format!("cd {f}/f"), "Not a directory"),
        (format!("put /etc/passwd {f}/none/x"), "No such file"),
        ("put /etc/passwd /proc/version".to_owned(), ""),
    ] {
        let (said, done) = sftp(&format!("{batch}\n")).await;
        assert!(!done, "{batch}");
        assert!(
            said.to_lowercase().contains(&reason.to_lowercase()),
            "{batch}: {said}"
        );
    }
}
