//! The measurements of a report against those of the driver's and the VBIOS's manifests.

use super::manifest::{Golden, Kind};
use super::{Claims, GpuError};
use crate::hex_bytes::HexBytes;

/// Measurement, counted from 0, of the firmware of the first video decoder: not made while that is off.
const NVDEC0: u8 = 35;

/// Outcome of a comparison in which nothing differed. Indices count from 0, as the manifests do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Measurements that were compared.
    pub matched: Vec<(u8, Kind)>,
    /// Active measurements that weren't compared, because what they measure is off.
    pub skipped: Vec<u8>,
    /// Measurements of the report for which no manifest has an active value: nothing is known of them.
    pub uncovered: Vec<u8>,
}

/// Compares each active measurement of each manifest. `manifests` are the driver's and the VBIOS's, or a switch's only
/// one.
pub fn compare(claims: &Claims, manifests: &[&Golden]) -> Result<Comparison, GpuError> {
    let nvdec0 = claims.gpu().is_none_or(|gpu| gpu.nvdec0);
    let mut comparison = Comparison::default();
    let mut covered = [false; 256];
    let mut wrong: Option<GpuError> = None;
    let mut count = 0;
    for golden in manifests {
        let kind = golden.identity().kind;
        for expected in golden.measurements().iter().filter(|golden| golden.active) {
            let index = expected.index;
            // Two active values would be two truths: an attacker could pick a pair of manifests by it.
            if core::mem::replace(&mut covered[usize::from(index)], true) {
                return Err(GpuError::ManifestConflict(index));
            }
            if index == NVDEC0 && !nvdec0 {
                comparison.skipped.push(index);
                continue;
            }
            let of = kind.name();
            let name = expected.name.clone();
            let measured = claims
                .measurements
                .iter()
                .find(|measurement| measurement.index.checked_sub(1) == Some(index));
            let Some(found) = measured else {
                return Err(GpuError::MeasurementAbsent { index, of, name });
            };
            if expected.values.contains(&found.value) {
                comparison.matched.push((index, kind));
                continue;
            }
            count += 1;
            wrong.get_or_insert(GpuError::Measurement {
                index,
                of,
                name,
                found: Box::new(HexBytes(found.value)),
                expected: Box::new(HexBytes(expected.values.first().copied().unwrap_or([0; 48]))),
                differing: 0,
            });
        }
    }
    if let Some(mut error) = wrong {
        if let GpuError::Measurement { differing, .. } = &mut error {
            *differing = count;
        }
        return Err(error);
    }
    comparison.uncovered = claims
        .measurements
        .iter()
        .map(|measurement| measurement.index - 1)
        .filter(|index| !covered[usize::from(*index)])
        .collect();
    Ok(comparison)
}
