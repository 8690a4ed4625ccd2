//! A host that changes, swaps, loses and brings back what it keeps.

use super::*;

/// A store of three records after several commits, and what the host had after each.
fn generations() -> (Vec<MemoryBlobs>, Vec<Mark>) {
    let mut blobs = MemoryBlobs::default();
    let (mut store, _) = open(&mut blobs).unwrap();
    let mut snapshots = vec![blobs.clone()];
    let mut marks = vec![store.mark()];
    for round in 0..4u8 {
        // `keep` is written once, the others each time.
        let mut changes = vec![put("a", [round; 20]), put("b", [round; 20])];
        if round == 0 {
            changes.push(put("keep", "kept"));
        }
        marks.push(apply(&mut blobs, &mut store, changes));
        snapshots.push(blobs.clone());
    }
    (snapshots, marks)
}

fn newest() -> MemoryBlobs {
    generations().0.pop().unwrap()
}

fn error_of(blobs: &MemoryBlobs) -> OpenError {
    match open(&mut blobs.clone()) {
        Err(error) => error,
        Ok((_, records)) => panic!("opened with {records:?}"),
    }
}

fn is_record(name: &str) -> bool {
    name.starts_with("signer/r-")
}

#[test]
fn no_changed_bit_passes() {
    let blobs = newest();
    for (name, blob) in &blobs.0 {
        for bit in 0..blob.len() * 8 {
            let mut changed = blobs.clone();
            changed.0.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let error = error_of(&changed);
            let expected = match (is_record(name), bit / 8) {
                (true, _) => matches!(error, OpenError::RecordCorrupt { .. }),
                (false, 0) => matches!(error, OpenError::Version(_)),
                (false, 2..10) => error == OpenError::WrongKey,
                (false, _) => error == OpenError::ManifestCorrupt,
            };
            assert!(expected, "{name} bit {bit}: {error}");
        }
    }
}

#[test]
fn no_cut_or_longer_blob_passes() {
    let blobs = newest();
    for (name, blob) in &blobs.0 {
        let longer = [&blob[..], &[0]].concat();
        let cuts = (0..blob.len()).map(|len| blob[..len].to_vec());
        for other in cuts.chain([longer, vec![0; 1024 * 1024 + 1]]) {
            let mut changed = blobs.clone();
            changed.0.insert(name.clone(), other);
            let error = error_of(&changed);
            let expected = match is_record(name) {
                true => matches!(error, OpenError::RecordCorrupt { .. }),
                false => matches!(error, OpenError::ManifestCorrupt | OpenError::Version(_)),
            };
            assert!(expected, "{name}: {error}");
        }
    }
}

#[test]
fn a_lost_blob_is_missed() {
    let blobs = newest();
    for name in blobs.0.keys() {
        let mut changed = blobs.clone();
        changed.0.remove(name);
        let error = error_of(&changed);
        let expected = match is_record(name) {
            true => matches!(error, OpenError::RecordMissing { .. }),
            false => error == OpenError::ManifestMissing,
        };
        assert!(expected, "{name}: {error}");
    }
}

#[test]
fn blobs_in_each_others_places_are_found_out() {
    let blobs = newest();
    for one in blobs.0.keys() {
        for other in blobs.0.keys().filter(|other| *other != one) {
            let mut changed = blobs.clone();
            changed.0.insert(one.clone(), blobs.0[other].clone());
            let error = error_of(&changed);
            let expected = match is_record(one) {
                true => matches!(error, OpenError::RecordMixed { .. }),
                false => error == OpenError::ManifestCorrupt,
            };
            assert!(expected, "{other} at {one}: {error}");
        }
    }
}

/// Every blob of an older state in the place of every blob of the newest one, and the other way round.
#[test]
fn generations_do_not_mix() {
    let (snapshots, _) = generations();
    for (first, into) in snapshots.iter().enumerate() {
        for (second, from) in snapshots.iter().enumerate() {
            for (name, blob) in &into.0 {
                for (source, old) in &from.0 {
                    // The empty manifest of the first day is a whole older state, whatever lies beside it: see below.
                    let first_day = !is_record(name) && (second, is_record(source)) == (0, false);
                    if old == blob || first_day {
                        continue;
                    }
                    let mut mixed = into.clone();
                    mixed.0.insert(name.clone(), old.clone());
                    let error = error_of(&mixed);
                    let expected = match (is_record(name), is_record(source)) {
                        (true, _) => matches!(error, OpenError::RecordMixed { .. }),
                        (false, true) => error == OpenError::ManifestCorrupt,
                        // Another manifest: the records that it names aren't there.
                        (false, false) => matches!(error, OpenError::RecordMissing { .. }),
                    };
                    assert!(expected, "{source} of {second} at {name} of {first}: {error}");
                }
            }
        }
    }
}

#[test]
fn an_older_state_opens_and_peers_tell() {
    let (snapshots, marks) = generations();
    let newest = *marks.last().unwrap();
    for (age, (snapshot, mark)) in snapshots.iter().zip(&marks).enumerate() {
        let (store, _) = open(&mut snapshot.clone()).unwrap();
        assert_eq!(store.mark(), *mark);
        assert_eq!(store.judge(&[]), Freshness::Unprotected);
        let judged = store.judge(&[marks[1], newest, marks[0]]);
        let last = age + 1 == snapshots.len();
        let expected = match last {
            true => Freshness::Current,
            false => Freshness::RolledBack { newest },
        };
        assert_eq!(judged, expected, "generation {age}");
    }
    let mut beside = snapshots.last().unwrap().clone();
    let first = snapshots[0].0["signer/manifest"].clone();
    beside.0.insert("signer/manifest".to_owned(), first);
    let (store, records) = open(&mut beside).unwrap();
    assert!(records.is_empty());
    assert_eq!(store.judge(&[newest]), Freshness::RolledBack { newest });
}

