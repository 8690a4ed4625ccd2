//! AVX-512 with VNNI: one 512-bit register holds four columns of 16 rows.

use std::arch::x86_64::*;

use super::matrix::Line;
use super::{ActivationBlock, LANES, Matrix, Weights};

/// Tokens whose accumulators stay in registers while a block of weights is unpacked once for all of them.
const TILE: usize = 8;

#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn multiply(matrix: &Matrix, activations: &[ActivationBlock], out: &mut [f32]) {
    let blocks = matrix.blocks_per_row();
    let stride = matrix.padded_rows();
    let tokens = activations.len() / blocks;
    for group in 0..stride / LANES {
        let mut token = 0;
        while token < tokens {
            let activations = &activations[token * blocks..];
            let out = &mut out[token * stride + group * LANES..];
            token += match tokens - token {
                TILE.. => multiply_tile::<TILE>(matrix, group, activations, out),
                4.. => multiply_tile::<4>(matrix, group, activations, out),
                2.. => multiply_tile::<2>(matrix, group, activations, out),
                _ => multiply_tile::<1>(matrix, group, activations, out),
            };
        }
    }
}

/// Repeats an expression for each token of a tile. In a loop of this size, which the compiler doesn't unroll, the
/// sums would go through memory.
macro_rules! for_each_token {
    ($count:ident, $token:ident => $body:expr) => {
        for_each_token!(@ $count, $token, $body, 0, 1, 2, 3, 4, 5, 6, 7)
    };
    (@ $count:ident, $token:ident, $body:expr, $($index:literal),*) => {
        $(if $index < $count {
            let $token = $index;
            $body;
        })*
    };
}

/// 16 rows times the first `N` tokens; returns `N`.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn multiply_tile<const N: usize>(
    matrix: &Matrix,
    group: usize,
    activations: &[ActivationBlock],
    out: &mut [f32],
) -> usize {
    let blocks = matrix.blocks_per_row();
    let range = group * blocks..(group + 1) * blocks;
    let scales = &matrix.scales[range.clone()];
    // A closure here would be compiled without this function's instruction set.
    let mut tokens = [&activations[..0]; N];
    for (token, row) in tokens.iter_mut().enumerate() {
        *row = &activations[token * blocks..][..blocks];
    }
    let mut sums = [_mm512_setzero_ps(); N];
    match &matrix.weights {
        Weights::Q4 { quants, minimums } => {
            let low = _mm512_set1_epi8(15);
            let (quants, minimums) = (&quants[range.clone()], &minimums[range]);
            for block in 0..blocks {
                let packed = &quants[block];
                let mut weights = [low; 8];
                for (j, line) in packed.iter().enumerate() {
                    let line = load(line);
                    weights[j] = _mm512_and_si512(line, low);
                    weights[4 + j] = _mm512_and_si512(_mm512_srli_epi16::<4>(line), low);
                }
                let scale = load_halves(&scales[block]);
                let minimum = load_halves(&minimums[block]);
                for_each_token!(N, token => {
                    let x = &tokens[token][block];
                    let product = dot(_mm512_setzero_si512(), &weights, x);
                    let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x.scale));
                    let sum = _mm512_add_ps(sums[token], _mm512_mul_ps(scale, product));
                    let minimum = _mm512_mul_ps(minimum, _mm512_set1_ps(x.scaled_sum));
                    sums[token] = _mm512_add_ps(sum, minimum);
                });
            }
        }
        Weights::Q8 { quants } => {
            // VNNI multiplies unsigned by signed bytes: 128 is added to each weight, and 128 times the sum of
            // the activations is taken away again.
            let offset = _mm512_set1_epi8(-128);
            let quants = &quants[range];
            for block in 0..blocks {
                let mut weights = [offset; 8];
                for (weight, line) in weights.iter_mut().zip(&quants[block]) {
                    *weight = _mm512_xor_si512(load(line), offset);
                }
                let scale = load_halves(&scales[block]);
                for_each_token!(N, token => {
                    let x = &tokens[token][block];
                    let product = dot(_mm512_set1_epi32(-128 * x.sum), &weights, x);
                    let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x.scale));
                    sums[token] = _mm512_add_ps(sums[token], _mm512_mul_ps(scale, product));
                });
            }
        }
    }
    for (token, sum) in sums.into_iter().enumerate() {
        store(sum, &mut out[token * matrix.padded_rows()..]);
    }
    N
}

/// `start` plus the products of unsigned weights with a block of activations.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn dot(start: __m512i, weights: &[__m512i; 8], x: &ActivationBlock) -> __m512 {
    // Two chains, because each product waits for the one before.
    let (mut even, mut odd) = (start, _mm512_setzero_si512());
    for j in 0..4 {
        even = _mm512_dpbusd_epi32(even, weights[j], _mm512_set1_epi32(x.words[j]));
        odd = _mm512_dpbusd_epi32(odd, weights[4 + j], _mm512_set1_epi32(x.words[4 + j]));
    }
    _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd))
}

#[target_feature(enable = "avx512f,f16c")]
pub(super) fn widen(halves: &[u16], out: &mut [f32]) {
    let halves = halves.as_chunks::<LANES>().0;
    for (halves, out) in halves.iter().zip(out.as_chunks_mut::<LANES>().0) {
        store(load_halves(halves), out);
    }
}

#[target_feature(enable = "avx512f,f16c")]
pub(super) fn narrow(values: &[f32], out: &mut [u16]) {
    let values = values.as_chunks::<LANES>().0;
    for (values, out) in values.iter().zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: the source and the target are arrays of 16 values.
        unsafe {
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm512_loadu_ps(values.as_ptr()));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), halves);
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(line: &Line) -> __m512i {
    // SAFETY: a `Line` is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_halves(halves: &[u16; LANES]) -> __m512 {
    // SAFETY: 16 halves are 32 bytes.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast())) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(values: __m512, out: &mut [f32]) {
    let out = &mut out[..LANES];
    // SAFETY: `out` holds 16 values.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) }
}
