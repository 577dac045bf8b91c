//! Similarities of samples, as energies to be made small, with their derivatives.

use rayon::prelude::*;

use crate::kernels::affine::Sample;
use crate::kernels::parzen::Information;

/// An energy, and its derivatives by the value and the weight of each sample.
pub(super) struct Energy {
    pub value: f64,
    pub by_sample: Vec<[f64; 2]>,
}

/// Total weight; `None` where nothing counts.
fn total(samples: &[Sample]) -> Option<f64> {
    let total: f64 = samples.iter().map(|s| s.weight).sum();
    (total > 0.0).then_some(total)
}

/// `-r`, with `r` the weighted Pearson correlation; 0 where an image is constant.
pub(super) fn ncc(fixed: &[f32], moving: &[Sample]) -> Option<Energy> {
    let total = total(moving)?;
    let pairs = || fixed.iter().map(|&f| f64::from(f)).zip(moving);
    let (sum_f, sum_m) = pairs().fold((0.0, 0.0), |(f_sum, m_sum), (f, m)| {
        (f_sum + m.weight * f, m_sum + m.weight * m.value)
    });
    let (mean_f, mean_m) = (sum_f / total, sum_m / total);
    let (cross, var_f, var_m) = pairs().fold((0.0, 0.0, 0.0), |(cross, vf, vm), (f, m)| {
        let (a, b) = (f - mean_f, m.value - mean_m);
        (
            cross + m.weight * a * b,
            vf + m.weight * a * a,
            vm + m.weight * b * b,
        )
    });
    let norm = (var_f * var_m).sqrt();
    // Rounding leaves about this much of a constant image.
    if norm <= 1e-12 * total {
        let by_sample = vec![[0.0; 2]; moving.len()];
        return Some(Energy {
            value: 0.0,
            by_sample,
        });
    }
    let correlation = cross / norm;
    let by_sample = pairs()
        .map(|(f, m)| {
            let (a, b) = (f - mean_f, m.value - mean_m);
            let by_value = m.weight * (a / norm - correlation * b / var_m);
            let spread = a * a / var_f + b * b / var_m;
            [-by_value, -(a * b / norm - 0.5 * correlation * spread)]
        })
        .collect();
    Some(Energy {
        value: -correlation,
        by_sample,
    })
}

/// The weighted mean of squared differences.
pub(super) fn mse(fixed: &[f32], moving: &[Sample]) -> Option<Energy> {
    let total = total(moving)?;
    let difference = |(&f, m): (&f32, &Sample)| m.value - f64::from(f);
    let pairs = || fixed.iter().zip(moving);
    let value = pairs()
        .map(|p| p.1.weight * difference(p).powi(2))
        .sum::<f64>()
        / total;
    let by_sample = pairs()
        .map(|p| {
            let d = difference(p);
            [2.0 * p.1.weight * d / total, (d * d - value) / total]
        })
        .collect();
    Some(Energy { value, by_sample })
}

/// The weighted mean of the samples' values, which are distances already.
pub(super) fn mean(samples: &[Sample]) -> Option<Energy> {
    let total = total(samples)?;
    let value = samples.iter().map(|s| s.weight * s.value).sum::<f64>() / total;
    let by_sample = samples
        .iter()
        .map(|s| [s.weight / total, (s.value - value) / total])
        .collect();
    Some(Energy { value, by_sample })
}

/// Voxels that fill a histogram of 32 bins along either axis.
const MANY: usize = 15_000;

/// Normalised mutual information, negative; with fewer bins where the samples lie in fewer `voxels`.
pub(super) fn mi(fixed: &[f32], moving: &[Sample], voxels: usize) -> Option<Energy> {
    match voxels < MANY {
        true => information::<16>(fixed, moving),
        false => information::<32>(fixed, moving),
    }
}

fn information<const B: usize>(fixed: &[f32], moving: &[Sample]) -> Option<Energy> {
    let seen = |n: usize| [moving[n].value, moving[n].weight];
    let information = Information::<B>::new(fixed, seen)?;
    let samples = fixed.par_iter().enumerate();
    let by_sample = samples.map(|(n, &fixed)| information.derivatives(fixed, seen(n)).map(|d| -d));
    Some(Energy {
        value: -information.value,
        by_sample: by_sample.collect(),
    })
}