#[test]
fn a_store_that_was_lost_is_another_one_to_peers() {
    let (_, marks) = generations();
    let newest = *marks.last().unwrap();
    let (store, records) = open(&mut MemoryBlobs::default()).unwrap();
    assert!(records.is_empty());
    assert_eq!(store.judge(&[newest]), Freshness::RolledBack { newest });
    assert_ne!(store.mark().store(), newest.store());
}

#[test]
fn two_copies_that_go_on_are_told_apart() {
    let mut copy = newest();
    let mut other = copy.clone();
    let (mut store, _) = open(&mut copy).unwrap();
    let (mut twin, _) = open(&mut other).unwrap();
    let one = apply(&mut copy, &mut store, [put("a", "one")]);
    let two = apply(&mut other, &mut twin, [put("a", "two")]);
    assert_eq!(one.counter(), two.counter());
    assert_eq!(twin.judge(&[one]), Freshness::RolledBack { newest: one });
}

/// A peer can't make a store believe that it was rolled back.
#[test]
fn invented_marks_are_no_memory() {
    let (store, _) = open(&mut newest()).unwrap();
    let mut bytes = store.mark().to_bytes();
    bytes[16..24].copy_from_slice(&u64::MAX.to_be_bytes());
    let invented = Mark::from_bytes(&bytes);
    assert_eq!(store.judge(&[invented]), Freshness::Unprotected);
    assert_eq!(store.judge(&[invented, store.mark()]), Freshness::Current);

    let (other, _) = open_with(&mut MemoryBlobs::default(), key_of(8, 8)).unwrap();
    assert_eq!(store.judge(&[other.mark()]), Freshness::Unprotected);
}

#[test]
fn another_machine_image_or_launch_document_has_another_key() {
    let blobs = newest();
    for (secret, launch) in [(1, 3), (3, 2), (2, 1)] {
        let opened = open_with(&mut blobs.clone(), key_of(secret, launch));
        assert_eq!(opened.err(), Some(OpenError::WrongKey), "{secret} {launch}");
    }
    let mut elsewhere = MemoryBlobs::default();
    for (name, blob) in &blobs.0 {
        elsewhere
            .0
            .insert(name.replace("signer/", "worker/"), blob.clone());
    }
    let opened = drive(Opening::new("worker", key()).unwrap(), &mut elsewhere);
    assert_eq!(opened.err(), Some(OpenError::WrongKey));
}

/// Whoever can't open what is there starts anew, and of the old store nothing is left but the host's own copies.
#[test]
fn a_store_can_be_replaced() {
    let mut blobs = newest();
    let old = blobs.clone();
    let (mut store, records) = drive(Opening::replace(SPACE, key()).unwrap(), &mut blobs).unwrap();
    assert!(records.is_empty());
    assert_eq!(blobs.0.len(), 1);
    apply(&mut blobs, &mut store, [put("a", "new")]);
    // The same key, another store: its records are genuine, and don't belong here.
    let place = blobs.0.keys().find(|name| is_record(name)).unwrap().clone();
    let foreign = old.0.iter().find(|(name, _)| is_record(name)).unwrap().1;
    blobs.0.insert(place, foreign.clone());
    assert!(matches!(error_of(&blobs), OpenError::RecordMixed { .. }));
}

#[test]
fn other_blobs_of_the_space_are_left_alone() {
    let mut blobs = newest();
    blobs.0.insert("signer/not-ours".to_owned(), vec![1]);
    blobs.0.insert("signer/r-stray".to_owned(), vec![1]);
    blobs.0.insert("signex/r-stray".to_owned(), vec![1]);
    open(&mut blobs).unwrap();
    assert!(blobs.0.contains_key("signer/not-ours") && blobs.0.contains_key("signex/r-stray"));
    assert!(!blobs.0.contains_key("signer/r-stray"));
}

/// Answers that fit no question, and lists without end.
#[test]
fn wrong_answers_end_the_opening() {
    let blobs = newest();
    let answers = [
        BlobReply::Blob(vec![]),
        BlobReply::Blob(vec![1; 100]),
        BlobReply::Missing,
        BlobReply::Done,
        BlobReply::Names {
            leaves: vec![],
            more: true,
        },
        BlobReply::Names {
            leaves: vec!["r-1".into(), "r-1".into()],
            more: true,
        },
    ];
    for wrong in &answers {
        for at in 0..8 {
            let mut blobs = blobs.clone();
            let mut opening = Opening::new(SPACE, key()).unwrap();
            let mut asked = 0;
            let outcome = loop {
                let Some(op) = opening.ask().unwrap() else {
                    break opening.finish().map(|_| ());
                };
                let reply = match asked == at {
                    true => wrong.clone(),
                    false => blobs.perform(&op),
                };
                asked += 1;
                assert!(asked < 1000, "endless");
                if let Err(error) = opening.answer(reply) {
                    assert!(opening.ask().unwrap().is_none() && opening.finish().is_err());
                    break Err(error);
                }
            };
            assert!(asked > 0);
            let _ = outcome;
        }
    }
    let mut opening = Opening::new(SPACE, key()).unwrap();
    let mut blobs = blobs;
    let (mut asked, mut listed) = (0, 0);
    while let Some(op) = opening.ask().unwrap() {
        asked += 1;
        let reply = match &op {
            BlobOp::List { .. } => {
                listed += 1;
                BlobReply::Names {
                    leaves: vec![format!("x{listed:06}")],
                    more: true,
                }
            }
            _ => blobs.perform(&op),
        };
        opening.answer(reply).unwrap();
    }
    assert!(asked < 1000, "an endless list is not read to its end");
}
