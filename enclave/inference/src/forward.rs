//! The forward pass of the Llama architecture: tokens in, logits of the next token out.
//!
//! A pass takes tokens of several sequences, one row each. All rows go through a matrix together, so that its
//! weights are read once; attention alone looks at which sequence a row belongs to. Nothing is ever summed
//! over rows, so a row comes out with the same bits whatever the others are.

use zeroize::Zeroize;

use crate::float::{powf, sin_cos};
use crate::kernels::{
    ActivationBlock, Attention, BLOCK, add, attend, normalize_and_quantize, quantize, rotate,
    silu_and_multiply,
};
use crate::kv_cache::KvCache;
use crate::model::{Hyperparameters, Layer, Model};

/// Rows of a pass at most: tokens of all sequences together.
pub(crate) const ROWS: usize = 32;

/// Tokens of one sequence in a pass, after those in its cache.
pub(crate) struct Part<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) cache: &'a mut KvCache,
}

/// Buffers of one worker. They hold values derived from prompts between steps; [`Self::wipe`] clears them.
pub(crate) struct Scratch {
    /// What flows between layers, one row per token.
    hidden: Vec<f32>,
    normalized: Vec<f32>,
    blocks: Vec<ActivationBlock>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Output of attention, then of the projections back to the model's width.
    mixed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// Cosine and sine of each pair of dimensions, one row per token.
    turns: Vec<(f32, f32)>,
    halves: Vec<u16>,
    scores: Vec<f32>,
    /// One row per token that was asked about.
    logits: Vec<f32>,
    /// Rows used since the last wipe, and of them those of `logits`.
    used: usize,
    used_logits: usize,
    /// Angle per position of each pair of dimensions.
    frequencies: Vec<f64>,
}

impl Scratch {
    pub(crate) fn new(model: &Model) -> Self {
        let Hyperparameters {
            width,
            feed_forward,
            head_size,
            rope_base,
            ..
        } = model.shape;
        let kv_width = model.shape.kv_heads * head_size;
        let rows = |size: usize| vec![0.0; ROWS * size];
        let output = model.output.as_ref().unwrap_or(&model.embedding);
        let pair = |index: usize| powf(rope_base, -2.0 * index as f64 / head_size as f64);
        Self {
            hidden: rows(width),
            normalized: rows(width),
            blocks: vec![ActivationBlock::default(); ROWS * width.max(feed_forward) / BLOCK],
            queries: rows(width),
            keys: rows(kv_width),
            values: rows(kv_width),
            mixed: rows(width),
            gate: rows(feed_forward),
            up: rows(feed_forward),
            turns: vec![(0.0, 0.0); ROWS * head_size / 2],
            halves: Vec::with_capacity(ROWS * kv_width),
            scores: Vec::new(),
            logits: rows(output.padded_rows()),
            used: 0,
            used_logits: 0,
            frequencies: (0..head_size / 2).map(pair).collect(),
        }
    }

