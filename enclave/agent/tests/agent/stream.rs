//! Much data, slow readers, and peers that break the rules.

use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{AGENT, Said, start};

const BULK: usize = 64 << 20;

#[tokio::test]
async fn bulk_passes_unchanged_while_other_channels_are_stalled() {
    let running = start();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(running.exec("cat /dev/zero").await);
        // This one takes no input.
        let (mut input, output) = running.exec("sleep 1000").await.split();
        tokio::spawn(async move { while input.write(vec![0; 1 << 20].into()).await.is_ok() {} });
        stalled.push(running.exec("yes >&2").await);
        tokio::spawn(Said::all(output));
    }
    let bulk: Vec<u8> = (0..BULK as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let (mut input, output) = running.exec("cat").await.split();
    let reading = tokio::spawn(Said::all(output));
    let digest = Sha256::digest(&bulk);
    input.write(bulk.into()).await.unwrap();
    input.eof().await.unwrap();
    let said = reading.await.unwrap();
    assert_eq!(said.stdout.len(), BULK);
    assert_eq!(Sha256::digest(&said.stdout), digest);
    // What stands still isn't kept by the agent.
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id().unwrap())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak < 64 * 1024, "{peak} KiB");
}

/// What the agent says at last, and its status, on these bytes as input.
async fn said_to(arguments: &[&str], input: Stdio, bytes: &[u8]) -> (String, Option<i32>) {
    let mut child = Command::new(AGENT)
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(bytes).await;
    }
    let output = child.wait_with_output().await.unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[tokio::test]
async fn a_breach_of_the_protocol_ends_the_agent() {
    let hello = b"\0\0\0\0\0\0\0\x0ajejuagnt\0\x01";
    for (bytes, reason) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "too long"),
        (b"\0\0\0\0\0\0\0\x0ajejuagnt\0\x02".to_vec(), "version 2, not 1"),
        (
            [&hello[..], b"\x04\0\0\0\x01\0\0\x01x"].concat(),
            "channel 1: isn't open",
        ),
        (
            [&hello[..], b"\x01\0\0\0\x01\0\0\x01\x07"].concat(),
            "unknown request",
        ),
        (hello[..9].to_vec(), "ended inside a frame"),
    ] {
        let (said, status) = said_to(&["serve"], Stdio::piped(), &bytes).await;
        assert!(said.contains(reason), "{said}");
        assert_eq!(status, Some(1));
    }
    let (said, status) = said_to(&["serve"], Stdio::piped(), hello).await;
    assert_eq!((said.as_str(), status), ("", Some(0)));
}

#[tokio::test]
async fn input_that_cannot_be_waited_for_is_refused() {
    let file = std::fs::File::open("/etc/passwd").unwrap();
    let (said, status) = said_to(&["serve"], file.into(), b"").await;
    assert!(said.contains("standard input or output can't be used"), "{said}");
    assert_eq!(status, Some(2));
}

#[tokio::test]
async fn an_unknown_verb_is_answered_by_the_usage() {
    for arguments in [&[][..], &["help"], &["serve", "x"], &["--version"]] {
        let (said, status) = said_to(arguments, Stdio::null(), b"").await;
        assert!(said.starts_with("usage: "), "{said}");
        assert_eq!(status, Some(2));
    }
}
