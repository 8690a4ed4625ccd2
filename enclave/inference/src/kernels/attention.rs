//! Causal attention of some new tokens over the cache of one key-value head.
//!
//! Positions are handled in tiles of 16. Keys are stored with the positions of a tile next to each other, so
//! that one lane is one position; values with the dimensions next to each other, so that one lane is one
//! dimension. Each tile is widened from half precision once for several tokens. What a token sees and the
//! order in which it is summed depend on its position alone, never on the tokens computed beside it.

use zeroize::Zeroize;

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
        let needed = tile_size + count * group * row_size;
        if needed > scratch.capacity() {
            // Growing would leave a copy of the old content behind.
            scratch.zeroize();
        }
        scratch.resize(needed, 0.0);
        let (tile, scores) = scratch.split_at_mut(tile_size);

        for (index, halves) in keys.chunks_exact(tile_size).take(tiles).enumerate() {
            kernel.widen(halves, tile);
            for token in (0..count).filter(|token| index < tiles_of(*token)) {
                for head in 0..group {
                    let query = &queries[(first + token) * stride + head * head_size..][..head_size];
                    let row = (token * group + head) * row_size + index * LANES;
                    score(query, tile, scale, &mut scores[row..row + LANES]);
                }
            }
        }

        for token in 0..count {
            let seen = first_position + first + token + 1;
            for head in 0..group {
                let row = &mut scores[(token * group + head) * row_size..][..tiles_of(token) * LANES];
                let inverse = softmax_numerators(row, seen);
                row.iter_mut().for_each(|score| *score *= inverse);
            }
            out[(first + token) * stride..][..group * head_size].fill(0.0);
        }

        for (index, halves) in values.chunks_exact(tile_size).take(tiles).enumerate() {
            kernel.widen(halves, tile);
            for token in (0..count).filter(|token| index < tiles_of(*token)) {
                for head in 0..group {
                    let row = (token * group + head) * row_size + index * LANES;
                    let out = &mut out[(first + token) * stride + head * head_size..][..head_size];
                    accumulate(&scores[row..row + LANES], tile, out);
                }
            }
        }
    }
}

/// Scores of one head against the 16 positions of a tile of keys.
#[inline(always)]
fn score(query: &[f32], keys: &[f32], scale: f32, scores: &mut [f32]) {
    // Four sums per position, over every fourth dimension, hide the latency of the additions. They are
    // separate variables, because the compiler keeps those in registers.
    let (mut a, mut b, mut c, mut d) = ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let keys = keys.as_chunks::<LANES>().0.as_chunks::<4>().0;
    for ([p, q, r, s], [k, l, m, n]) in query.as_chunks::<4>().0.iter().zip(keys) {
        add_scaled(&mut a, *p, k);
        add_scaled(&mut b, *q, l);
        add_scaled(&mut c, *r, m);
        add_scaled(&mut d, *s, n);
    }
    for lane in 0..LANES {
        scores[lane] = ((a[lane] + b[lane]) + (c[lane] + d[lane])) * scale;
    }
}

/// Adds the 16 values of a tile to the output of one head, each weighted by its probability.
#[inline(always)]
fn accumulate(probabilities: &[f32], values: &[f32], out: &mut [f32]) {
    let rows = values.chunks_exact(2 * out.len());
    for (at, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
        for ([p, q], rows) in probabilities.as_chunks::<2>().0.iter().zip(rows.clone()) {
            let (first, second) = rows.split_at(rows.len() / 2);
            add_scaled(&mut even, *p, &first.as_chunks::<LANES>().0[at]);
            add_scaled(&mut odd, *q, &second.as_chunks::<LANES>().0[at]);
        }
        for lane in 0..LANES {
            out[lane] += even[lane] + odd[lane];
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