    /// Overwrites everything that was computed from a prompt.
    pub(crate) fn wipe(&mut self) {
        let Self {
            hidden,
            normalized,
            queries,
            keys,
            values,
            mixed,
            gate,
            up,
            ..
        } = self;
        // Only what was used: wiping the rest would make the system allocate it.
        for buffer in [hidden, normalized, queries, keys, values, mixed, gate, up] {
            let row = buffer.len() / ROWS;
            buffer[..self.used * row].zeroize();
        }
        let row = self.logits.len() / ROWS;
        self.logits[..self.used_logits * row].zeroize();
        // These two change their length; this wipes their whole capacity.
        self.halves.zeroize();
        self.scores.zeroize();
        self.blocks.fill(ActivationBlock::default());
        (self.used, self.used_logits) = (0, 0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Model {
    /// Processes the tokens of all `parts`, at most [`ROWS`] together, and adds them to their caches. Rows are
    /// in the order of the parts.
    pub(crate) fn forward(&self, parts: &mut [Part<'_>], scratch: &mut Scratch) {
        let width = self.shape.width;
        let half = self.shape.head_size / 2;
        let rows = parts.iter().map(|part| part.tokens.len()).sum();
        assert!((1..=ROWS).contains(&rows));
        scratch.used = scratch.used.max(rows);
        let mut hidden = scratch.hidden.chunks_exact_mut(width);
        let mut turns = scratch.turns.chunks_exact_mut(half);
        for part in parts.iter() {
            assert!(part.tokens.len() <= part.cache.room());
            let positions = part.cache.length()..;
            for (token, position) in part.tokens.iter().zip(positions) {
                let (Some(hidden), Some(turns)) = (hidden.next(), turns.next()) else {
                    unreachable!("no more rows than ROWS");
                };
                self.embedding.read_row(*token as usize, hidden);
                for (turn, frequency) in turns.iter_mut().zip(&scratch.frequencies) {
                    let (sine, cosine) = sin_cos(position as f64 * frequency);
                    *turn = (cosine as f32, sine as f32);
                }
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, rows, parts, scratch);
            self.feed_forward(layer, rows, scratch);
        }
        for part in parts {
            part.cache.advance(part.tokens.len());
        }
    }

    /// The logits that follow the given rows of the latest [`Self::forward`], one row each.
    pub(crate) fn logits<'a>(
        &self,
        rows: &[usize],
        scratch: &'a mut Scratch,
    ) -> impl Iterator<Item = &'a mut [f32]> {
        let (width, vocabulary) = (self.shape.width, self.shape.vocabulary);
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        let gathered = &mut scratch.mixed[..rows.len() * width];
        for (row, gathered) in rows.iter().zip(gathered.chunks_exact_mut(width)) {
            gathered.copy_from_slice(&scratch.hidden[row * width..][..width]);
        }
        let blocks = &mut scratch.blocks[..rows.len() * width / BLOCK];
        let normalized = &mut scratch.normalized[..rows.len() * width];
        normalize_and_quantize(
            self.kernel,
            gathered,
            &self.output_norm,
            self.shape.epsilon,
            normalized,
            blocks,
        );
        scratch.used_logits = scratch.used_logits.max(rows.len());
        let logits = &mut scratch.logits[..rows.len() * output.padded_rows()];
        self.kernel.multiply(output, blocks, logits);
        logits
            .chunks_exact_mut(output.padded_rows())
            .map(move |row| &mut row[..vocabulary])
    }

    /// The hidden states of these rows of the latest [`Self::forward`], after the output norm, one row each.
    pub(crate) fn states<'a>(
        &self,
        rows: std::ops::Range<usize>,
        scratch: &'a mut Scratch,
    ) -> impl Iterator<Item = &'a [f32]> {
        let width = self.shape.width;
        let count = rows.len();
        let normalized = &mut scratch.normalized[..count * width];
        normalize_and_quantize(
            self.kernel,
            &scratch.hidden[rows.start * width..rows.end * width],
            &self.output_norm,
            self.shape.epsilon,
            normalized,
            &mut scratch.blocks[..count * width / BLOCK],
        );
        scratch.normalized[..count * width].chunks_exact(width)
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        tokens: usize,
        parts: &mut [Part<'_>],
        scratch: &mut Scratch,
    ) {
        let Hyperparameters {
            width,
            heads,
            kv_heads,
            head_size,
            epsilon,
            ..
        } = self.shape;
        let kv_width = kv_heads * head_size;
        let hidden = &mut scratch.hidden[..tokens * width];
        let normalized = &mut scratch.normalized[..tokens * width];
        let blocks = &mut scratch.blocks[..tokens * width / BLOCK];
        let queries = &mut scratch.queries[..tokens * width];
        let keys = &mut scratch.keys[..tokens * kv_width];
        let values = &mut scratch.values[..tokens * kv_width];
        let mixed = &mut scratch.mixed[..tokens * width];

        normalize_and_quantize(
            self.kernel,
            hidden,
            &layer.attention_norm,
            epsilon,
            normalized,
            blocks,
        );
        self.kernel.multiply(&layer.query, blocks, queries);
        self.kernel.multiply(&layer.key, blocks, keys);
        self.kernel.multiply(&layer.value, blocks, values);
        let turns = scratch.turns.chunks_exact(head_size / 2);
        let rows = queries
            .chunks_exact_mut(width)
            .zip(keys.chunks_exact_mut(kv_width));
        for ((query, key), turns) in rows.zip(turns) {
            rotate(self.kernel, query, turns);
            rotate(self.kernel, key, turns);
        }

        let group = heads / kv_heads;
        let mut first = 0;
        for part in parts {
            let cache = &mut *part.cache;
            let rows = first..first + part.tokens.len();
            first = rows.end;
            cache.write(
                self.kernel,
                index,
                &keys[rows.start * kv_width..rows.end * kv_width],
                &values[rows.start * kv_width..rows.end * kv_width],
                &mut scratch.halves,
            );
            for head in 0..kv_heads {
                let (keys, values) = cache.head(index, head);
                let attention = Attention {
                    keys,
                    values,
                    head_size,
                    group,
                    stride: width,
                    first_position: cache.length(),
                };
                let head = rows.start * width + head * group * head_size..rows.end * width;
                attend(
                    self.kernel,
                    &attention,
                    &queries[head.clone()],
                    &mut mixed[head],
                    &mut scratch.scores,
                );
            }
        }
        quantize(self.kernel, mixed, blocks);
        self.kernel.multiply(&layer.attention_output, blocks, mixed);
        add(self.kernel, hidden, mixed);
    }

    fn feed_forward(&self, layer: &Layer, tokens: usize, scratch: &mut Scratch) {
        let Hyperparameters {
            width,
            feed_forward,
            epsilon,
            ..
        } = self.shape;
        let hidden = &mut scratch.hidden[..tokens * width];
        let normalized = &mut scratch.normalized[..tokens * width];
        let mixed = &mut scratch.mixed[..tokens * width];
        let gate = &mut scratch.gate[..tokens * feed_forward];
        let up = &mut scratch.up[..tokens * feed_forward];

        let blocks = &mut scratch.blocks[..tokens * width / BLOCK];
        normalize_and_quantize(
            self.kernel,
            hidden,
            &layer.feed_forward_norm,
            epsilon,
            normalized,
            blocks,
        );
        self.kernel.multiply(&layer.gate, blocks, gate);
        self.kernel.multiply(&layer.up, blocks, up);
        silu_and_multiply(self.kernel, gate, up);
        let blocks = &mut scratch.blocks[..tokens * feed_forward / BLOCK];
        quantize(self.kernel, gate, blocks);
        self.kernel.multiply(&layer.down, blocks, mixed);
        add(self.kernel, hidden, mixed);
    }
}
