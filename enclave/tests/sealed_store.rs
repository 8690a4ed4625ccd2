//! The sealed store with everything under it: simulated silicon's key, the front's connection, and the host shim's files.

use std::collections::BTreeMap;
use std::path::Path;

use jeju_attestation::launch::LaunchDocument;
use jeju_enclave::blobs::{BlobError, Blobs};
use jeju_host_shim::{Config, HostShim, RunningShim};
use jeju_quote::Device;
use jeju_shim_protocol::transport::{GuestTransport, HostTransport};
use jeju_simulated::Silicon;
use jeju_store::{
    Change, Freshness, Mark, OpenError, Opening, PlatformSecret, RecordName, SealingKey, SealingRoot, Store,
};
use tokio::net::UnixListener;
use zeroize::Zeroizing;

const LAUNCH: &[u8] = b"version = 1\n";
const CANARY: &[u8] = b"CANARY-a-share-of-a-key-CANARY";

/// A machine: its silicon, its shim, and the folder of its sockets.
struct Machine {
    dir: tempfile::TempDir,
    silicon: Option<tokio::task::JoinHandle<()>>,
    shim: Option<RunningShim>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("launch.toml"), LAUNCH).unwrap();
        Self {
            dir,
            silicon: None,
            shim: None,
        }
    }

    /// Boots an image with this digest; the machine's blobs are those that `blobs` names.
    async fn boot(&mut self, image: u8, blobs: &str) {
        if let Some(silicon) = self.silicon.take() {
            silicon.abort();
            let _ = silicon.await;
            std::fs::remove_file(self.dir.path().join("5006.sock")).unwrap();
        }
        if let Some(shim) = self.shim.take() {
            shim.shutdown().await;
        }
        let silicon = Silicon::open_or_create(&self.dir.path().join("silicon")).unwrap();
        let chip = silicon.chip([image; 32], LaunchDocument::digest(LAUNCH));
        let listener = UnixListener::bind(self.dir.path().join("5006.sock")).unwrap();
        self.silicon = Some(tokio::spawn(jeju_simulated::serve(chip, listener)));
        let mut config = Config::new(
            HostTransport::Unix(self.dir.path().into()),
            self.dir.path().join("launch.toml"),
        );
        config.blobs = Some(self.dir.path().join(blobs));
        config.drain_timeout = std::time::Duration::ZERO;
        self.shim = Some(HostShim::start(config).await.unwrap());
    }

    fn transport(&self) -> GuestTransport {
        GuestTransport::Unix(self.dir.path().into())
    }

    fn key(&self) -> Option<SealingKey> {
        let secret = Device::simulated(self.transport()).sealing_secret().unwrap()?;
        PlatformSecret::new(secret, LaunchDocument::digest(LAUNCH)).seal_key(b"signer")
    }

    async fn open(&self) -> Result<(Store, Blobs, BTreeMap<String, Vec<u8>>), OpenError> {
        let blobs = Blobs::new(self.transport());
        let mut opening = Opening::new("signer", self.key())?;
        let mut records = BTreeMap::new();
        while let Some(op) = opening.ask()? {
            let reply = blobs.perform(op).await.unwrap();
            if let Some(record) = opening.answer(reply)? {
                records.insert(record.name.to_string(), record.value.to_vec());
            }
        }
        Ok((opening.finish()?, blobs, records))
    }
}

async fn commit(store: &mut Store, blobs: &Blobs, name: &str, value: &[u8]) -> Mark {
    let change = Change::Put {
        name: RecordName::new(name).unwrap(),
        value: Zeroizing::new(value.to_vec()),
    };
    let commit = store.commit([change]).unwrap();
    for op in commit.ops() {
        blobs.perform(op.clone()).await.unwrap();
    }
    store.confirm(commit).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_survives_boots_of_the_same_image_and_a_restored_disk_is_noticed() {
    let mut machine = Machine::new();
    machine.boot(1, "blobs").await;
    let (mut store, blobs, records) = machine.open().await.unwrap();
    assert!(records.is_empty());
    commit(&mut store, &blobs, "root-0", CANARY).await;
    copy(
        &machine.dir.path().join("blobs"),
        &machine.dir.path().join("backup"),
    );
    let newest = commit(&mut store, &blobs, "policy-0", &CANARY.repeat(20)).await;

    machine.boot(1, "blobs").await;
    let (store, _, records) = machine.open().await.unwrap();
    assert_eq!(records["root-0"], CANARY);
    assert_eq!(records["policy-0"], CANARY.repeat(20));
    assert_eq!(store.mark(), newest);
    assert_eq!(store.judge(&[newest]), Freshness::Current);

    // The host brings the backup back: whole and genuine, and a peer's memory tells.
    machine.boot(1, "backup").await;
    let (store, _, records) = machine.open().await.unwrap();
    assert_eq!(records.keys().collect::<Vec<_>>(), ["root-0"]);
    assert_eq!(store.judge(&[newest]), Freshness::RolledBack { newest });

    // Another image on the same machine reads nothing of it.
    machine.boot(2, "blobs").await;
    assert_eq!(machine.open().await.err(), Some(OpenError::WrongKey));

    // Nothing on the host's disk shows what was kept.
    let mut files = vec![
        machine.dir.path().join("blobs"),
        machine.dir.path().join("backup"),
    ];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == &CANARY[..8]), "{path:?}");
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

/// How long a commit takes with the disk's share in it (`docs/performance.md`). A busy disk is no failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_take_their_time() {
    const COMMITS: usize = 100;
    let mut machine = Machine::new();
    machine.boot(1, "blobs").await;
    let (mut store, blobs, _) = machine.open().await.unwrap();
    let mut took = Vec::new();
    for round in 0..COMMITS {
        let start = std::time::Instant::now();
        let name = format!("root-{}", round % 10);
        commit(&mut store, &blobs, &name, &[round as u8; 300]).await;
        took.push(start.elapsed());
    }
    took.sort();
    println!(
        "commit of 300 bytes through front and shim: p50 {:?}, p95 {:?}",
        took[COMMITS / 2],
        took[COMMITS * 95 / 100]
    );
    assert_eq!(machine.open().await.unwrap().2.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_refused() {
    let mut machine = Machine::new();
    machine.boot(1, "blobs").await;
    let (mut store, blobs, _) = machine.open().await.unwrap();
    commit(&mut store, &blobs, "root-0", CANARY).await;
    let space = machine.dir.path().join("blobs/signer");
    let record = std::fs::read_dir(space)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap() != "manifest")
        .unwrap();
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&record, bytes).unwrap();
    assert!(matches!(
        machine.open().await.err(),
        Some(OpenError::RecordCorrupt { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_blobs_is_no_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("launch.toml"), LAUNCH).unwrap();
    let config = Config::new(
        HostTransport::Unix(dir.path().into()),
        dir.path().join("launch.toml"),
    );
    let _shim = HostShim::start(config).await.unwrap();
    let blobs = Blobs::new(GuestTransport::Unix(dir.path().into()));
    let opening = Opening::new("signer", None).unwrap();
    let asked = blobs.perform(opening.ask().unwrap().unwrap()).await;
    assert!(matches!(asked, Err(BlobError::Unavailable)), "{asked:?}");
}
