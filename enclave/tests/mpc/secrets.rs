//! A share that is known to the test, because it may open the simulated machine's seal, and everything that leaves the node.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use bytes::Bytes;
use frost_secp256k1::keys::KeyPackage;
use jeju_attestation::launch::LaunchDocument;
use jeju_enclave::signer::vault::Opened;
use jeju_store::{MemoryBlobs, PlatformSecret, SealingRoot};
use serde_json::json;
use tokio::process::Command;

use crate::fixture::{User, document, start, until_admitted};
use crate::host::{Host, IMAGE};

/// The secret scalars in a node's sealed records.
fn shares(host: &Host, launch: &str) -> Vec<[u8; 32]> {
    let digest = LaunchDocument::digest(launch.as_bytes());
    let secret = host.machine.silicon.chip(IMAGE, digest).sealing_key();
    let key = PlatformSecret::new(secret, digest).seal_key(b"signer").unwrap();
    let mut blobs = MemoryBlobs(host.machine.blobs.as_ref().unwrap().lock().unwrap().clone());
    let mut opened = Opened::new(Some(&key)).unwrap();
    while let Some(op) = opened.ask().unwrap() {
        opened.answer(&key, Some(blobs.perform(&op))).unwrap();
    }
    let (_, records) = opened.finish().unwrap();
    let roots = records.iter().filter(|(name, _)| name.starts_with("root-"));
    roots
        .map(|(_, record)| {
            // Version, kind, network, root, scheme, count; level, generation, session; a length, and the key package.
            let from = 1 + 1 + 32 + 32 + 1 + 2 + 1 + 4 + 32;
            let len = u32::from_be_bytes(record[from..from + 4].try_into().unwrap()) as usize;
            let package = KeyPackage::deserialize(&record[from + 4..from + 4 + len]).unwrap();
            package.signing_share().serialize().try_into().unwrap()
        })
        .collect()
}

async fn ask(host: &Host, method: &str, path: &str, body: &[u8]) -> (u16, Bytes) {
    let mut client = host.connect_mpc().await;
    client.request(method, path, body).await.unwrap()
}

/// However it may be written.
fn shows(bytes: &[u8], secret: &[u8; 32]) -> bool {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let digits = hex::encode(secret);
    let list = format!("{secret:?}");
    let list = list.trim_matches(['[', ']']);
    has(secret)
        || has(digits.as_bytes())
        || has(digits.to_uppercase().as_bytes())
        || has(list.as_bytes())
        || has(list.replace(' ', "").as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_in_no_log_no_answer_no_blob_and_no_core_dump() {
    let (mut hosts, network) = start(3, 2, true).await;
    for host in &hosts {
        until_admitted(host, 2).await;
    }
    let user = User::new(&network, 1);
    let mut answers = Vec::new();
    for (path, body, status) in [
        ("/mpc/keygen", user.keygen(1), 200),
        ("/mpc/sign", user.message("hello", 2), 200),
        // Errors of each kind.
        ("/mpc/sign", user.message("other", 2), 409),
        ("/mpc/sign", b"{".to_vec(), 400),
        ("/mpc/sign", vec![0xFF; 1000], 400),
    ] {
        let (found, answer) = ask(&hosts[0], "POST", path, &body).await;
        assert_eq!(found, status, "{path}: {}", String::from_utf8_lossy(&answer));
        answers.push(answer);
    }
    // What the node says of itself.
    for path in [
        "/mpc/status",
        "/mpc/heartbeat",
        "/health",
        "/v1/metrics",
        "/.well-known/jeju/evidence",
    ] {
        let (found, answer) = ask(&hosts[0], "GET", path, b"").await;
        assert_eq!(found, 200, "{path}");
        answers.push(answer);
    }
    let launch = {
        let machines: Vec<_> = hosts.iter().map(|host| &host.machine).collect();
        document(&machines, 2, 0)
    };
    let secrets = shares(&hosts[0], &launch);
    assert!(!secrets.is_empty() && secrets.iter().all(|secret| *secret != [0; 32]));

    // Every process of the node is told to dump its memory, where that is allowed as far as the test can allow it.
    let mut host = hosts.remove(0);
    let node = host.node.id().unwrap();
    let processes = descendants(node);
    assert!(
        processes.len() >= 4,
        "quote, signer and front beside the first: {processes:?}"
    );
    for pid in &processes {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{pid}");
    }
    let before = cores(&processes);
    // Those that this test started, by their numbers.
    let mut kill = Command::new("kill");
    kill.arg("-ABRT").args(processes.iter().map(u32::to_string));
    kill.stderr(Stdio::null()).status().await.unwrap();
    let ended = host.node.wait().await.unwrap();
    assert!(!ended.core_dumped(), "{ended}");
    assert_eq!(cores(&processes), before);

    let printed = host.printed.lock().unwrap().clone();
    assert!(printed.contains("JEJU-READY"), "what was printed was read");
    let kept = host.machine.blobs.as_ref().unwrap().lock().unwrap();
    for secret in &secrets {
        assert!(!shows(printed.as_bytes(), secret), "a share in the log");
        for answer in &answers {
            assert!(!shows(answer, secret), "a share in an answer");
        }
        for (name, blob) in kept.iter() {
            assert!(!shows(blob, secret), "a share in blob {name}");
        }
    }
    // The search finds what is there.
    let hidden = [b"x".as_slice(), &secrets[0], b"y"].concat();
    assert!(shows(&hidden, &secrets[0]) && shows(json!(secrets[0]).to_string().as_bytes(), &secrets[0]));
}

/// A process and all that it started.
fn descendants(of: u32) -> Vec<u32> {
    let mut all = vec![of];
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut at = 0;
    while at < all.len() {
        let children = parents
            .iter()
            .filter(|(_, parent)| *parent == all[at])
            .map(|(pid, _)| *pid);
        all.extend(children.collect::<Vec<_>>());
        at += 1;
    }
    all
}

/// Core files of these processes, where the kernel writes them by default.
fn cores(processes: &[u32]) -> Vec<String> {
    let folder = std::fs::read_dir(".").unwrap().flatten();
    folder
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name == "core" || processes.iter().any(|pid| *name == format!("core.{pid}")))
        .collect()
}
