//! Keys and values of the tokens that one sequence has processed.

use zeroize::Zeroize;

use crate::kernels::{Kernel, LANES};
use crate::model::Hyperparameters;

/// The cache of one sequence, in half precision, wiped when dropped. Never shared between sequences: a
/// prefix that one user could find in another's cache would tell them what the other asked.
pub(crate) struct KvCache {
    layers: usize,
    heads: usize,
    head_size: usize,
    /// Positions that there is room for; a multiple of 16.
    capacity: usize,
    /// Positions filled.
    length: usize,
    /// `[layer][head][tile][dimension][position in tile]`.
    keys: Vec<u16>,
    /// `[layer][head][position][dimension]`.
    values: Vec<u16>,
}

impl KvCache {
    /// An empty cache for up to `positions` tokens. The memory comes zeroed from the operating system and
    /// takes up room only as it is filled.
    pub(crate) fn new(shape: &Hyperparameters, positions: usize) -> Self {
        let capacity = positions.next_multiple_of(LANES);
        let size = shape.layers * shape.kv_heads * shape.head_size * capacity;
        Self {
            layers: shape.layers,
            heads: shape.kv_heads,
            head_size: shape.head_size,
            capacity,
            length: 0,
            keys: vec![0; size],
            values: vec![0; size],
        }
    }

    /// Bytes that a cache for `positions` tokens takes when full.
    pub(crate) fn bytes(shape: &Hyperparameters, positions: usize) -> usize {
        let values = shape.layers * shape.kv_heads * shape.head_size * positions.next_multiple_of(LANES);
        values * 2 * size_of::<u16>()
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Counts `tokens` more positions as filled, after [`Self::write`] for each layer.
    pub(crate) fn advance(&mut self, tokens: usize) {
        assert!(tokens <= self.room());
        self.length += tokens;
    }

    /// Stores keys and values (one row per token, all heads) at the positions from [`Self::length`] on.
    pub(crate) fn write(
        &mut self,
        kernel: Kernel,
        layer: usize,
        keys: &[f32],
        values: &[f32],
        halves: &mut Vec<u16>,
    ) {
        let row_size = self.heads * self.head_size;
        halves.resize(keys.len(), 0);
        kernel.narrow(keys, halves);
        for (token, row) in halves.chunks_exact(row_size).enumerate() {
            let position = self.length + token;
            for (head, row) in row.chunks_exact(self.head_size).enumerate() {
                let start = self.head_start(layer, head) + position / LANES * self.head_size * LANES;
                let tile = &mut self.keys[start..][..self.head_size * LANES];
                for (dimension, half) in tile.as_chunks_mut::<LANES>().0.iter_mut().zip(row) {
                    dimension[position % LANES] = *half;
                }
            }
        }
        kernel.narrow(values, halves);
        for (token, row) in halves.chunks_exact(row_size).enumerate() {
            for (head, row) in row.chunks_exact(self.head_size).enumerate() {
                let start = self.head_start(layer, head) + (self.length + token) * self.head_size;
                self.values[start..][..self.head_size].copy_from_slice(row);
            }
        }
    }

    /// Keys and values of one head of one layer.
    pub(crate) fn head(&self, layer: usize, head: usize) -> (&[u16], &[u16]) {
        let start = self.head_start(layer, head);
        let size = self.capacity * self.head_size;
        (&self.keys[start..][..size], &self.values[start..][..size])
    }

    fn head_start(&self, layer: usize, head: usize) -> usize {
        (layer * self.heads + head) * self.capacity * self.head_size
    }
}

impl Drop for KvCache {
    fn drop(&mut self) {
        // Only what was written: wiping the rest would make the system allocate it.
        let used = self.length.next_multiple_of(LANES) * self.head_size;
        for head in 0..self.layers * self.heads {
            let start = head * self.capacity * self.head_size;
            self.keys[start..][..used].zeroize();
            self.values[start..][..used].zeroize();
        }
    }
}
