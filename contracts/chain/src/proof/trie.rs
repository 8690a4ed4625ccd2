//! Merkle-Patricia tries: what a root's trie holds at a key, or that it holds nothing there.

use sha3::{Digest, Keccak256};

use super::rlp::{Item, RlpError};

/// Root of a trie without entries: the hash of an empty string's encoding.
pub const EMPTY_ROOT: [u8; 32] = [
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e, 0x5b,
    0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
];

/// Most nodes of a proof: one for each half byte of a hashed key, and the leaf.
pub const MAX_PROOF_NODES: usize = 65;

/// Longest node: a branch of sixteen hashes takes 532 bytes, a leaf of an account less.
pub const MAX_NODE_BYTES: usize = 1024;

/// Half bytes of a hashed key.
const KEY_NIBBLES: usize = 64;

/// Why a proof doesn't prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrieError {
    /// Too many nodes, or too long ones.
    #[error("the proof is longer than a proof can be")]
    TooLong,
    /// A node isn't the one that its parent, or the root, names.
    #[error("a node of the proof has another hash than the one expected")]
    Hash,
    /// The proof ends before the key does.
    #[error("the proof ends too early")]
    Incomplete,
    /// Nodes follow after the answer.
    #[error("the proof has more nodes than the way to the key")]
    Surplus,
    /// A node isn't canonical RLP.
    #[error("a node is {0}")]
    Rlp(#[from] RlpError),
    /// A node is no branch, extension or leaf, or one that no trie has.
    #[error("a node has a form that no trie has")]
    Node,
}

/// What the trie with this root holds at keccak-256 of `key`, as the nodes from the root downwards prove; `None` where
/// they prove that it holds nothing. Every node must be needed.
pub fn prove(root: &[u8; 32], key: &[u8], nodes: &[Vec<u8>]) -> Result<Option<Vec<u8>>, TrieError> {
    if nodes.len() > MAX_PROOF_NODES || nodes.iter().any(|node| node.len() > MAX_NODE_BYTES) {
        return Err(TrieError::TooLong);
    }
    // Endpoints prove an empty trie by no node at all, or by its only one, the empty string.
    if nodes.is_empty() && *root == EMPTY_ROOT {
        return Ok(None);
    }
    let path = Path::of(key);
    let mut walk = Walk {
        path: &path,
        at: 0,
        rest: nodes,
    };
    let found = walk.from(Reference::Hash(*root))?;
    if walk.rest.is_empty() {
        Ok(found.map(<[u8]>::to_vec))
    } else {
        Err(TrieError::Surplus)
    }
}

/// The half bytes of a hashed key.
struct Path([u8; KEY_NIBBLES]);

impl Path {
    fn of(key: &[u8]) -> Self {
        let hash: [u8; 32] = Keccak256::digest(key).into();
        let mut nibbles = [0; KEY_NIBBLES];
        for (pair, byte) in nibbles.chunks_exact_mut(2).zip(hash) {
            pair[0] = byte >> 4;
            pair[1] = byte & 15;
        }
        Self(nibbles)
    }
}

/// How a node names its child.
enum Reference<'a> {
    Hash([u8; 32]),
    /// Shorter than a hash, the child lies in its parent.
    Embedded(Item<'a>),
    Nothing,
}

struct Walk<'a, 'p> {
    path: &'p Path,
    /// Half bytes of the path that lie behind.
    at: usize,
    rest: &'a [Vec<u8>],
}

