//! Causal attention of some new tokens over the cache of one key-value head.
//!
//! Positions are handled in tiles of 16. Keys are stored with the positions of a tile next to each other, so
//! that one lane is one position; values with the dimensions next to each other, so that one lane is one
//! dimension. Each tile is widened from half precision once for several tokens. What a token sees and the
//! order in which it is summed depend on its position alone, never on the tokens computed beside it.

use super::vector::fold;
use super::{Isa, Kernel, LANES, per_kernel};
use crate::float::exp;

/// Tokens that share one widening of a tile. Bounds the memory for scores.
const TOKENS: usize = 8;

/// Shape and cache of one key-value head.
pub(crate) struct Attention<'a> {
    /// `[tile][dimension][position in tile]`, half precision.
    pub(crate) keys: &'a [u16],
    /// `[position][dimension]`, half precision.
    pub(crate) values: &'a [u16],
    /// Values per head; a multiple of 16.
    pub(crate) head_size: usize,
    /// Query heads that use this key-value head.
    pub(crate) group: usize,
    /// Values from one token to the next in `queries` and `out`.
    pub(crate) stride: usize,
    /// Position of the first of the new tokens; their keys and values are already in the cache.
    pub(crate) first_position: usize,
}

per_kernel! {
    /// For each token, `out` = softmax(queries . keys / sqrt(head size)) . values, for the `group` heads at
    /// the start of each row. `scratch` grows as needed; its content is left over and derived from the
    /// prompt.
    attend(attention: &Attention<'_>, queries: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) = attend_portable
}

#[inline(always)]
fn attend_portable(
    kernel: Kernel,
    attention: &Attention<'_>,
    queries: &[f32],
    out: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let Attention {
        keys,
        values,
        head_size,
        group,
        stride,
        first_position,
    } = *attention;
    assert!(head_size.is_multiple_of(LANES) && group * head_size <= stride && queries.len() == out.len());
    let tile_size = head_size * LANES;
    let scale = 1.0 / (head_size as f32).sqrt();
    let tokens = queries.len().div_ceil(stride);

    for first in (0..tokens).step_by(TOKENS) {
        let count = TOKENS.min(tokens - first);
        let tiles_of = |token: usize| (first_position + first + token) / LANES + 1;
        let tiles = tiles_of(count - 1);
        let row_size = tiles * LANES;
        scratch.resize(tile_size + count * group * row_size, 0.0);
        let (tile, scores) = scratch.split_at_mut(tile_size);

        for (index, halves) in keys.chunks_exact(tile_size).take(tiles).enumerate() {
            kernel.widen(halves, tile);
            for token in (0..count).filter(|token| index < tiles_of(*token)) {
                let queries = &queries[(first + token) * stride..][..group * head_size];
                let scores = &mut scores[token * group * row_size..][..group * row_size];
                score_heads(
                    queries,
                    tile,
                    scale,
                    group,
                    &mut scores[index * LANES..],
                    row_size,
                );
            }
        }

        for token in 0..count {
            let seen = first_position + first + token + 1;
            for head in 0..group {
                let row = &mut scores[(token * group + head) * row_size..][..tiles_of(token) * LANES];
                let inverse = softmax_numerators(row, seen);
                // The division is cheaper here than on the outputs, and exact zeros stay zeros.
                row.iter_mut().for_each(|score| *score *= inverse);
            }
            out[(first + token) * stride..][..group * head_size].fill(0.0);
        }

        for (index, halves) in values.chunks_exact(tile_size).take(tiles).enumerate() {
            kernel.widen(halves, tile);
            for token in (0..count).filter(|token| index < tiles_of(*token)) {
                let out = &mut out[(first + token) * stride..][..group * head_size];
                let scores = &scores[token * group * row_size..][..group * row_size];
                accumulate_heads(&scores[index * LANES..], row_size, tile, group, out);
            }
        }
    }
}

// The steps below are plain functions and not closures: a closure that isn't inlined would be compiled without
// the instruction set of its surroundings.

/// Scores of all heads of one token against a tile of keys. Up to four heads share the loads of the tile.
#[inline(always)]
fn score_heads(queries: &[f32], keys: &[f32], scale: f32, group: usize, scores: &mut [f32], row_size: usize) {
    let head_size = keys.len() / LANES;
    for head in (0..group).step_by(4) {
        let queries = &queries[head * head_size..];
        let scores = &mut scores[head * row_size..];
        match group - head {
            4.. => score::<4>(queries, keys, scale, row_size, scores),
            3 => score::<3>(queries, keys, scale, row_size, scores),
            2 => score::<2>(queries, keys, scale, row_size, scores),
            _ => score::<1>(queries, keys, scale, row_size, scores),
        }
    }
}

/// Adds a tile of values to the outputs of all heads of one token.
#[inline(always)]
fn accumulate_heads(scores: &[f32], row_size: usize, values: &[f32], group: usize, out: &mut [f32]) {
    let head_size = values.len() / LANES;
    for head in (0..group).step_by(4) {
        let scores = &scores[head * row_size..];
        let out = &mut out[head * head_size..];
        match group - head {
            4.. => accumulate::<4>(scores, row_size, values, head_size, out),
            3 => accumulate::<3>(scores, row_size, values, head_size, out),
            2 => accumulate::<2>(scores, row_size, values, head_size, out),
            _ => accumulate::<1>(scores, row_size, values, head_size, out),
        }
    }
}

/// Scores of `H` heads against the 16 positions of a tile of keys.
#[inline(always)]
fn score<const H: usize>(queries: &[f32], keys: &[f32], scale: f32, row_size: usize, scores: &mut [f32]) {
    let (keys, _) = keys.as_chunks::<LANES>();
    let head_size = keys.len();
    let (pairs, _) = keys.as_chunks::<2>();
    let mut heads = [&[[0.0; 2]][..]; H];
    for (head, pairs_of_head) in heads.iter_mut().enumerate() {
        *pairs_of_head = &queries[head * head_size..][..head_size].as_chunks::<2>().0[..pairs.len()];
    }
    // Two sums per position, over even and odd dimensions, hide the latency of the additions.
    let mut even = [[0.0_f32; LANES]; H];
    let mut odd = [[0.0_f32; LANES]; H];
    for (pair, [a, b]) in pairs.iter().enumerate() {
        for head in 0..H {
            let [x, y] = heads[head][pair];
            add_scaled(&mut even[head], x, a);
            add_scaled(&mut odd[head], y, b);
        }
    }
    for head in 0..H {
        let out = &mut scores[head * row_size..][..LANES];
        for lane in 0..LANES {
            out[lane] = (even[head][lane] + odd[head][lane]) * scale;
        }
    }
}

#[inline(always)]
fn add_scaled(sums: &mut [f32; LANES], factor: f32, values: &[f32; LANES]) {
    for lane in 0..LANES {
        sums[lane] += factor * values[lane];
    }
}

/// Replaces scores by e^(score - maximum), those from `seen` on by zero; returns the inverse of their sum.
#[inline(always)]
fn softmax_numerators(row: &mut [f32], seen: usize) -> f32 {
    row[seen..].fill(f32::NEG_INFINITY);
    let (tiles, _) = row.as_chunks_mut::<LANES>();
    let mut maximums = [f32::NEG_INFINITY; LANES];
    for tile in tiles.iter() {
        for lane in 0..LANES {
            maximums[lane] = if tile[lane] > maximums[lane] {
                tile[lane]
            } else {
                maximums[lane]
            };
        }
    }
    let maximum = fold(maximums, |a, b| if a > b { a } else { b });
    for tile in tiles.iter_mut() {
        for score in tile {
            *score = exp(*score - maximum);
        }
    }
    row[seen..].fill(0.0);
    let (tiles, _) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for tile in tiles {
        for lane in 0..LANES {
            sums[lane] += tile[lane];
        }
    }
    1.0 / fold(sums, |a, b| a + b)
}

/// Adds the 16 values of a tile to the outputs of `H` heads, each weighted by its probability.
#[inline(always)]
fn accumulate<const H: usize>(
    probabilities: &[f32],
    row_size: usize,
    values: &[f32],
    head_size: usize,
    out: &mut [f32],
) {
    let mut rows = [&[0.0; LANES]; H];
    for (head, row) in rows.iter_mut().enumerate() {
        *row = probabilities[head * row_size..]
            .first_chunk()
            .expect("a tile of scores");
    }
    for lanes in (0..head_size).step_by(LANES) {
        let mut sums = [[0.0; LANES]; H];
        for (head, sums) in sums.iter_mut().enumerate() {
            *sums = *out[head * head_size + lanes..]
                .first_chunk()
                .expect("whole heads");
        }
        for position in 0..LANES {
            let values = values[position * head_size + lanes..]
                .first_chunk()
                .expect("a tile of values");
            for head in 0..H {
                add_scaled(&mut sums[head], rows[head][position], values);
            }
        }
        for head in 0..H {
            out[head * head_size + lanes..][..LANES].copy_from_slice(&sums[head]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::{from_f16, to_f16};
    use crate::test_model::Noise;

    #[test]
    fn agrees_with_the_definition_on_every_kernel() {
        for (group, head_size, first_position, tokens) in [
            (1, 16, 0_usize, 1),
            (3, 64, 40, 9),
            (6, 32, 15, 2),
            (2, 16, 0, 33),
        ] {
            let mut noise = Noise(5);
            let positions = first_position + tokens;
            let padded = positions.next_multiple_of(LANES);
            let mut keys = vec![0; padded * head_size];
            let mut values = vec![0; padded * head_size];
            for position in 0..positions {
                for d in 0..head_size {
                    let at = (position / LANES * head_size + d) * LANES + position % LANES;
                    keys[at] = to_f16(noise.next() * 3.0);
                    values[position * head_size + d] = to_f16(noise.next());
                }
            }
            let stride = group * head_size;
            let queries: Vec<f32> = (0..tokens * stride).map(|_| noise.next() * 3.0).collect();
            let attention = Attention {
                keys: &keys,
                values: &values,
                head_size,
                group,
                stride,
                first_position,
            };
            let run = |kernel| {
                let mut out = vec![f32::NAN; queries.len()];
                attend(kernel, &attention, &queries, &mut out, &mut Vec::new());
                out
            };
            let scalar = run(Kernel(Isa::Scalar));
            for kernel in Kernel::available() {
                assert!(
                    run(kernel)
                        .iter()
                        .zip(&scalar)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
            }

            for token in 0..tokens {
                for head in 0..group {
                    let query = &queries[token * stride + head * head_size..][..head_size];
                    let weights: Vec<f64> = (0..=first_position + token)
                        .map(|position| {
                            let key = |d: usize| {
                                from_f16(keys[(position / LANES * head_size + d) * LANES + position % LANES])
                            };
                            let dot: f64 = (0..head_size).map(|d| f64::from(query[d] * key(d))).sum();
                            (dot / (head_size as f64).sqrt()).exp()
                        })
                        .collect();
                    let total: f64 = weights.iter().sum();
                    for d in 0..head_size {
                        let value = |position: usize| f64::from(from_f16(values[position * head_size + d]));
                        let want: f64 = weights
                            .iter()
                            .enumerate()
                            .map(|(i, w)| w / total * value(i))
                            .sum();
                        let got = f64::from(scalar[token * stride + head * head_size + d]);
                        assert!((got - want).abs() < 1e-4, "{got} {want}");
                    }
                }
            }
        }
    }
}
