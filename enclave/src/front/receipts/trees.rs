//! Trees over the answers of each epoch: the open one, and those that a quote vouches for.

use std::collections::VecDeque;

use bytes::Bytes;
use jeju_attestation::claims;
use jeju_attestation::merkle::Tree;

/// Leaves of one epoch. Answers beyond them have a receipt but stand in no tree.
const MAX_LEAVES: usize = 1 << 17;
/// Leaves of all closed trees together: about 16 MiB of hashes.
const MAX_CLOSED_LEAVES: usize = 2 * MAX_LEAVES;
/// Closed trees: six hours of epochs of ten minutes.
const MAX_CLOSED: usize = 36;

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The tree, named after the epoch in which the answer ended.
    epoch: u32,
    index: usize,
}

/// The trees of a boot.
#[derive(Default)]
pub(super) struct Trees {
    epoch: u32,
    open: Vec<[u8; 32]>,
    /// Oldest first.
    closed: VecDeque<Closed>,
}

struct Closed {
    epoch: u32,
    tree: Tree,
    /// SHA-256 and bytes of the bundle whose claims have the root.
    bundle: Option<([u8; 32], Bytes)>,
}

/// What proves that a quote vouches for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::front) struct Inclusion {
    /// As the claims have them.
    pub(in crate::front) receipts: claims::Receipts,
    /// Place of the leaf, from 0.
    pub(in crate::front) index: usize,
    /// From the leaf's neighbour up.
    pub(in crate::front) path: Vec<[u8; 32]>,
    /// SHA-256 of the bundle whose claims they are.
    pub(in crate::front) bundle: [u8; 32],
}

impl Trees {
    /// Adds a leaf to the open tree, if it has room.
    pub(super) fn add(&mut self, leaf: [u8; 32]) -> Option<Place> {
        let index = self.open.len();
        if index == MAX_LEAVES {
            return None;
        }
        self.open.push(leaf);
        Some(Place {
            epoch: self.epoch,
            index,
        })
    }

    /// Closes the tree of `epoch` if it is open, and says what a quote says of it.
    pub(super) fn close(&mut self, epoch: u32) -> claims::Receipts {
        if self.epoch == epoch {
            let leaves = std::mem::take(&mut self.open);
            self.epoch = epoch.saturating_add(1);
            self.closed.push_back(Closed {
                epoch,
                tree: Tree::new(leaves),
                bundle: None,
            });
            self.forget();
        }
        let closed = self.closed.iter().find(|closed| closed.epoch == epoch);
        closed.map(Closed::receipts).unwrap_or_default()
    }

    pub(super) fn quoted(&mut self, epoch: u32, digest: [u8; 32], bundle: Bytes) {
        let closed = self.closed.iter_mut().find(|closed| closed.epoch == epoch);
        // Nothing is proved with an empty tree.
        if let Some(closed) = closed.filter(|closed| !closed.tree.is_empty()) {
            closed.bundle = Some((digest, bundle));
        }
    }

    pub(super) fn inclusion(&self, place: Place) -> Option<Inclusion> {
        let closed = self.closed.iter().find(|closed| closed.epoch == place.epoch)?;
        let (bundle, _) = closed.bundle.as_ref()?;
        Some(Inclusion {
            receipts: closed.receipts(),
            index: place.index,
            path: closed.tree.path(place.index)?,
            bundle: *bundle,
        })
    }

    pub(super) fn bundle(&self, digest: &[u8; 32]) -> Option<Bytes> {
        let kept = self.closed.iter().filter_map(|closed| closed.bundle.as_ref());
        kept.filter(|(kept, _)| kept == digest)
            .map(|(_, bundle)| bundle.clone())
            .next()
    }

    fn forget(&mut self) {
        let leaves = |closed: &VecDeque<Closed>| closed.iter().map(|one| one.tree.len()).sum::<usize>();
        while self.closed.len() > MAX_CLOSED || leaves(&self.closed) > MAX_CLOSED_LEAVES {
            self.closed.pop_front();
        }
    }
}

impl Closed {
    fn receipts(&self) -> claims::Receipts {
        let count = u32::try_from(self.tree.len()).unwrap_or(u32::MAX);
        claims::Receipts {
            epoch: self.epoch,
            count,
            root: if count == 0 { [0; 32] } else { self.tree.root() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jeju_attestation::merkle::{leaf, root_of};

    #[test]
    fn a_leaf_is_proved_once_its_tree_is_closed_and_quoted() {
        let mut trees = Trees::default();
        let places: Vec<_> = (0..5u8).map(|n| trees.add(leaf(&[n; 32])).unwrap()).collect();
        assert_eq!(trees.inclusion(places[3]), None);
        let said = trees.close(0);
        assert_eq!((said.epoch, said.count), (0, 5));
        assert_eq!(trees.inclusion(places[3]), None, "no quote has the root yet");
        // What ends now belongs to the next epoch, whose quote may take some tries.
        let late = trees.add(leaf(&[9; 32])).unwrap();
        assert_eq!(trees.close(0), said);
        trees.quoted(0, [7; 32], Bytes::from_static(b"bundle"));
        let inclusion = trees.inclusion(places[3]).unwrap();
        let root = root_of(&leaf(&[3; 32]), 3, 5, &inclusion.path);
        assert_eq!((inclusion.receipts, root), (said, Some(said.root)));
        assert_eq!(trees.bundle(&[7; 32]).unwrap(), &b"bundle"[..]);
        assert_eq!(trees.bundle(&[8; 32]), None);
        assert_eq!(trees.inclusion(late), None);
        assert_eq!(trees.close(1).count, 1);
        trees.quoted(1, [8; 32], Bytes::new());
        assert_eq!(trees.inclusion(late).unwrap().index, 0);
    }

    #[test]
    fn an_epoch_without_answers_has_zeros() {
        let mut trees = Trees::default();
        let said = trees.close(0);
        assert_eq!((said.epoch, said.count, said.root), (0, 0, [0; 32]));
        trees.quoted(0, [7; 32], Bytes::new());
        assert_eq!(trees.bundle(&[7; 32]), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut trees = Trees::default();
        let first = trees.add([1; 32]).unwrap();
        trees.close(0);
        trees.quoted(0, [1; 32], Bytes::new());
        for _ in 0..MAX_LEAVES {
            assert!(trees.add([2; 32]).is_some());
        }
        assert_eq!(trees.add([2; 32]), None, "full");
        trees.close(1);
        assert!(trees.inclusion(first).is_some());
        for _ in 0..MAX_LEAVES {
            trees.add([2; 32]);
        }
        trees.close(2);
        assert_eq!(trees.inclusion(first), None);
        for epoch in 3..3 + MAX_CLOSED as u32 {
            trees.close(epoch);
        }
        assert_eq!((trees.closed.len(), trees.closed[0].epoch), (MAX_CLOSED, 3));
    }
}