impl<'a> Walk<'a, '_> {
    /// Goes down until the key's value, or its absence, is found. Every step but an empty reference uses up at least one
    /// half byte of the path or ends, so this ends.
    fn from(&mut self, mut next: Reference<'a>) -> Result<Option<&'a [u8]>, TrieError> {
        loop {
            let node = match next {
                Reference::Nothing => return Ok(None),
                Reference::Embedded(node) => node,
                Reference::Hash(hash) => {
                    let (node, rest) = self.rest.split_first().ok_or(TrieError::Incomplete)?;
                    if <[u8; 32]>::from(Keccak256::digest(node)) != hash {
                        return Err(TrieError::Hash);
                    }
                    self.rest = rest;
                    Item::exact(node)?
                }
            };
            next = match self.step(node)? {
                Step::Down(next) => next,
                Step::Found(value) => return Ok(Some(value)),
                Step::Absent => return Ok(None),
            };
        }
    }

    fn step(&mut self, node: Item<'a>) -> Result<Step<'a>, TrieError> {
        let mut items = match node {
            // The only node of the empty trie.
            Item::Bytes([]) if self.at == 0 => return Ok(Step::Absent),
            Item::Bytes(_) => return Err(TrieError::Node),
            Item::List(items) => items,
        };
        let mut fields = Vec::with_capacity(17);
        while !items.is_empty() {
            if fields.len() == 17 {
                return Err(TrieError::Node);
            }
            fields.push(items.take_encoded()?);
        }
        match fields.as_slice() {
            [(path, _), child] => self.short(path.bytes()?, *child),
            branch if branch.len() == 17 => self.branch(branch),
            _ => Err(TrieError::Node),
        }
    }

    fn branch(&mut self, fields: &[(Item<'a>, &'a [u8])]) -> Result<Step<'a>, TrieError> {
        // Keys are hashes, all of the same length: no key ends at a branch.
        if !fields[16].0.bytes()?.is_empty() {
            return Err(TrieError::Node);
        }
        let children = fields[..16]
            .iter()
            .map(|field| reference(*field))
            .collect::<Result<Vec<_>, _>>()?;
        let used = children
            .iter()
            .filter(|child| !matches!(child, Reference::Nothing));
        if used.count() < 2 {
            return Err(TrieError::Node);
        }
        let nibble = *self.path.0.get(self.at).ok_or(TrieError::Node)?;
        self.at += 1;
        children
            .into_iter()
            .nth(usize::from(nibble))
            .map(Step::Down)
            .ok_or(TrieError::Node)
    }

    /// A leaf or an extension.
    fn short(&mut self, encoded: &[u8], child: (Item<'a>, &'a [u8])) -> Result<Step<'a>, TrieError> {
        let (&first, rest) = encoded.split_first().ok_or(TrieError::Node)?;
        let (is_leaf, is_odd) = match first >> 4 {
            0 => (false, false),
            1 => (false, true),
            2 => (true, false),
            3 => (true, true),
            _ => return Err(TrieError::Node),
        };
        if !is_odd && first & 15 != 0 {
            return Err(TrieError::Node);
        }
        let mut nibbles = Vec::with_capacity(2 * rest.len() + 1);
        if is_odd {
            nibbles.push(first & 15);
        }
        nibbles.extend(rest.iter().flat_map(|byte| [byte >> 4, byte & 15]));

        let ahead = &self.path.0[self.at..];
        if is_leaf {
            let value = child.0.bytes()?;
            // A leaf ends a key: it has what is left of it, and something to say.
            if nibbles.len() != ahead.len() || value.is_empty() {
                return Err(TrieError::Node);
            }
            return Ok(if nibbles == ahead {
                Step::Found(value)
            } else {
                Step::Absent
            });
        }
        // An extension leads to a branch, which has at least one half byte of its own.
        if nibbles.is_empty() || nibbles.len() >= ahead.len() {
            return Err(TrieError::Node);
        }
        let next = match reference(child)? {
            Reference::Nothing => return Err(TrieError::Node),
            next => next,
        };
        if !ahead.starts_with(&nibbles) {
            return Ok(Step::Absent);
        }
        self.at += nibbles.len();
        Ok(Step::Down(next))
    }
}

