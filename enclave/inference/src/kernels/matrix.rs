//! Quantised weights and activations as the kernels want them.

use std::io::{self, Read};

use super::{Kernel, quantize};
use crate::float::{from_f16, to_f16};
use crate::gguf::TensorType;

/// Values per quantised block, of weights and of activations.
pub(crate) const BLOCK: usize = 32;

/// Matrix rows that are stored interleaved: one SIMD lane per row, so that no kernel adds across lanes.
pub(crate) const LANES: usize = 16;

/// 64 bytes on their own cache line: four bytes for each of 16 rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

impl Line {
    fn set(&mut self, lane: usize, word: [u8; 4]) {
        self.0[lane * 4..][..4].copy_from_slice(&word);
    }

    pub(super) fn get(&self, lane: usize) -> [u8; 4] {
        [
            self.0[lane * 4],
            self.0[lane * 4 + 1],
            self.0[lane * 4 + 2],
            self.0[lane * 4 + 3],
        ]
    }
}

/// The quantised values of a matrix. Each entry is one block of 32 columns of 16 rows.
pub(super) enum Weights {
    /// Line j, byte i of a lane: column 4j + i in the low nibble, 16 + 4j + i in the high one.
    /// Value = scale * nibble + minimum, with the minimum in half precision.
    Q4 {
        quants: Vec<[Line; 4]>,
        minimums: Vec<[u16; LANES]>,
    },
    /// Line j, byte i of a lane: column 4j + i, signed. Value = scale * byte.
    Q8 { quants: Vec<[Line; 8]> },
}

/// A quantised matrix, rows interleaved by 16 and padded with zeros to a multiple of that.
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    /// Half-precision scales, by group of 16 rows, then block, then lane.
    pub(super) scales: Vec<[u16; LANES]>,
    pub(super) weights: Weights,
}

impl Matrix {
    /// Reads `rows` x `columns` values in ggml's layout, 16 rows at a time, so that the file's copy of the
    /// weights is never held whole. `Q4_0` becomes scale and minimum; floats are quantised as `Q8_0`.
    pub(crate) fn read(
        reader: &mut impl Read,
        tensor_type: TensorType,
        rows: usize,
        columns: usize,
    ) -> io::Result<Self> {
        assert!(columns > 0 && columns.is_multiple_of(BLOCK));
        let blocks = columns / BLOCK;
        let entries = rows.div_ceil(LANES) * blocks;
        let mut matrix = Self {
            rows,
            columns,
            scales: vec![[0; LANES]; entries],
            weights: match tensor_type {
                TensorType::Q4_0 | TensorType::Q4_1 => Weights::Q4 {
                    quants: vec![[Line([0; 64]); 4]; entries],
                    minimums: vec![[0; LANES]; entries],
                },
                TensorType::Q8_0 | TensorType::F16 | TensorType::F32 => Weights::Q8 {
                    quants: vec![[Line([0; 64]); 8]; entries],
                },
            },
        };
        let per_block = BLOCK / tensor_type.block_values() as usize;
        let mut source =
            vec![0; columns / tensor_type.block_values() as usize * tensor_type.block_bytes() as usize];
        for row in 0..rows {
            reader.read_exact(&mut source)?;
            let block_bytes = tensor_type.block_bytes() as usize * per_block;
            for (block, bytes) in source.chunks_exact(block_bytes).enumerate() {
                matrix.set_block(row / LANES * blocks + block, row % LANES, tensor_type, bytes);
            }
        }
        Ok(matrix)
    }

    /// Rows rounded up to a multiple of 16: the values that [`Kernel::multiply`] writes per token.
    pub(crate) fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(LANES)
    }

    pub(super) fn blocks_per_row(&self) -> usize {
        self.columns / BLOCK
    }

    /// Dequantises one row.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.columns);
        let lane = row % LANES;
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let entry = row / LANES * self.blocks_per_row() + block;
            let scale = from_f16(self.scales[entry][lane]);
            match &self.weights {
                Weights::Q4 { quants, minimums } => {
                    let minimum = from_f16(minimums[entry][lane]);
                    for (j, line) in quants[entry].iter().enumerate() {
                        for (i, byte) in line.get(lane).into_iter().enumerate() {
                            out[4 * j + i] = scale * f32::from(byte & 15) + minimum;
                            out[16 + 4 * j + i] = scale * f32::from(byte >> 4) + minimum;
                        }
                    }
                }
                Weights::Q8 { quants } => {
                    for (j, line) in quants[entry].iter().enumerate() {
                        for (i, byte) in line.get(lane).into_iter().enumerate() {
                            out[4 * j + i] = scale * f32::from(byte as i8);
                        }
                    }
                }
            }
        }
    }

    fn set_block(&mut self, entry: usize, lane: usize, tensor_type: TensorType, bytes: &[u8]) {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let words = |from: usize| bytes[from..].as_chunks::<4>().0.iter();
        match (&mut self.weights, tensor_type) {
            (Weights::Q4 { quants, minimums }, _) => {
                let (minimum, nibbles) = match tensor_type {
                    // scale * (nibble - 8): a power of two times the scale, so exact short of overflow.
                    TensorType::Q4_0 => (to_f16(from_f16(half(0)) * -8.0), 2),
                    _ => (half(2), 4),
                };
                self.scales[entry][lane] = half(0);
                minimums[entry][lane] = minimum;
                quants[entry]
                    .iter_mut()
                    .zip(words(nibbles))
                    .for_each(|(line, word)| line.set(lane, *word));
            }
            (Weights::Q8 { quants }, TensorType::Q8_0) => {
                self.scales[entry][lane] = half(0);
                quants[entry]
                    .iter_mut()
                    .zip(words(2))
                    .for_each(|(line, word)| line.set(lane, *word));
            }
            (Weights::Q8 { quants }, _) => {
                let mut values = [0.0; BLOCK];
                for (i, value) in values.iter_mut().enumerate() {
                    *value = match tensor_type {
                        TensorType::F16 => from_f16(half(2 * i)),
                        _ => f32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[4 * i + byte])),
                    };
                }
                let mut block = [ActivationBlock::default()];
                quantize(Kernel::best(), &values, &mut block);
                self.scales[entry][lane] = to_f16(block[0].scale);
                for (line, word) in quants[entry].iter_mut().zip(block[0].words) {
                    line.set(lane, word.to_le_bytes());
                }
            }
        }
    }
}

/// 32 activations of one token as signed bytes: value = scale * byte.
#[derive(Clone, Copy, Default)]
pub(crate) struct ActivationBlock {
    /// Four bytes each, first in the lowest bits: the unit that the kernels broadcast.
    pub(super) words: [i32; 8],
    pub(super) scale: f32,
    /// Sum of the bytes.
    pub(super) sum: i32,
    /// `scale * sum`, which the minimums of 4-bit weights are multiplied with.
    pub(super) scaled_sum: f32,
}
