//! Power that fails at every step of a commit.

use super::*;

/// Commits that add, replace and erase, and what is there after each.
fn history() -> Vec<(Vec<Change>, Records)> {
    let state = |records: &[(&str, &str)]| -> Records {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        records.iter().map(owned).collect()
    };
    vec![
        (vec![put("a", "1")], state(&[("a", "1")])),
        (
            vec![put("a", "2"), put("b", "2"), put("c", "2")],
            state(&[("a", "2"), ("b", "2"), ("c", "2")]),
        ),
        (
            vec![erase("a"), put("b", "3"), put("d", "3")],
            state(&[("b", "3"), ("c", "2"), ("d", "3")]),
        ),
        (vec![], state(&[("b", "3"), ("c", "2"), ("d", "3")])),
        (vec![erase("b"), erase("c"), erase("d")], state(&[])),
        (vec![put("a", "6")], state(&[("a", "6")])),
    ]
}

/// The store after so many whole commits.
fn after(commits: usize) -> (MemoryBlobs, Store, Records) {
    let mut blobs = MemoryBlobs::default();
    let (mut store, mut records) = open(&mut blobs).unwrap();
    for (changes, state) in history().into_iter().take(commits) {
        apply(&mut blobs, &mut store, changes);
        records = state;
    }
    (blobs, store, records)
}

/// What the disk has when of a commit's operations those in `done` were done.
fn cut(blobs: &MemoryBlobs, commit: &Commit, done: impl Fn(usize) -> bool) -> MemoryBlobs {
    let mut cut = blobs.clone();
    for (at, op) in commit.ops().iter().enumerate() {
        if done(at) {
            cut.perform(op);
        }
    }
    cut
}

/// A store that was cut off opens, holds what it should, has tidied up, and takes a commit.
fn check(mut blobs: MemoryBlobs, expected: &Records, counter: u64, what: &str) {
    let (mut store, records) = open(&mut blobs).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(&records, expected, "{what}");
    assert_eq!(store.mark().counter(), counter, "{what}");
    assert_eq!(blobs.0.len(), 1 + records.len(), "{what}: garbage is gone");
    let mark = apply(&mut blobs, &mut store, [put("z", "later")]);
    let (again, mut records) = open(&mut blobs).unwrap();
    assert_eq!(again.mark(), mark, "{what}");
    assert_eq!(records.remove("z").as_deref(), Some(&b"later"[..]), "{what}");
    assert_eq!(&records, expected, "{what}");
}

#[test]
fn cut_off_anywhere_the_old_state_or_the_new_one_is_there() {
    let mut cuts = 0;
    for (at, (changes, new)) in history().into_iter().enumerate() {
        let (blobs, mut store, old) = after(at);
        let commit = store.commit(changes).unwrap();
        let (total, durable) = (commit.ops().len(), commit.durable_after());
        // Which of them were done: every subset of the writes before the manifest, which leaves the old state, and
        // every subset of the deletions after it, whatever their order.
        for done in 0..1u32 << (durable - 1) {
            let cut = cut(&blobs, &commit, |op| op < durable - 1 && done >> op & 1 == 1);
            check(cut, &old, at as u64, &format!("commit {at}, writes {done:b}"));
            cuts += 1;
        }
        for done in 0..1u32 << (total - durable) {
            let cut = cut(&blobs, &commit, |op| {
                op < durable || done >> (op - durable) & 1 == 1
            });
            check(
                cut,
                &new,
                at as u64 + 1,
                &format!("commit {at}, deletions {done:b}"),
            );
            cuts += 1;
        }
    }
    assert!(cuts > 30, "{cuts}");
}

#[test]
fn operations_may_be_done_again_from_any_place() {
    for (at, (changes, new)) in history().into_iter().enumerate() {
        let (blobs, mut store, _) = after(at);
        let commit = store.commit(changes).unwrap();
        for failed in 0..commit.ops().len() {
            for again in 0..=failed {
                let mut blobs = blobs.clone();
                for op in commit.ops()[..=failed].iter().chain(&commit.ops()[again..]) {
                    blobs.perform(op);
                }
                check(
                    blobs,
                    &new,
                    at as u64 + 1,
                    &format!("commit {at}, {again} after {failed}"),
                );
            }
        }
    }
}

/// The first commit never began, or its first write did: a new store has a manifest before it has a record.
#[test]
fn a_new_store_is_there_or_not() {
    let mut blobs = MemoryBlobs::default();
    let mut opening = Opening::new(SPACE, key()).unwrap();
    while let Some(op) = opening.ask().unwrap() {
        let reply = blobs.perform(&op);
        opening.answer(reply).unwrap();
        assert!(open(&mut blobs.clone()).unwrap().1.is_empty(), "{op:?}");
    }
    assert_eq!(blobs.0.keys().collect::<Vec<_>>(), ["signer/manifest"]);
}

/// A commit that failed is forgotten, and another goes over it: the host may have any part of the first.
#[test]
fn a_commit_that_was_given_up_does_not_come_back_in_parts() {
    for (at, (changes, _)) in history().into_iter().enumerate() {
        let (blobs, mut store, old) = after(at);
        let commit = store.commit(changes).unwrap();
        for done in 0..commit.durable_after() {
            let mut blobs = cut(&blobs, &commit, |op| op < done);
            let (mut again, _) = open(&mut blobs).unwrap();
            let mark = apply(&mut blobs, &mut again, [put("a", "other")]);
            // What was under way arrives late.
            for op in &commit.ops()[..done] {
                blobs.perform(op);
            }
            let (store, records) = open(&mut blobs).unwrap();
            let mut expected = old.clone();
            expected.insert("a".into(), b"other".to_vec());
            assert_eq!((store.mark(), records), (mark, expected));
        }
    }
}