enum Step<'a> {
    Down(Reference<'a>),
    Found(&'a [u8]),
    Absent,
}

fn reference<'a>((item, encoding): (Item<'a>, &'a [u8])) -> Result<Reference<'a>, TrieError> {
    match item {
        Item::Bytes([]) => Ok(Reference::Nothing),
        Item::Bytes(bytes) => match bytes.try_into() {
            Ok(hash) => Ok(Reference::Hash(hash)),
            Err(_) => Err(TrieError::Node),
        },
        // What is as long as a hash is named by its hash.
        Item::List(_) if encoding.len() < 32 => Ok(Reference::Embedded(item)),
        Item::List(_) => Err(TrieError::Node),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rlp::{list, put_bytes};
    use super::*;

    fn keccak(bytes: &[u8]) -> [u8; 32] {
        Keccak256::digest(bytes).into()
    }

    /// A node of two byte strings.
    fn short(path: &[u8], value: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        put_bytes(&mut payload, path);
        put_bytes(&mut payload, value);
        list(&payload)
    }

    fn leaf(key: &[u8], value: &[u8]) -> Vec<u8> {
        short(&[&[0x20], &keccak(key)[..]].concat(), value)
    }

    fn one(node: Vec<u8>, key: &[u8]) -> Result<Option<Vec<u8>>, TrieError> {
        prove(&keccak(&node), key, &[node])
    }

    #[test]
    fn tries_of_nothing_and_of_one() {
        assert_eq!(keccak(&[0x80]), EMPTY_ROOT);
        assert_eq!(prove(&EMPTY_ROOT, b"key", &[]), Ok(None));
        assert_eq!(prove(&EMPTY_ROOT, b"key", &[vec![0x80]]), Ok(None));
        assert_eq!(prove(&[1; 32], b"key", &[]), Err(TrieError::Incomplete));
        let node = leaf(b"key", b"value");
        assert_eq!(one(node.clone(), b"key"), Ok(Some(b"value".to_vec())));
        assert_eq!(one(node.clone(), b"other"), Ok(None));
        let root = keccak(&node);
        assert_eq!(
            prove(&root, b"key", &[node.clone(), node.clone()]),
            Err(TrieError::Surplus)
        );
        assert_eq!(prove(&EMPTY_ROOT, b"key", &[node]), Err(TrieError::Hash));
        assert_eq!(
            prove(&EMPTY_ROOT, b"key", &[vec![0x80], vec![0x80]]),
            Err(TrieError::Surplus)
        );
    }

    /// Hashes that are right are no reason to read nodes that no trie has.
    #[test]
    fn nodes_that_no_trie_has() {
        let full = keccak(b"key");
        let nothing = [0x80u8; 17];
        let mut lonely = nothing;
        lonely[3] = 0x05;
        let mut valued = Vec::new();
        for _ in 0..2 {
            put_bytes(&mut valued, &[1; 32]);
        }
        valued.extend([0x80; 14]);
        valued.push(0x05);
        let padded = [&[0x21u8], &full[..]].concat();
        let unknown = [&[0x40u8], &full[..]].concat();
        for node in [
            vec![0x05],
            list(&[]),
            list(&[0x80]),
            list(&[0x80; 16]),
            list(&[0x80; 18]),
            list(&nothing),
            list(&lonely),
            list(&valued),
            short(&padded, b"value"),
            short(&unknown, b"value"),
            short(&[0x20], b"value"),
            short(&[], b"value"),
            leaf(b"key", b""),
            // An extension without a path, one that uses the path up, one to nothing, one to half a hash.
            short(&[0x00], &[1; 32]),
            short(&[&[0x00u8], &full[..]].concat(), &[1; 32]),
            short(&[0x00, full[0]], &[]),
            short(&[0x00, full[0]], &[1; 31]),
        ] {
            assert_eq!(
                one(node.clone(), b"key"),
                Err(TrieError::Node),
                "{}",
                hex::encode(&node)
            );
        }
        assert!(matches!(one(vec![0xc1], b"key"), Err(TrieError::Rlp(_))));
        let node = vec![0; MAX_NODE_BYTES + 1];
        assert_eq!(one(node, b"key"), Err(TrieError::TooLong));
        assert_eq!(
            prove(&EMPTY_ROOT, b"key", &vec![vec![0x80]; MAX_PROOF_NODES + 1]),
            Err(TrieError::TooLong)
        );
    }
}
