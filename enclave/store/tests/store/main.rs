//! A store over a host that loses power, and one that cheats.

use std::collections::BTreeMap;

use jeju_store::{
    BlobOp, BlobReply, Change, Commit, Freshness, MAX_VALUE, Mark, MemoryBlobs, OpenError, Opening,
    Persistence, PlatformSecret, Record, RecordName, SealingKey, SealingRoot, Store, StoreError, Unsealable,
};
use zeroize::Zeroizing;

mod crash;
mod hostile;

const SPACE: &str = "signer";

/// What a store holds.
type Records = BTreeMap<String, Vec<u8>>;

fn key_of(secret: u8, launch: u8) -> Option<SealingKey> {
    PlatformSecret::new(Zeroizing::new([secret; 32]), [launch; 32]).seal_key(b"signer")
}

fn key() -> Option<SealingKey> {
    key_of(1, 2)
}

fn name(name: &str) -> RecordName {
    RecordName::new(name).unwrap()
}

fn put(record: &str, value: impl Into<Vec<u8>>) -> Change {
    Change::Put {
        name: name(record),
        value: Zeroizing::new(value.into()),
    }
}

fn erase(record: &str) -> Change {
    Change::Erase { name: name(record) }
}

fn drive(opening: Opening, blobs: &mut MemoryBlobs) -> Result<(Store, Records), OpenError> {
    let mut records = Records::new();
    let take = |record: Record| {
        let seen = records.insert(record.name.to_string(), record.value.to_vec());
        assert_eq!(seen, None, "each record comes once");
    };
    let store = opening.run(|op| Ok::<_, OpenError>(blobs.perform(&op)), take)?;
    Ok((store, records))
}

fn open_with(blobs: &mut MemoryBlobs, key: Option<SealingKey>) -> Result<(Store, Records), OpenError> {
    drive(Opening::new(SPACE, key)?, blobs)
}

fn open(blobs: &mut MemoryBlobs) -> Result<(Store, Records), OpenError> {
    open_with(blobs, key())
}

fn apply(blobs: &mut MemoryBlobs, store: &mut Store, changes: impl IntoIterator<Item = Change>) -> Mark {
    let commit = store.commit(changes).unwrap();
    for op in commit.ops() {
        assert_eq!(blobs.perform(op), BlobReply::Done);
    }
    store.confirm(commit).unwrap()
}

#[test]
fn records_come_back_as_they_were_left() {
    let mut blobs = MemoryBlobs::default();
    let (mut store, records) = open(&mut blobs).unwrap();
    assert!(records.is_empty());
    assert_eq!(store.persistence(), Persistence::Sealed);
    assert_eq!(store.mark().counter(), 0);

    let long = vec![9; MAX_VALUE];
    let first = apply(
        &mut blobs,
        &mut store,
        [put("a", "1"), put("b", ""), put("c", &long[..])],
    );
    assert_eq!(first.counter(), 1);
    let second = apply(
        &mut blobs,
        &mut store,
        [
            put("a", "2"),
            put("a", "3"),
            erase("b"),
            put("d", "4"),
            erase("d"),
            erase("e"),
            erase("c"),
            put("c", "5"),
        ],
    );
    assert_eq!((second.counter(), second), (2, store.mark()));

    let expected = Records::from([("a".into(), b"3".to_vec()), ("c".into(), b"5".to_vec())]);
    let (again, records) = open(&mut blobs).unwrap();
    assert_eq!(records, expected);
    assert_eq!(again.mark(), second);
    assert_eq!(
        again.names().map(RecordName::as_str).collect::<Vec<_>>(),
        ["a", "c"]
    );
    let ask = again.ask(&name("a")).unwrap();
    assert_eq!(&again.read(&name("a"), blobs.perform(&ask)).unwrap()[..], b"3");
    assert_eq!(again.ask(&name("b")), None);
    // Nothing is left of what was replaced or erased: a manifest and two records.
    assert_eq!(blobs.0.len(), 3);
}

