//! Element-wise steps of a layer.

use super::{ActivationBlock, BLOCK, Isa, Kernel, LANES, per_kernel};
use crate::float::{ROUND_F32, exp};

per_kernel! {
    /// Quantises activations to signed bytes in blocks of 32.
    quantize(values: &[f32], out: &mut [ActivationBlock]) = quantize_portable
}

per_kernel! {
    /// RMS normalisation of each row of `weights.len()` values, then [`quantize`]. Overwrites `normalized`.
    normalize_and_quantize(
        values: &[f32],
        weights: &[f32],
        epsilon: f32,
        normalized: &mut [f32],
        out: &mut [ActivationBlock],
    ) = normalize_and_quantize_portable
}

per_kernel! {
    /// `gate = silu(gate) * up`, where silu(x) = x / (1 + e^-x).
    silu_and_multiply(gate: &mut [f32], up: &[f32]) = silu_and_multiply_portable
}

per_kernel! {
    /// `values += addends`.
    add(values: &mut [f32], addends: &[f32]) = add_portable
}

per_kernel! {
    /// Rotary position embedding: turns each pair of neighbouring values of each head by its angle, of which
    /// `turns` gives (cosine, sine).
    rotate(values: &mut [f32], turns: &[(f32, f32)]) = rotate_portable
}

#[inline(always)]
fn quantize_portable(_: Kernel, values: &[f32], out: &mut [ActivationBlock]) {
    assert_eq!(values.len(), out.len() * BLOCK);
    for (values, out) in values.as_chunks::<BLOCK>().0.iter().zip(out) {
        let mut maximums = [0.0_f32; LANES];
        for lane in 0..LANES {
            let (a, b) = (values[lane].abs(), values[LANES + lane].abs());
            maximums[lane] = if a > b { a } else { b };
        }
        let maximum = fold(maximums, |a, b| if a > b { a } else { b });
        // Below this the inverse would overflow; such a block is zero next to any other.
        if !(maximum > 1e-30 && maximum < f32::MAX) {
            *out = ActivationBlock::default();
            continue;
        }
        let scale = maximum / 127.0;
        let inverse = 127.0 / maximum;
        let mut bytes = [0_u8; BLOCK];
        let mut sum = 0;
        for (byte, value) in bytes.iter_mut().zip(values) {
            let rounded = (value * inverse + ROUND_F32)
                .to_bits()
                .wrapping_sub(ROUND_F32.to_bits());
            *byte = rounded as u8;
            sum += i32::from(rounded as i8);
        }
        let words = bytes.as_chunks::<4>().0;
        *out = ActivationBlock {
            words: std::array::from_fn(|word| i32::from_le_bytes(words[word])),
            scale,
            sum,
            scaled_sum: scale * sum as f32,
        };
    }
}

#[inline(always)]
fn normalize_and_quantize_portable(
    kernel: Kernel,
    values: &[f32],
    weights: &[f32],
    epsilon: f32,
    normalized: &mut [f32],
    out: &mut [ActivationBlock],
) {
    assert!(values.len() == normalized.len() && weights.len().is_multiple_of(LANES));
    let (weights, _) = weights.as_chunks::<LANES>();
    let length = weights.len() * LANES;
    for (values, normalized) in values
        .chunks_exact(length)
        .zip(normalized.chunks_exact_mut(length))
    {
        let (values, normalized) = (
            values.as_chunks::<LANES>().0,
            normalized.as_chunks_mut::<LANES>().0,
        );
        let mut squares = [0.0; LANES];
        for values in values {
            for lane in 0..LANES {
                squares[lane] += values[lane] * values[lane];
            }
        }
        let mean = fold(squares, |a, b| a + b) / length as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, values), weights) in normalized.iter_mut().zip(values).zip(weights) {
            for lane in 0..LANES {
                out[lane] = values[lane] * scale * weights[lane];
            }
        }
    }
    quantize_portable(kernel, normalized, out);
}

#[inline(always)]
fn silu_and_multiply_portable(_: Kernel, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len());
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

#[inline(always)]
fn add_portable(_: Kernel, values: &mut [f32], addends: &[f32]) {
    assert_eq!(values.len(), addends.len());
    values
        .iter_mut()
        .zip(addends)
        .for_each(|(value, addend)| *value += addend);
}

#[inline(always)]
fn rotate_portable(_: Kernel, values: &mut [f32], turns: &[(f32, f32)]) {
    assert!(values.len().is_multiple_of(2 * turns.len()));
    for head in values.chunks_exact_mut(2 * turns.len()) {
        for ([a, b], (cosine, sine)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
            (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
        }
    }
}

/// Combines 16 lanes in a fixed tree.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = combine(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_model::Noise;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn versions_agree_bit_for_bit() {
        let mut noise = Noise(11);
        let values: Vec<f32> = (0..960).map(|i| noise.next() * 2_f32.powi(i % 9 - 4)).collect();
        let weights: Vec<f32> = (0..320).map(|_| noise.next()).collect();
        let turns: Vec<(f32, f32)> = (0..16).map(|_| (noise.next(), noise.next())).collect();
        let run = |kernel| {
            let mut blocks = vec![ActivationBlock::default(); 30];
            let mut normalized = vec![0.0; 960];
            normalize_and_quantize(kernel, &values, &weights, 1e-5, &mut normalized, &mut blocks);
            let mut gate = values.clone();
            silu_and_multiply(kernel, &mut gate, &normalized);
            add(kernel, &mut gate, &values);
            rotate(kernel, &mut gate, &turns);
            let words: Vec<_> = blocks
                .iter()
                .map(|b| (b.words, b.scale.to_bits(), b.sum))
                .collect();
            (bits(&normalized), bits(&gate), words)
        };
        let scalar = run(Kernel(Isa::Scalar));
        for kernel in Kernel::available() {
            assert!(run(kernel) == scalar, "{}", kernel.name());
        }
    }

    #[test]
    fn quantization_is_to_nearest() {
        let mut values = [0.0; BLOCK];
        values[..5].copy_from_slice(&[127.0, -127.0, 2.5, 3.5, -0.6]);
        let mut out = [ActivationBlock::default()];
        quantize(Kernel::best(), &values, &mut out);
        assert_eq!(
            out[0].words[0].to_le_bytes().map(|byte| byte as i8),
            [127, -127, 2, 4]
        );
        assert_eq!((out[0].words[1], out[0].scale, out[0].sum), (255, 1.0, 5));
    }

    #[test]
    fn values_beyond_any_use_become_zero_and_not_undefined() {
        for extreme in [f32::INFINITY, f32::NEG_INFINITY, 1e-40, 0.0] {
            let mut out = [ActivationBlock {
                sum: 9,
                ..Default::default()
            }];
            quantize(Kernel::best(), &[extreme; BLOCK], &mut out);
            assert_eq!((out[0].words, out[0].sum), ([0; 8], 0));
        }
    }
}
