//! Inner loops, in one version per instruction set, chosen at run time.
//!
//! All versions give the same bits. Products of weights and activations are exact integer sums per block of
//! 32; floating point follows in an order fixed per output value, one SIMD lane per value, without fused
//! multiply-add. So the choice of kernel, the batch size and the number of threads can't change a result.

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod matrix;
mod scalar;
mod vector;

pub(crate) use attention::{Attention, attend};
pub(crate) use matrix::{ActivationBlock, BLOCK, LANES, Matrix};
pub(crate) use vector::{add, normalize_and_quantize, quantize, rotate, silu_and_multiply};

use matrix::Weights;

/// An instruction set that this CPU has been found to support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Isa);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Kernel {
    /// The kernels that this CPU and operating system support, slowest first. The scalar one always is.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self(Isa::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("f16c") {
                kernels.push(Self(Isa::Avx2));
                if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni") {
                    kernels.push(Self(Isa::Avx512Vnni));
                }
            }
        }
        kernels
    }

    /// The fastest kernel of this CPU.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self(Isa::Scalar))
    }

    /// `scalar`, `avx2` or `avx512-vnni`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => "avx512-vnni",
        }
    }

    /// `out[token][row] = matrix[row] . activations[token]`, with [`Matrix::padded_rows`] values per token.
    pub(crate) fn multiply(self, matrix: &Matrix, activations: &[ActivationBlock], out: &mut [f32]) {
        let blocks = matrix.blocks_per_row();
        let tokens = activations.len() / blocks;
        assert_eq!(activations.len(), tokens * blocks);
        assert_eq!(out.len(), tokens * matrix.padded_rows());
        match self.0 {
            Isa::Scalar => scalar::multiply(matrix, activations, out),
            // SAFETY: `Self::available` is the only place that makes these values, after it has found the
            // instruction set.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::multiply(matrix, activations, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => unsafe { avx512::multiply(matrix, activations, out) },
        }
    }

    /// Widens half precision; exact. The lengths are equal multiples of [`LANES`].
    pub(crate) fn widen(self, halves: &[u16], out: &mut [f32]) {
        match self.0 {
            Isa::Scalar => scalar::widen(halves, out),
            // SAFETY: as in `multiply`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::widen(halves, out) },
            // SAFETY: as in `multiply`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => unsafe { avx512::widen(halves, out) },
        }
    }

    /// Narrows to half precision, to nearest, ties to even. The lengths are equal multiples of [`LANES`].
    pub(crate) fn narrow(self, values: &[f32], out: &mut [u16]) {
        match self.0 {
            Isa::Scalar => scalar::narrow(values, out),
            // SAFETY: as in `multiply`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::narrow(values, out) },
            // SAFETY: as in `multiply`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => unsafe { avx512::narrow(values, out) },
        }
    }
}

/// Compiles a portable function once per instruction set, and picks the version of the `kernel` argument.
///
/// The portable function is plain Rust over arrays of [`LANES`] values, which the compiler turns into vector
/// code. It may not reorder or fuse floating-point operations, so the versions agree bit for bit.
macro_rules! per_kernel {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),* $(,)?) = $portable:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(kernel: Kernel, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,f16c")]
            fn avx2(kernel: Kernel, $($argument: $type),*) {
                $portable(kernel, $($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
            fn avx512(kernel: Kernel, $($argument: $type),*) {
                $portable(kernel, $($argument),*);
            }
            match kernel.0 {
                Isa::Scalar => $portable(kernel, $($argument),*),
                // SAFETY: a `Kernel` is made only after its instruction set has been found.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2(kernel, $($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni => unsafe { avx512(kernel, $($argument),*) },
            }
        }
    };
}
use per_kernel;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorType;
    use crate::test_model::{Noise, tensor_bytes};

    /// The definition, in `f64`: dequantised weights times dequantised activations.
    fn exact(matrix: &Matrix, activations: &[ActivationBlock], row: usize) -> f64 {
        let mut weights = vec![0.0; activations.len() * BLOCK];
        matrix.read_row(row, &mut weights);
        let bytes = activations.iter().flat_map(|block| {
            let words = block.words.iter().flat_map(|word| word.to_le_bytes());
            words.map(|byte| f64::from(byte as i8) * f64::from(block.scale))
        });
        bytes.zip(&weights).map(|(a, w)| a * f64::from(*w)).sum()
    }

    #[test]
    fn kernels_agree_bit_for_bit_and_with_the_definition() {
        let mut noise = Noise(7);
        for tensor_type in [TensorType::Q4_0, TensorType::Q4_1, TensorType::Q8_0] {
            for (rows, columns, tokens) in [(16, 32, 1), (48, 96, 3), (19, 64, 8), (64, 576, 15)] {
                let bytes = tensor_bytes(&mut noise, tensor_type, rows, columns, 1.0);
                let matrix = Matrix::read(&mut &bytes[..], tensor_type, rows, columns).unwrap();
                let values: Vec<f32> = (0..tokens * columns).map(|_| noise.next() * 3.0).collect();
                let mut activations = vec![ActivationBlock::default(); values.len() / BLOCK];
                quantize(Kernel::best(), &values, &mut activations);

                let product = |kernel: Kernel| {
                    let mut out = vec![0.0; tokens * matrix.padded_rows()];
                    kernel.multiply(&matrix, &activations, &mut out);
                    out
                };
                let scalar = product(Kernel(Isa::Scalar));
                for kernel in Kernel::available() {
                    let equal = product(kernel)
                        .iter()
                        .zip(&scalar)
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(
                        equal,
                        "{} {tensor_type:?} {rows}x{columns}x{tokens}",
                        kernel.name()
                    );
                }
                for token in 0..tokens {
                    let blocks = &activations[token * columns / BLOCK..][..columns / BLOCK];
                    for row in 0..rows {
                        let (got, want) = (
                            scalar[token * matrix.padded_rows() + row],
                            exact(&matrix, blocks, row),
                        );
                        let tolerance = 1e-3 * columns as f64;
                        assert!((f64::from(got) - want).abs() < tolerance, "{got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn half_precision_agrees_across_kernels() {
        let halves: Vec<u16> = (0..0x7c00).chain(0x8000..0xfc00).collect();
        for kernel in Kernel::available() {
            let mut wide = vec![0.0; halves.len()];
            kernel.widen(&halves, &mut wide);
            assert!(
                wide.iter()
                    .zip(&halves)
                    .all(|(w, h)| w.to_bits() == crate::float::from_f16(*h).to_bits())
            );
            let mut noise = Noise(3);
            let values: Vec<f32> = (0..1 << 14)
                .map(|i| noise.next() * 2_f32.powi(i % 48 - 30))
                .collect();
            let mut narrow = vec![0; values.len()];
            kernel.narrow(&values, &mut narrow);
            assert!(
                narrow
                    .iter()
                    .zip(&values)
                    .all(|(n, v)| *n == crate::float::to_f16(*v))
            );
        }
    }
}
