//! The forward pass of the Llama architecture: tokens in, logits of the next token out.

use zeroize::Zeroize;

use crate::float::{powf, sin_cos};
use crate::kernels::{
    ActivationBlock, Attention, BLOCK, add, attend, normalize_and_quantize, quantize, rotate,
    silu_and_multiply,
};
use crate::kv_cache::KvCache;
use crate::model::{Hyperparameters, Layer, Model};

/// Tokens of a prompt that are processed together: one scheduling step.
pub(crate) const PREFILL_TOKENS: usize = 32;

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
    logits: Vec<f32>,
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
        let rows = |size: usize| vec![0.0; PREFILL_TOKENS * size];
        let output = model.output.as_ref().unwrap_or(&model.embedding);
        let pair = |index: usize| powf(rope_base, -2.0 * index as f64 / head_size as f64);
        Self {
            hidden: rows(width),
            normalized: rows(width),
            blocks: vec![ActivationBlock::default(); PREFILL_TOKENS * width.max(feed_forward) / BLOCK],
            queries: rows(width),
            keys: rows(kv_width),
            values: rows(kv_width),
            mixed: rows(width),
            gate: rows(feed_forward),
            up: rows(feed_forward),
            turns: vec![(0.0, 0.0); PREFILL_TOKENS * head_size / 2],
            halves: Vec::with_capacity(PREFILL_TOKENS * kv_width),
            scores: Vec::new(),
            logits: vec![0.0; output.padded_rows()],
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
            logits,
            ..
        } = self;
        for buffer in [hidden, normalized, queries, keys, values, mixed, gate, up, logits] {
            buffer.as_mut_slice().zeroize();
        }
        // These two change their length; this wipes their whole capacity.
        self.halves.zeroize();
        self.scores.zeroize();
        self.blocks.fill(ActivationBlock::default());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Model {
    /// Processes up to [`PREFILL_TOKENS`] tokens after those in `cache`, and adds them to it.
    pub(crate) fn forward(&self, tokens: &[u32], cache: &mut KvCache, scratch: &mut Scratch) {
        let width = self.shape.width;
        assert!(!tokens.is_empty() && tokens.len() <= PREFILL_TOKENS && tokens.len() <= cache.room());
        for (token, row) in tokens.iter().zip(scratch.hidden.chunks_exact_mut(width)) {
            self.embedding.read_row(*token as usize, row);
        }
        let half = self.shape.head_size / 2;
        for (index, turns) in scratch
            .turns
            .chunks_exact_mut(half)
            .take(tokens.len())
            .enumerate()
        {
            let position = (cache.length() + index) as f64;
            for (turn, frequency) in turns.iter_mut().zip(&scratch.frequencies) {
                let (sine, cosine) = sin_cos(position * frequency);
                *turn = (cosine as f32, sine as f32);
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, tokens.len(), cache, scratch);
            self.feed_forward(layer, tokens.len(), scratch);
        }
        cache.advance(tokens.len());
    }

    /// The logits that follow the last of the `tokens` of the latest [`Self::forward`].
    pub(crate) fn logits<'a>(&self, tokens: usize, scratch: &'a mut Scratch) -> &'a mut [f32] {
        let width = self.shape.width;
        let last = &scratch.hidden[(tokens - 1) * width..tokens * width];
        let blocks = &mut scratch.blocks[..width / BLOCK];
        let normalized = &mut scratch.normalized[..width];
        normalize_and_quantize(
            self.kernel,
            last,
            &self.output_norm,
            self.shape.epsilon,
            normalized,
            blocks,
        );
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        self.kernel.multiply(output, blocks, &mut scratch.logits);
        &mut scratch.logits[..self.shape.vocabulary]
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        tokens: usize,
        cache: &mut KvCache,
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
        cache.write(self.kernel, index, keys, values, &mut scratch.halves);

        let group = heads / kv_heads;
        for head in 0..kv_heads {
            let (keys, values) = cache.head(index, head);
            let first_position = cache.length();
            let attention = Attention {
                keys,
                values,
                head_size,
                group,
                stride: width,
                first_position,
            };
            let start = head * group * head_size;
            attend(
                self.kernel,
                &attention,
                &queries[start..],
                &mut mixed[start..],
                &mut scratch.scores,
            );
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
