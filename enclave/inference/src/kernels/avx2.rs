//! AVX2: one 256-bit register holds four columns of 8 rows, half of a group.

use std::arch::x86_64::*;

use super::matrix::Line;
use super::{ActivationBlock, LANES, Matrix, Weights};

/// Tokens whose accumulators stay in registers while a block of weights is unpacked once for all of them.
const TILE: usize = 4;

#[target_feature(enable = "avx2,f16c")]
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
                2.. => multiply_tile::<2>(matrix, group, activations, out),
                _ => multiply_tile::<1>(matrix, group, activations, out),
            };
        }
    }
}

/// 16 rows times the first `N` tokens; returns `N`.
#[target_feature(enable = "avx2,f16c")]
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
    let low = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    for half in 0..2 {
        let mut sums = [_mm256_setzero_ps(); N];
        match &matrix.weights {
            Weights::Q4 { quants, minimums } => {
                let (quants, minimums) = (&quants[range.clone()], &minimums[range.clone()]);
                for block in 0..blocks {
                    // Each 16-bit lane adds 16 products of at most 15 * 127: at most 30 480, so it fits.
                    let mut products = [_mm256_setzero_si256(); N];
                    for j in 0..4 {
                        let packed = load(&quants[block][j], half);
                        let first = _mm256_and_si256(packed, low);
                        let second = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low);
                        for (token, product) in tokens.iter().zip(&mut products) {
                            let x = &token[block].words;
                            let a = _mm256_maddubs_epi16(first, _mm256_set1_epi32(x[j]));
                            let b = _mm256_maddubs_epi16(second, _mm256_set1_epi32(x[4 + j]));
                            *product = _mm256_add_epi16(*product, _mm256_add_epi16(a, b));
                        }
                    }
                    let scale = load_halves(&scales[block], half);
                    let minimum = load_halves(&minimums[block], half);
                    for ((token, product), sum) in tokens.iter().zip(products).zip(&mut sums) {
                        let x = &token[block];
                        let product = _mm256_cvtepi32_ps(_mm256_madd_epi16(product, ones));
                        let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale));
                        *sum = _mm256_add_ps(*sum, _mm256_mul_ps(scale, product));
                        *sum = _mm256_add_ps(*sum, _mm256_mul_ps(minimum, _mm256_set1_ps(x.scaled_sum)));
                    }
                }
            }
            Weights::Q8 { quants } => {
                let quants = &quants[range.clone()];
                for block in 0..blocks {
                    let mut products = [_mm256_setzero_si256(); N];
                    for (j, line) in quants[block].iter().enumerate() {
                        // Unsigned times signed: the weight's sign moves to the activation. A pair is at most
                        // 2 * 128 * 127 = 32 512, so 16 bits hold it, but not a second one.
                        let weight = load(line, half);
                        let magnitude = _mm256_abs_epi8(weight);
                        for (token, product) in tokens.iter().zip(&mut products) {
                            let x = _mm256_set1_epi32(token[block].words[j]);
                            let pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, weight));
                            *product = _mm256_add_epi32(*product, _mm256_madd_epi16(pairs, ones));
                        }
                    }
                    let scale = load_halves(&scales[block], half);
                    for ((token, product), sum) in tokens.iter().zip(products).zip(&mut sums) {
                        let scale = _mm256_mul_ps(scale, _mm256_set1_ps(token[block].scale));
                        *sum = _mm256_add_ps(*sum, _mm256_mul_ps(scale, _mm256_cvtepi32_ps(product)));
                    }
                }
            }
        }
        for (token, sum) in sums.into_iter().enumerate() {
            store(sum, &mut out[token * matrix.padded_rows() + half * LANES / 2..]);
        }
    }
    N
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn widen(halves: &[u16], out: &mut [f32]) {
    let halves = halves.as_chunks::<LANES>().0;
    for (halves, out) in halves.iter().zip(out.as_chunks_mut::<LANES>().0) {
        for half in 0..2 {
            store(load_halves(halves, half), &mut out[half * LANES / 2..]);
        }
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn narrow(values: &[f32], out: &mut [u16]) {
    let values = values.as_chunks::<8>().0;
    for (values, out) in values.iter().zip(out.as_chunks_mut::<8>().0) {
        // SAFETY: the source and the target are arrays of 8 values.
        unsafe {
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(values.as_ptr()));
            _mm_storeu_si128(out.as_mut_ptr().cast(), halves);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(line: &Line, half: usize) -> __m256i {
    let bytes = &line.0[half * 32..][..32];
    // SAFETY: `bytes` is 32 long, and a `Line` is aligned to 64.
    unsafe { _mm256_load_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,f16c")]
#[inline]
fn load_halves(halves: &[u16; LANES], half: usize) -> __m256 {
    let halves = &halves[half * 8..][..8];
    // SAFETY: 8 halves are 16 bytes.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast())) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(values: __m256, out: &mut [f32]) {
    let out = &mut out[..8];
    // SAFETY: `out` holds 8 values.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) }
}
