//! Merkle trees of RFC 6962 §2.1 over SHA-256: what a root proves of one of its leaves.
//!
//! Leaves and inner nodes are hashed apart (bytes 0 and 1 before them), so that neither can be taken for the other.

use crate::hash::sha256;

/// Longest path that is read: trees have fewer than 2^32 leaves.
pub const MAX_PATH: usize = 32;

/// Hash of a leaf with this content.
pub fn leaf(content: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 33];
    bytes[1..].copy_from_slice(content);
    sha256(&bytes)
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// A tree with all of its nodes, so that a path costs no hashing.
#[derive(Debug, Clone)]
pub struct Tree {
    /// From the leaves up to the root. A node without a neighbour stands unchanged in the level above.
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// Over hashes of leaves ([`leaf`]), in their order.
    pub fn new(leaves: Vec<[u8; 32]>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                alone => alone[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// How many leaves there are.
    pub fn len(&self) -> usize {
        self.levels[0].len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root; of an empty tree, SHA-256 of nothing.
    pub fn root(&self) -> [u8; 32] {
        match self.levels.last().and_then(|level| level.first()) {
            Some(root) => *root,
            None => sha256(&[]),
        }
    }

    /// What stands beside the way from leaf `index` to the root, from below. `None`: there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<[u8; 32]>> {
        if index >= self.len() {
            return None;
        }
        let (_, below) = self.levels.split_last()?;
        let beside = below.iter().enumerate().filter_map(|(height, level)| {
            // What has no neighbour goes up by itself.
            level.get((index >> height) ^ 1).copied()
        });
        Some(beside.collect())
    }
}

/// The root that a leaf's hash, its place and its path lead to (RFC 9162 §2.1.3.2). `None`: a tree of `count` leaves has no
/// such path.
pub fn root_of(leaf: &[u8; 32], index: u64, count: u64, path: &[[u8; 32]]) -> Option<[u8; 32]> {
    if index >= count || path.len() > MAX_PATH {
        return None;
    }
    let (mut place, mut last) = (index, count - 1);
    let mut hash = *leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node(beside, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<[u8; 32]> {
        (0..count).map(|number| leaf(&[number; 32])).collect()
    }

    /// RFC 6962's own definition: split at the largest power of two below the count.
    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => sha256(b""),
            [one] => *one,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn roots_and_paths_are_the_standards() {
        for count in 0..70 {
            let tree = Tree::new(leaves(count));
            let root = by_definition(&leaves(count));
            assert_eq!((tree.root(), tree.len()), (root, usize::from(count)));
            for index in 0..count {
                let path = tree.path(index.into()).unwrap();
                let found = root_of(&leaf(&[index; 32]), index.into(), count.into(), &path);
                assert_eq!(found, Some(root), "{index} of {count}");
            }
            assert_eq!(tree.path(count.into()), None);
        }
    }

    /// Made with Python's hashlib: `h(1 ‖ h(1 ‖ h(0 ‖ 00…) ‖ h(0 ‖ 01…)) ‖ h(0 ‖ 02…))`.
    #[test]
    fn golden_root_of_three() {
        assert_eq!(
            hex::encode(Tree::new(leaves(3)).root()),
            "ba8d94b7fbcecae7b81c4c80574fe24734a6917bf9c1ecd66ff3e0c34ead4620"
        );
    }

    #[test]
    fn what_is_no_path_leads_nowhere() {
        let tree = Tree::new(leaves(5));
        let (own, path) = (leaf(&[2; 32]), tree.path(2).unwrap());
        let at = |index, count, path: &[[u8; 32]]| root_of(&own, index, count, path);
        assert_eq!(at(2, 5, &path), Some(tree.root()));
        for (index, count) in [(3, 5), (0, 5), (4, 5), (2, 4), (2, 9), (2, 2), (2, 0), (5, 5)] {
            assert_ne!(at(index, count, &path), Some(tree.root()), "{index} of {count}");
        }
        assert_eq!(at(2, 5, &path[1..]), None);
        let longer = [&path[..], &[[0; 32]]].concat();
        assert_eq!(at(2, 5, &longer), None);
        assert_eq!(at(2, u64::MAX, &vec![[0; 32]; MAX_PATH + 1]), None);
        let mut other = path.clone();
        other[0][0] ^= 1;
        assert_ne!(at(2, 5, &other), Some(tree.root()));
        // A node is no leaf.
        assert_ne!(leaf(&tree.root()), tree.root());
    }
}
