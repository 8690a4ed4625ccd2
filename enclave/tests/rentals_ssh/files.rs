//! SFTP and scp.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::fixture::{Node, run};

/// 100 MB that no pattern describes.
fn large_file(node: &Node) -> (PathBuf, [u8; 32]) {
    let path = node.path("large");
    let mut data = Vec::with_capacity(100_000_000);
    let mut block = Sha256::digest(b"large");
    while data.len() < 100_000_000 {
        data.extend_from_slice(&block);
        // Each block a new one: what is lost, doubled or moved is found.
        block = if data.len() % 4096 == 0 {
            Sha256::digest(block)
        } else {
            rotate(block)
        };
    }
    fs::write(&path, &data).unwrap();
    (path, Sha256::digest(&data).into())
}

fn rotate<T: AsMut<[u8]>>(mut block: T) -> T {
    let bytes = block.as_mut();
    bytes.rotate_left(1);
    bytes[0] = bytes[0].wrapping_add(1);
    block
}

fn digest(path: &Path) -> [u8; 32] {
    Sha256::digest(fs::read(path).unwrap()).into()
}

fn copy(node: &Node, key: &Path, options: &[&str], from: &str, to: &str) {
    let mut scp = Command::new("scp");
    scp.args(options).args(node.options(key)).args([from, to]);
    scp.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ended = run(&mut scp);
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
}

#[test]
fn scp_copies_100_mb_both_ways() {
    let (node, key) = Node::rented();
    let (large, sum) = large_file(&node);
    // The old protocol runs `scp` at the other end, the new one SFTP.
    for options in [&[][..], &["-O"]] {
        let [there, back] = ["there", "back"].map(|name| node.path(name).display().to_string());
        copy(
            &node,
            &key,
            options,
            large.to_str().unwrap(),
            &format!("127.0.0.1:{there}"),
        );
        assert_eq!(digest(there.as_ref()), sum);
        copy(&node, &key, options, &format!("127.0.0.1:{there}"), &back);
        assert_eq!(digest(back.as_ref()), sum);
    }
}

#[test]
fn sftp_puts_gets_lists_and_removes() {
    let (node, key) = Node::rented();
    let (large, sum) = large_file(&node);
    let [folder, back, batch] = ["folder", "back", "batch"].map(|name| node.path(name));
    let lines = [
        format!("mkdir {}", folder.display()),
        format!("cd {}", folder.display()),
        format!("put {} there", large.display()),
        format!("get there {}", back.display()),
        "chmod 600 there".to_owned(),
        "ls -l".to_owned(),
        "rename there moved".to_owned(),
        "rm moved".to_owned(),
        "cd ..".to_owned(),
        format!("rmdir {}", folder.display()),
    ];
    fs::write(&batch, lines.join("\n")).unwrap();
    let mut sftp = Command::new("sftp");
    sftp.arg("-b")
        .arg(&batch)
        .args(node.options(&key))
        .arg("127.0.0.1");
    sftp.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ended = run(&mut sftp);
    assert_eq!(ended.status, Some(0), "{}{}", ended.text(), ended.stderr);
    assert_eq!(digest(&back), sum);
    assert!(
        ended.text().contains("-rw-------") && ended.text().contains("100000000"),
        "{}",
        ended.text()
    );
    assert!(!folder.exists());
}
