//! What a commit costs the node's CPU: sealing a record and the manifest, without the host.

use criterion::{Criterion, criterion_group, criterion_main};
use jeju_store::{Change, MemoryBlobs, OpenError, Opening, RecordName, SealingKey, Store};
use zeroize::Zeroizing;

/// A store with that many records of 300 bytes.
fn store(records: usize) -> Store {
    let key = SealingKey::new(Zeroizing::new([7; 32]));
    let mut blobs = MemoryBlobs::default();
    let opening = Opening::new("signer", Some(key)).expect("a valid name");
    let opened: Result<Store, OpenError> = opening.run(|op| Ok(blobs.perform(&op)), |_| {});
    let mut store = opened.expect("an empty store opens");
    let changes = (0..records).map(|number| put(&format!("root-{number}")));
    let commit = store.commit(changes).expect("there is room");
    store.confirm(commit).expect("it is pending");
    store
}

fn put(name: &str) -> Change {
    Change::Put {
        name: RecordName::new(name).expect("a valid name"),
        value: Zeroizing::new(vec![3; 300]),
    }
}

fn commits(criterion: &mut Criterion) {
    for records in [10, 1000] {
        let mut store = store(records);
        criterion.bench_function(&format!("commit of 300 bytes among {records}"), |bench| {
            bench.iter(|| {
                let commit = store.commit([put("root-0")]).expect("there is room");
                store.confirm(commit).expect("it is pending")
            });
        });
    }
}

criterion_group!(benches, commits);
criterion_main!(benches);
