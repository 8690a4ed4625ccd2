//! Byte-pair merging of one word in O(n log n).

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use zeroize::Zeroize;

/// Stands for a byte that has no token, and for a symbol that has been merged into its left neighbour.
const NONE: u32 = u32::MAX;

/// The merges of a vocabulary.
pub(super) struct Merges {
    byte_tokens: [u32; 256],
    /// From (left, right) to (rank, joined).
    pairs: HashMap<(u32, u32), (u32, u32)>,
}

impl Merges {
    pub(super) fn new(byte_tokens: [Option<u32>; 256]) -> Self {
        Self {
            byte_tokens: byte_tokens.map(|token| token.unwrap_or(NONE)),
            pairs: HashMap::new(),
        }
    }

    /// Adds a merge; of equal pairs the one with the lowest rank, which comes first, counts.
    pub(super) fn insert(&mut self, left: u32, right: u32, rank: u32, joined: u32) {
        self.pairs.entry((left, right)).or_insert((rank, joined));
    }

    /// Appends the tokens of a word: again and again, the pair of lowest rank, leftmost first, is joined.
    pub(super) fn encode(&self, word: &[u8], workspace: &mut Workspace, out: &mut Vec<u32>) {
        let Workspace { symbols, candidates } = workspace;
        symbols.clear();
        candidates.clear();
        symbols.extend((0..).zip(word).map(|(index, byte)| Symbol {
            token: self.byte_tokens[usize::from(*byte)],
            previous: u32::wrapping_sub(index, 1),
            next: index + 1,
        }));
        for left in 1..symbols.len() {
            self.propose(symbols, left as u32 - 1, candidates);
        }
        while let Some(candidate) = candidates.pop() {
            let left = candidate.left;
            let Some(right) = next_of(symbols, left) else {
                continue;
            };
            let pair = (symbols[left as usize].token, symbols[right as usize].token);
            // Stale when one side has been joined with something else since.
            if pair != candidate.pair {
                continue;
            }
            let Symbol { next, .. } = symbols[right as usize];
            symbols[left as usize].token = candidate.joined;
            symbols[left as usize].next = next;
            symbols[right as usize].token = NONE;
            if let Some(next) = symbols.get_mut(next as usize) {
                next.previous = left;
            }
            self.propose(symbols, left, candidates);
            self.propose(symbols, symbols[left as usize].previous, candidates);
        }
        let mut at = 0;
        while let Some(symbol) = symbols.get(at as usize) {
            if symbol.token != NONE {
                out.push(symbol.token);
            }
            at = symbol.next;
        }
    }

    fn propose(&self, symbols: &[Symbol], left: u32, candidates: &mut BinaryHeap<Candidate>) {
        let Some(right) = next_of(symbols, left) else {
            return;
        };
        let pair = (symbols[left as usize].token, symbols[right as usize].token);
        if let Some((rank, joined)) = self.pairs.get(&pair) {
            candidates.push(Candidate {
                rank: *rank,
                left,
                pair,
                joined: *joined,
            });
        }
    }
}

/// Buffers that are reused from word to word, and wiped in the end.
pub(super) struct Workspace {
    symbols: Vec<Symbol>,
    candidates: BinaryHeap<Candidate>,
}

impl Workspace {
    /// Room for the longest word that a text of `length` bytes can have, so that growing leaves no copies
    /// behind. What isn't needed is never touched and so costs nothing.
    pub(super) fn for_text(length: usize) -> Self {
        // At most one candidate per pair at first, and two new ones for each that is taken.
        Self {
            symbols: Vec::with_capacity(length),
            candidates: BinaryHeap::with_capacity(2 * length),
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.symbols.zeroize();
        std::mem::take(&mut self.candidates).into_vec().zeroize();
    }
}

/// A node of the list of what a word consists of so far. Links are indices; past either end they point
/// outside.
#[derive(Zeroize)]
struct Symbol {
    token: u32,
    previous: u32,
    next: u32,
}

/// A pair that could be joined.
#[derive(PartialEq, Eq, Zeroize)]
struct Candidate {
    rank: u32,
    left: u32,
    pair: (u32, u32),
    joined: u32,
}

/// The greatest, which the heap hands out first, is the one of lowest rank, then the leftmost.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |candidate: &Self| (candidate.rank, candidate.left, candidate.pair, candidate.joined);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn next_of(symbols: &[Symbol], left: u32) -> Option<u32> {
    let next = symbols.get(left as usize)?.next;
    symbols.get(next as usize).map(|_| next)
}
