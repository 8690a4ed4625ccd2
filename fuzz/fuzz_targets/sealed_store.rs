//! A sealed store whose host answers with anything. A genuine store is given and then changed by the input: bytes of its
//! blobs, blobs in each other's places, or blobs that are gone. Whatever opens is a state that was once committed.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jeju_store::{
    BlobReply, Change, MARK_LEN, Mark, MemoryBlobs, OpenError, Opening, RecordName, SealingKey, Store,
};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

type Records = BTreeMap<String, Vec<u8>>;

/// What the host has after each of three commits, and what is in it.
static GENUINE: LazyLock<Vec<(MemoryBlobs, Records)>> = LazyLock::new(|| {
    let mut blobs = MemoryBlobs::default();
    let (mut store, records) = open(&mut blobs).expect("an empty store opens");
    let mut states = vec![(blobs.clone(), records)];
    for round in 0..3u8 {
        let put = |name: &str| Change::Put {
            name: RecordName::new(name).expect("a valid name"),
            value: Zeroizing::new(vec![round; 16]),
        };
        let commit = store
            .commit([put("a"), put(&format!("b{round}"))])
            .expect("there is room");
        for op in commit.ops() {
            blobs.perform(op);
        }
        store.confirm(commit).expect("it is pending");
        let (_, records) = open(&mut blobs.clone()).expect("a committed state opens");
        states.push((blobs.clone(), records));
    }
    states
});

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied();
    let Some(generation) = input.next() else {
        return;
    };
    let (mut blobs, _) = GENUINE[usize::from(generation) % GENUINE.len()].clone();
    while let (Some(what), Some(which), Some(at), Some(value)) =
        (input.next(), input.next(), input.next(), input.next())
    {
        let Some(name) = blobs
            .0
            .keys()
            .nth(usize::from(which) % blobs.0.len().max(1))
            .cloned()
        else {
            break;
        };
        let blob = blobs.0.get_mut(&name).expect("its name is there");
        match what % 6 {
            0 if !blob.is_empty() => {
                let at = usize::from(at) % blob.len();
                blob[at] ^= value;
            }
            1 => blob.truncate(usize::from(at)),
            2 => blob.extend([value; 7]),
            3 => drop(blobs.0.remove(&name)),
            4 => {
                // A blob of any state, wherever it stood.
                let (other, _) = &GENUINE[usize::from(value) % GENUINE.len()];
                let old = other.0.values().nth(usize::from(at) % other.0.len()).cloned();
                *blob = old.unwrap_or_default();
            }
            _ => {
                let (other, _) = &GENUINE[usize::from(value) % GENUINE.len()];
                blobs.0.extend(other.0.clone());
            }
        }
    }
    let mark = Mark::from_bytes(&[generation; MARK_LEN]);
    if let Ok((store, records)) = open(&mut blobs) {
        assert!(records.is_empty() || GENUINE.iter().any(|(_, genuine)| *genuine == records));
        assert_eq!(
            store.judge(&[mark]),
            store.judge(&[]),
            "an invented mark is no memory"
        );
    }
});

fn open(blobs: &mut MemoryBlobs) -> Result<(Store, Records), OpenError> {
    let key = SealingKey::new(Zeroizing::new([7; 32]));
    let mut records = Records::new();
    let mut asked = 0;
    let perform = |op| -> Result<BlobReply, OpenError> {
        asked += 1;
        assert!(asked < 1000, "an opening ends");
        Ok(blobs.perform(&op))
    };
    let store = Opening::new("signer", Some(key))?.run(perform, |record| {
        records.insert(record.name.to_string(), record.value.to_vec());
    })?;
    Ok((store, records))
}