/// A store that another program made from the description of the format (`tests/vectors/make.py`).
#[test]
fn the_format_is_as_described() {
    let mut vectors: BTreeMap<String, Vec<u8>> = include_str!("../vectors/store.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, bytes)| (name.to_owned(), hex::decode(bytes).unwrap()))
        .collect();
    let mark = vectors.remove("mark").unwrap();
    let mut blobs = MemoryBlobs(vectors.clone());
    let (store, records) = open(&mut blobs).unwrap();
    assert_eq!(records, Records::from([("root-0".into(), b"a share".to_vec())]));
    assert_eq!(store.mark().to_bytes()[..], mark);
    assert_eq!(blobs.0, vectors, "opening a whole store changes nothing");
}

#[test]
fn limits_are_errors_that_change_nothing() {
    let mut blobs = MemoryBlobs::default();
    let (mut store, _) = open(&mut blobs).unwrap();
    apply(&mut blobs, &mut store, [put("a", "1")]);
    let before = store.mark();

    let error = store.commit([put("b", vec![0; MAX_VALUE + 1])]).err();
    assert!(matches!(error, Some(StoreError::TooLong { len, .. }) if len == MAX_VALUE + 1));
    let many = (0..7500).map(|number| put(&format!("{number:096}"), ""));
    assert_eq!(store.commit(many).err(), Some(StoreError::Full));
    assert_eq!(store.mark(), before);

    let many = (0..7000).map(|number| put(&format!("{number:096}"), ""));
    apply(&mut blobs, &mut store, many);
    assert_eq!(open(&mut blobs).unwrap().1.len(), 7001);

    assert!(matches!(Opening::new("a/b", key()), Err(OpenError::Name(_))));
}

#[test]
fn one_commit_at_a_time() {
    let mut blobs = MemoryBlobs::default();
    let (mut store, _) = open(&mut blobs).unwrap();
    let mut other = open(&mut MemoryBlobs::default()).unwrap().0;
    let commit = store.commit([put("a", "1")]).unwrap();
    assert_eq!(store.commit([put("b", "1")]).err(), Some(StoreError::Pending));
    assert_eq!(store.mark().counter(), 0, "nothing is told before it is durable");
    assert_eq!(other.confirm(commit).err(), Some(StoreError::NotPending));
}

#[test]
fn a_platform_that_cannot_seal_keeps_nothing() {
    let mut blobs = MemoryBlobs::default();
    let no_key = || Unsealable.seal_key(b"signer");
    let (mut store, _) = open_with(&mut blobs, no_key()).unwrap();
    assert_eq!(store.persistence(), Persistence::Volatile);
    assert_eq!(store.persistence().as_str(), "volatile");
    apply(&mut blobs, &mut store, [put("a", "1")]);
    let ask = store.ask(&name("a")).unwrap();
    assert_eq!(&store.read(&name("a"), blobs.perform(&ask)).unwrap()[..], b"1");
    assert_eq!(
        open_with(&mut blobs, no_key()).err(),
        Some(OpenError::WrongKey),
        "the key died with the store"
    );
}

/// Neither contents nor names stand in what the host sees.
#[test]
fn nothing_of_a_record_is_in_a_blob() {
    const CANARY: &[u8] = b"CANARY-a-share-of-a-key-CANARY";
    let mut blobs = MemoryBlobs::default();
    let mut seen: Vec<u8> = Vec::new();
    let (mut store, _) = open(&mut blobs).unwrap();
    for _ in 0..3 {
        let commit = store
            .commit([put("canary-name", CANARY), put("other", CANARY.repeat(100))])
            .unwrap();
        for op in commit.ops() {
            seen.extend(format!("{op:?}").bytes());
            if let BlobOp::Put { blob, .. } = op {
                seen.extend(blob);
            }
            blobs.perform(op);
        }
        store.confirm(commit).unwrap();
    }
    seen.extend(format!("{:?}", store.mark()).bytes());
    for secret in [CANARY, &CANARY[..8], b"canary-name", key().unwrap().expose()] {
        assert!(!seen.windows(secret.len()).any(|window| window == secret));
    }
    assert_eq!(open(&mut blobs).unwrap().1["canary-name"], CANARY);
}

#[test]
fn records_that_nobody_asks_for_are_read_when_they_are_needed() {
    let mut blobs = MemoryBlobs::default();
    let (mut store, _) = open(&mut blobs).unwrap();
    apply(
        &mut blobs,
        &mut store,
        [put("a-1", "1"), put("b-1", "2"), put("b-2", "3")],
    );
    let opening = Opening::new(SPACE, key()).unwrap();
    let opening = opening.reading(|name| name.as_str().starts_with("b-"));
    let (mut store, records) = drive(opening, &mut blobs).unwrap();
    assert_eq!(records.keys().collect::<Vec<_>>(), ["b-1", "b-2"]);
    let read = |store: &Store, blobs: &mut MemoryBlobs| {
        let reply = blobs.perform(&store.ask(&name("a-1")).unwrap());
        store.read(&name("a-1"), reply)
    };
    assert_eq!(read(&store, &mut blobs).unwrap().to_vec(), b"1");
    // What wasn't read is kept by later commits, and checked when it is read.
    apply(&mut blobs, &mut store, [put("b-1", "4")]);
    for (leaf, blob) in &mut blobs.0 {
        if !leaf.ends_with("manifest") {
            *blob = vec![0; 60];
        }
    }
    assert!(matches!(
        read(&store, &mut blobs),
        Err(OpenError::RecordCorrupt { .. })
    ));
}

#[test]
fn a_commit_that_the_host_has_no_room_for_is_given_up() {
    let mut blobs = MemoryBlobs::default();
    let (mut store, _) = open(&mut blobs).unwrap();
    apply(&mut blobs, &mut store, [put("a", "1")]);
    let before = blobs.clone();
    let mark = store.mark();
    let commit = store.commit([put("a", "2"), put("b", "3")]).unwrap();
    for op in &commit.ops()[..2] {
        blobs.perform(op);
    }
    assert!(matches!(store.commit([erase("a")]), Err(StoreError::Pending)));
    for op in store.abandon(commit).unwrap() {
        blobs.perform(&op);
    }
    assert_eq!(store.mark(), mark);
    assert!(blobs == before, "as if it had never been");
    apply(&mut blobs, &mut store, [put("c", "4")]);
    assert_eq!(open(&mut blobs).unwrap().1.keys().collect::<Vec<_>>(), ["a", "c"]);
}
