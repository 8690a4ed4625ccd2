//! The reference kernel: no SIMD, any CPU.

use super::{ActivationBlock, LANES, Matrix, Weights};
use crate::float::{from_f16, to_f16};

pub(super) fn multiply(matrix: &Matrix, activations: &[ActivationBlock], out: &mut [f32]) {
    let blocks = matrix.blocks_per_row();
    let rows = out.chunks_exact_mut(matrix.padded_rows());
    for (out, activations) in rows.zip(activations.chunks_exact(blocks)) {
        for (group, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            *out = [0.0; LANES];
            for (block, activation) in activations.iter().enumerate() {
                let entry = group * blocks + block;
                let x = activation
                    .words
                    .map(|word| word.to_le_bytes().map(|byte| i32::from(byte as i8)));
                for lane in 0..LANES {
                    let scale = from_f16(matrix.scales[entry][lane]) * activation.scale;
                    let mut sum = 0;
                    match &matrix.weights {
                        Weights::Q4 { quants, minimums } => {
                            for (j, line) in quants[entry].iter().enumerate() {
                                for (i, byte) in line.get(lane).into_iter().enumerate() {
                                    sum +=
                                        i32::from(byte & 15) * x[j][i] + i32::from(byte >> 4) * x[4 + j][i];
                                }
                            }
                            out[lane] += scale * sum as f32;
                            out[lane] += from_f16(minimums[entry][lane]) * activation.scaled_sum;
                        }
                        Weights::Q8 { quants } => {
                            for (j, line) in quants[entry].iter().enumerate() {
                                for (i, byte) in line.get(lane).into_iter().enumerate() {
                                    sum += i32::from(byte as i8) * x[j][i];
                                }
                            }
                            out[lane] += scale * sum as f32;
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn widen(halves: &[u16], out: &mut [f32]) {
    halves
        .iter()
        .zip(out)
        .for_each(|(half, out)| *out = from_f16(*half));
}

pub(super) fn narrow(values: &[f32], out: &mut [u16]) {
    values
        .iter()
        .zip(out)
        .for_each(|(value, out)| *out = to_f16(*value));
}
